//! Exponential tilting: which losses decide delta, and where the sum of all rounds lies when tilted to them.

use crate::accountant::search::minimise;
use crate::accountant::zcdp::from_renyi;

use super::compose::Target;
use super::loss::Grid;

/// Rounds of one kind.
#[derive(Debug)]
pub(super) struct Kind {
    pub grid: Grid,
    pub rounds: u32,
}

/// The rounds together, tilted: ln of the mean of e^(tilt × loss), and the tilted loss's mean and variance, in steps of the grid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub ln_mean: f64,
    pub mean: f64,
    pub variance: f64,
}

impl Grid {
    /// Its cells: number on the grid, and ln of the mass.
    pub fn cells(&self) -> impl Iterator<Item = (f64, f64)> {
        let masses = self.ln_mass.iter().enumerate();
        masses.map(|(cell, ln_mass)| ((self.first + cell as i64) as f64, *ln_mass))
    }

    /// ln of the mean of e^(tilt × cell).
    pub fn ln_mean(&self, tilt: f64) -> f64 {
        let top = self.peak(tilt);
        let sum: f64 =
            self.cells().map(|(cell, ln_mass)| (ln_mass + tilt * cell - top).exp()).sum();
        top + sum.ln()
    }

    fn peak(&self, tilt: f64) -> f64 {
        self.cells().map(|(cell, ln_mass)| ln_mass + tilt * cell).fold(f64::NEG_INFINITY, f64::max)
    }

    fn moments(&self, tilt: f64) -> Moments {
        let (top, start) = (self.peak(tilt), self.first as f64);
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for (cell, ln_mass) in self.cells() {
            let (share, offset) = ((ln_mass + tilt * cell - top).exp(), cell - start);
            sum += share;
            first += share * offset;
            second += share * offset * offset;
        }
        let mean = first / sum;
        Moments {
            ln_mean: top + sum.ln(),
            mean: start + mean,
            variance: second / sum - mean * mean,
        }
    }
}

/// Moments of all rounds together.
pub(super) fn moments(kinds: &[Kind], tilt: f64) -> Moments {
    let mut sum = Moments { ln_mean: 0.0, mean: 0.0, variance: 0.0 };
    for kind in kinds {
        let rounds = f64::from(kind.rounds);
        let one = kind.grid.moments(tilt);
        sum.ln_mean += rounds * one.ln_mean;
        sum.mean += rounds * one.mean;
        sum.variance += rounds * one.variance.max(1e-12);
    }
    sum
}

/// ln of the mean of e^(tilt × cell) over all rounds.
pub(super) fn ln_mean(kinds: &[Kind], tilt: f64) -> f64 {
    kinds.iter().map(|kind| f64::from(kind.rounds) * kind.grid.ln_mean(tilt)).sum()
}

/// The tilt, for each unit of loss, whose Rényi bound on epsilon is least, and that bound.
pub(super) fn best(kinds: &[Kind], step: f64, target: Target, near: Option<f64>) -> (f64, f64) {
    let bound = |ln_tilt: f64| {
        let tilt = ln_tilt.exp();
        let ln_mean = ln_mean(kinds, tilt * step) + rounding(kinds, tilt * step);
        from_renyi(tilt, ln_mean / tilt, target.ln_delta)
    };
    let (low, high, steps) = match near {
        None => (-30.0, 30.0, 45),
        Some(tilt) => (tilt.ln() - 0.7, tilt.ln() + 0.7, 12),
    };
    let (ln_tilt, bound) = minimise(low, high, steps, bound);
    (ln_tilt.exp(), bound)
}

/// What rounding may have taken from [`ln_mean`]: each of the terms' exponents, and their sum.
fn rounding(kinds: &[Kind], tilt: f64) -> f64 {
    let one = |kind: &Kind| {
        let cells = kind.grid.ln_mass.len() as f64;
        let largest = (kind.grid.first as f64).abs() + cells;
        f64::from(kind.rounds) * f64::EPSILON * (cells + 64.0 + 4.0 * tilt * largest)
    };
    kinds.iter().map(one).sum()
}
