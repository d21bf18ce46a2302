//! How failures of the parts below become what a person reads: what happened, why, what to do.

use std::io;

use covey_index::IndexError;
use covey_protocol::ids::Name;

use crate::api::{ApiError, ErrorCode};
use crate::store::StoreError;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        let (code, hint) = match &error {
            StoreError::Io { .. } if error.is_disk_full() => {
                (ErrorCode::Storage, "free some space and try again; nothing was lost")
            }
            StoreError::Io { .. } | StoreError::Database(_) | StoreError::NotOurs { .. } => {
                (ErrorCode::Storage, "check free space and permissions of Covey's folders")
            }
            StoreError::Corrupt { .. } => {
                (ErrorCode::Corrupt, "restore a backup with `covey restore`, or move the file away")
            }
            StoreError::Version { .. } => (ErrorCode::Corrupt, "use the Covey that wrote it"),
            StoreError::Busy { .. } => (ErrorCode::Busy, "stop the other Covey process first"),
            StoreError::Exists { .. } => (ErrorCode::Exists, "move it away first"),
            StoreError::LogName(_) | StoreError::RecordTooLarge(_) => {
                return Self::new(ErrorCode::Internal, message);
            }
        };
        Self::new(code, message).hint(hint)
    }
}

/// What `error` of the index of `collection` means for the person.
pub(crate) fn index(collection: &Name, error: IndexError) -> ApiError {
    let message = format!("collection {collection}: {error}");
    let reindex = format!("rebuild it from its folders with `covey reindex {collection}`");
    match error {
        IndexError::Corrupt { .. } | IndexError::Version { .. } | IndexError::NotFound { .. } => {
            ApiError::new(ErrorCode::Corrupt, message).hint(reindex)
        }
        IndexError::WrongModel { .. } => {
            ApiError::new(ErrorCode::WrongModel, message).hint(reindex)
        }
        IndexError::NoWords => {
            ApiError::new(ErrorCode::Usage, message).hint(make_words(collection))
        }
        IndexError::Lexical { .. } => ApiError::new(ErrorCode::Corrupt, message)
            .hint("`covey add` with one of its folders builds the index of words anew"),
        IndexError::Locked { .. } => ApiError::new(ErrorCode::Busy, message),
        IndexError::RootUnreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
            ApiError::new(ErrorCode::NotFound, message).hint("check the path")
        }
        IndexError::TooFewToTune { .. } | IndexError::NoQuestions => {
            ApiError::new(ErrorCode::Usage, message).hint(format!(
                "leave it as it is, or choose: `covey index profile {collection} small`"
            ))
        }
        IndexError::TooFewToRead { .. } => ApiError::new(ErrorCode::Usage, message)
            .hint("`covey add` with its folders brings it up to date"),
        IndexError::BadGoals => ApiError::new(ErrorCode::Usage, message),
        IndexError::UnknownRoot { .. } => ApiError::new(ErrorCode::NotFound, message)
            .hint("`covey status` shows the folders of each collection"),
        IndexError::RootUnreadable { .. }
        | IndexError::DiskFull { .. }
        | IndexError::Io { .. }
        | IndexError::TooLarge { .. } => ApiError::new(ErrorCode::Storage, message),
        // Whatever the index adds later is nothing a person can be told more about.
        _ => ApiError::new(ErrorCode::Internal, message),
    }
}

/// How a collection comes to be searchable by words.
pub(crate) fn make_words(collection: &Name) -> String {
    format!("give it an index of its words with `covey index profile {collection} balanced`")
}
