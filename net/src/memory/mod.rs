//! Links inside one process: seeded latency and loss, partitions and crashes, on tokio's clock.
//!
//! [`Network::new`] starts one courier task that delivers everything in the order of its due time,
//! and of sending where times are equal. Each latency and loss is drawn from the seed, the two nodes
//! and how often the one has sent to the other, so unrelated traffic changes nothing. On a
//! single-threaded runtime with its clock paused, the same seed and the same nodes give the same
//! deliveries, which [`Network::transcript`] proves by a digest.
//!
//! Sizes, timeouts, inbound bounds and the need to know an address first are those of the real link.

mod draw;
mod state;
mod transcript;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use covey_protocol::ids::NodeId;
use tokio::sync::{Notify, mpsc};
use tokio::time::{self, Instant};

use crate::limits::{EVENT_QUEUE, MAX_TIMEOUT};
use crate::{Addr, Events, Link, LinkError, Peer, Protocol, lock};

pub use draw::{NetworkConfig, NetworkConfigError};
use state::State;
pub use transcript::{Entry, Kind, MAX_ENTRIES, Recording, Transcript};

/// A network of nodes in this process. A clone is another handle on it.
#[derive(Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

/// What the handles and the courier share.
struct Shared {
    state: Mutex<State>,
    wake: Arc<Notify>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}

impl Network {
    /// Starts a network. It ends when the last handle and link are dropped.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(config: NetworkConfig) -> Self {
        let shared = Arc::new_cyclic(|weak: &Weak<Shared>| Shared {
            state: Mutex::new(State::new(config, weak.clone())),
            wake: Arc::new(Notify::new()),
        });
        tokio::spawn(courier(Arc::downgrade(&shared), Arc::clone(&shared.wake)));
        Self { shared }
    }

    /// Adds `node`, or restarts it: the link and events of an earlier life are closed.
    pub fn join(&self, node: NodeId) -> (MemoryLink, Events) {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let (life, _earlier) = lock(&self.shared.state).join(node, sender);
        self.shared.wake.notify_one();
        (MemoryLink { shared: Arc::clone(&self.shared), node, life }, events)
    }

    /// Crashes `node`: its connections close and it is refused until it joins again or
    /// [`Network::set_up`].
    pub fn set_down(&self, node: NodeId) {
        lock(&self.shared.state).set_down(node);
        self.shared.wake.notify_one();
    }

    /// Makes a crashed `node` reachable again, with its link and its memory intact.
    pub fn set_up(&self, node: NodeId) {
        lock(&self.shared.state).set_up(node);
    }

    /// Splits the network: messages between different sides vanish without a sign. Nodes in none of
    /// `sides` form a side of their own. Replaces an earlier partition.
    pub fn partition(&self, sides: &[BTreeSet<NodeId>]) {
        lock(&self.shared.state).partition(sides);
    }

    /// Ends a partition.
    pub fn heal(&self) {
        lock(&self.shared.state).partition(&[]);
    }

    /// What was delivered so far, as much as the config records.
    pub fn transcript(&self) -> Transcript {
        lock(&self.shared.state).transcript()
    }
}

/// Delivers what is due, sleeps until the next, and ends with the network.
async fn courier(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let next = {
            let Some(shared) = shared.upgrade() else { return };
            lock(&shared.state).deliver_due(Instant::now())
        };
        match next {
            None => wake.notified().await,
            Some(due) => tokio::select! {
                biased;
                () = wake.notified() => {}
                () = time::sleep_until(due) => {}
            },
        }
    }
}

/// One node's end of a [`Network`].
#[derive(Clone)]
pub struct MemoryLink {
    shared: Arc<Shared>,
    node: NodeId,
    life: u64,
}

impl Link for MemoryLink {
    fn local(&self) -> NodeId {
        self.node
    }

    async fn request(
        &self,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, LinkError> {
        let sent = lock(&self.shared.state).send(self.node, self.life, to, protocol, body);
        let (id, reply) = sent?;
        let _open = Open { shared: &self.shared, id };
        self.shared.wake.notify_one();
        match time::timeout(timeout.min(MAX_TIMEOUT), reply).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(LinkError::Closed),
            Err(_) => Err(LinkError::Timeout),
        }
    }

    fn learn(&self, node: NodeId, addrs: &[Addr]) {
        lock(&self.shared.state).learn(self.node, node, addrs);
    }

    fn addresses(&self) -> Vec<Addr> {
        lock(&self.shared.state).addresses(&self.node)
    }

    fn peers(&self) -> Vec<Peer> {
        lock(&self.shared.state).peers(&self.node)
    }

    fn set_members(&self, members: BTreeSet<NodeId>) {
        lock(&self.shared.state).set_members(self.node, members);
    }

    fn disconnect(&self, node: NodeId) {
        lock(&self.shared.state).disconnect(self.node, node);
    }
}

/// A request whose caller still waits; dropping it tells the network that nobody does.
struct Open<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        lock(&self.shared.state).give_up(self.id);
    }
}
