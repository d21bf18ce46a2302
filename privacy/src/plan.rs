//! What a promise costs before anybody joins: noise, epsilon round by round, and whether anything is left to learn.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accountant::{AccountingError, Mu, Rounds, calibrate, zcdp};
use crate::encode::{Layout, LayoutError, MAX_WORDS};
use crate::ledger::{Budget, Charge, Unit, Up};
use crate::noise::NoiseMode;
use crate::sharers::Sharers;
use crate::statement::Statement;
use crate::{ClipNorm, Delta, Epsilon, NoiseMultiplier};

/// Most points of a curve.
pub const MAX_POINTS: u32 = 200;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Whose presence is to be hidden.
    pub unit: Unit,
    /// Up to which epsilon, with every round joined.
    pub epsilon: Epsilon,
    /// At which delta.
    pub delta: Delta,
    /// Over how many rounds.
    pub rounds: Rounds,
    /// How many peers a round's sum has at most, each with its share of noise; at least one.
    pub cohort: u32,
    /// How many units each of them has at most: its documents, or 1 where it is the unit.
    pub units: u32,
    /// Whose noise may be counted on: the fewest who stay, and how many of them count for nothing. For a secure sum,
    /// `Parameters::sharers` of `covey_protocol::secagg`.
    pub sharers: Sharers,
    /// How many parameters move.
    pub parameters: u64,
    /// Each unit's largest L2 norm.
    pub clip: ClipNorm,
}

/// Epsilon after so many rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// How many rounds.
    pub rounds: Rounds,
    /// As a ledger charges it.
    pub epsilon: Epsilon,
    /// If the noise were a continuous Gaussian.
    pub gaussian: Epsilon,
}

/// What it takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Noise on the sum, as a multiple of the clip norm: the least with which a ledger admits all rounds, rounding to the grid
    /// and shares of noise included.
    pub noise: NoiseMultiplier,
    /// What would do by exact accounting of a continuous Gaussian.
    pub gaussian_noise: NoiseMultiplier,
    /// Standard deviation of the noise on each coordinate of the sum, in the clip norm's units, with the fewest shares that
    /// may be counted on.
    pub deviation: f64,
    /// The same if the whole cohort stays, each with its share.
    pub deviation_of_all: f64,
    /// Epsilon after the first round, the last, and at most [`MAX_POINTS`] in all.
    pub curve: Vec<Point>,
    /// What may be said after the last round.
    pub statement: Statement,
    /// The noise's L2 norm on the mean over that of the mean itself, if the whole cohort stays, each with its share of noise and as many units as
    /// it may have, and all contributions point the same way at full length.
    pub noise_over_signal: f64,
    /// Where that is above one.
    pub drowned: Option<Drowned>,
}

/// Noise that is larger than the best that could be learnt in a round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drowned {
    /// The noise over the signal.
    pub noise_over_signal: f64,
    /// A cohort that would bring it to one.
    pub cohort: u64,
    /// As many parameters as would bring it to one.
    pub parameters: u64,
}

impl fmt::Display for Drowned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = self.noise_over_signal;
        let ratio = Up(ratio);
        write!(f, "the noise is {ratio} times as large as the best a round can learn; ")?;
        // Of a handful of parameters nobody makes an adapter.
        if self.parameters >= 64 {
            write!(f, "train no more than {} parameters, or ", self.parameters)?;
        }
        write!(f, "sum about {} peers, or plan fewer rounds or a larger epsilon", self.cohort)
    }
}

impl Goal {
    /// The rounds that a plan is for, but for how much noise: nothing is sent beyond the update, and that is rotated if a sum can hold
    /// it so. What a round has beyond that (extra entries) costs more: its own layout, given to [`ledger_noise`], says how much
    /// noise it needs.
    ///
    /// # Errors
    /// If there are more parameters than a number of entries can say.
    pub fn layout(&self) -> Result<Layout, LayoutError> {
        let most = usize::MAX;
        let dimension =
            usize::try_from(self.parameters).map_err(|_| LayoutError::Dimension(most))?;
        let rotated = dimension.checked_next_power_of_two().is_some_and(|it| it <= MAX_WORDS);
        let mode = NoiseMode::Distributed(self.sharers);
        Ok(Layout {
            dimension,
            clip: self.clip,
            clients: self.cohort.max(1),
            units: self.units,
            noise: Some((NoiseMultiplier::ONE, mode)),
            rotation: rotated.then_some([0; 32]),
            extras: vec![],
        })
    }
}

