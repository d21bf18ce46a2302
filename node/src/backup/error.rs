//! What can keep a backup from being made or restored.

use std::path::PathBuf;

use crate::api::{ApiError, ErrorCode};
use crate::identity::IdentityError;
use crate::store::StoreError;

/// A backup that was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file holds something else, or is not whole.
    #[error("{path} cannot be restored: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is something that a restore would have to overwrite.
    #[error("{path} is there already, and a restore overwrites nothing")]
    Occupied {
        /// What is there.
        path: PathBuf,
    },
    /// The identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The disk or a store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BackupError> for ApiError {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Damaged { .. } => {
                Self::new(ErrorCode::Corrupt, message).hint("use another copy of the backup")
            }
            BackupError::Occupied { .. } => Self::new(ErrorCode::Exists, message)
                .hint("restore to an empty home with --home DIR, or move what is there away"),
            BackupError::Identity(IdentityError::Store(error)) | BackupError::Store(error) => {
                error.into()
            }
            BackupError::Identity(IdentityError::Missing { .. }) => {
                Self::new(ErrorCode::NotFound, message)
            }
            BackupError::Identity(IdentityError::TooOpen { .. }) => {
                Self::new(ErrorCode::Forbidden, message)
            }
        }
    }
}
