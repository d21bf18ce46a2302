//! The way to say "never mind" to a call that is under way.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells a running call that nobody waits for it any more. Clones share one flag; it never goes back.
#[derive(Debug, Clone)]
pub struct CancelFlag(Arc<watch::Sender<bool>>);

impl CancelFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    /// Raises the flag for all clones.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is raised; for loops of CPU work.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it is raised; for `select!`.
    pub async fn cancelled(&self) {
        let mut receiver = self.0.subscribe();
        // An error means that the sender is gone, but `self` holds it.
        let _ = receiver.wait_for(|raised| *raised).await;
    }
}

impl Default for CancelFlag {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn raising_reaches_clones_that_wait_already_or_start_later() {
        let flag = CancelFlag::new();
        let waits = tokio::spawn({
            let flag = flag.clone();
            async move { flag.cancelled().await }
        });
        assert!(!flag.is_cancelled());
        flag.cancel();
        waits.await.expect("no panic");
        flag.cancelled().await;
        assert!(flag.is_cancelled());
    }
}
