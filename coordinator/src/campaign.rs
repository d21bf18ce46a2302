//! What the person who coordinates has decided: rounds of one kind, one after the other.

use covey_privacy::ledger::Unit;
use covey_protocol::ids::{ModelId, UnixMillis};
use covey_protocol::round::{
    Check, Contribution, Learning, Measure, PLAN_VERSION, Plan, Rule, Start, Task, Timing,
    Weighting,
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
    /// The shortest time from one release to the next that is made by itself, in milliseconds; nothing where all are made by hand.
    pub release_every_ms: Option<u64>,
}

/// Members are asked to evaluate a candidate for no longer than this, in milliseconds (a day), however long they have to train.
const LONGEST_WINDOW_MS: u64 = 24 * 3_600_000;
/// Fewest held-out pairs to evaluate a candidate with.
const HELD_OUT_PAIRS: u32 = 2;

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
    /// Members would be asked what a release is worth, and their answers would not be clipped by document.
    #[error(
        "the group has its releases evaluated by members, which those of rounds that protect single documents cannot be: end that \
         (`covey group policy GROUP --quorum 0`), or protect peers (`--unit peer`)"
    )]
    Evaluation,
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
        self.plan_of(Task::Train, view, round, start, now)
    }

    /// How candidates of this campaign are evaluated, with its noise: nothing is trained. What that costs is no more than an update does, as
    /// the measures together are shorter than the clip norm.
    #[must_use]
    pub fn evaluation(&self) -> Self {
        let mut campaign = self.clone();
        campaign.rounds = 1;
        campaign.learning = Learning {
            epochs: 0,
            max_steps: 0,
            rate: 0.0,
            proximal: 0.0,
            min_pairs: HELD_OUT_PAIRS,
            documents: 0,
            ..self.learning
        };
        campaign.contribution.rotate = false;
        campaign.contribution.weighting = Weighting::Uniform;
        campaign.contribution.measures = Measure::OF_EVALUATION.to_vec();
        campaign.window_ms = self.window_ms.min(LONGEST_WINDOW_MS);
        campaign
    }

    pub(crate) fn plan_of(
        &self,
        task: Task,
        view: &GroupView,
        round: u64,
        start: Start,
        now: UnixMillis,
    ) -> Result<Plan, CampaignError> {
        let asks = matches!(task, Task::Evaluate { .. });
        if asks && self.contribution.unit == Unit::Document {
            return Err(CampaignError::Evaluation);
        }
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
            task,
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
