//! A scenario's repeats, one after another: data, rounds and hours of questions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use covey_node::cancel::CancelFlag;
use covey_node::models::{Models, OneModel};

use crate::data::{Dataset, Found, Labels, deal};
use crate::learner::{Base, EmbedderTask, Learns, Part, Surrogate};
use crate::metrics::{Event, Metric, RoundMetric};
use crate::scenario::{Attack, Coordinator, Learner, Scenario};
use crate::training::Checkpoint;
use crate::{SimError, searching, training};

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum Happened {
    /// So many groups of so many are made.
    Groups(usize, usize),
    /// Something was measured, and how many seconds of the wall's clock it took.
    Measured(Box<Metric>, f64),
    /// Something befell a peer.
    Event(Event),
    /// From here rounds can go on.
    Reached(Box<Checkpoint>),
}

/// Where a run begins.
#[derive(Debug)]
pub struct Begin {
    /// With this repeat.
    pub seed: u64,
    /// And in it after this, if it is of that.
    pub checkpoint: Option<Checkpoint>,
}

/// How often it is told from where rounds can go on.
const REACHED_EVERY: Duration = Duration::from_secs(1);

/// Hears of what happens, and may end the run.
pub type Tell<'a> = &'a mut dyn FnMut(Happened) -> Result<(), SimError>;

/// Runs a scenario from its beginning or from a later point on. Raising `cancel` ends it early.
///
/// # Errors
/// If data or model cannot be had, no sound plan comes of the scenario, or `tell` fails.
pub fn run_scenario(
    scenario: &Scenario,
    from: Option<Begin>,
    cancel: &CancelFlag,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let first = scenario.seed;
    let seeds = (0..u64::from(scenario.repeats.max(1))).map(|repeat| first.wrapping_add(repeat));
    let begin = Begin { seed: first, checkpoint: None };
    let Begin { seed: start, mut checkpoint } = from.unwrap_or(begin);
    for seed in seeds.skip_while(|seed| *seed != start) {
        training::cancelled(cancel)?;
        if scenario.training.rounds > 0 {
            learn(scenario, seed, checkpoint.take(), cancel, tell)?;
        }
        if scenario.search.hours > 0 {
            search(scenario, seed, cancel, tell)?;
        }
    }
    Ok(())
}

fn learn(
    scenario: &Scenario,
    seed: u64,
    from: Option<Checkpoint>,
    cancel: &CancelFlag,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let task = learner(scenario, seed)?;
    let honest = reference(scenario, seed, cancel)?;
    let tell = std::cell::RefCell::new(tell);
    let (mut last, mut reached) = (Instant::now(), Instant::now());
    let mut note = |event| (tell.borrow_mut())(Happened::Event(event));
    let mut told = |mut metric: RoundMetric, at: Option<&Checkpoint>| {
        metric.attack = attacked(&honest, &metric);
        let took = last.elapsed().as_secs_f64();
        last = Instant::now();
        (tell.borrow_mut())(Happened::Measured(Box::new(Metric::Round(metric)), took))?;
        match at {
            Some(at) if reached.elapsed() >= REACHED_EVERY => {
                reached = Instant::now();
                (tell.borrow_mut())(Happened::Reached(Box::new(at.clone())))
            }
            Some(_) | None => Ok(()),
        }
    };
    let running =
        async { training::train(scenario, seed, task, from, cancel, &mut note, &mut told).await };
    crate::run(running).map_err(|error| SimError::bad(&error))?
}

/// What honest peers would have come to, by round, where some are not. In the clear, where that comes to the same, as it takes a fraction of the time.
fn reference(
    scenario: &Scenario,
    seed: u64,
    cancel: &CancelFlag,
) -> Result<Vec<Option<f64>>, SimError> {
    if !scenario.adversaries.iter().any(|it| it.attack.spoils_values()) {
        return Ok(Vec::new());
    }
    let mut honest = scenario.clone();
    honest.adversaries.clear();
    honest.coordinator = Coordinator::default();
    let task = learner(&honest, seed)?;
    honest.sum.secure &= !training::is_same_in_the_clear(&honest, seed, &*task);
    let mut quality = Vec::new();
    let mut keep = |metric: RoundMetric, _: Option<&Checkpoint>| {
        quality.push(metric.quality);
        Ok(())
    };
    let mut note = |_| Ok(());
    let running =
        async { training::train(&honest, seed, task, None, cancel, &mut note, &mut keep).await };
    crate::run(running).map_err(|error| SimError::bad(&error))??;
    Ok(quality)
}

/// What honest peers have to gain for a share of it to mean anything.
const LEAST_GAIN: f64 = 1e-3;

/// What share of what honest peers gained an attack has undone: below 0 where it did good, above 1 where things are worse than they were before.
fn attacked(honest: &[Option<f64>], metric: &RoundMetric) -> Option<f64> {
    let of = |round: usize| honest.get(round).copied().flatten();
    let (before, after) = (of(0)?, of(metric.round as usize)?);
    let gained = after - before;
    let lost = (after - metric.quality?) / gained;
    (metric.round > 0 && gained >= LEAST_GAIN && lost.is_finite()).then_some(lost)
}

