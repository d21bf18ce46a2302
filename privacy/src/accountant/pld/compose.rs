//! All rounds by one FFT, and epsilon from the sum.

use rustfft::FftPlanner;
use rustfft::num_complex::Complex;

use crate::Delta;
use crate::accountant::search::first_true;

use super::MAX_CELLS;
use super::tilt::{Kind, ln_mean, moments};

/// ln of the tilted chance to fall out of the window on either side.
const LN_OUTSIDE: f64 = -25.0;
/// Of delta, how much goes to losses beyond the grids.
const INFINITE_SHARE: f64 = 1e-8;
/// Rounding of one FFT of 2^k points, over its input's norm, is below this times k (in practice a tenth of it).
const FFT_ROUNDING: f64 = 2e-15;

/// The delta to reach.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    /// ln of the delta left for finite losses.
    pub ln_delta: f64,
    /// How many standard deviations of a round's noise its grid covers.
    pub reach: f64,
    /// The most mass beyond, for each round.
    pub infinite: f64,
}

impl Target {
    /// For `delta` over `rounds` rounds.
    pub fn new(delta: Delta, rounds: f64) -> Self {
        let ln_delta = delta.get().ln();
        let infinite = (ln_delta + INFINITE_SHARE.ln() - rounds.ln()).exp();
        let reach = (2.0 * (rounds.ln() - ln_delta - INFINITE_SHARE.ln() + 1.0)).sqrt();
        Self { ln_delta: ln_delta + (-2.0 * INFINITE_SHARE).ln_1p(), reach, infinite }
    }
}

/// The sums of losses that are kept apart, in cells. Sums beyond wrap around.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    bottom: f64,
    top: f64,
}

impl Window {
    /// Around where the sum lies under `tilt` for each cell, by Chernoff's bound on both sides.
    pub fn around(kinds: &[Kind], tilt: f64) -> Self {
        let moments = moments(kinds, tilt);
        let unit = (-2.0 * LN_OUTSIDE / moments.variance).sqrt();
        let edge = |sign: f64| {
            [0.25, 0.5, 0.75, 1.0, 1.5]
                .map(|part| part * unit * sign)
                .map(|extra| (ln_mean(kinds, tilt + extra) - moments.ln_mean - LN_OUTSIDE) / extra)
        };
        let top = edge(1.0).into_iter().fold(f64::INFINITY, f64::min);
        let bottom = edge(-1.0).into_iter().fold(f64::NEG_INFINITY, f64::max);
        Self { bottom: bottom.floor(), top: top.ceil() + 1.0 }
    }

    /// Its length.
    pub fn cells(&self) -> f64 {
        self.top - self.bottom
    }
}

