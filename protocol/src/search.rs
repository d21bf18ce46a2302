//! The federated query as two pure machines (docs/spec/search.md).
//!
//! [`Reveal`] is what a collection's policy lets a group see.

use serde::{Deserialize, Serialize};

/// How much of a collection a group may see. Nothing, until the owner shares.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Reveal {
    /// Not searched at all.
    #[default]
    Nothing,
    /// That the named collection holds something, and how well it fits.
    Score,
    /// Also file name, heading and a short extract.
    Snippet,
    /// Also the path inside the collection and the whole chunk.
    Full,
}
