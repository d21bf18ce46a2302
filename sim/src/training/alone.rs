//! What rounds are held against: each peer for itself, and all examples in one place.

use std::sync::Arc;

use covey_node::cancel::CancelFlag;
use covey_protocol::round::Checked;
use rayon::prelude::*;

use super::{Tell, campaign, cancelled, clear, judge, judges, keys, view};
use crate::SimError;
use crate::learner::{Judged, Learns, worst_decile};
use crate::metrics::RoundMetric;
use crate::scenario::Scenario;
use crate::seed::derive_u64;

/// Each peer trains for as long as it would in all rounds; told is the mean over peers of what each has after so many.
pub(super) fn local(
    scenario: &Scenario,
    seed: u64,
    learner: &Arc<dyn Learns>,
    cancel: &CancelFlag,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let rounds = scenario.training.rounds;
    let plan = plan(scenario, seed, &**learner)?;
    let peers: Vec<usize> = (0..learner.peers()).collect();
    let each = peers.par_iter().map(|peer| -> Result<Vec<Option<Judged>>, SimError> {
        let mut values = learner.start();
        let mut judged = vec![Some(learner.judge(&values)?)];
        for round in 1..=rounds {
            cancelled(cancel)?;
            values = step(&**learner, *peer, &plan, values, seed, round)?;
            let look = judges(scenario, round).then(|| learner.judge(&values));
            judged.push(look.transpose()?);
        }
        Ok(judged)
    });
    let each = each.collect::<Result<Vec<_>, _>>()?;
    for round in 0..=rounds {
        let judged: Vec<Judged> = each.iter().filter_map(|it| it[round as usize]).collect();
        let of = |pick: fn(&Judged) -> f64| {
            judged.iter().map(pick).sum::<f64>() / judged.len().max(1) as f64
        };
        let mut metric = RoundMetric { seed, round, ..RoundMetric::default() };
        if !judged.is_empty() {
            let worst_decile = worst_decile(judged.iter().map(|it| it.quality).collect());
            let quality = of(|it| it.quality);
            let loss = Some(of(|it| it.loss.unwrap_or(f64::NAN))).filter(|loss| loss.is_finite());
            judge(&mut metric, Judged { quality, worst_decile, loss });
        }
        tell(metric)?;
    }
    Ok(())
}

/// One trains on everything.
pub(super) fn central(
    scenario: &Scenario,
    seed: u64,
    learner: &Arc<dyn Learns>,
    cancel: &CancelFlag,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let plan = plan(scenario, seed, &**learner)?;
    let pooled = learner.pooled();
    let mut values = learner.start();
    for round in 0..=scenario.training.rounds {
        cancelled(cancel)?;
        if round > 0 {
            values = step(&*pooled, 0, &plan, values, seed, round)?;
        }
        let mut metric = RoundMetric { seed, round, ..RoundMetric::default() };
        if judges(scenario, round) {
            judge(&mut metric, learner.judge(&values)?);
        }
        tell(metric)?;
    }
    Ok(())
}

/// How everybody would train in a round, without noise or weights.
fn plan(scenario: &Scenario, seed: u64, learner: &dyn Learns) -> Result<Checked, SimError> {
    let mut scenario = scenario.clone();
    (scenario.privacy.epsilon, scenario.privacy.noise) = (None, None);
    scenario.training.weighted = false;
    let (coordinator, peers) = keys(seed, learner.peers());
    let view = view(seed, &coordinator, &peers)?;
    let now = crate::world::START;
    let campaign = campaign::one_round(&scenario, learner, &view, now)?;
    clear::plan(&campaign, &view, &coordinator, 1, &learner.start(), now)
}

fn step(
    learner: &dyn Learns,
    peer: usize,
    plan: &Checked,
    mut values: Vec<f32>,
    seed: u64,
    round: u32,
) -> Result<Vec<f32>, SimError> {
    let seed = derive_u64(seed, "train", peer as u64, round.into());
    let trained = learner.train(peer, plan, values.clone(), u32::MAX, seed)?;
    values.iter_mut().zip(&trained.update).for_each(|(value, moved)| *value += moved);
    Ok(values)
}
