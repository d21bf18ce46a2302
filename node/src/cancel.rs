//! Stopping a long call: the person pressed Ctrl-C, or the client has gone.

use std::sync::Arc;

use tokio::sync::watch;

use crate::api::{ApiError, ErrorCode};

/// A flag that is raised once and seen by every clone.
#[derive(Debug, Clone)]
pub struct CancelFlag(Arc<watch::Sender<bool>>);

impl Default for CancelFlag {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }
}

impl CancelFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether it has been raised.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it is raised.
    pub async fn cancelled(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|raised| *raised).await;
    }

    /// An error once it has been raised.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`].
    pub fn check(&self) -> Result<(), ApiError> {
        if self.is_cancelled() {
            return Err(ApiError::new(
                ErrorCode::Cancelled,
                "interrupted; what was finished is kept",
            ));
        }
        Ok(())
    }
}
