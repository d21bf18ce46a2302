//! The libp2p protocols a node speaks, and their limits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    connection_limits, dcutr, identify, mdns, memory_connection_limits, ping, relay,
    request_response,
};

use super::codec::{Codec, Name};
use super::gate::Gate;
use super::server;
use crate::Protocol;
use crate::book::Book;
use crate::limits::{
    MAX_CONNECTIONS_PER_PEER, MAX_MEMORY_SHARE, MAX_PENDING_INBOUND, MAX_PENDING_OUTBOUND,
    MAX_STREAMS, MAX_TIMEOUT, REPLY_WRITE_DEADLINE, REQUEST_READ_DEADLINE,
};

/// Everything a swarm does. The limits come first, so that they see a connection first.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    memory: memory_connection_limits::Behaviour,
    connections: connection_limits::Behaviour,
    gate: Gate,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    mdns: Toggle<mdns::tokio::Behaviour>,
    relay_client: relay::client::Behaviour,
    pub(super) relay_server: Toggle<relay::Behaviour>,
    dcutr: dcutr::Behaviour,
    pub(super) group: request_response::Behaviour<Codec>,
    pub(super) search: request_response::Behaviour<Codec>,
    pub(super) round: request_response::Behaviour<Codec>,
}

/// Which of the optional parts are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    pub(super) mdns: bool,
    pub(super) relay_server: bool,
}

impl Behaviour {
    pub(super) fn new(
        key: &Keypair,
        relay_client: relay::client::Behaviour,
        book: &Arc<Mutex<Book>>,
        parts: Parts,
    ) -> Self {
        let local = key.public().to_peer_id();
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_PENDING_INBOUND))
            .with_max_pending_outgoing(Some(MAX_PENDING_OUTBOUND))
            .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER));
        // The agent names the software and nothing about the machine; our listen addresses are for
        // the group's log and our invites, not for whoever connects.
        let identify = identify::Config::new("/covey/1".to_owned(), key.public())
            .with_agent_version(concat!("covey/", env!("CARGO_PKG_VERSION")).to_owned())
            .with_hide_listen_addrs(true)
            .with_cache_size(0);
        let codec = Codec::new();
        let exchange = |protocol| {
            let both = request_response::ProtocolSupport::Full;
            // Each part of an exchange has its own, shorter deadline; this one catches the rest.
            let longest = REQUEST_READ_DEADLINE + MAX_TIMEOUT + REPLY_WRITE_DEADLINE;
            let config = request_response::Config::default()
                .with_request_timeout(longest)
                .with_max_concurrent_streams(MAX_STREAMS);
            request_response::Behaviour::with_codec(codec.clone(), [(Name(protocol), both)], config)
        };
        Self {
            memory: memory_connection_limits::Behaviour::with_max_percentage(MAX_MEMORY_SHARE),
            connections: connection_limits::Behaviour::new(limits),
            gate: Gate::new(Arc::clone(book)),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(15))),
            mdns: parts.mdns.then(|| start_mdns(key)).flatten().into(),
            relay_client,
            relay_server: parts.relay_server.then(|| server::start(local, book)).into(),
            dcutr: dcutr::Behaviour::new(local),
            group: exchange(Protocol::Group),
            search: exchange(Protocol::Search),
            round: exchange(Protocol::Round),
        }
    }

    pub(super) fn exchange(
        &mut self,
        protocol: Protocol,
    ) -> &mut request_response::Behaviour<Codec> {
        match protocol {
            Protocol::Group => &mut self.group,
            Protocol::Search => &mut self.search,
            Protocol::Round => &mut self.round,
        }
    }
}

/// Local discovery is a convenience: where multicast does not work, the node starts without it.
fn start_mdns(key: &Keypair) -> Option<mdns::tokio::Behaviour> {
    mdns::tokio::Behaviour::new(mdns::Config::default(), key.public().to_peer_id())
        .inspect_err(|error| tracing::warn!(%error, "no discovery on the local network"))
        .ok()
}
