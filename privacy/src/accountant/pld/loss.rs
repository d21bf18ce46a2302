//! One round's privacy loss on a grid, so that the discrete pair dominates the true one.

use crate::accountant::SampledRounds;
use crate::accountant::normal::{ln_add, ln_between};

use super::MAX_CELLS;

/// Which of two neighbouring inputs was the one released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The one with the unit in it: (1-q) N(0, s²) + q N(1, s²) against N(0, s²).
    Remove,
    /// The one without: N(0, s²) against the mixture.
    Add,
}

/// Masses at losses first × step, (first + 1) × step and so on.
#[derive(Debug)]
pub(super) struct Grid {
    pub first: i64,
    pub ln_mass: Vec<f64>,
    /// Mass whose loss counts as infinite.
    pub infinite: f64,
}

/// The pair of densities of one round.
struct Pair {
    q: f64,
    s: f64,
    ln_rest: f64,
    direction: Direction,
}

/// Least and largest loss within `reach` standard deviations.
pub(super) fn span(part: &SampledRounds, direction: Direction, reach: f64) -> (f64, f64) {
    let pair = Pair::new(part, direction);
    let (low, high) = (-reach * pair.s, 1.0 + reach * pair.s);
    match direction {
        Direction::Remove => (pair.ratio(low), pair.ratio(high)),
        Direction::Add => (-pair.ratio(high), -pair.ratio(low)),
    }
}

/// The round on a grid of `step`, or none if it does not fit [`MAX_CELLS`].
///
/// A cell's mass goes to its two ends in the proportion that keeps its mass under both densities. That leaves delta exact at grid points and raises
/// it between them. Losses below the grid are raised to its first point, those above it counted as infinite.
pub(super) fn discretise(
    part: &SampledRounds,
    direction: Direction,
    reach: f64,
    step: f64,
) -> Option<Grid> {
    let pair = Pair::new(part, direction);
    let (low, high) = span(part, direction, reach);
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    // Beyond 2^53 a grid point's number is no longer exact.
    if !(last - first < MAX_CELLS as f64 && first.abs() < 1e15 && last.abs() < 1e15) {
        return None;
    }
    let mut outcome = pair.outcome(first * step);
    let mut ln_mass = vec![f64::NEG_INFINITY; (last - first) as usize + 1];
    ln_mass[0] = pair.ln_masses(f64::NEG_INFINITY, outcome).0;
    for cell in 0..ln_mass.len() - 1 {
        let loss = (first + cell as f64) * step;
        let next = pair.outcome((first + cell as f64 + 1.0) * step);
        let (ln_p, ln_q) = pair.ln_masses(outcome, next);
        outcome = next;
        if ln_p == f64::NEG_INFINITY {
            continue;
        }
        let lower = pair.lower_share(ln_p, ln_q, loss, step);
        ln_mass[cell] = ln_add(ln_mass[cell], ln_p + lower.ln());
        ln_mass[cell + 1] = ln_add(ln_mass[cell + 1], ln_p + (-lower).ln_1p());
    }
    let infinite = pair.ln_masses(outcome, f64::INFINITY).0.exp();
    Some(Grid { first: first as i64, ln_mass, infinite })
}

impl Pair {
    fn new(part: &SampledRounds, direction: Direction) -> Self {
        let (q, s) = (part.rate.get(), part.noise.get());
        Self { q, s, ln_rest: (-q).ln_1p(), direction }
    }

    /// ln of the mixture over N(0, s²) at `x`: it rises with x.
    fn ratio(&self, x: f64) -> f64 {
        let shifted = self.q.ln() + (x - 0.5) / self.s / self.s;
        if self.q == 1.0 { shifted } else { ln_add(self.ln_rest, shifted) }
    }

