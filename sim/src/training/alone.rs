//! What rounds are held against: each peer for itself, and all examples in one place. Nothing is encoded there, so nothing is clipped.

use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_node::rounds::Update;
use covey_protocol::round::Checked;
use covey_protocol::secagg::{Bounds, Parameters, Topology};
use rayon::prelude::*;

use super::{ABSENT, Checkpoint, Note, Tell, campaign, clear, event, judge, judges, keys, view};
use crate::SimError;
use crate::learner::{Judged, Learns, worst_decile};
use crate::metrics::RoundMetric;
use crate::scenario::Scenario;
use crate::seed::derive_u64;
use crate::surroundings::cancelled;

/// Fewest members that a plan is for. Whoever trains alone is in nobody's sum, but is told how to by a plan all the same.
const MEMBERS: u32 = 3;

/// Each peer trains for as long as it would in all rounds; told is the mean over peers of what each has after so many. Whose training fails stays where it was.
pub(super) fn local(
    scenario: &Scenario,
    seed: u64,
    learner: &Arc<dyn Learns>,
    cancel: &CancelFlag,
    note: Note<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let plan = plan(scenario, seed, &**learner)?;
    let mut all = vec![Round::default(); scenario.training.rounds as usize + 1];
    let peers: Vec<usize> = (0..learner.peers()).collect();
    // As many at a time as there are processors: values of all peers at once may not fit.
    for some in peers.chunks(rayon::current_num_threads()) {
        let mut values = vec![learner.start(); some.len()];
        for (round, of) in (0..=scenario.training.rounds).zip(&mut all) {
            cancelled(cancel)?;
            if round > 0 {
                let trained = some.par_iter().zip(&mut values).map(|(peer, values)| {
                    step(&**learner, *peer, &plan, values, seed, round).err()
                });
                let failed: Vec<Option<SimError>> = trained.collect();
                of.add(some, failed);
            }
            if judges(scenario, round) {
                // One after the other, as judging takes all processors and writes adapted models where others do.
                for (peer, values) in some.iter().zip(&values) {
                    of.judged.push(learner.judge(values)?);
                    of.own.extend(learner.quality_for(*peer, values));
                }
            }
        }
    }
    for (round, of) in (0..).zip(all) {
        for (peer, why) in &of.failed {
            note(event((seed, round, 0.0), *peer, ABSENT, ("why", why.clone())))?;
        }
        tell(of.told(seed, round), None)?;
    }
    Ok(())
}

/// What all peers came to after so many rounds.
#[derive(Clone, Default)]
struct Round {
    trained: u32,
    failed: Vec<(usize, String)>,
    judged: Vec<Judged>,
    /// How good each peer's values are for itself.
    own: Vec<f64>,
}

impl Round {
    fn add(&mut self, peers: &[usize], failed: Vec<Option<SimError>>) {
        for (peer, failed) in peers.iter().zip(failed) {
            match failed {
                Some(error) => self.failed.push((*peer, error.to_string())),
                None => self.trained += 1,
            }
        }
    }

    fn told(self, seed: u64, round: u32) -> RoundMetric {
        let mean = |of: &mut dyn Iterator<Item = f64>| of.sum::<f64>() / self.judged.len() as f64;
        let mut metric =
            RoundMetric { seed, round, cohort: self.trained, ..RoundMetric::default() };
        if !self.judged.is_empty() {
            let quality = mean(&mut self.judged.iter().map(|it| it.quality));
            let loss = mean(&mut self.judged.iter().map(|it| it.loss.unwrap_or(f64::NAN)));
            let loss = Some(loss).filter(|loss| loss.is_finite());
            let worst_decile = worst_decile(self.own);
            judge(&mut metric, Judged { quality, worst_decile, peers_quality: None, loss });
        }
        metric
    }
}

/// One trains on everything.
pub(super) fn central(
    scenario: &Scenario,
    seed: u64,
    learner: &Arc<dyn Learns>,
    from: Option<Checkpoint>,
    cancel: &CancelFlag,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let plan = plan(scenario, seed, &**learner)?;
    let pooled = learner.pooled();
    let first = from.as_ref().map_or(0, |from| from.round + 1);
    let mut at = from.unwrap_or_else(|| Checkpoint::start(seed, &**learner));
    for round in first..=scenario.training.rounds {
        cancelled(cancel)?;
        let mut metric = RoundMetric { seed, round, ..RoundMetric::default() };
        if round > 0 {
            match step(&*pooled, 0, &plan, &mut at.values, seed, round) {
                Ok(()) => metric.cohort = 1,
                Err(error) => metric.failed = Some(error.to_string()),
            }
        }
        if judges(scenario, round) {
            judge(&mut metric, learner.judge(&at.values)?);
        }
        at.round = round;
        tell(metric, Some(&at))?;
    }
    Ok(())
}

/// How everybody would train in a round, without noise or weights, and whatever sums of as many peers would take.
fn plan(scenario: &Scenario, seed: u64, learner: &dyn Learns) -> Result<Checked, SimError> {
    let mut scenario = scenario.clone();
    (scenario.privacy.epsilon, scenario.privacy.noise) = (None, None);
    scenario.training.weighted = false;
    let (coordinator, members) = keys(seed, MEMBERS as usize);
    let view = view(seed, &coordinator, &members)?;
    let now = crate::world::START;
    let sum = Parameters {
        topology: Topology::Complete,
        entries: 1,
        min_cohort: MEMBERS,
        max_cohort: MEMBERS,
        bounds: Bounds::default(),
    };
    let campaign = campaign::with(&scenario, sum, learner, &view, now)?;
    clear::plan(&campaign, &view, &coordinator, 1, &learner.start(), now)
}

fn step(
    learner: &dyn Learns,
    peer: usize,
    plan: &Checked,
    values: &mut [f32],
    seed: u64,
    round: u32,
) -> Result<(), SimError> {
    let seed = derive_u64(seed, "train", peer as u64, round.into());
    let trained = learner.train(peer, plan, values.to_vec(), u32::MAX, seed)?;
    // Its plan is for a peer, as nothing is summed.
    let Update::Whole(update) = trained.update else { return Ok(()) };
    values.iter_mut().zip(update).for_each(|(value, moved)| *value += moved);
    Ok(())
}
