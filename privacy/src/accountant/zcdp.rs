//! Zero-concentrated differential privacy: what the ledger adds up.
//!
//! Rho is additive, also when each release is chosen in the light of the earlier ones (Bun and Steinke 2016), so a
//! running sum that stays below a limit is a privacy filter (Rogers et al. 2016; Feldman and Zrnic 2021). It
//! becomes (epsilon, delta) by proposition 12 of Canonne, Kamath and Steinke 2020.

use super::search::{first_true, minimise};
use super::{AccountingError, Mu, Rounds};
use crate::{Delta, Epsilon, NoiseMultiplier, Rho};

/// Relative slack on sums of a few terms.
const SLACK: f64 = 1e-14;

/// Rho of `rounds` rounds of Gaussian noise, discrete or not: rounds / (2 noise²), rounded up.
///
/// # Errors
/// If it is beyond a double.
pub fn gaussian(noise: NoiseMultiplier, rounds: Rounds) -> Result<Rho, AccountingError> {
    Mu::of(noise, rounds).rho()
}

/// The best epsilon that `rho` gives at `delta`, rounded up.
///
/// # Errors
/// If it is beyond a double.
pub fn epsilon(rho: Rho, delta: Delta) -> Result<Epsilon, AccountingError> {
    let bound = best(rho.get(), delta);
    Epsilon::new(bound).map_err(|_| AccountingError::Unbounded("so large a rho"))
}

/// The largest rho that keeps (`epsilon`, `delta`), rounded down.
pub fn budget(epsilon: Epsilon, delta: Delta) -> Rho {
    let kept = |rho: f64| best(rho, delta) <= epsilon.get();
    if !kept(0.0) {
        return Rho::ZERO;
    }
    // Rho alone already shows as epsilon, but for a delta close to one.
    let high = epsilon.get().mul_add(4.0, 4.0).min(f64::MAX / 4.0);
    let over = first_true(0.0, high, 200, |rho| !kept(rho));
    let under = over * (1.0 - SLACK) - f64::MIN_POSITIVE;
    Rho::new(under).ok().filter(|rho| kept(rho.get())).unwrap_or(Rho::ZERO)
}

/// The least over alpha of alpha rho + ln((alpha - 1)/alpha) + (ln(1/delta) - ln alpha)/(alpha - 1).
fn best(rho: f64, delta: Delta) -> f64 {
    if rho == 0.0 {
        return 0.0;
    }
    let ln_delta = delta.get().ln();
    let at = |ln_order: f64| from_renyi(ln_order.exp(), (1.0 + ln_order.exp()) * rho, ln_delta);
    // Without the logarithms the best alpha - 1 is sqrt(ln(1/delta)/rho); they move it by less than e^10.
    let guess = (-ln_delta).max(1e-300).ln() / 2.0 - rho.ln() / 2.0;
    minimise(guess - 10.0, guess + 10.0, 60, at).1
}

/// Epsilon from a Rényi divergence of order 1 + `less_one`, rounded up.
pub(super) fn from_renyi(less_one: f64, divergence: f64, ln_delta: f64) -> f64 {
    let ln_order = less_one.ln_1p();
    let (first, second) = (less_one.ln() - ln_order, (-ln_delta - ln_order) / less_one);
    let epsilon = divergence + first + second;
    let size = divergence + first.abs() + (ln_order - ln_delta) / less_one;
    // `max` would turn NaN into no cost at all.
    if epsilon.is_nan() { f64::INFINITY } else { (epsilon + SLACK * size).max(0.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn delta(value: f64) -> Delta {
        Delta::new(value).unwrap()
    }

    #[test]
    fn agrees_with_opendp() {
        // Curve of opendp 0.16's zCDP to approximate DP on the reference table.
        for (noise, rounds, at, expected) in [
            (1.0, 1, 1e-5, 4.728_387),
            (2.0, 10, 1e-5, 8.078_360),
            (4.0, 50, 1e-5, 9.233_983),
            (10.0, 100, 1e-6, 5.221_534),
        ] {
            let noise = NoiseMultiplier::new(noise).unwrap();
            let rho = gaussian(noise, Rounds::new(rounds).unwrap()).unwrap();
            let found = epsilon(rho, delta(at)).unwrap().get();
            assert!((found - expected).abs() < 2e-6, "{found} is not {expected}");
        }
    }

    proptest! {
        #[test]
        fn never_below_exact_and_close_to_it(mu in 1e-3_f64..30.0, exponent in -15.0_f64..-1.0) {
            let at = delta(10_f64.powf(exponent));
            let one = Mu::of(NoiseMultiplier::new(1.0 / mu).unwrap(), Rounds::ONE);
            let exact = one.epsilon(at).unwrap().get();
            let bound = epsilon(one.rho().unwrap(), at).unwrap().get();
            prop_assert!(bound >= exact);
            prop_assert!(bound <= exact * 1.5 + 0.5, "{} against {}", bound, exact);
        }

        #[test]
        fn a_budget_is_the_most_that_fits(target in 0.0_f64..200.0, exponent in -20.0_f64..-0.01) {
            let at = delta(10_f64.powf(exponent));
            let rho = budget(Epsilon::new(target).unwrap(), at);
            prop_assert!(epsilon(rho, at).unwrap().get() <= target);
            let more = Rho::new(rho.get() * (1.0 + 1e-6) + 1e-12).unwrap();
            prop_assert!(epsilon(more, at).unwrap().get() > target - 1e-6);
        }
    }

    #[test]
    fn extremes_answer_or_say_no() {
        for rho in [0.0, 5e-324, 1e-12, 1e6, 1e300, f64::MAX] {
            for at in [5e-324, 1e-300, 1e-5, 0.999_999_999] {
                let _ = epsilon(Rho::new(rho).unwrap(), delta(at));
                let kept = budget(Epsilon::new(rho).unwrap(), delta(at));
                if let Ok(spent) = epsilon(kept, delta(at)) {
                    assert!(spent.get() <= rho, "{rho} {at}");
                }
            }
        }
    }
}
