//! What can be wrong with an audit chain.

use crate::api::{ApiError, ErrorCode};
use crate::store::StoreError;

/// A chain that is not what this node wrote, or that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// AL1, AL2: bytes that are no record of this version.
    #[error("record {seq} of the audit log cannot be read: {what}")]
    Unreadable {
        /// Its place, from 0.
        seq: u64,
        /// What is wrong.
        what: String,
    },
    /// AL3: a record that stands at the wrong place.
    #[error(
        "the audit log was reordered, or lost a record: where record {expected} should be stands record {found}"
    )]
    Place {
        /// The place.
        expected: u64,
        /// The number in the record.
        found: u64,
    },
    /// AL4: a record that does not follow from the one before.
    #[error("the audit log was changed: record {seq} does not follow from what stands before it")]
    Chain {
        /// The later record's place, from 0.
        seq: u64,
    },
    /// AL5: the chain ends before the noted head.
    #[error("the audit log lost its end: it has {found} records, and {noted} were written")]
    Missing {
        /// Records found.
        found: u64,
        /// Records known to have been written.
        noted: u64,
    },
    /// AL5: the chain does not pass through the noted head.
    #[error("the audit log was replaced: its first {records} records are not those written")]
    Replaced {
        /// Records up to the noted head.
        records: u64,
    },
    /// The note of the newest head is damaged.
    #[error("the note of the audit log's newest record is damaged")]
    NotedHead,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(error) => error.into(),
            error @ (AuditError::Unreadable { .. }
            | AuditError::Place { .. }
            | AuditError::Chain { .. }
            | AuditError::Missing { .. }
            | AuditError::Replaced { .. }
            | AuditError::NotedHead) => Self::new(ErrorCode::Corrupt, error.to_string())
                .hint("keep a copy of audit.log as evidence; `covey restore` brings back the log of a backup"),
        }
    }
}