/// Plans for `goal`.
///
/// # Errors
/// If no noise keeps the promise, or no sum holds such updates.
pub fn plan(goal: &Goal) -> Result<Plan, AccountingError> {
    let layout = goal.layout()?;
    let noise = ledger_noise(goal.epsilon, goal.delta, goal.rounds, &layout)?;
    let each = charge(&layout, noise)?;
    let all = each.times(goal.rounds.get().into());
    // Each adds the share that so few would have to add; those beyond them make it louder.
    let louder = (f64::from(goal.cohort.max(1)) / f64::from(goal.sharers.honest())).sqrt();
    let units = f64::from(goal.units.max(1));
    let ratio = noise_over_signal(noise, goal.parameters, goal.cohort) * louder / units;
    let drowned = (ratio > 1.0).then(|| {
        let cohort = f64::from(goal.cohort.max(1));
        Drowned {
            noise_over_signal: ratio,
            cohort: (cohort * ratio).ceil() as u64,
            parameters: (cohort * units / (noise.get() * louder)).powi(2).floor() as u64,
        }
    });
    Ok(Plan {
        noise,
        gaussian_noise: calibrate(goal.epsilon, goal.delta, goal.rounds)?,
        deviation: noise.get() * goal.clip.get(),
        deviation_of_all: noise.get() * louder * goal.clip.get(),
        curve: curve(noise, each, goal.rounds, goal.delta)?,
        statement: Statement::charged(goal.unit, all, goal.rounds, goal.delta)?
            .shared_by(goal.sharers),
        noise_over_signal: ratio,
        drowned,
    })
}

/// The least noise multiplier, to a part in 10^12, with which a ledger admits `rounds` rounds of `layout` under (`epsilon`, `delta`).
/// Of the noise in `layout` only who adds it counts; without any, it is the coordinator.
///
/// # Errors
/// If the budget has less than a 2^-40th of rho for each round, or no sum holds such updates with as much noise.
pub fn ledger_noise(
    epsilon: Epsilon,
    delta: Delta,
    rounds: Rounds,
    layout: &Layout,
) -> Result<NoiseMultiplier, AccountingError> {
    let limit = Budget::new(epsilon, delta).limit().units();
    let each = Charge::from_units(limit / u64::from(rounds.get()));
    if each == Charge::NONE {
        return Err(AccountingError::NoNoise { largest: 741_455.2 });
    }
    // Without rounding and tau this would do, so no less does. The cost falls with the noise but where the grid gets coarser.
    let least = (0.5 / each.rho().get()).sqrt();
    let noise = |more: f64| NoiseMultiplier::new(least * (1.0 + more));
    let cost = |more: f64| noise(more).map_or(Ok(Charge::EVERYTHING), |it| charge(layout, it));
    let (mut low, mut high) = (0.0, 1e-12);
    while cost(high).map_or(true, |cost| cost > each) {
        (low, high) = (high, high * 4.0);
        if high > 1e12 {
            cost(low)?;
            return Err(AccountingError::NoNoise { largest: least * low });
        }
    }
    while high - low > 1e-12 * (1.0 + high) {
        let middle = f64::midpoint(low, high);
        let fits = cost(middle).is_ok_and(|cost| cost <= each);
        (low, high) = if fits { (low, middle) } else { (middle, high) };
    }
    noise(high).map_err(|_| AccountingError::NoNoise { largest: least })
}

/// What a ledger is charged for a round of `layout` with `noise`.
fn charge(layout: &Layout, noise: NoiseMultiplier) -> Result<Charge, AccountingError> {
    let mode = layout.noise.map_or(NoiseMode::Central, |(_, mode)| mode);
    let layout = Layout { noise: Some((noise, mode)), ..layout.clone() };
    Ok(layout.cost()?.map_or(Charge::EVERYTHING, Charge::of))
}

/// sqrt(parameters) noise / cohort: the mean of `cohort` contributions of norm c has noise of standard deviation noise c / cohort on
/// each coordinate, so an L2 norm of sqrt(parameters) times that, against a mean of norm at most c.
pub fn noise_over_signal(noise: NoiseMultiplier, parameters: u64, cohort: u32) -> f64 {
    (parameters as f64).sqrt() * noise.get() / f64::from(cohort.max(1))
}

fn curve(
    noise: NoiseMultiplier,
    each: Charge,
    rounds: Rounds,
    delta: Delta,
) -> Result<Vec<Point>, AccountingError> {
    let last = rounds.get();
    let count = last.min(MAX_POINTS);
    let point = |index: u32| {
        // Evenly from 1 to the last.
        let at = 1 + u64::from(index) * u64::from(last - 1) / u64::from((count - 1).max(1));
        let rounds = u32::try_from(at).ok().and_then(|at| Rounds::new(at).ok());
        let rounds = rounds.expect("between one and the last round");
        let epsilon = zcdp::epsilon(each.times(at).rho(), delta)?;
        Ok(Point { rounds, epsilon, gaussian: Mu::of(noise, rounds).epsilon(delta)? })
    };
    (0..count).map(point).collect()
}

