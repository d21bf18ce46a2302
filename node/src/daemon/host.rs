//! The node as its home's owner sees it: its own calls, and what only the home can answer.

use covey_net::Link;

use super::doctor;
use crate::api::server::Handler;
use crate::api::{ApiError, Call, Progress, Reply};
use crate::cancel::CancelFlag;
use crate::home::Home;
use crate::node::Node;

/// A node in its home.
#[derive(Clone)]
pub struct Host<L: Link> {
    node: Node<L>,
    home: Home,
    daemon: bool,
}

impl<L: Link> Host<L> {
    /// `daemon` says whether it stays to be reached by others.
    pub fn new(node: Node<L>, home: Home, daemon: bool) -> Self {
        Self { node, home, daemon }
    }
}

impl<L: Link> Handler for Host<L> {
    async fn call(
        &self,
        call: Call,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        match call {
            // The server ends once this is answered.
            Call::Stop => Ok(Reply::Ok),
            Call::Doctor => {
                let checks = doctor::examine(&self.home, &self.node, self.daemon).await;
                Ok(Reply::Doctor { checks })
            }
            call => {
                let mut reply = self.node.call(call, progress, cancel).await?;
                if let Reply::Status(status) = &mut reply {
                    status.daemon = self.daemon;
                    status.version = env!("CARGO_PKG_VERSION").to_owned();
                }
                Ok(reply)
            }
        }
    }
}
