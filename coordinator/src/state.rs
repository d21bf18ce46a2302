//! What a coordinator knows from one start to the next.

use covey_crypto::Digest;
use covey_privacy::Rho;
use covey_protocol::ids::{ModelId, NodeId, UnixMillis};
use covey_protocol::round::{Measure, SignedPlan, Start};
use covey_protocol::wire::v1::round::Over;
use serde::{Deserialize, Serialize};

use crate::Campaign;
use crate::coordinator::CoordinatorError;
use crate::store::{Key, Store};

/// Releases whose values are kept.
pub(crate) const MAX_KEPT: usize = 8;

const VERSION: u8 = 1;

/// Written anew, as a whole, whenever it changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// What is to be done, and how many of its rounds are over.
    pub campaign: Option<(Campaign, u32)>,
    /// The campaign before, for what a release says of it.
    pub last_campaign: Option<Campaign>,
    /// The number of the last plan.
    pub round: u64,
    /// When the next plan is due.
    pub next_at: UnixMillis,
    pub checkpoint: Option<Checkpoint>,
    pub current: Option<Current>,
    /// The terms of the attempt before, and how it ended, for those who come late.
    pub last: Option<(Digest, Over)>,
    /// The last releases that were made here, the newest first.
    pub releases: Vec<Released>,
}

/// Where training has got to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub values: Start,
    /// What the rule remembers, by its digest.
    pub memory: Option<Digest>,
    pub model: ModelId,
    pub adapter: Vec<u8>,
    /// Rounds that went into it.
    pub rounds: u32,
    /// The last of them, and its plan.
    pub round: u64,
    pub plan: Digest,
    /// Fewest participants of one of them.
    pub participants: u32,
    /// What they come to; nothing where one had no noise.
    pub cost: Option<Rho>,
    pub measured: Vec<(Measure, f64)>,
}

/// The round that is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Current {
    pub plan: SignedPlan,
    /// Who was a member when it was made.
    pub members: Vec<NodeId>,
    pub attempt: u32,
    /// When that began.
    pub opened: UnixMillis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Released {
    pub number: u32,
    pub model: ModelId,
    pub values: Digest,
    pub manifest: Digest,
}

impl State {
    /// Values that are still needed.
    pub(crate) fn kept(&self) -> Vec<Digest> {
        let checkpoint = self.checkpoint.iter();
        let checkpoint = checkpoint.flat_map(|it| [Some(it.values.digest), it.memory]).flatten();
        checkpoint.chain(self.releases.iter().map(|it| it.values)).collect()
    }

    pub(crate) fn read(store: &dyn Store) -> Result<Self, CoordinatorError> {
        let Some(bytes) = store.get(Key::State)? else { return Ok(Self::default()) };
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|_| CoordinatorError::Damaged)
            }
            Some((found, _)) => Err(CoordinatorError::Version(*found)),
            None => Err(CoordinatorError::Damaged),
        }
    }

    pub(crate) fn write(&self, store: &dyn Store) -> Result<(), CoordinatorError> {
        let bytes = postcard::to_extend(self, vec![VERSION]);
        let bytes = bytes.expect("every sequence in a state knows its length");
        Ok(store.put(Key::State, &bytes)?)
    }
}