#[cfg(test)]
mod tests {
    use covey_crypto::Digest;

    use super::*;
    use crate::encode::{Encoding, Extra};
    use crate::ledger::{Account, CollectionKey, GroupKey, Ledger, Request, Time};

    fn goal(rounds: u32, cohort: u32, parameters: u64) -> Goal {
        Goal {
            unit: Unit::Peer,
            epsilon: Epsilon::new(8.0).unwrap(),
            delta: Delta::new(1e-5).unwrap(),
            rounds: Rounds::new(rounds).unwrap(),
            cohort,
            units: 1,
            sharers: Sharers::new(cohort, 0).unwrap(),
            parameters,
            clip: ClipNorm::new(0.5).unwrap(),
        }
    }

    #[test]
    fn noise_over_signal_as_published() {
        let two = NoiseMultiplier::new(2.0).unwrap();
        for (parameters, expected) in [(73_728, [54.3, 10.86, 2.715]), (9_216, [19.2, 3.84, 0.96])]
        {
            for (cohort, expected) in [10, 50, 200].into_iter().zip(expected) {
                let found = noise_over_signal(two, parameters, cohort);
                assert!((found / expected - 1.0).abs() < 1e-2, "{parameters} {cohort}: {found}");
            }
        }
    }

    /// Charges `cost` until `goal`'s budget refuses it, and counts.
    fn admitted(goal: &Goal, cost: Charge, most: u32) -> u32 {
        let mut ledger = Ledger::new(&[0; 32]);
        let collection = CollectionKey([1; 32]);
        let budget = Budget::new(goal.epsilon, goal.delta);
        for account in [Account::Peer, Account::Collection { unit: Unit::Peer, collection }] {
            ledger.set_budget(account, budget, Time::START).unwrap().recorded();
        }
        let (group, keys) = (GroupKey([0; 32]), vec![collection]);
        let request = Request::new(group, Digest::ZERO, cost, Unit::Peer, keys).unwrap();
        let reserve =
            |_: &u32| ledger.reserve(&request, Time::START).map(|it| drop(it.recorded())).is_ok();
        (0..most).take_while(reserve).count() as u32
    }

    #[test]
    fn a_plan_is_what_a_ledger_admits() {
        for (rounds, cohort, parameters) in [
            (1, 50, 9216),
            (1000, 50, 9216),
            (10, 1, 1),
            (10, 3, 100),
            (10, 50, 73_728),
            (10, 10_000, 9216),
            (10, 60_000, 1 << 24),
            (100, 512, MAX_WORDS as u64),
        ] {
            let goal = goal(rounds, cohort, parameters);
            let plan = plan(&goal).unwrap();
            // The round's own encoding at the plan's noise, rotated and not, and with all noise in one place.
            let layout = goal.layout().unwrap();
            for (mode, rotation) in [
                (layout.noise.unwrap().1, layout.rotation),
                (layout.noise.unwrap().1, None),
                (NoiseMode::Central, layout.rotation),
            ] {
                let noise = Some((plan.noise, mode));
                let encoding = Encoding::new(Layout { noise, rotation, ..layout.clone() }).unwrap();
                let cost = Charge::of(encoding.cost().unwrap());
                let found = admitted(&goal, cost, 2 * rounds);
                assert!(found >= rounds, "{found} of {rounds}: {cohort} {parameters} {mode:?}");
            }
            let planned = charge(&layout, plan.noise).unwrap();
            assert_eq!(admitted(&goal, planned, 2 * rounds), rounds);
            assert!(plan.statement.zero_out().epsilon <= goal.epsilon);
            assert_eq!(plan.curve.last().unwrap().epsilon, plan.statement.zero_out().epsilon);
        }
    }

    #[test]
    fn noise_for_a_round_with_extras_and_colluders() {
        let goal = goal(10, 50, 9216);
        let mode = NoiseMode::Distributed(Sharers::new(35, 5).unwrap());
        let layout = Layout {
            noise: Some((NoiseMultiplier::ONE, mode)),
            extras: vec![Extra::new(1.0, 0.1).unwrap()],
            ..goal.layout().unwrap()
        };
        let noise = ledger_noise(goal.epsilon, goal.delta, goal.rounds, &layout).unwrap();
        let encoding = Encoding::new(Layout { noise: Some((noise, mode)), ..layout }).unwrap();
        assert_eq!(admitted(&goal, Charge::of(encoding.cost().unwrap()), 20), 10);
        // A hundredth for the extra entry.
        let ratio = noise.get() / plan(&goal).unwrap().noise.get();
        assert!((ratio - 1.01_f64.sqrt()).abs() < 1e-5, "{ratio}");
    }

