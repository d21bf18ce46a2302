//! Where rounds of a repeat can go on after an interruption.

use covey_privacy::ledger::Charge;
use serde::{Deserialize, Serialize};

use crate::learner::Learns;

/// What the rounds after one follow from, besides the scenario. There is none of rounds with secure sums, of which the network and the peers know more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Of which repeat.
    pub seed: u64,
    /// After which round.
    pub round: u32,
    /// The values that were learnt.
    pub values: Vec<f32>,
    /// What the coordinator's rule remembers.
    pub memory: Vec<f32>,
    /// What each peer has spent.
    pub spent: Vec<Charge>,
}

impl Checkpoint {
    /// Before the first round.
    pub(super) fn start(seed: u64, learner: &dyn Learns) -> Self {
        let spent = vec![Charge::NONE; learner.peers()];
        Self { seed, round: 0, values: learner.start(), memory: Vec::new(), spent }
    }

    /// Whether it can be one of these.
    pub(super) fn fits(&self, seed: u64, learner: &dyn Learns) -> bool {
        let (values, memory) = (self.values.len(), self.memory.len());
        self.seed == seed
            && values == learner.start().len()
            && memory.is_multiple_of(values.max(1))
            && self.spent.len() == learner.peers()
    }
}
