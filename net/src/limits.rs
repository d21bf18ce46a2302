//! Every bound of the network layer, by name. Frame sizes are in `covey_protocol::limits`.

use std::time::Duration;

/// Events waiting for the node to take them.
pub const EVENT_QUEUE: usize = 1_024;
/// Places of [`EVENT_QUEUE`] that requests leave free for news about connections.
pub const EVENT_RESERVE: usize = 256;
/// Requests of ours in flight at once, over all nodes; a further one is
/// [`LinkError::Busy`](crate::LinkError::Busy).
pub const MAX_OUTBOUND: usize = 1_024;
/// Requests of ours in flight at once to one node.
pub const MAX_OUTBOUND_PER_NODE: usize = 32;
/// Requests of others that we work on at once.
pub const MAX_INBOUND: usize = 512;
/// Requests of one member that we work on at once.
pub const MAX_INBOUND_PER_MEMBER: usize = 32;
/// Requests of one node that is no member that we work on at once (a join needs one).
pub const MAX_INBOUND_PER_STRANGER: usize = 2;
/// Requests of all nodes that are no members that we work on at once.
pub const MAX_INBOUND_STRANGERS: usize = 32;
/// Bytes of requests being read or worked on, over all peers.
pub const MAX_INBOUND_BYTES: usize = 64 * 1024 * 1024;
/// Bytes taken of [`MAX_INBOUND_BYTES`] at a time, before they are read.
pub const INBOUND_PIECE: usize = 2 * 1024;

/// Nodes that are no members whose addresses we remember.
pub const MAX_KNOWN_STRANGERS: usize = 1_024;
/// Relays that one node keeps reservations at.
pub const MAX_RELAYS: usize = 8;
/// Addresses one node listens on.
pub const MAX_LISTEN: usize = 16;

/// Longest time one request may take, whatever its caller asks for.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(120);
/// A peer must have sent its whole request within this time.
pub const REQUEST_READ_DEADLINE: Duration = Duration::from_secs(20);
/// A peer must have taken our whole reply within this time.
pub const REPLY_WRITE_DEADLINE: Duration = Duration::from_secs(60);
/// A connection without any stream is closed after this time.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// How long starting waits for the listeners to report their addresses.
pub const LISTEN_DEADLINE: Duration = Duration::from_secs(10);
/// How long ending waits for the peers to acknowledge it.
pub const CLOSE_DEADLINE: Duration = Duration::from_secs(2);

/// Streams of one protocol on one connection, both directions together.
pub const MAX_STREAMS: usize = 64;
/// Connections to one node (members included).
pub const MAX_CONNECTIONS_PER_PEER: u32 = 4;
/// Connections that nodes which are no members may hold to us.
pub const MAX_STRANGER_CONNECTIONS: usize = 64;
/// Inbound connections that have not finished their handshake.
pub const MAX_PENDING_INBOUND: u32 = 64;
/// Outbound connections that have not finished their handshake.
pub const MAX_PENDING_OUTBOUND: u32 = 256;
/// Share of the machine's memory above which no new connection is taken.
pub const MAX_MEMORY_SHARE: f64 = 0.9;

/// Reservations a relay holds, all for members.
pub const RELAY_MAX_RESERVATIONS: usize = 1_024;
/// Circuits a relay carries at once.
pub const RELAY_MAX_CIRCUITS: usize = 512;
/// Circuits a relay carries at once for one member.
pub const RELAY_MAX_CIRCUITS_PER_PEER: usize = 64;
/// Bytes one relayed connection may carry (libp2p's own default, 128 KiB, is less than one reply).
pub const RELAY_CIRCUIT_BYTES: u64 = 1024 * 1024 * 1024;
/// Life of one relayed connection (libp2p's own default is two minutes).
pub const RELAY_CIRCUIT_LIFE: Duration = Duration::from_secs(6 * 3_600);
/// Circuits that nodes which are no members may open in one [`RELAY_STRANGER_WINDOW`], all together:
/// enough to redeem an invite through a relay.
pub const RELAY_STRANGER_CIRCUITS: usize = 16;
/// See [`RELAY_STRANGER_CIRCUITS`].
pub const RELAY_STRANGER_WINDOW: Duration = Duration::from_secs(60);
/// A node that is no member is disconnected from the relay this long after it opened a circuit.
pub const RELAY_STRANGER_LIFE: Duration = Duration::from_secs(60);
/// First pause before a lost reservation is asked for again; each failure doubles it.
pub const RELAY_RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest pause between two attempts at a reservation.
pub const RELAY_RETRY_LONGEST: Duration = Duration::from_secs(300);

// Strangers whose streams all wait for a piece leave members half of the bytes, at the least.
const _: () = assert!(
    MAX_STRANGER_CONNECTIONS * MAX_STREAMS * crate::Protocol::ALL.len() * INBOUND_PIECE
        <= MAX_INBOUND_BYTES / 2
);