    #[test]
    fn what_no_sum_holds_has_no_plan() {
        for parameters in [0, MAX_WORDS as u64 + 1, u64::MAX] {
            let error = plan(&goal(10, 50, parameters)).unwrap_err();
            let layout = AccountingError::Layout(LayoutError::Dimension(parameters as usize));
            assert_eq!(error, layout, "{error}");
        }
        let too_many = Goal { cohort: u32::MAX, ..goal(10, 50, 10) };
        assert!(plan(&too_many).is_err());
        let more_stay = Goal { cohort: 40, ..goal(10, 50, 10) };
        assert!(plan(&more_stay).is_err());
        for clip in [1e-10, 1e300] {
            let goal = Goal { clip: ClipNorm::new(clip).unwrap(), ..goal(10, 50, 9216) };
            let error = plan(&goal).unwrap_err().to_string();
            assert!(error.contains("a clip norm of 1e"), "{error}");
        }
    }

    /// Of 50 with their shares 45 stay, 5 of whom count for nothing: the promise stays, and those beyond 40 make it louder.
    #[test]
    fn a_plan_counts_on_its_sharers_only() {
        let all = plan(&goal(10, 50, 9216)).unwrap();
        let sharers = Sharers::new(45, 5).unwrap();
        let few = plan(&Goal { sharers, ..goal(10, 50, 9216) }).unwrap();
        assert!((few.noise.get() / all.noise.get() - 1.0).abs() < 1e-5);
        let louder = (50.0_f64 / 40.0).sqrt();
        assert!((few.noise_over_signal / all.noise_over_signal / louder - 1.0).abs() < 1e-5);
        assert!((few.deviation_of_all / few.deviation / louder - 1.0).abs() < 1e-12);
        // What is drawn: a fortieth of the variance each.
        let layout = goal(10, 50, 9216).layout().unwrap();
        let mode = NoiseMode::Distributed(sharers);
        let encoding = Encoding::new(Layout { noise: Some((few.noise, mode)), ..layout }).unwrap();
        let grid = encoding.scale().get();
        let (drawn, shares) = (encoding.noise().unwrap(), [40, 50]);
        for (shares, deviation) in shares.into_iter().zip([few.deviation, few.deviation_of_all]) {
            assert!((drawn.deviation(shares) / grid / deviation - 1.0).abs() < 1e-6, "{shares}");
        }
        let text = few.statement.to_string();
        assert!(text.contains("at least 40 of the 45 or more"), "{text}");
    }

    #[test]
    fn small_promises_have_plans() {
        for (epsilon, rounds) in [(1e-6, 10), (0.002, 1), (1e-3, 3)] {
            let epsilon = Epsilon::new(epsilon).unwrap();
            let found = plan(&Goal { epsilon, ..goal(rounds, 50, 9216) }).unwrap();
            assert!(found.statement.zero_out().epsilon <= epsilon, "{epsilon} {rounds}");
        }
    }

    #[test]
    fn the_figures_of_a_plan() {
        let found = plan(&goal(10, 50, 73_728)).unwrap();
        assert!((found.gaussian_noise.get() - 1.90).abs() < 0.01);
        assert!(found.noise > found.gaussian_noise && found.noise.get() < 2.1);
        assert!((found.deviation - found.noise.get() / 2.0).abs() < 1e-12);
        let drowned = found.drowned.unwrap();
        assert!(drowned.cohort > 500 && drowned.parameters < 700, "{drowned}");
        assert!(plan(&goal(10, 1000, 9216)).unwrap().drowned.is_none());
    }

    #[test]
    fn curves_rise_from_the_first_round_to_the_last() {
        for rounds in [1, 2, 200, 12_345, 100_000_000] {
            let Ok(plan) = plan(&goal(rounds, 3, 9216)) else { continue };
            let at: Vec<_> = plan.curve.iter().map(|point| point.rounds.get()).collect();
            assert_eq!((at[0], at[at.len() - 1]), (1, rounds));
            assert!(at.len() <= MAX_POINTS as usize && at.is_sorted_by(|a, b| a < b));
            assert!(
                plan.curve.is_sorted_by(|a, b| a.epsilon <= b.epsilon && a.gaussian <= b.gaussian)
            );
            assert!(plan.curve.iter().all(|point| point.gaussian <= point.epsilon));
        }
    }
}
