//! Rounds whose words are added in the clear: what a secure sum would have come to, without its cost.

use std::sync::Arc;
use std::time::Duration;

use covey_coordinator::{Campaign, GroupView, Learnt};
use covey_crypto::SecretKey;
use covey_node::cancel::CancelFlag;
use covey_node::rounds::{Trained, training_ends};
use covey_privacy::NoiseMultiplier;
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::Charge;
use covey_protocol::ids::UnixMillis;
use covey_protocol::round::{Checked, SignedPlan, Start};
use covey_protocol::secagg::Fault;
use rayon::prelude::*;

use super::fate::{Fate, Leaves, Nature};
use super::party::{Ground, NO_TIME, noise, time_to_train, trained};
use super::{ABSENT, Checkpoint, GAVE_UP, Note, Tell, adversary, campaign, drawn, epsilon};
use super::{event, hours_since, judge, judges, keys, measured, view};
use crate::SimError;
use crate::learner::{Learns, most_steps};
use crate::metrics::RoundMetric;
use crate::scenario::Scenario;
use crate::surroundings::cancelled;

pub(super) fn train(
    scenario: &Scenario,
    seed: u64,
    learner: &Arc<dyn Learns>,
    from: Option<Checkpoint>,
    cancel: &CancelFlag,
    note: Note<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let (coordinator, peers) = keys(seed, learner.peers());
    let view = view(seed, &coordinator, &peers)?;
    let mut now = crate::world::START;
    let campaign = campaign::one_round(scenario, &**learner, &view, now)?;
    let natures = Nature::of_all(scenario, seed, learner.peers());
    let ground = Ground::of(scenario, seed, learner, &view)?;
    let mut at = match from {
        Some(from) => from,
        None => {
            let start = Checkpoint::start(seed, &**learner);
            let mut metric = RoundMetric { seed, ..RoundMetric::default() };
            judge(&mut metric, learner.judge(&start.values)?);
            tell(metric, Some(&start))?;
            start
        }
    };
    // Nothing but rounds passes the time, and each takes as long as it may.
    now = now.plus(campaign.window_ms.saturating_mul(at.round.into()));
    for round in at.round + 1..=scenario.training.rounds {
        cancelled(cancel)?;
        let fates = drawn(scenario, seed, &natures, round, hours_since(now));
        let plan = plan(&campaign, &view, &coordinator, round, &at.values, now)?;
        now = now.plus(campaign.window_ms);
        let at_s = 3_600.0 * hours_since(now);
        let noise = campaign.contribution.noise.map(NoiseMultiplier::get);
        let mut metric =
            RoundMetric { seed, round, at_s, attempts: 1, noise, ..RoundMetric::default() };
        let passed = pass(&ground, &plan, &fates, round, &at);
        for (peer, what, why) in passed.absent {
            note(event((seed, round, at_s), peer, what, ("why", why)))?;
        }
        metric.cohort = passed.cohort;
        if let Some(cost) = plan.cost() {
            for peer in passed.masked {
                at.spent[peer] = at.spent[peer].and(Charge::of(cost));
            }
            let most = at.spent.iter().max().copied().unwrap_or_default();
            metric.epsilon = epsilon(most.rho(), campaign.contribution.delta);
        }
        match passed.came {
            Ok(learnt) => {
                metric.survivors = passed.survivors;
                measured(&mut metric, learnt.norm, &learnt.measured);
                (at.values, at.memory) = (learnt.values, learnt.memory);
            }
            Err(why) => metric.failed = Some(why),
        }
        if judges(scenario, round) {
            judge(&mut metric, learner.judge(&at.values)?);
        }
        at.round = round;
        tell(metric, Some(&at))?;
    }
    Ok(())
}

/// The plan of a round.
pub(super) fn plan(
    campaign: &Campaign,
    view: &GroupView,
    key: &Arc<SecretKey>,
    round: u32,
    values: &[f32],
    now: UnixMillis,
) -> Result<Checked, SimError> {
    let plan = campaign.plan(view, round.into(), Start::of(values), now);
    let plan = plan.map_err(|error| SimError::bad(&error))?;
    let signed = SignedPlan::sign(&plan, key).map_err(|check| SimError::bad(&check))?;
    signed.verify(&view.coordinator).map_err(|check| SimError::bad(&check))
}

