//! What is remembered of each attempt for good.

use covey_crypto::Digest;
use covey_privacy::Rho;
use covey_protocol::ids::UnixMillis;
use covey_protocol::round::{Evaluation, Measure, Phase};
use serde::{Deserialize, Serialize};

/// One attempt at a round, once it is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundRecord {
    /// The round.
    pub round: u64,
    /// Which attempt at it, from 0.
    pub attempt: u32,
    /// Its plan.
    pub plan: Digest,
    /// When it ended, by the coordinator's clock.
    pub at: UnixMillis,
    /// What one participant paid, if the attempt came that far, whether or not anything came of it.
    pub cost: Option<Rho>,
    /// What came of it.
    pub came: Came,
    /// How long each phase took that was entered, in milliseconds, in order.
    pub phases: Vec<(Phase, u64)>,
}

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Came {
    /// New values.
    Checkpoint {
        /// Their digest.
        values: Digest,
        /// Of how many participants.
        participants: u32,
        /// Length of the mean update, noise included.
        norm: f64,
        /// Means over the participants, noise included.
        measured: Vec<(Measure, f64)>,
    },
    /// What members make of a candidate.
    Evaluated(Evaluation),
    /// Nothing.
    Failed {
        /// For people.
        why: String,
    },
}
