//! A node in one file: identity, configuration, state database and append-only logs.
//!
//! Indexes and models are not in it; they are made or fetched again. The file is not encrypted: whoever
//! reads it is this node, so it is made for its owner alone (mode 0600) and belongs in a safe place.
//! Format: docs/spec/home.md.

mod error;
mod file;
mod restore;
mod save;

use covey_protocol::ids::{NodeId, UnixMillis};

pub use error::BackupError;
pub use restore::restore;
pub use save::save;

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The file's size in bytes.
    pub bytes: u64,
    /// The node it holds.
    pub node: NodeId,
    /// When it was made.
    pub made: UnixMillis,
    /// Append-only logs in it.
    pub logs: u64,
}

#[cfg(test)]
mod tests;
