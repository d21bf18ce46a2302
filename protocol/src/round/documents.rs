//! Rounds that protect single documents: one step each, in which every document's gradient is clipped by itself.

use covey_privacy::encode::MAX_UNITS;
use covey_privacy::ledger::Unit;

use super::{Check, Learning, Plan, Task, Weighting};
use crate::limits::{MAX_ENTRIES, PUBLIC_TEXTS};

impl Learning {
    /// Of rounds that protect documents: of at most so many of a participant, with at most `pairs` pairs each. There is nothing else to choose, as it is one
    /// step, whose length is the rule's.
    pub const fn by_document(documents: u32, pairs: u16, max_tokens: u16) -> Self {
        Self {
            epochs: 1,
            batch: pairs,
            max_steps: 1,
            rate: 1.0,
            proximal: 0.0,
            max_tokens,
            min_pairs: 0,
            documents,
        }
    }

    /// Tokens that a participant looks at, at most: of an evaluation, which has no steps, one batch.
    pub(super) fn tokens(&self) -> u64 {
        let texts = match self.documents {
            0 => u64::from(self.max_steps.max(1)).saturating_mul(self.batch.into()),
            // Both texts of each pair count, as those beside them do.
            documents => {
                u64::from(documents) * (2 * u64::from(self.batch) + u64::from(PUBLIC_TEXTS))
            }
        };
        texts.saturating_mul(self.max_tokens.into())
    }
}

impl Plan {
    /// R16: a plan for documents asks for nothing that one of them could show in but its own clipped gradient; and no other plan is for any.
    pub(super) fn check_documents(&self) -> Result<(), Check> {
        let Learning { documents, batch, max_tokens, .. } = self.learning;
        let sound = match self.contribution.unit {
            Unit::Peer => documents == 0,
            Unit::Document => {
                let numbers = u64::from(documents) * u64::from(self.start.values);
                self.task == Task::Train
                    && (1..=MAX_UNITS).contains(&documents)
                    && numbers <= u64::from(MAX_ENTRIES)
                    && self.learning == Learning::by_document(documents, batch, max_tokens)
                    && self.contribution.weighting == Weighting::Uniform
                    && self.contribution.measures.is_empty()
            }
        };
        if sound { Ok(()) } else { Err(Check::Documents) }
    }
}
