//! The audit log as the API shows it.

use covey_protocol::ids::{GroupId, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::Reveal;

/// One answer that was given to somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its place in the chain, from 0.
    pub seq: u64,
    /// When.
    pub at: UnixMillis,
    /// To whom.
    pub asker: NodeId,
    /// In which group.
    pub group: GroupId,
    /// The question asked.
    pub question: String,
    /// What was revealed, best first.
    pub revealed: Vec<AuditItem>,
    /// The record's digest.
    pub digest: String,
}

/// One disclosed chunk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditItem {
    /// The collection.
    pub collection: String,
    /// The file inside the collection, and the heading above the chunk.
    pub title: String,
    /// Digest of the chunk's text.
    pub chunk: String,
    /// How much of it.
    pub reveal: Reveal,
    /// The score that went with it.
    pub score: f32,
}