    /// Where that ratio is `loss`; minus infinity at and below its infimum.
    fn invert(&self, loss: f64) -> f64 {
        let above = if self.q == 1.0 {
            loss
        } else {
            let over = loss - self.ln_rest;
            if over <= 0.0 {
                return f64::NEG_INFINITY;
            }
            // ln(e^loss - (1-q)), without overflow.
            let ln_expm1 =
                if over < 1.0 { over.exp_m1().ln() } else { over + (-(-over).exp()).ln_1p() };
            self.ln_rest + ln_expm1
        };
        self.s * self.s * (above - self.q.ln()) + 0.5
    }

    /// The outcome, counted upwards in loss, at which the loss is `loss`.
    fn outcome(&self, loss: f64) -> f64 {
        match self.direction {
            Direction::Remove => self.invert(loss),
            Direction::Add => -self.invert(-loss),
        }
    }

    /// ln of what both inputs give outcomes between `low` and `high`: the released one first.
    fn ln_masses(&self, low: f64, high: f64) -> (f64, f64) {
        let (low, high) = match self.direction {
            Direction::Remove => (low, high),
            Direction::Add => (-high, -low),
        };
        let base = ln_between(low / self.s, high / self.s);
        let shifted = ln_between((low - 1.0) / self.s, (high - 1.0) / self.s);
        let mixture = ln_add(self.ln_rest + base, self.q.ln() + shifted);
        match self.direction {
            Direction::Remove => (mixture, base),
            Direction::Add => (base, mixture),
        }
    }

    /// The share of a cell's mass that goes to its lower end, rounded down.
    fn lower_share(&self, ln_p: f64, ln_q: f64, loss: f64, step: f64) -> f64 {
        let rounding = 2.0
            * f64::EPSILON
            * (8.0 + ln_p.abs() + ln_q.abs() + loss.abs() + 1.0 / self.s / self.s - self.q.ln());
        let share = ((ln_q - ln_p + loss).exp() - rounding - (-step).exp()) / -(-step).exp_m1();
        // NaN, from masses that underflow, goes to the upper end.
        if share > 0.0 { share.min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseMultiplier;
    use crate::accountant::{PoissonRate, Rounds};

    fn part(q: f64, noise: f64) -> SampledRounds {
        SampledRounds {
            rate: PoissonRate::new(q).unwrap(),
            noise: NoiseMultiplier::new(noise).unwrap(),
            rounds: Rounds::ONE,
        }
    }

    #[test]
    fn masses_are_kept_under_both_inputs() {
        for (q, noise) in [(1.0, 1.0), (0.1, 1.0), (0.01, 0.5), (0.9, 3.0), (1e-4, 0.7)] {
            for direction in [Direction::Remove, Direction::Add] {
                for step in [1e-1, 1e-3] {
                    let grid = discretise(&part(q, noise), direction, 9.0, step).unwrap();
                    let masses = grid.ln_mass.iter().enumerate();
                    let (mut p, mut other) = (0.0, 0.0);
                    for (cell, ln_mass) in masses {
                        p += ln_mass.exp();
                        other += (ln_mass - (grid.first + cell as i64) as f64 * step).exp();
                    }
                    assert!((p + grid.infinite - 1.0).abs() < 1e-11, "{p}");
                    assert!(
                        other <= 1.0 + 1e-9 && other > 1.0 - 1e-9,
                        "{q} {noise} {step}: {other}"
                    );
                    assert!(grid.infinite < 1e-18);
                }
            }
        }
    }

    #[test]
    fn losses_invert() {
        for (q, noise) in [(1.0, 1.0), (0.1, 1.0), (1e-6, 0.3), (0.999, 0.01)] {
            let pair = Pair::new(&part(q, noise), Direction::Remove);
            for x in [-1.0, 0.0, 0.5, 1.0, 3.0] {
                let loss = pair.ratio(x);
                let back = pair.ratio(pair.invert(loss));
                assert!(
                    (back - loss).abs() <= 1e-12 * loss.abs().max(1.0)
                        || pair.invert(loss).is_infinite()
                );
            }
        }
    }
}
