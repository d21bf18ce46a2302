//! Asking members what a candidate is worth to them: a round in which nothing is trained.

use covey_privacy::Rho;
use covey_privacy::encode::{Encoding, Sum};
use covey_protocol::ids::UnixMillis;
use covey_protocol::round::{Checked, Evaluation, SignedPlan, Task};
use covey_protocol::secagg::server::Summed;

use super::{Coordinator, CoordinatorError, GroupView, Inner};
use crate::Campaign;
use crate::record::Came;
use crate::state::{Current, Stage, State};

/// How long after members could not be asked, or too few answered, they are asked again, in milliseconds (a day).
const ASKED_AGAIN_MS: u64 = 24 * 3_600_000;

impl Coordinator {
    /// Publishes the plan of an evaluation, if members are to be asked now. It is a round like others, and waits for the one that is on.
    pub(super) fn ask(
        &self,
        inner: &mut Inner,
        view: &GroupView,
        now: UnixMillis,
    ) -> Result<bool, CoordinatorError> {
        let mut next = inner.state.clone();
        if next.asks_at().is_none_or(|at| now < at) {
            return Ok(false);
        }
        let plan = match next.evaluation(view, now) {
            Ok(plan) => plan,
            Err(why) => {
                next.hold_back(why, Some(now.plus(ASKED_AGAIN_MS)));
                self.write(inner, next)?;
                return Ok(false);
            }
        };
        let plan = SignedPlan::sign(&plan, &self.key).map_err(CoordinatorError::Plan)?;
        next.round += 1;
        next.current = Some(Current::new(plan, view, now));
        self.open_attempt(inner, next)?;
        Ok(true)
    }
}

impl State {
    /// When members are to be asked, if they are.
    pub(super) fn asks_at(&self) -> Option<UnixMillis> {
        match self.candidate.as_ref()?.stage {
            Stage::Asked { at, .. } => Some(at),
            Stage::Proposed | Stage::Ready { .. } | Stage::HeldBack { .. } => None,
        }
    }

    /// Ends an evaluation that is on or to come.
    pub(super) fn stop_asking(&mut self) {
        if self.asks_at().is_some() {
            self.hold_back("its evaluation was stopped".to_owned(), None);
        }
    }

    /// Holds the candidate back, until then at least.
    pub(super) fn hold_back(&mut self, why: String, until: Option<UnixMillis>) {
        if let Some(candidate) = &mut self.candidate {
            candidate.stage = Stage::HeldBack { why, until };
        }
    }

    /// Adds what an attempt cost to what a member has paid who takes part in everything, whether or not anything came of it.
    pub(super) fn pay(&mut self, plan: &Checked) {
        let of = match (plan.plan().task, &mut self.candidate) {
            (Task::Evaluate { .. }, Some(candidate)) => {
                candidate.checkpoint.cost = sum_of(candidate.checkpoint.cost, plan.cost());
                // What comes after was paid for by the same members.
                Some(candidate.checkpoint.lineage())
            }
            (Task::Evaluate { .. }, None) => return,
            (Task::Train, _) => None,
        };
        let newest = self.checkpoint.as_mut();
        if let Some(newest) = newest.filter(|it| of.is_none_or(|of| it.lineage() == of)) {
            newest.cost = sum_of(newest.cost, plan.cost());
        }
    }

    /// What became of the last attempt at an evaluation.
    pub(super) fn evaluated(&mut self, came: &Came, now: UnixMillis) {
        let again = Some(now.plus(ASKED_AGAIN_MS));
        let Some(candidate) = &mut self.candidate else { return };
        let Stage::Asked { quorum, .. } = candidate.stage else { return };
        match came {
            Came::Evaluated(evaluation) => {
                let Evaluation { members, loss_before, loss_after, no_worse, .. } = *evaluation;
                candidate.stage = if evaluation.satisfies(quorum) {
                    Stage::Ready { evaluation: Some(*evaluation), made: None }
                } else if members < quorum {
                    let why = format!("{members} members evaluated it, and {quorum} are wanted");
                    Stage::HeldBack { why, until: again }
                } else {
                    let why = format!(
                        "{:.0}% of {members} members do no worse with it, and more than half are wanted; \
                         mean loss {loss_before:.4} to {loss_after:.4}",
                        (100.0 * no_worse).clamp(0.0, 100.0)
                    );
                    Stage::HeldBack { why, until: None }
                };
            }
            Came::Failed { why } => {
                let why = format!("its evaluation failed: {why}");
                candidate.stage = Stage::HeldBack { why, until: again };
            }
            Came::Checkpoint { .. } => {}
        }
    }

    /// The plan of the candidate's evaluation. As many as are wanted have to check in, or nobody pays.
    fn evaluation(
        &self,
        view: &GroupView,
        now: UnixMillis,
    ) -> Result<covey_protocol::round::Plan, String> {
        let (Some(candidate), Some(promotion)) = (&self.candidate, &self.promotion) else {
            return Err("nothing is known of how to ask members".to_owned());
        };
        let quorum = self.quorum().max(view.quorum);
        let checkpoint = &candidate.checkpoint;
        let mut asking = Campaign {
            model: checkpoint.model,
            adapter: checkpoint.adapter.clone(),
            ..promotion.evaluation.clone()
        };
        asking.sum.min_cohort = asking.sum.min_cohort.max(quorum);
        asking.sum.max_cohort = asking.sum.max_cohort.max(asking.sum.min_cohort);
        let task = Task::Evaluate { of: checkpoint.values };
        let plan = asking.plan_of(task, view, self.round + 1, candidate.before, now);
        plan.map_err(|error| error.to_string())
    }

    fn quorum(&self) -> u32 {
        match self.candidate.as_ref().map(|candidate| &candidate.stage) {
            Some(Stage::Asked { quorum, .. }) => *quorum,
            Some(Stage::Proposed | Stage::Ready { .. } | Stage::HeldBack { .. }) | None => 0,
        }
    }
}

/// What costs come to; nothing where one has no bound.
pub(super) fn sum_of(a: Option<Rho>, b: Option<Rho>) -> Option<Rho> {
    let (a, b) = a.zip(b)?;
    Rho::new((a.get() + b.get()).next_up()).ok()
}

/// What members make of a candidate, out of their sum.
///
/// # Errors
/// Why it cannot be what honest members send.
pub(super) fn decoded(plan: &Checked, summed: Summed) -> Result<Evaluation, String> {
    let members = summed.survivors.len() as u32;
    let encoding = Encoding::new(plan.layout().clone()).map_err(|error| error.to_string())?;
    let sum = Sum::new(&encoding, summed.sum, members).map_err(|error| error.to_string())?;
    let decoded = sum.decode().map_err(|error| error.to_string())?;
    let [loss_before, loss_after, no_worse] = decoded.extras[..] else {
        return Err("the sum has other numbers than an evaluation".to_owned());
    };
    Ok(Evaluation { plan: plan.digest(), members, loss_before, loss_after, no_worse })
}
