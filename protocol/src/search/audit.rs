//! What an answer let out, for the answerer's own log.

use covey_crypto::Digest;
use serde::{Deserialize, Serialize};

use super::Reveal;
use crate::ids::{Epoch, GroupId, ModelId, Name, NodeId, RequestId, UnixMillis};
use crate::limits::{MAX_RESULTS, MAX_TITLE};
use crate::wire::v1::search::{Question, Score};
use crate::wire::{PrivateText, bounded};

/// One answer as its giver records it. Write it down before the reply leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When the answer was made.
    pub at: UnixMillis,
    /// The asker's request.
    pub request: RequestId,
    /// Who asked.
    pub asker: NodeId,
    /// In which group.
    pub group: GroupId,
    /// At which epoch of the answerer's log.
    pub epoch: Epoch,
    /// Under which model.
    pub model: ModelId,
    /// What was asked.
    pub question: Question,
    /// What left, best first.
    #[serde(deserialize_with = "bounded::list::<MAX_RESULTS, _, _>")]
    pub disclosed: Vec<Disclosure>,
}

/// One chunk of which something left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disclosure {
    /// The collection.
    pub collection: Name,
    /// The file inside the collection, and heading.
    pub title: PrivateText<MAX_TITLE>,
    /// SHA-256 of the chunk's text, to tell chunks apart. It stays here.
    pub chunk: Digest,
    /// How much was shown.
    pub reveal: Reveal,
    /// The score that was shown.
    pub score: Score,
}
