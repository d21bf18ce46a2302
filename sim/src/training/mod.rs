//! Peers that learn together: a scenario's rounds, with the coordinator and the participants that nodes are.
//!
//! [`train`] is the thing to start from. Rounds go over the in-memory network on virtual time with the cryptography of real ones; or, where a scenario asks
//! for that, their words are added in the clear, which comes to the same. Peers are in one group whose members do not change.

mod access;
mod adversary;
mod alone;
mod campaign;
mod clear;
mod fate;
mod host;
mod party;
mod secure;

use std::sync::Arc;

use covey_coordinator::GroupView;
use covey_crypto::{Digest, SecretKey};
use covey_node::cancel::CancelFlag;
use covey_privacy::accountant::zcdp;
use covey_privacy::{Delta, Rho};
use covey_protocol::ids::{Epoch, GroupId, NodeId, UnixMillis};
use covey_protocol::round::Measure;
use covey_protocol::secagg::Members;

use crate::SimError;
use crate::learner::{Judged, Learns};
use crate::metrics::{Event, RoundMetric};
use crate::scenario::{Algorithm, Scenario};
use crate::seed::{Draw, derive};
pub(crate) use fate::adversaries;
use fate::{Fate, Nature};
use party::Ground;

/// Hears of each round when it is over, and may end the run.
pub type Tell<'a> = &'a mut dyn FnMut(RoundMetric) -> Result<(), SimError>;

/// Hears of what befell a peer.
pub type Note<'a> = &'a mut dyn FnMut(Event) -> Result<(), SimError>;

/// Runs a scenario's rounds with one seed. `cancel` ends it between two rounds.
///
/// # Errors
/// If the scenario gives no sound plan, a task fails, or `tell` does. A round that fails is a result, not an error.
pub async fn train(
    scenario: &Scenario,
    seed: u64,
    learner: Arc<dyn Learns>,
    cancel: &CancelFlag,
    note: Note<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    match scenario.training.algorithm {
        Algorithm::Local => alone::local(scenario, seed, &learner, cancel, tell),
        Algorithm::Central => alone::central(scenario, seed, &learner, cancel, tell),
        Algorithm::Average
        | Algorithm::Momentum
        | Algorithm::Adagrad
        | Algorithm::Adam
        | Algorithm::Yogi => {
            if scenario.sum.secure {
                secure::train(scenario, seed, learner, cancel, note, tell).await
            } else {
                in_the_clear(scenario, seed, learner, cancel, tell)
            }
        }
    }
}

/// The keys of a run: the coordinator's, and each peer's.
fn keys(seed: u64, peers: usize) -> (Arc<SecretKey>, Vec<Arc<SecretKey>>) {
    let key = |what: &str, number: usize| {
        Arc::new(SecretKey::from_seed(&derive(seed, what, number as u64, 0)))
    };
    (key("coordinator", 0), (0..peers).map(|peer| key("identity", peer)).collect())
}

fn group(seed: u64) -> GroupId {
    GroupId(Digest::of("covey simulated group", &[&seed.to_le_bytes()]))
}

/// The group as its coordinator sees it.
fn view(
    seed: u64,
    coordinator: &SecretKey,
    peers: &[Arc<SecretKey>],
) -> Result<GroupView, SimError> {
    let members = Members::new(peers.iter().map(|key| NodeId::new(key.public())));
    Ok(GroupView {
        group: group(seed),
        epoch: Epoch(0),
        coordinator: NodeId::new(coordinator.public()),
        members: members.map_err(|error| SimError::bad(&error))?,
        release: None,
        quorum: 0,
    })
}

/// Who takes part in a round, and what befalls them.
fn drawn(
    scenario: &Scenario,
    seed: u64,
    natures: &[Nature],
    round: u32,
    hour: f64,
) -> Vec<(usize, Fate)> {
    let there: Vec<usize> = (0..natures.len())
        .filter(|peer| !is_away(seed, *peer, scenario.availability.away, hour))
        .collect();
    let cohort = scenario.training.cohort as usize;
    let some = match cohort {
        0 => (0..there.len()).collect(),
        cohort => Draw::new(seed, "cohort", 0, round.into()).some(cohort, there.len()),
    };
    let fate = |place: usize| {
        let peer = there[place];
        (peer, natures[peer].in_round(scenario, seed, peer, round))
    };
    some.into_iter().map(fate).collect()
}

