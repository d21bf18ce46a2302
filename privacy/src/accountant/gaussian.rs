//! Gaussian noise with everybody in every round: composition is exact.
//!
//! Rounds with noise multipliers z_i compose to one Gaussian mechanism with mu² = sum of 1/z_i², and
//! delta(eps) = Q(eps/mu - mu/2) - e^eps Q(eps/mu + mu/2) (Balle and Wang 2018, theorem 8; Dong, Roth and Su 2022).

use std::f64::consts::FRAC_1_SQRT_2;

use super::normal::erfcx;
use super::search::first_true;
use super::{AccountingError, Rounds};
use crate::{Delta, Epsilon, NoiseMultiplier, Rho};

/// Relative slack that covers the rounding of a handful of operations.
const ULPS: f64 = 4.0 * f64::EPSILON;

/// The distance, in standard deviations of the noise, between the two outcomes to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Mu(f64);

impl Mu {
    /// Nothing released.
    pub const NONE: Self = Self(0.0);

    /// `rounds` rounds with the same noise: sqrt(rounds) / noise, rounded up.
    pub fn of(noise: NoiseMultiplier, rounds: Rounds) -> Self {
        Self(f64::from(rounds.get()).sqrt() / noise.get() * (1.0 + ULPS))
    }

    /// Both one after the other, even if the second depends on what the first released.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.hypot(other.0) * (1.0 + ULPS))
    }

    /// The same for neighbours that are twice as far apart: one contribution replaced by its opposite.
    #[must_use]
    pub fn doubled(self) -> Self {
        Self(2.0 * self.0)
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// Zero-concentrated DP's rho of it: mu²/2, rounded up.
    ///
    /// # Errors
    /// If that is beyond a double.
    pub fn rho(self) -> Result<Rho, AccountingError> {
        let rho = self.0 * self.0 / 2.0 * (1.0 + ULPS);
        Rho::new(rho).map_err(|_| AccountingError::Unbounded("so little noise"))
    }

    /// The smallest epsilon at `delta`, rounded up.
    ///
    /// # Errors
    /// If it is beyond a double.
    pub fn epsilon(self, delta: Delta) -> Result<Epsilon, AccountingError> {
        let ln_delta = delta.get().ln() - ULPS * delta.get().ln().abs();
        let holds = |epsilon: f64| self.ln_delta(epsilon) <= ln_delta;
        if holds(0.0) {
            return Ok(Epsilon::ZERO);
        }
        // The zCDP bound always suffices, up to rounding.
        let mut high = self.0 * (self.0 / 2.0 + (-2.0 * ln_delta).sqrt());
        for _ in 0..8 {
            if high.is_finite() && holds(high) {
                let epsilon = first_true(0.0, high, 200, holds);
                return Epsilon::new(epsilon).map_err(|_| unbounded());
            }
            high = high * 1.01 + f64::MIN_POSITIVE;
        }
        Err(unbounded())
    }

    /// Delta at `epsilon`, rounded up.
    pub fn delta(self, epsilon: Epsilon) -> f64 {
        (self.ln_delta(epsilon.get()) + ULPS).exp().min(1.0) + f64::from_bits(1)
    }

    /// ln of an upper bound on delta.
    fn ln_delta(self, epsilon: f64) -> f64 {
        let mu = self.0;
        if mu == 0.0 {
            return f64::NEG_INFINITY;
        }
        let (near, half) = (epsilon / mu, mu / 2.0);
        let slack = ULPS * (near + half);
        // Both ends are moved outwards by their own rounding, so that the difference below can only grow.
        let (low, high) = (near - half - slack, near + half + slack);
        if !low.is_finite() || !high.is_finite() {
            return 0.0;
        }
        // With low² - high² = -2 epsilon, e^eps Q(high) = phi(low) erfcx(high) up to constants.
        let square = low * low / 2.0;
        let scaled = |x: f64| 0.5 * erfcx(x * FRAC_1_SQRT_2);
        let minus = scaled(high) * (1.0 - 1e-13);
        let delta = if low >= 0.0 {
            (scaled(low) * (1.0 + 1e-13) - minus).ln() - square
        } else {
            let plus = 1.0 - 0.5 * libm::erfc(-low * FRAC_1_SQRT_2) * (1.0 - 1e-14);
            (plus * (1.0 + 1e-14) - minus * (-square).exp()).ln()
        };
        // Never above one, and NaN (an underflow of both terms) counts as nothing known.
        if delta.is_nan() { 0.0 } else { (delta + ULPS * (1.0 + square)).min(0.0) }
    }
}

fn unbounded() -> AccountingError {
    AccountingError::Unbounded("so little noise over so many rounds")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn epsilon(noise: f64, rounds: u32, delta: f64) -> f64 {
        let noise = NoiseMultiplier::new(noise).unwrap();
        let mu = Mu::of(noise, Rounds::new(rounds).unwrap());
        mu.epsilon(Delta::new(delta).unwrap()).unwrap().get()
    }

    #[test]
    fn published_values() {
        // Exact column of the reference table: docs/spec/privacy.md.
        for (noise, rounds, delta, expected) in [
            (1.0, 1, 1e-5, 4.377_178),
            (2.0, 10, 1e-5, 7.511_276),
            (4.0, 50, 1e-5, 8.595_866),
            (10.0, 100, 1e-6, 4.886_554),
            (0.8, 1, 1e-5, 5.679_587),
        ] {
            let found = epsilon(noise, rounds, delta);
            assert!((found - expected).abs() < 1e-6, "{noise} {rounds}: {found}");
        }
    }

    #[test]
    fn extremes_answer_or_say_no() {
        for noise in [1e-300, 1e-3, 1.0, 1e6, 1e300] {
            for rounds in [1, 1_000_000] {
                for delta in [5e-324, 1e-300, 1e-5, 0.999_999] {
                    let noise = NoiseMultiplier::new(noise).unwrap();
                    let mu = Mu::of(noise, Rounds::new(rounds).unwrap());
                    let delta = Delta::new(delta).unwrap();
                    if let Ok(epsilon) = mu.epsilon(delta) {
                        assert!(mu.delta(epsilon) <= delta.get() * (1.0 + 1e-9) + 1e-320);
                    }
                }
            }
        }
        let far = epsilon(1e-3, 1_000_000, 1e-300);
        assert!(far > 5e11 && far < 5.01e11, "{far}");
    }

    proptest! {
        #[test]
        fn unequal_rounds_add_their_squares(a in 0.1_f64..10.0, b in 0.1_f64..10.0) {
            let mu = |z| Mu::of(NoiseMultiplier::new(z).unwrap(), Rounds::ONE);
            let both = mu(a).and(mu(b)).get();
            let expected = (a.powi(-2) + b.powi(-2)).sqrt();
            prop_assert!(both >= expected && both < expected * (1.0 + 1e-14));
        }

        #[test]
        fn more_rounds_cost_more_and_more_noise_less(
            noise in 0.3_f64..20.0, rounds in 1_u32..1000, exponent in -12.0_f64..-2.0,
        ) {
            let delta = 10_f64.powf(exponent);
            let here = epsilon(noise, rounds, delta);
            prop_assert!(epsilon(noise, rounds + 1, delta) > here);
            prop_assert!(epsilon(noise * 1.01, rounds, delta) < here);
            prop_assert!(epsilon(noise, rounds, delta / 2.0) > here);
        }
    }
}
