//! A scenario's repeats, one after another: data, rounds and hours of questions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use covey_node::cancel::CancelFlag;
use covey_node::models::{Models, OneModel};

use crate::metrics::{Event, Metric, RoundMetric};
use crate::scenario::Scenario;
use crate::surroundings::cancelled;
use crate::training::Checkpoint;
use crate::{SimError, attack, learner, searching, training};

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
    let begin = Begin { seed: scenario.seed, checkpoint: None };
    let Begin { seed: start, mut checkpoint } = from.unwrap_or(begin);
    for seed in scenario.seeds().skip_while(|seed| *seed != start) {
        cancelled(cancel)?;
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
    let task = learner::of(scenario, seed)?;
    let honest = attack::reference(scenario, seed, cancel)?;
    let tell = std::cell::RefCell::new(tell);
    let (mut last, mut reached) = (Instant::now(), Instant::now());
    let mut note = |event| (tell.borrow_mut())(Happened::Event(event));
    let mut told = |mut metric: RoundMetric, at: Option<&Checkpoint>| {
        metric.attack = attack::undone(&honest, &metric);
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
