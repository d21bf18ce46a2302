//! What a promise costs before anybody joins: noise, epsilon round by round, and whether anything is left to learn.

use std::fmt;

use serde::Serialize;

use crate::accountant::{AccountingError, Mu, Rounds, calibrate, zcdp};
use crate::ledger::{Budget, Charge, Unit};
use crate::statement::Statement;
use crate::{ClipNorm, Delta, Epsilon, NoiseMultiplier, Rho};

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
    /// How many contributions a round's sum has; at least one.
    pub cohort: u32,
    /// How many parameters move.
    pub parameters: u64,
    /// Each contribution's largest L2 norm.
    pub clip: ClipNorm,
}

/// Epsilon after so many rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
    /// Noise on the sum, as a multiple of the clip norm: the least with which a ledger admits all rounds.
    pub noise: NoiseMultiplier,
    /// What would do by exact accounting of a continuous Gaussian.
    pub gaussian_noise: NoiseMultiplier,
    /// Standard deviation of the noise on each coordinate of the sum, in the clip norm's units.
    pub deviation: f64,
    /// Epsilon after the first round, the last, and at most [`MAX_POINTS`] in all.
    pub curve: Vec<Point>,
    /// What may be said after the last round.
    pub statement: Statement,
    /// The noise's L2 norm on the mean over that of the mean itself, if all contributions pointed the same way at full length.
    pub noise_over_signal: f64,
    /// Where that is above one.
    pub drowned: Option<Drowned>,
}

/// Noise that is larger than the best that could be learnt in a round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
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
        write!(
            f,
            "the noise is {:.1} times as large as the best a round can learn; train no more than {} parameters, or with {} peers, \
             or plan fewer rounds or a larger epsilon",
            self.noise_over_signal, self.parameters, self.cohort
        )
    }
}

/// Plans for `goal`.
///
/// # Errors
/// If no noise keeps the promise.
pub fn plan(goal: &Goal) -> Result<Plan, AccountingError> {
    let noise = ledger_noise(goal.epsilon, goal.delta, goal.rounds)?;
    let ratio = noise_over_signal(noise, goal.parameters, goal.cohort);
    let drowned = (ratio > 1.0).then(|| {
        let cohort = f64::from(goal.cohort.max(1));
        Drowned {
            noise_over_signal: ratio,
            cohort: (cohort * ratio).ceil() as u64,
            parameters: (cohort / noise.get()).powi(2).floor() as u64,
        }
    });
    Ok(Plan {
        noise,
        gaussian_noise: calibrate(goal.epsilon, goal.delta, goal.rounds)?,
        deviation: noise.get() * goal.clip.get(),
        curve: curve(noise, goal.rounds, goal.delta)?,
        statement: Statement::joined(goal.unit, noise, goal.rounds, goal.delta)?,
        noise_over_signal: ratio,
        drowned,
    })
}

/// The least noise multiplier with which a ledger admits `rounds` rounds under (`epsilon`, `delta`), rounded up.
///
/// # Errors
/// If the budget has less than a 2^-40th of rho for each round.
pub fn ledger_noise(
    epsilon: Epsilon,
    delta: Delta,
    rounds: Rounds,
) -> Result<NoiseMultiplier, AccountingError> {
    let limit = Budget::new(epsilon, delta).limit().units();
    let each = Charge::from_units(limit / u64::from(rounds.get()));
    let none = AccountingError::NoNoise { largest: 741_455.2 };
    if each == Charge::NONE {
        return Err(none);
    }
    let mut noise = (0.5 / each.rho().get()).sqrt();
    // A few steps of rounding until the charge, which rounds up, fits.
    for _ in 0..64 {
        let candidate = NoiseMultiplier::new(noise).map_err(|_| none.clone())?;
        if Charge::of(zcdp::gaussian(candidate, Rounds::ONE)?) <= each {
            return Ok(candidate);
        }
        noise *= 1.0 + 1e-14;
    }
    Err(none)
}

/// sqrt(parameters) noise / cohort: the mean of `cohort` contributions of norm c has noise of standard deviation noise c / cohort on
/// each coordinate, so an L2 norm of sqrt(parameters) times that, against a mean of norm at most c.
pub fn noise_over_signal(noise: NoiseMultiplier, parameters: u64, cohort: u32) -> f64 {
    (parameters as f64).sqrt() * noise.get() / f64::from(cohort.max(1))
}

fn curve(
    noise: NoiseMultiplier,
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
        let mu = Mu::of(noise, rounds);
        let rho: Rho = mu.rho()?;
        Ok(Point { rounds, epsilon: zcdp::epsilon(rho, delta)?, gaussian: mu.epsilon(delta)? })
    };
    (0..count).map(point).collect()
}

#[cfg(test)]
mod tests {
    use covey_crypto::Digest;

    use super::*;
    use crate::ledger::{Account, CollectionKey, GroupKey, Ledger, Request, Time};

    fn goal(rounds: u32, cohort: u32, parameters: u64) -> Goal {
        Goal {
            unit: Unit::Peer,
            epsilon: Epsilon::new(8.0).unwrap(),
            delta: Delta::new(1e-5).unwrap(),
            rounds: Rounds::new(rounds).unwrap(),
            cohort,
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

    #[test]
    fn a_plan_is_what_a_ledger_admits() {
        for rounds in [1, 10, 100, 1000] {
            let goal = goal(rounds, 50, 9216);
            let plan = plan(&goal).unwrap();
            let mut ledger = Ledger::new(&[0; 32]);
            let account = Account { unit: Unit::Peer, collection: CollectionKey([1; 32]) };
            let budget = Budget::new(goal.epsilon, goal.delta);
            ledger.set_budget(account, budget, Time::START).unwrap().recorded();
            let cost = Charge::of(zcdp::gaussian(plan.noise, Rounds::ONE).unwrap());
            let keys = vec![account.collection];
            let request =
                Request::new(GroupKey([0; 32]), Digest::ZERO, cost, Unit::Peer, keys).unwrap();
            for _ in 0..rounds {
                let _ = ledger.reserve(&request, Time::START).unwrap().recorded();
            }
            assert!(ledger.reserve(&request, Time::START).is_err());
            assert!(plan.statement.zero_out().epsilon <= goal.epsilon);
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
            let Ok(plan) = plan(&goal(rounds, 1, u64::MAX)) else { continue };
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