/// A round that is over.
struct Passed {
    /// How many checked in.
    cohort: u32,
    /// Whose vectors are in the sum.
    survivors: u32,
    /// Who masked an update and has paid for it.
    masked: Vec<usize>,
    /// Who had nothing to send, what came of that, and why.
    absent: Vec<(usize, &'static str, String)>,
    /// What was learnt, or why nothing.
    came: Result<Learnt, String>,
}

/// One round with these participants, by their numbers, after an earlier one. Of those who leave, who would have been in the sum is.
fn pass(
    ground: &Ground,
    plan: &Checked,
    fates: &[(usize, Fate)],
    round: u32,
    Checkpoint { values, memory, .. }: &Checkpoint,
) -> Passed {
    let part = |(peer, fate): &(usize, Fate)| part(ground, plan, (*peer, fate), round, values);
    // Sums of words are the same in any order.
    let all = fates.par_iter().map(part).reduce(Tally::default, Tally::and);
    let Tally { cohort, dealt, survivors, mut masked, sum, absent } = all;
    let thresholds = plan.plan().sum.thresholds(cohort);
    let learnt = || {
        let least = plan.plan().sum.min_cohort;
        if cohort < least {
            return Err(format!("{cohort} checked in, and {least} are needed"));
        }
        let needed = thresholds.as_ref().map_err(Fault::to_string)?.survivors;
        let left = dealt.min(survivors);
        if left < needed {
            return Err(format!("{left} are left of the {needed} that are needed"));
        }
        let learnt = Learnt::of(plan, sum, survivors, values.clone(), memory.clone());
        learnt.map_err(|error| error.to_string())
    };
    let came = learnt();
    if !thresholds.is_ok_and(|it| dealt >= it.survivors) {
        // It ended before anybody had masked.
        masked.clear();
    }
    Passed { cohort, survivors, masked, absent, came }
}

/// What some participants come to together.
#[derive(Default)]
struct Tally {
    cohort: u32,
    /// Who dealt shares.
    dealt: u32,
    masked: Vec<usize>,
    survivors: u32,
    sum: Vec<u32>,
    absent: Vec<(usize, &'static str, String)>,
}

impl Tally {
    fn and(mut self, other: Self) -> Self {
        self.cohort += other.cohort;
        self.dealt += other.dealt;
        self.survivors += other.survivors;
        self.masked.extend(other.masked);
        self.absent.extend(other.absent);
        if self.sum.is_empty() {
            self.sum = other.sum;
        } else {
            let both = self.sum.iter_mut().zip(other.sum);
            both.for_each(|(sum, word)| *sum = sum.wrapping_add(word));
        }
        self
    }
}

/// What one participant comes to. Also who leaves later trains, as it takes part only if that succeeds.
fn part(
    ground: &Ground,
    plan: &Checked,
    (peer, fate): (usize, &Fate),
    round: u32,
    values: &[f32],
) -> Tally {
    let absent = |why: String| Tally { absent: vec![(peer, ABSENT, why)], ..Tally::default() };
    let time = training_ends(plan).saturating_sub(plan.plan().timing.opens.0);
    let left = Duration::from_millis(time).saturating_sub(fate.begins);
    if fate.leaves == Some(Leaves::Training) || left.is_zero() {
        return Tally::default();
    }
    let most = match time_to_train(fate, left) {
        0 => return absent(NO_TIME.to_owned()),
        most => most.min(most_steps(&plan.plan().learning)),
    };
    let trained = match trained(ground, peer, fate, plan, values.to_vec(), most, round) {
        Ok(trained) => trained,
        Err(error) => return absent(error.to_string()),
    };
    let mut tally = Tally { cohort: 1, ..Tally::default() };
    let (deals, masks, sends) = match fate.leaves {
        Some(Leaves::Training | Leaves::Keys) => (false, false, false),
        Some(Leaves::Shares) => (true, false, false),
        Some(Leaves::Upload) => (true, true, false),
        None | Some(Leaves::Survivors | Leaves::Opening) => (true, true, true),
    };
    tally.dealt = u32::from(deals);
    tally.masked.extend(masks.then_some(peer));
    if sends {
        match words(ground, plan, (peer, fate), round, &trained) {
            Ok(words) => (tally.survivors, tally.sum) = (1, words),
            Err(error) => tally.absent.push((peer, GAVE_UP, error.to_string())),
        }
    }
    tally
}

/// What a participant would mask.
fn words(
    ground: &Ground,
    plan: &Checked,
    (peer, fate): (usize, &Fate),
    round: u32,
    trained: &Trained,
) -> Result<Vec<u32>, SimError> {
    let encoding = Encoding::new(adversary::layout(fate.attack, plan.layout()));
    let encoding = encoding.map_err(|error| SimError::bad(&error))?;
    let mut rng = noise(ground.seed, peer, round, 0);
    let encoded = trained.update.encode(&encoding, &trained.extras, &mut rng);
    Ok(encoded.map_err(|error| SimError::bad(&error))?.noised(&mut rng).into_words())
}
