//! Messages of `/covey/search/1` (docs/spec/search.md, "Messages").

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::group::Head;
use crate::ids::{GroupId, ModelId, Name, RequestId};
use crate::limits::{
    MAX_FULL_TEXT, MAX_QUESTION, MAX_RELEASES, MAX_RESULTS, MAX_SNIPPET, MAX_TITLE,
};
use crate::wire::{PrivateText, bounded};

/// A question's text.
pub type Question = PrivateText<MAX_QUESTION>;

/// One question to one member of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchRequest {
    /// Repeated by the reply.
    pub id: RequestId,
    /// The group that the asker and the answerer share.
    pub group: GroupId,
    /// The asker's view of that group.
    pub head: Head,
    /// The question, once per model release that the asker can merge; best liked first.
    #[serde(deserialize_with = "bounded::list::<MAX_RELEASES, _, _>")]
    pub queries: Vec<ModelQuery>,
    /// Most results wanted.
    pub limit: u16,
    /// How long the asker waits, in milliseconds from receipt.
    pub deadline_ms: u32,
}

/// The question for one model release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelQuery {
    /// The release whose vectors are to be compared.
    pub model: ModelId,
    /// The question itself.
    pub query: QueryBody,
}

/// How a question is put. The tag is the privacy tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum QueryBody {
    /// Tier T0: the text itself; the answerer embeds it.
    Text(Question),
}

/// The reply to a [`SearchRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum SearchReply {
    /// What the answerer's policies let out. No results is an answer too.
    Answer {
        /// The request's id.
        id: RequestId,
        /// The release that scored the results; one of the request's.
        model: ModelId,
        /// The answerer's view of the group.
        head: Head,
        /// Best first.
        #[serde(deserialize_with = "bounded::list::<MAX_RESULTS, _, _>")]
        results: Vec<Found>,
    },
    /// No.
    Refused {
        /// The request's id.
        id: RequestId,
        /// Why.
        refusal: SearchRefusal,
    },
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Cosine of question and chunk under the answer's model.
    pub score: Score,
    /// The shared collection it is from.
    pub collection: Name,
    /// As much of the chunk as the policy lets out.
    pub revealed: Revealed,
}

/// What a policy lets out of one chunk. No hash of the text is ever sent: below full text it would
/// let the asker confirm a guess.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revealed {
    /// That something with this score exists.
    Score,
    /// A short extract.
    Snippet {
        /// File name (no folders) and heading.
        title: PrivateText<MAX_TITLE>,
        /// The extract.
        snippet: PrivateText<MAX_SNIPPET>,
    },
    /// The chunk.
    Full {
        /// Path inside the collection, and heading.
        title: PrivateText<MAX_TITLE>,
        /// The chunk's text.
        text: PrivateText<MAX_FULL_TEXT>,
    },
}

/// A cosine: finite and within [-1, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Score(f32);

/// A number that is no cosine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a score must lie between -1 and 1")]
pub struct NotAScore;

impl Score {
    /// Takes a cosine. What rounding left a hair outside [-1, 1] is moved to its edge.
    ///
    /// # Errors
    /// [`NotAScore`] for anything further out, infinite or not a number.
    pub fn new(value: f32) -> Result<Self, NotAScore> {
        const HAIR: f32 = 1e-3;
        if value.abs() <= 1.0 + HAIR {
            Ok(Self(value.clamp(-1.0, 1.0) + 0.0))
        } else {
            Err(NotAScore)
        }
    }

    /// The cosine.
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f32::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Why a question is refused. `Display` speaks to the asker and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum SearchRefusal {
    /// S1: the asker is no member, or there is no such group here: an outsider cannot tell which.
    #[error("it knows no such group with you in it yet: sync the group and retry")]
    NotAMember,
    /// S2: the asker was removed.
    #[error("you were removed from this group: ask an admin for a new invite")]
    Removed,
    /// S4: the asker's head is not on the answerer's chain.
    #[error("its membership log differs from yours: sync the group to find out who is right")]
    Forked {
        /// The answerer's head.
        head: Head,
    },
    /// S3: the owner signed two histories; nobody answers until a new group is made.
    #[error(
        "the group is frozen, because its owner signed two different histories: make a new group"
    )]
    Frozen,
    /// S6: none of the request's releases is served here.
    #[error("it searches with another model: use the same one on both sides (`covey model use`)")]
    WrongModel {
        /// What is served instead.
        #[serde(deserialize_with = "bounded::list::<MAX_RELEASES, _, _>")]
        have: Vec<ModelId>,
    },
    /// S7: no collection is shared with this group.
    #[error("it shares nothing with this group yet: its owner can with `covey share`")]
    NothingShared,
    /// Too many questions.
    #[error("it is busy: retry in a moment")]
    Busy,
    /// S5: the request makes no sense.
    #[error("it could not read the question: both sides may need the same Covey version")]
    BadRequest,
    /// The answerer failed.
    #[error("it failed on its side: its owner finds the reason in `covey logs`")]
    Internal,
    /// S7: the node only coordinates rounds of learning.
    #[error("it coordinates rounds of learning and nothing else, so there is nothing to find")]
    Coordinates,
}

impl SearchReply {
    /// The id of the request it replies to.
    pub fn id(&self) -> RequestId {
        match self {
            Self::Answer { id, .. } | Self::Refused { id, .. } => *id,
        }
    }
}