/// Whether a peer is away at that hour since the beginning: for the same part of each day.
pub(crate) fn is_away(seed: u64, peer: usize, share: f64, hour: f64) -> bool {
    let begins = Draw::new(seed, "away", peer as u64, 0).share();
    (hour / 24.0 - begins).rem_euclid(1.0) < share
}

/// Whether the values after that round are judged.
fn judges(scenario: &Scenario, round: u32) -> bool {
    let training = &scenario.training;
    round == training.rounds || round.is_multiple_of(training.judge_every.max(1))
}

/// Sets what is judged of values.
fn judge(metric: &mut RoundMetric, judged: Judged) {
    metric.quality = Some(judged.quality);
    (metric.worst_decile, metric.loss) = (judged.worst_decile, judged.loss);
}

/// Sets what was summed beside an update.
fn measured(metric: &mut RoundMetric, norm: f64, measured: &[(Measure, f64)]) {
    metric.norm = Some(norm);
    let clipped = measured.iter().find(|(measure, _)| *measure == Measure::Clipped);
    metric.clipped = clipped.map(|(_, share)| *share);
}

/// The epsilon of a cost, rounded up.
fn epsilon(cost: Option<Rho>, delta: Delta) -> Option<f64> {
    cost.and_then(|rho| zcdp::epsilon(rho, delta).ok()).map(|epsilon| epsilon.get())
}

pub(crate) fn cancelled(cancel: &CancelFlag) -> Result<(), SimError> {
    if cancel.is_cancelled() { Err(SimError::Cancelled) } else { Ok(()) }
}

fn in_the_clear(
    scenario: &Scenario,
    seed: u64,
    learner: Arc<dyn Learns>,
    cancel: &CancelFlag,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let (coordinator, peers) = keys(seed, learner.peers());
    let view = view(seed, &coordinator, &peers)?;
    let mut now = crate::world::START;
    let campaign = campaign::one_round(scenario, &*learner, &view, now)?;
    let natures = Nature::of_all(scenario, seed, learner.peers());
    let ground = Ground::of(scenario, seed, &learner, &view)?;
    let (mut values, mut memory) = (learner.start(), Vec::new());
    let mut metric = RoundMetric { seed, ..RoundMetric::default() };
    judge(&mut metric, learner.judge(&values)?);
    tell(metric)?;
    let mut cost = Some(Rho::ZERO);
    for round in 1..=scenario.training.rounds {
        cancelled(cancel)?;
        let hour = hours_since(now);
        let fates = drawn(scenario, seed, &natures, round, hour);
        let plan = clear::plan(&campaign, &view, &coordinator, round, &values, now)?;
        // As long as a round may take; nothing else passes the time.
        now = now.plus(campaign.window_ms);
        let at_s = 3_600.0 * hours_since(now);
        let mut metric = RoundMetric { seed, round, at_s, attempts: 1, ..RoundMetric::default() };
        cost = cost.zip(plan.cost()).and_then(|(a, b)| Rho::new(a.get() + b.get()).ok());
        metric.epsilon = epsilon(cost, campaign.contribution.delta);
        match clear::round(&ground, &plan, &fates, round, (&values, &memory)) {
            Ok(summed) => {
                (metric.cohort, metric.survivors) = (summed.cohort, summed.survivors);
                measured(&mut metric, summed.learnt.norm, &summed.learnt.measured);
                (values, memory) = (summed.learnt.values, summed.learnt.memory);
            }
            Err(SimError::Round(why)) => metric.failed = Some(why),
            Err(error) => return Err(error),
        }
        if judges(scenario, round) {
            judge(&mut metric, learner.judge(&values)?);
        }
        tell(metric)?;
    }
    Ok(())
}

fn hours_since(now: UnixMillis) -> f64 {
    now.0.saturating_sub(crate::world::START.0) as f64 / 3_600_000.0
}
