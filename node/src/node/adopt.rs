//! The background task that brings collections to the current release of their model.

use std::time::Duration;

use covey_net::Link;

use super::Node;
use crate::cancel::CancelFlag;

/// How long after a move that went wrong (a drive is away, a disk is full) it is tried again.
const RETRY: Duration = Duration::from_secs(600);

impl<L: Link> Node<L> {
    /// Brings collections that hold another release of the current model to the current one, and the person's own adapter with them, now and whenever
    /// the model changes, until `stop` is raised. What is done by then is kept. Questions are answered by
    /// the release that a collection holds meanwhile.
    pub async fn adopt_releases(&self, stop: CancelFlag) {
        loop {
            let (collections, flag) = (self.collections.clone(), stop.clone());
            let well = self.env.compute(move || collections.adopt(&flag)).await;
            self.personal_follow(&stop).await;
            let again = async {
                match well {
                    true => std::future::pending().await,
                    false => tokio::time::sleep(RETRY).await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.model_changed.notified() => {}
                () = again => {}
            }
        }
    }
}
