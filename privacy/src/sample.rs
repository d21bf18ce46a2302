//! The discrete Gaussian (Canonne, Kamath and Steinke 2020), sampled exactly and fast, in integers
//! only.
//!
//! [`Sampler`] is made once for a [`Variance`], then draws integers x with probability proportional
//! to exp(-x^2 / 2 sigma^2): exactly, given uniform bits. No floating point takes part.
//! docs/spec/noise.md has the argument; in short, it is rejection sampling from a step function:
//!
//! * Magnitudes are cut into strips of L = 2^s integers, L about sigma/16 (one integer where sigma
//!   is small), and a tail. A strip has an integer height H at or above S exp(-a^2 / 2 sigma^2),
//!   where a is its first integer. The strip is picked with probability proportional to H by an
//!   alias table whose weights are integers that sum to 2^48, an integer within it by s bits; it
//!   stays with probability S exp(-x^2 / 2 sigma^2) / H.
//! * That last coin compares a uniform number, whose bits are drawn only as needed, with the
//!   probability, of which only bounds are computed: a bound for the whole strip first (19 of 20
//!   draws end there), 57-bit bounds for this x next, and, where the uniform number lies between
//!   them (under once in 10^15 draws), bounds from arbitrary precision arithmetic that narrow until
//!   they decide. A decision is only ever taken when it is certain, so nothing is rounded.
//! * The sign is one bit, and minus zero is drawn again.
//!
//! Timing: how long a draw takes depends on what is drawn (its strip, and how often it was
//! rejected), so whoever could time single draws would learn something about single entries. Draws
//! happen in one batch on the node, so what another can see is the time of thousands together.

mod exp;
mod table;

use std::fmt;

use num_bigint::BigUint;
use rand_core::Rng;
use serde::{Deserialize, Serialize};

use table::{Drawn, Table};

/// The parameter sigma^2 of a discrete Gaussian, as an exact fraction, in squared units of the
/// integer grid.
///
/// The variance of the distribution is at most this, and within 10^-6 of it from sigma = 1 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(u128, u64)", into = "(u128, u64)")]
pub struct Variance {
    over: u128,
    under: u64,
}

/// A fraction that is no usable sigma^2 (check N1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sigma^2 is {over}/{under}, and must be from 2^-32 to 2^80")]
pub struct InvalidVariance {
    /// Its numerator.
    pub over: u128,
    /// Its denominator.
    pub under: u64,
}

impl Variance {
    /// sigma^2 = `over` / `under`.
    ///
    /// # Errors
    /// [`InvalidVariance`] outside of 2^-32 to 2^80.
    pub fn new(over: u128, under: u64) -> Result<Self, InvalidVariance> {
        let invalid = InvalidVariance { over, under };
        if under == 0 || over == 0 || over / u128::from(under) > 1 << 80 {
            return Err(invalid);
        }
        if over < u128::from(under) && u128::from(under) / over > 1 << 32 {
            return Err(invalid);
        }
        Ok(Self { over, under })
    }

    /// Numerator and denominator, as given.
    pub const fn fraction(self) -> (u128, u64) {
        (self.over, self.under)
    }

    /// The nearest floating point number, for reports.
    pub fn to_f64(self) -> f64 {
        self.over as f64 / self.under as f64
    }
}

impl TryFrom<(u128, u64)> for Variance {
    type Error = InvalidVariance;

    fn try_from((over, under): (u128, u64)) -> Result<Self, InvalidVariance> {
        Self::new(over, under)
    }
}

impl From<Variance> for (u128, u64) {
    fn from(variance: Variance) -> Self {
        variance.fraction()
    }
}

/// Draws from the discrete Gaussian of one variance. Holds a table of 12 KB, made in a fraction of
/// a millisecond.
#[derive(Clone)]
pub struct Sampler {
    table: Table,
}

impl Sampler {
    /// Prepares to draw with `variance`.
    pub fn new(variance: Variance) -> Self {
        Self { table: Table::new(variance, table::Shape::STANDARD) }
    }

    /// One draw. A magnitude beyond 2^63, which no run of this program will see, is given as 2^63 - 1.
    #[inline]
    pub fn sample<R: Rng + ?Sized>(&self, rng: &mut R) -> i64 {
        loop {
            let (strip, negative) = self.table.pick(rng.next_u64());
            let magnitude = match self.table.draw(strip, rng) {
                Drawn::Kept(magnitude) => magnitude,
                Drawn::Rejected => continue,
            };
            match (magnitude, negative) {
                (0, true) => {}
                (_, true) => return -magnitude,
                (_, false) => return magnitude,
            }
        }
    }

    /// Fills `out` with independent draws.
    pub fn fill<R: Rng + ?Sized>(&self, out: &mut [i64], rng: &mut R) {
        for slot in out {
            *slot = self.sample(rng);
        }
    }

    /// Adds an independent draw to each of `sums`, modulo 2^32.
    pub fn add_to<R: Rng + ?Sized>(&self, sums: &mut [u32], rng: &mut R) {
        for sum in sums {
            *sum = sum.wrapping_add(self.sample(rng) as u32);
        }
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sampler({:?})", self.table.variance())
    }
}

/// Fills `out` with independent draws of `variance`.
pub fn fill<R: Rng + ?Sized>(out: &mut [i64], variance: Variance, rng: &mut R) {
    Sampler::new(variance).fill(out, rng);
}

/// Whether a uniform number that starts with the 64 bits `first` lies under scale 2^`doublings`
/// exp(-`x`^2 / 2 sigma^2) / height, drawing as many more of its bits as that takes.
#[cold]
fn decide<R: Rng + ?Sized>(
    variance: Variance,
    x: u128,
    [scale, height]: [u64; 2],
    doublings: u64,
    first: u64,
    rng: &mut R,
) -> bool {
    let over = BigUint::from(x).pow(2) * variance.under;
    let under = BigUint::from(variance.over) * 2_u8;
    let (mut uniform, mut known) = (BigUint::from(first), 64);
    loop {
        // 128 bits more than are known, and as many as scale and doublings use up.
        let bits = known + 128 + doublings;
        let (low, high) = exp::bounds(&over, &under, bits);
        let weigh = |bound: BigUint| (bound * scale) << doublings;
        let spread = |uniform: &BigUint| (uniform * height) << (bits - known);
        if spread(&(&uniform + 1_u8)) <= weigh(low) {
            return true;
        }
        if spread(&uniform) >= weigh(high) {
            return false;
        }
        uniform = (uniform << 64) + rng.next_u64();
        known += 64;
    }
}

#[cfg(test)]
mod tests;
