//! What the person who coordinates has decided: rounds of one kind, one after the other.

use covey_protocol::ids::{ModelId, UnixMillis};
use covey_protocol::round::{
    Check, Contribution, Learning, PLAN_VERSION, Plan, Rule, Start, Timing,
};
use covey_protocol::secagg::Parameters;
use serde::{Deserialize, Serialize};

use crate::GroupView;

/// Rounds of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// How many rounds.
    pub rounds: u32,
    /// How often a round is tried.
    pub attempts: u32,
    /// The model whose weights stay.
    pub model: ModelId,
    /// The adapter's configuration (docs/spec/adapter-format.md, JSON).
    pub adapter: Vec<u8>,
    /// How participants train.
    pub learning: Learning,
    /// What they send.
    pub contribution: Contribution,
    /// The secure sum. Its number of entries is filled in.
    pub sum: Parameters,
    /// What becomes of it.
    pub rule: Rule,
    /// From a plan to the end of checking in, in milliseconds: the time for training.
    pub window_ms: u64,
    /// How long a phase waits, in milliseconds.
    pub phase_ms: u32,
    /// How long masked vectors are waited for, in milliseconds.
    pub upload_ms: u32,
    /// From the end of a round to the next plan, in milliseconds.
    pub pause_ms: u64,
}

/// A campaign whose plans nobody would take part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CampaignError {
    /// A number is out of range, or sizes do not belong together.
    #[error("no sound plan comes of these settings: {0}")]
    Plan(Check),
    /// Fewer members than the smallest cohort.
    #[error(
        "the group has {members} members and the smallest cohort is {least}: invite more, or take a smaller one"
    )]
    Members {
        /// Members there are.
        members: u32,
        /// Members it takes.
        least: u32,
    },
}

impl Campaign {
    /// The plan of one round.
    ///
    /// # Errors
    /// [`CampaignError`].
    pub fn plan(
        &self,
        view: &GroupView,
        round: u64,
        start: Start,
        now: UnixMillis,
    ) -> Result<Plan, CampaignError> {
        let least = self.sum.min_cohort;
        if view.members.len() < least {
            return Err(CampaignError::Members { members: view.members.len(), least });
        }
        let mut plan = Plan {
            version: PLAN_VERSION,
            group: view.group,
            epoch: view.epoch,
            members: view.members.digest(),
            coordinator: view.coordinator,
            round,
            attempts: self.attempts,
            model: self.model,
            adapter: self.adapter.clone(),
            start,
            learning: self.learning,
            contribution: self.contribution.clone(),
            sum: Parameters { max_cohort: self.sum.max_cohort.min(view.members.len()), ..self.sum },
            rule: self.rule,
            timing: Timing {
                opens: now,
                check_in_by: now.plus(self.window_ms),
                phase_ms: self.phase_ms,
                upload_ms: self.upload_ms,
            },
        };
        plan.sum.entries = plan.entries().map_err(CampaignError::Plan)?;
        plan.check().map_err(CampaignError::Plan)?;
        Ok(plan)
    }
}