/// Epsilon at the target, rounded up; none where the window cannot be computed.
///
/// Soundness of what wraps around: sums from above the top land lower but are also counted, by Chernoff's bound, as infinite;
/// those from below the bottom land higher, with too little weight, but concern only epsilons below the bottom, which are never returned.
pub(super) fn epsilon(
    kinds: &[Kind],
    step: f64,
    tilt: f64,
    window: Window,
    target: Target,
) -> Option<f64> {
    if !(window.cells() > 0.0 && window.top.abs() < 1e15) {
        return None;
    }
    let length = (window.cells() as usize).clamp(1024, MAX_CELLS).next_power_of_two();
    let tilt = tilt * step;
    let sum = convolve(kinds, tilt, length);
    let bottom = window.top as i64 - length as i64 + 1;
    let ln_scale = sum.ln_mean - target.ln_delta;
    // Everything from here on is in units of delta.
    let weight = |cell: i64| (ln_scale - tilt * cell as f64).exp();
    // A hundredth covers rounding in the bound's own sums.
    let above = weight(window.top as i64) * (LN_OUTSIDE + 0.01).exp();
    let size = ln_scale.abs() + 2.0 * tilt * window.top.abs().max(bottom.abs() as f64);
    let slack = (sum.ln_slack + 4.0 * f64::EPSILON * (size + 8.0)).exp();
    // The norm over all losses x above epsilon of (1 - e^-x) e^(-tilt x), for the noise of the transform.
    let norm = (1.0 / -(-2.0 * tilt).exp_m1())
        .min(step * step * (1.0 / (4.0 * tilt.powi(3)) + 0.14 / tilt.powi(2)))
        .sqrt();
    let allowed = |cell: i64| 1.0 / slack - above - sum.noise * norm * weight(cell);
    // False for NaN on either side.
    let kept = |delta: f64, allowed: f64| delta <= allowed;

    // At the top delta is what was set aside.
    if !kept(0.0, allowed(window.top as i64)) {
        return None;
    }
    let keep = (-step).exp();
    let (mut delta, mut tail) = (0.0, 0.0);
    for cell in (bottom..=window.top as i64).rev() {
        let loss = cell as f64 * step;
        if loss <= 0.0 && kept(delta, allowed(cell)) {
            return Some(0.0);
        }
        // `delta` is delta at epsilon = loss, `tail` the mass at or above it, weighted by e^(loss - its own loss).
        let mass = sum.mass[cell.rem_euclid(length as i64) as usize].max(0.0);
        tail = tail * keep + mass * weight(cell);
        let room = allowed(cell - 1);
        // Between two grid points delta is a straight line in e^epsilon.
        let at = |less: f64| delta + tail * -(-less).exp_m1();
        if !kept(at(step), room) {
            let over = first_true(0.0, step, 60, |less| !kept(at(less), room));
            let spare = (over * (1.0 - 1e-9) - 1e-12 * step).max(0.0);
            let epsilon = if kept(delta, room) { loss - spare } else { loss };
            return Some((epsilon + 1e-12 * epsilon.abs()).max(0.0));
        }
        delta = at(step);
    }
    Some((bottom as f64 * step).max(0.0))
}

/// The tilted sum of all rounds, wrapped to `length` cells.
struct Sum {
    mass: Vec<f64>,
    /// ln of what the tilt divided all masses by.
    ln_mean: f64,
    /// Bound on the norm of what rounding in the transform adds to `mass`.
    noise: f64,
    /// ln of the factor by which rounding may have shrunk masses before and after it.
    ln_slack: f64,
}

fn convolve(kinds: &[Kind], tilt: f64, length: usize) -> Sum {
    let mut planner = FftPlanner::new();
    let forward = planner.plan_fft_forward(length);
    let mut product = vec![Complex::new(1.0, 0.0); length];
    let mut one = vec![Complex::new(0.0, 0.0); length];
    let levels = FFT_ROUNDING * length.ilog2() as f64;
    let (mut before, mut rounds, mut ln_slack, mut total) = (0.0, 0.0, 0.0, 0.0);
    for kind in kinds {
        let ln_mean = kind.grid.ln_mean(tilt);
        one.fill(Complex::new(0.0, 0.0));
        let mut size = 0.0_f64;
        for (cell, ln_mass) in kind.grid.cells() {
            let ln_share = ln_mass + tilt * cell - ln_mean;
            if ln_share > -60.0 {
                size = size.max(ln_mass.abs() + (tilt * cell).abs());
            }
            let place = (cell as i64).rem_euclid(length as i64) as usize;
            one[place].re += ln_share.exp();
        }
        let times = f64::from(kind.rounds);
        rounds += times;
        total += times * ln_mean;
        ln_slack += times * 4.0 * f64::EPSILON * (16.0 + size + ln_mean.abs());
        before += times * levels * one.iter().map(|share| share.re * share.re).sum::<f64>().sqrt();
        forward.process(&mut one);
        for (all, share) in product.iter_mut().zip(&one) {
            *all *= share.powu(kind.rounds);
        }
    }
    planner.plan_fft_inverse(length).process(&mut product);
    let mass: Vec<f64> = product.iter().map(|it| it.re / length as f64).collect();
    let after = mass.iter().map(|it| it * it).sum::<f64>().sqrt();
    let noise = 2.0 * (before + after * (levels + rounds * 4.0 * f64::EPSILON));
    Sum { mass, ln_mean: total, noise, ln_slack }
}
