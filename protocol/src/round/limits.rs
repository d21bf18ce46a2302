//! What one participant insists on, whatever a plan says.

use covey_crypto::Digest;
use covey_privacy::accountant::zcdp;
use covey_privacy::ledger::Unit;
use covey_privacy::{Delta, Epsilon};
use serde::{Deserialize, Serialize};

use super::check::Refused;
use super::{Check, Checked, Learning, Plan, Task};
use crate::ids::{GroupId, UnixMillis};
use crate::limits::{MAX_CLOCK_SKEW_MS, MAX_ROUND_LENGTH_MS, PUBLIC_TEXTS};
use crate::secagg::{Demands, Members};

/// What a step comes to that `max_steps` counts: 32 pairs with 128 tokens, as transformers are trained with, and eight times as many,
/// as small static models are trained with 256 pairs at a time, in less time.
pub const STEP_TOKENS: u64 = 8 * 32 * 128;

/// A participant's own limits. Its ledger has the last word on what all rounds together may cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// How well the sum must hide this node.
    pub demands: Demands,
    /// What plans have to protect: the peer, or its documents one by one.
    pub unit: Unit,
    /// The most that one attempt may cost, at `delta`; without it, plans without noise are taken part in too.
    pub max_epsilon: Option<Epsilon>,
    /// What epsilons are told for.
    pub delta: Delta,
    /// Most steps of training, of at most [`STEP_TOKENS`] each: a plan of larger ones may have fewer.
    pub max_steps: u32,
    /// Most bytes sent and received in one attempt, roughly: the values and the masked vector.
    pub max_bytes: u64,
}

/// What a participant knows without being told by the coordinator.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The group.
    pub group: GroupId,
    /// The members of the plan's epoch, by that log.
    pub members: &'a Members,
    /// The highest round that this node has seen a plan of, and that plan.
    pub last: Option<(u64, Digest)>,
    /// The time.
    pub now: UnixMillis,
}

impl Limits {
    /// Whether to take part in what a plan says.
    ///
    /// # Errors
    /// R3, R5 to R10 and R17. R1, R2, R4 and R16 were checked when it was verified; R9's attempt number and R11 to R13 are for the node to check later.
    pub fn check(&self, checked: &Checked, known: &Known<'_>) -> Result<(), Refused> {
        let plan = checked.plan();
        if !plan.is_for(known.group, known.members) {
            return Err(Check::Members.into());
        }
        if let Some((round, digest)) = known.last
            && (plan.round < round || (plan.round == round && checked.digest() != digest))
        {
            let detail = format!(
                "it is for round {}, and {round} has been seen; a coordinator that has lost what it kept begins above that (covey train start --first-round {})",
                plan.round,
                round.saturating_add(1)
            );
            return Err(Refused::with(Check::Stale, detail));
        }
        Self::check_time(plan, known.now)?;
        self.check_unit(plan)?;
        self.check_demands(plan)?;
        self.check_cost(checked)?;
        self.check_work(plan)
    }

    /// R10. Attempts after the first have a time of their own.
    fn check_time(plan: &Plan, now: UnixMillis) -> Result<(), Refused> {
        let attempts = u64::from(plan.attempts) * 2 * plan.timing.longest_ms();
        let late = now.0 > plan.timing.check_in_by.plus(attempts).plus(MAX_CLOCK_SKEW_MS).0;
        let early = plan.timing.check_in_by.0 > now.plus(MAX_ROUND_LENGTH_MS + MAX_CLOCK_SKEW_MS).0;
        if late || early { Err(Check::Time.into()) } else { Ok(()) }
    }

    /// R17.
    fn check_unit(&self, plan: &Plan) -> Result<(), Refused> {
        let (found, wanted) = (plan.contribution.unit, self.unit);
        if found == wanted {
            return Ok(());
        }
        let what = |unit| match unit {
            Unit::Peer => "all that a peer has, together",
            Unit::Document => "single documents, and not all of them together",
        };
        let detail = format!(
            "it protects {}, and this node takes part in rounds that protect {}; opt in with --unit {found} to take part in it",
            what(found),
            what(wanted)
        );
        Err(Refused::with(Check::Unit, detail))
    }

    /// R5, for the smallest cohort that the round may have; the cohort itself is looked at again when it is known (A2).
    fn check_demands(&self, plan: &Plan) -> Result<(), Refused> {
        let sum = &plan.sum;
        let honest = sum.fewest_honest().map_err(|_| Check::Shape)?;
        if self.demands.check(sum).is_err() || honest < self.demands.min_honest {
            let detail = format!(
                "a sum of {} is sure to hold {honest} honest members, with {} in a thousand colluding; this node wants {} and {}: \
                 either a larger smallest cohort (train start --min-cohort), or fewer (train limits --min-honest)",
                sum.min_cohort,
                sum.bounds.collusion_permille,
                self.demands.min_honest,
                self.demands.collusion_permille,
            );
            return Err(Refused::with(Check::Demands, detail));
        }
        Ok(())
    }

    fn check_cost(&self, checked: &Checked) -> Result<(), Refused> {
        let Some(most) = self.max_epsilon else { return Ok(()) };
        let rho = checked.cost().ok_or(Check::Noise)?;
        let epsilon = zcdp::epsilon(rho, self.delta).map_err(|_| Check::Cost)?;
        if epsilon > most {
            let detail = format!(
                "epsilon {:.3} at delta {}, where {most} is allowed",
                epsilon.get(),
                self.delta
            );
            return Err(Refused::with(Check::Cost, detail));
        }
        Ok(())
    }

    fn check_work(&self, plan: &Plan) -> Result<(), Refused> {
        let candidate = match plan.task {
            Task::Train => 0,
            Task::Evaluate { of } => of.values,
        };
        let values = u64::from(plan.start.values) + u64::from(candidate);
        let bytes = 4 * (u64::from(plan.sum.entries) + values);
        let Learning { max_steps, batch, max_tokens, documents, .. } = plan.learning;
        let work = plan.learning.tokens();
        let most = u64::from(self.max_steps).saturating_mul(STEP_TOKENS);
        if max_steps > self.max_steps || work > most || bytes > self.max_bytes {
            let what = match documents {
                0 => format!("{max_steps} steps of {batch} pairs"),
                documents => format!(
                    "{documents} documents of {batch} pairs and {PUBLIC_TEXTS} texts beside them"
                ),
            };
            let detail = format!(
                "up to {what} with {max_tokens} tokens and {bytes} bytes, where {} steps of {STEP_TOKENS} tokens in all and {} \
                 bytes are allowed",
                self.max_steps, self.max_bytes
            );
            return Err(Refused::with(Check::Work, detail));
        }
        Ok(())
    }
}
