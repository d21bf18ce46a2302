//! A peer's way to the network: what goes over it takes time and is counted.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use covey_net::memory::MemoryLink;
use covey_net::{Addr, Link, LinkError, Peer, Protocol};
use covey_protocol::ids::NodeId;
use tokio::time::sleep;

/// A link with the bandwidth of one peer.
#[derive(Clone)]
pub(super) struct Access {
    link: MemoryLink,
    /// Bytes a second in each direction.
    bandwidth: Option<f64>,
    traffic: Arc<Traffic>,
}

/// Bytes that went over it.
#[derive(Default)]
struct Traffic {
    up: AtomicU64,
    down: AtomicU64,
}

impl Access {
    pub(super) fn new(link: MemoryLink, bandwidth: Option<f64>) -> Self {
        Self { link, bandwidth, traffic: Arc::default() }
    }

    /// Bytes sent and received since this was last asked.
    pub(super) fn take_traffic(&self) -> (u64, u64) {
        let Traffic { up, down } = &*self.traffic;
        (up.swap(0, Ordering::Relaxed), down.swap(0, Ordering::Relaxed))
    }

    async fn passes(&self, bytes: usize) {
        if let Some(bandwidth) = self.bandwidth {
            // So narrow that it never passes is as good as cut off.
            let time = Duration::try_from_secs_f64(bytes as f64 / bandwidth);
            sleep(time.unwrap_or(Duration::MAX)).await;
        }
    }
}

impl Link for Access {
    fn local(&self) -> NodeId {
        self.link.local()
    }

    async fn request(
        &self,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, LinkError> {
        self.traffic.up.fetch_add(body.len() as u64, Ordering::Relaxed);
        self.passes(body.len()).await;
        let reply = self.link.request(to, protocol, body, timeout).await?;
        self.traffic.down.fetch_add(reply.len() as u64, Ordering::Relaxed);
        self.passes(reply.len()).await;
        Ok(reply)
    }

    fn learn(&self, node: NodeId, addrs: &[Addr]) {
        self.link.learn(node, addrs);
    }

    fn addresses(&self) -> Vec<Addr> {
        self.link.addresses()
    }

    fn peers(&self) -> Vec<Peer> {
        self.link.peers()
    }

    fn set_members(&self, members: BTreeSet<NodeId>) {
        self.link.set_members(members);
    }

    fn disconnect(&self, node: NodeId) {
        self.link.disconnect(node);
    }
}
