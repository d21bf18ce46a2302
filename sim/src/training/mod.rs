//! Peers that learn together: a scenario's rounds, with the coordinator and the participants that nodes are.
//!
//! [`train`] is the thing to start from. Rounds go over the in-memory network on virtual time with the cryptography of real ones; or, where a scenario asks
//! for that, their words are added in the clear, which comes to the same wherever nothing is lost on the way (`same`). Peers are in one group whose members do not change.

mod access;
mod adversary;
mod alone;
mod campaign;
mod checkpoint;
mod clear;
mod fate;
mod host;
mod party;
mod plot;
mod same;
mod secure;

use std::collections::BTreeMap;
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
use crate::surroundings::is_away;
pub(crate) use campaign::{MOST_COMPLETE, is_sparse, parameters};
pub use checkpoint::Checkpoint;
pub(crate) use fate::adversaries;
use fate::{Fate, Nature};
pub(crate) use plot::FIRST_REPLAYED;
pub(crate) use same::is_same_in_the_clear;

/// Hears of each round when it is over, and where the next one goes on if that can be said; may end the run.
pub type Tell<'a> = &'a mut dyn FnMut(RoundMetric, Option<&Checkpoint>) -> Result<(), SimError>;

/// Hears of what befell a peer.
pub type Note<'a> = &'a mut dyn FnMut(Event) -> Result<(), SimError>;

/// Runs a scenario's rounds with one seed, those after a checkpoint if it is one of theirs. `cancel` ends it between two rounds.
///
/// # Errors
/// If the scenario gives no sound plan, a task fails, or `tell` does. A round that fails is a result, not an error.
pub async fn train(
    scenario: &Scenario,
    seed: u64,
    learner: Arc<dyn Learns>,
    from: Option<Checkpoint>,
    cancel: &CancelFlag,
    note: Note<'_>,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let from = from.filter(|from| from.fits(seed, &*learner));
    match scenario.training.algorithm {
        Algorithm::Local => alone::local(scenario, seed, &learner, cancel, note, tell),
        Algorithm::Central => alone::central(scenario, seed, &learner, from, cancel, tell),
        Algorithm::Average
        | Algorithm::Momentum
        | Algorithm::Adagrad
        | Algorithm::Adam
        | Algorithm::Yogi => {
            if scenario.sum.secure {
                secure::train(scenario, seed, learner, cancel, note, tell).await
            } else {
                clear::train(scenario, seed, &learner, from, cancel, note, tell)
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

/// Whether the values after that round are judged.
fn judges(scenario: &Scenario, round: u32) -> bool {
    let training = &scenario.training;
    round == training.rounds || round.is_multiple_of(training.judge_every.max(1))
}

/// Sets what is judged of values.
fn judge(metric: &mut RoundMetric, judged: Judged) {
    metric.quality = Some(judged.quality);
    (metric.worst_decile, metric.peers_quality, metric.loss) =
        (judged.worst_decile, judged.peers_quality, judged.loss);
}

/// Sets what was summed beside an update.
fn measured(metric: &mut RoundMetric, norm: f64, measured: &[(Measure, f64)]) {
    metric.norm = Some(norm);
    let clipped = measured.iter().find(|(measure, _)| *measure == Measure::Clipped);
    metric.clipped = clipped.map(|(_, share)| *share);
}

/// The epsilon of a cost, rounded up.
fn epsilon(cost: Rho, delta: Delta) -> Option<f64> {
    zcdp::epsilon(cost, delta).ok().map(|epsilon| epsilon.get())
}

/// What befalls a peer that has nothing to check in with.
const ABSENT: &str = "took no part";
/// And one that goes no further after that.
const GAVE_UP: &str = "gave up";

/// And one that goes no further because a check failed.
const REFUSED: &str = "refused";

/// That something befell a peer in a round.
fn event(
    (seed, round, at_s): (u64, u32, f64),
    peer: usize,
    what: &str,
    (key, value): (&str, String),
) -> Event {
    let more = BTreeMap::from([("round".to_owned(), round.into()), (key.to_owned(), value.into())]);
    Event { seed, at_s, peer: u32::try_from(peer).ok(), what: what.to_owned(), more }
}

fn hours_since(now: UnixMillis) -> f64 {
    now.0.saturating_sub(crate::world::START.0) as f64 / 3_600_000.0
}
