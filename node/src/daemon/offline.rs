//! A link to nobody, for commands that need nobody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use covey_net::{Addr, Events, Link, LinkError, LinkEvent, Peer, Protocol};
use covey_protocol::ids::NodeId;
use tokio::sync::mpsc;

/// Reaches nobody and hears nothing.
#[derive(Clone)]
pub struct OfflineLink {
    local: NodeId,
    /// Kept so that the events last as long as the link.
    _silence: Arc<mpsc::Sender<LinkEvent>>,
}

impl OfflineLink {
    /// The link of `local`, and its events, of which there are none.
    pub fn new(local: NodeId) -> (Self, Events) {
        let (sender, events) = mpsc::channel(1);
        (Self { local, _silence: Arc::new(sender) }, events)
    }
}

impl Link for OfflineLink {
    fn local(&self) -> NodeId {
        self.local
    }

    async fn request(
        &self,
        _: NodeId,
        _: Protocol,
        _: Vec<u8>,
        _: Duration,
    ) -> Result<Vec<u8>, LinkError> {
        let reason = "this command does not use the network".to_owned();
        Err(LinkError::Unreachable { reason })
    }

    fn learn(&self, _: NodeId, _: &[Addr]) {}

    fn addresses(&self) -> Vec<Addr> {
        Vec::new()
    }

    fn peers(&self) -> Vec<Peer> {
        Vec::new()
    }

    fn set_members(&self, _: BTreeSet<NodeId>) {}

    fn disconnect(&self, _: NodeId) {}
}
