//! What the rest of Covey sees of the network.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use covey_protocol::ids::NodeId;
use covey_protocol::limits;
use tokio::time::Instant;

use crate::{Addr, LinkError};

/// What an exchange is about. Each protocol has its own name, version and size limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// The membership log: joining, fetching entries, signed requests to the sequencer.
    Group,
    /// The federated query.
    Search,
    /// Rounds of learning.
    Round,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Group, Self::Search, Self::Round];

    /// The name negotiated on a stream; its last part is the version.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Group => "/covey/group/1",
            Self::Search => "/covey/search/1",
            Self::Round => "/covey/round/1",
        }
    }

    /// Largest request body, in bytes.
    pub const fn max_request(self) -> usize {
        match self {
            Self::Group => limits::MAX_GROUP_REQUEST,
            Self::Search => limits::MAX_SEARCH_REQUEST,
            Self::Round => limits::MAX_ROUND_REQUEST,
        }
    }

    /// Largest reply body, in bytes.
    pub const fn max_response(self) -> usize {
        match self {
            Self::Group => limits::MAX_GROUP_REPLY,
            Self::Search => limits::MAX_SEARCH_REPLY,
            Self::Round => limits::MAX_ROUND_REPLY,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Carries requests between nodes. A clone is another handle on the same link.
pub trait Link: Clone + Send + Sync + 'static {
    /// The node at this end.
    fn local(&self) -> NodeId;

    /// Sends one request and waits for its one reply, connecting first where necessary.
    ///
    /// `timeout` covers all of it, and is cut to [`limits::MAX_TIMEOUT`](crate::limits::MAX_TIMEOUT).
    /// Dropping the future gives the reply up; the request may still be delivered.
    ///
    /// # Errors
    /// Says which of the ways in which an exchange can fail this was; see [`LinkError`].
    fn request(
        &self,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, LinkError>> + Send;

    /// Remembers where `node` may be reached, newest hints first. Bounded for each node and, for
    /// those that are no members, over all nodes.
    fn learn(&self, node: NodeId, addrs: &[Addr]);

    /// Where others may reach this node: public addresses, relay circuits, private ones, loopback
    /// (so that two nodes on one machine find each other). At most `MAX_ADDRESSES`.
    fn addresses(&self) -> Vec<Addr>;

    /// The nodes connected now, in the order of their ids.
    fn peers(&self) -> Vec<Peer>;

    /// Names the nodes that share a group with us, replacing the earlier set. They get the wide
    /// limits, and a relay serves them; all others stay under the tight ones.
    fn set_members(&self, members: BTreeSet<NodeId>);

    /// Closes every connection to `node`.
    fn disconnect(&self, node: NodeId);
}

/// A node connected to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who it is; the transport has authenticated this.
    pub node: NodeId,
    /// The other end's address, or the circuit it came through, where that can be written as one.
    pub address: Option<Addr>,
    /// Whether every connection to it goes through a relay.
    pub relayed: bool,
    /// The last measured round trip.
    pub rtt: Option<Duration>,
    /// When its oldest connection was made.
    pub since: Instant,
}

/// What happens on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// A node asks something.
    Request(Inbound),
    /// The first connection to a node was made.
    Connected(NodeId),
    /// The last connection to a node closed.
    Disconnected(NodeId),
    /// The local network announces a node. Anybody there can announce anything.
    Discovered(NodeId, Vec<Addr>),
    /// [`Link::addresses`] has changed.
    AddressesChanged,
}

/// The receiving end of a link's events, [`EVENT_QUEUE`](crate::limits::EVENT_QUEUE) places long.
pub type Events = tokio::sync::mpsc::Receiver<LinkEvent>;

/// A request from another node.
#[derive(Debug)]
pub struct Inbound {
    /// Who asks; authenticated by the transport, which says nothing about membership.
    pub from: NodeId,
    /// The protocol it chose.
    pub protocol: Protocol,
    /// The request, within the protocol's limit.
    pub body: Vec<u8>,
    /// Where the answer goes.
    pub reply: Reply,
}

type Sink = Box<dyn FnOnce(Option<Vec<u8>>) + Send>;

/// The right to answer one request. Dropping it tells the asker that it was refused.
pub struct Reply(Option<Sink>);

impl Reply {
    /// A reply that hands the body, or nothing where it was dropped, to `sink`.
    pub fn new(sink: impl FnOnce(Option<Vec<u8>>) + Send + 'static) -> Self {
        Self(Some(Box::new(sink)))
    }

    /// Answers with `body`. One over the protocol's limit reaches the asker as
    /// [`LinkError::TooLarge`].
    pub fn send(mut self, body: Vec<u8>) {
        if let Some(sink) = self.0.take() {
            sink(Some(body));
        }
    }

    /// Lets go of the sink without calling it.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(sink) = self.0.take() {
            sink(None);
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply(..)")
    }
}
