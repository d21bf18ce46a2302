//! The privacy loss distribution of Poisson-subsampled Gaussian rounds, composed by FFT.
//!
//! 1. Each round's loss is discretised so that it dominates the true one (`loss`: connect-the-dots, Doroshenko et al. 2022).
//! 2. The distribution is tilted towards the losses that decide delta, so that tails far below a double's
//!    resolution survive the transform.
//! 3. It is raised to the number of rounds by one FFT over a window (`compose`). What falls out of the window, and a bound on the
//!    transform's own rounding, is counted in delta.
//! 4. Both directions, one unit added and one removed, are computed; the larger epsilon stands.

mod compose;
mod loss;
mod tilt;

use super::{AccountingError, SampledRounds};
use crate::{Delta, Epsilon};

use compose::{Target, Window};
use loss::Direction;
use tilt::Kind;

/// Most kinds of rounds accounted for together.
pub const MAX_KINDS: usize = 64;
/// Cells of the first, coarse grid.
const COARSE: f64 = 4096.0;
/// Most cells of a round's grid, and of the window.
const MAX_CELLS: usize = 1 << 20;
/// Wanted relative error of discretisation.
const TOLERANCE: f64 = 2e-4;

/// Epsilon at `delta` of all of `parts` together, in either direction, rounded up.
///
/// # Errors
/// If there are none or more than [`MAX_KINDS`], or no finite bound is found.
pub fn epsilon(parts: &[SampledRounds], delta: Delta) -> Result<Epsilon, AccountingError> {
    if parts.is_empty() || parts.len() > MAX_KINDS {
        return Err(AccountingError::Kinds { count: parts.len(), max: MAX_KINDS });
    }
    let removed = one_way(parts, Direction::Remove, delta, 0.0);
    // Without sampling the two are mirror images.
    let symmetric = parts.iter().all(|part| part.rate.get() == 1.0);
    let added = if symmetric { removed } else { one_way(parts, Direction::Add, delta, removed) };
    let bound = removed.max(added);
    // `max` passes over NaN; neither may be one.
    if removed.is_nan() || added.is_nan() || bound == f64::INFINITY {
        return Err(AccountingError::Unbounded("so little noise"));
    }
    Epsilon::new(bound).map_err(|_| AccountingError::Unbounded("so little noise"))
}

/// A bound on epsilon in one direction, which is tight if it is above `floor`; infinite where none is found.
fn one_way(parts: &[SampledRounds], direction: Direction, delta: Delta, floor: f64) -> f64 {
    let rounds: f64 = parts.iter().map(|part| f64::from(part.rounds.get())).sum();
    let target = Target::new(delta, rounds);
    let span = parts
        .iter()
        .map(|part| loss::span(part, direction, target.reach))
        .fold(0.0, |widest: f64, (low, high)| widest.max(high - low));
    if !span.is_finite() || span <= 0.0 {
        return f64::INFINITY;
    }
    let finest = span / MAX_CELLS as f64 * 2.0;
    let (mut step, mut near) = (span / COARSE, None);
    // The coarse grid tells which losses matter; the next ones how fine it must be.
    for _ in 0..4 {
        let Some(kinds) = kinds(parts, direction, target, step) else { return f64::INFINITY };
        let (tilt, bound) = tilt::best(&kinds, step, target, near);
        if bound <= floor || !bound.is_finite() {
            return bound;
        }
        let window = Window::around(&kinds, tilt * step);
        let fits = step * (window.cells() / MAX_CELLS as f64).max(1e-3) * 1.1;
        let wanted = wanted_step(rounds, tilt, bound).max(finest).max(fits);
        if wanted >= step * 0.7 {
            return compose::epsilon(&kinds, step, tilt, window, target)
                .unwrap_or(bound)
                .min(bound);
        }
        (step, near) = (wanted, Some(tilt));
    }
    f64::INFINITY
}

/// Each part's rounds on a grid of `step`.
fn kinds(
    parts: &[SampledRounds],
    direction: Direction,
    target: Target,
    step: f64,
) -> Option<Vec<Kind>> {
    let kind = |part: &SampledRounds| {
        let grid = loss::discretise(part, direction, target.reach, step)?;
        (grid.infinite <= target.infinite).then_some(())?;
        Some(Kind { grid, rounds: part.rounds.get() })
    };
    parts.iter().map(kind).collect()
}

/// Spreading a loss to the ends of its cell raises its second moment by step²/6 on average, and by no more than the step times its own size.
fn wanted_step(rounds: f64, tilt: f64, bound: f64) -> f64 {
    let room = 12.0 * TOLERANCE * bound / (rounds * (1.0 + tilt));
    room.sqrt()
}

#[cfg(test)]
mod tests;
