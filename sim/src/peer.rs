//! One virtual person: their files, and the node that serves them.

use std::path::PathBuf;
use std::sync::Arc;

use covey_index::MemoryFiles;
use covey_net::memory::MemoryLink;
use covey_node::api::{ApiError, Call, Reply};
use covey_node::cancel::CancelFlag;
use covey_node::node::Node;
use covey_node::store::MemoryStores;
use covey_protocol::ids::NodeId;
use tokio::task::JoinHandle;

/// A peer's place in its [`Federation`](crate::Federation), from 0 in order of arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerIndex(pub usize);

/// One virtual person's node and files.
pub struct Peer {
    pub(crate) id: NodeId,
    pub(crate) name: String,
    pub(crate) files: Arc<MemoryFiles>,
    pub(crate) stores: Arc<MemoryStores>,
    pub(crate) node: Node<MemoryLink>,
    pub(crate) running: JoinHandle<()>,
}

impl Peer {
    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The name members see.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The peer's files; the folder `/NAME` is theirs by convention.
    pub fn files(&self) -> &MemoryFiles {
        &self.files
    }

    /// The folder that [`Peer::write`] writes into.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from("/").join(&self.name)
    }

    /// Writes `text` as a file called `file` into the peer's folder.
    pub fn write(&self, file: &str, text: &str) {
        self.files.insert(self.folder().join(file), text);
    }

    /// Asks the node something, as its owner's command line would.
    ///
    /// # Errors
    /// What the node says.
    pub async fn call(&self, call: Call) -> Result<Reply, ApiError> {
        self.node.call(call, &mut |_| {}, CancelFlag::new()).await
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.running.abort();
    }
}