/// What a scenario's peers learn, with a seed.
///
/// # Errors
/// If its data or model cannot be had.
pub fn learner(scenario: &Scenario, seed: u64) -> Result<Arc<dyn Learns>, SimError> {
    let data = &scenario.data;
    let peers = scenario.peers as usize;
    let bad = training::adversaries(scenario, seed, peers);
    let poisoned = |peer: usize| matches!(bad[peer], Some((Attack::Poison, _)));
    match &scenario.learner {
        Learner::Surrogate { values, heterogeneity } => {
            let labels = match data.folder {
                Some(_) => dataset(scenario, seed, None)?.pair_labels,
                None => Labels::made_up(data.examples, data.topics),
            };
            let dealt = deal(data, &labels, peers, seed).map_err(|error| SimError::bad(&error))?;
            let topics = labels.topics();
            let count = topics.iter().max().map_or(1, |most| *most as usize + 1);
            let counts = |examples: &Vec<u32>| {
                let mut counts = vec![0_u32; count];
                examples.iter().for_each(|example| counts[topics[*example as usize] as usize] += 1);
                counts
            };
            let counts = dealt.iter().map(counts).collect();
            let values = *values as usize;
            let task = Surrogate::new(seed, values, *heterogeneity, counts);
            let poisoned: Vec<bool> = (0..peers).map(poisoned).collect();
            Ok(Arc::new(task.poisoned(&poisoned)))
        }
        Learner::Embedder { model, rank, found } => {
            let base = Base::open(model.as_deref())?;
            let finds = if *found > 0 { Some(base.embedder()?) } else { None };
            let set = dataset(scenario, seed, finds.as_deref().map(|it| (it, *found as usize)))?;
            let dealt = deal(data, &set.pair_labels, peers, seed);
            let dealt = dealt.map_err(|error| SimError::bad(&error))?;
            let own = |examples: &Vec<u32>| {
                examples.iter().map(|example| set.pairs[*example as usize].clone()).collect()
            };
            let own: Vec<Vec<_>> = dealt.iter().map(own).collect();
            let mut pairs = own.clone();
            let bad = pairs.iter_mut().enumerate().filter(|(peer, _)| poisoned(*peer));
            bad.for_each(|(_, pairs)| misplace(pairs));
            let noisy = scenario.privacy.is_noisy();
            let part = Part { rank: rank.map(|rank| rank as usize), freeze_a: noisy };
            Ok(Arc::new(EmbedderTask::new(base, part, pairs, &own, set.test)?))
        }
    }
}

/// Gives each question another's answer.
fn misplace(pairs: &mut [covey_embedder::train::Pair]) {
    let count = pairs.len();
    let answers: Vec<String> = pairs.iter().map(|pair| pair.positive.clone()).collect();
    for (place, pair) in pairs.iter_mut().enumerate() {
        pair.positive.clone_from(&answers[(place + count / 2) % count]);
    }
}

fn dataset(scenario: &Scenario, seed: u64, found: Option<Found<'_>>) -> Result<Dataset, SimError> {
    Dataset::of(&scenario.data, seed, found).map_err(|error| SimError::bad(&error))
}

fn search(
    scenario: &Scenario,
    seed: u64,
    cancel: &CancelFlag,
    tell: Tell<'_>,
) -> Result<(), SimError> {
    let models: Arc<dyn Models> = Arc::new(OneModel::builtin().map_err(SimError::Model)?);
    let tell = std::cell::RefCell::new(tell);
    let mut made = |groups, all| {
        // Who only watches does not end a run here: it is asked again after the hour.
        let _ = (tell.borrow_mut())(Happened::Groups(groups, all));
    };
    let mut hour = |metric, took: Duration| {
        let measured = Box::new(Metric::Search(metric));
        (tell.borrow_mut())(Happened::Measured(measured, took.as_secs_f64()))
    };
    searching::search(scenario, seed, &models, cancel, &mut made, &mut hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_undoes_a_share_of_what_there_was_to_gain_if_there_was_anything() {
        let of = |after: f64, quality: Option<f64>| {
            let metric = RoundMetric { round: 1, quality, ..RoundMetric::default() };
            attacked(&[Some(0.25), Some(after)], &metric)
        };
        assert_eq!(of(0.75, Some(0.75)), Some(0.0));
        assert_eq!(of(0.75, Some(0.25)), Some(1.0));
        // Worse than before, and better than without.
        assert_eq!(of(0.75, Some(-0.25)), Some(2.0));
        assert_eq!(of(0.75, Some(1.25)), Some(-1.0));
        assert_eq!(of(0.75, None), None);
        assert_eq!(of(0.2501, Some(0.0)), None, "as good as nothing was gained");
        assert_eq!(of(0.1, Some(0.0)), None);
    }
}
