//! The federated query as two pure machines (docs/spec/search.md).
//!
//! The node that is asked makes a [`Plan`] of a request: whether the asker may ask, which
//! collections may be searched, and how much of each may be shown. [`Plan::compose`] consumes it
//! and is the one way for anything to leave. The node that asks drives an [`Asker`]: it sends the
//! question, takes replies and failures, watches two deadlines, and ends in an [`Outcome`] with
//! merged results and an honest [`Report`] of who answered.

mod answerer;
mod asker;
mod audit;
mod merge;
mod report;

use serde::{Deserialize, Serialize};

pub use answerer::{Composed, Hit, Plan, Scope, plan};
pub use asker::{Ask, Asker, Effect, Outcome, TooManyPeers};
pub use audit::{AuditRecord, Disclosure};
pub use merge::{Merged, Provider, Source};
pub use report::{BadAnswer, Failure, PeerOutcome, PeerReport, Report};

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

impl std::fmt::Display for Reveal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::Score => "score",
            Self::Snippet => "snippet",
            Self::Full => "full",
        })
    }
}
