//! Zero-concentrated differential privacy: what the ledger adds up.
//!
//! Rho is additive, also when each release is chosen in the light of the earlier ones (Bun and Steinke 2016), so a
//! running sum that stays below a limit is a privacy filter (Rogers et al. 2016; Feldman and Zrnic 2021). It
//! becomes (epsilon, delta) by proposition 12 of Canonne, Kamath and Steinke 2020.

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

/// The orders that are tried: 1 + e^(k / 2^18). So fine that the best of them is the best of all but for a part in 10^11, and always the same
/// ones, so that more of one quantity never comes to less of the other.
const ORDER_STEPS: f64 = (1_u32 << 18) as f64;
/// The first and the last of them, as logarithms of the order less one.
const ORDERS: (f64, f64) = (-64.0, 700.0);
/// What is beyond this is budgeted as this, where neighbouring orders still differ by more than rounding; no ledger holds as much.
const LARGEST_BUDGET: f64 = (1_u32 << 30) as f64;

/// The largest rho that keeps (`epsilon`, `delta`), rounded down; for an epsilon above 2^30, that of 2^30. A larger epsilon or delta
/// never has a smaller one, and it is zero only where no double above zero keeps them.
pub fn budget(epsilon: Epsilon, delta: Delta) -> Rho {
    let epsilon = epsilon.get().min(LARGEST_BUDGET);
    let ln_delta = delta.get().ln();
    let most = -least(|less_one| -kept(epsilon, ln_delta, less_one));
    Rho::new(most.max(0.0)).unwrap_or(Rho::ZERO)
}

/// The least `cost` of an order, given less one, of a function that falls with it and then rises. Both that are sought do, as ln(delta)
/// by proposition 12 is convex in the order: each pair of rho and epsilon is kept by the orders between two.
fn least(cost: impl Fn(f64) -> f64) -> f64 {
    let at = |k: i64| cost((k as f64 / ORDER_STEPS).exp());
    let (mut low, mut high) = ((ORDERS.0 * ORDER_STEPS) as i64, (ORDERS.1 * ORDER_STEPS) as i64);
    while low < high {
        // Not `midpoint`, which rounds towards zero: below zero it would never come to an end.
        let middle = low + (high - low) / 2;
        if at(middle + 1) < at(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    // Rounding may have misled the search by a step or two where the bottom is flat.
    (low - 16..=low + 16).map(at).fold(f64::INFINITY, f64::min)
}

/// The rho that keeps epsilon at the order 1 + `less_one`, rounded down by more than [`from_renyi`] rounds up.
fn kept(epsilon: f64, ln_delta: f64, less_one: f64) -> f64 {
    let ln_order = less_one.ln_1p();
    // ln((a - 1) / a), in a form that nothing cancels in.
    let first = -less_one.recip().ln_1p();
    let second = (-ln_delta - ln_order) / less_one;
    let size = epsilon + first.abs() + (ln_order - ln_delta) / less_one;
    (epsilon - first - second - 8.0 * SLACK * size) / (1.0 + less_one)
}

/// The least over alpha of alpha rho + ln((alpha - 1)/alpha) + (ln(1/delta) - ln alpha)/(alpha - 1).
fn best(rho: f64, delta: Delta) -> f64 {
    if rho == 0.0 {
        return 0.0;
    }
    let ln_delta = delta.get().ln();
    least(|less_one| from_renyi(less_one, (1.0 + less_one) * rho, ln_delta))
}

/// Epsilon from a Rényi divergence of order 1 + `less_one`, rounded up.
pub(super) fn from_renyi(less_one: f64, divergence: f64, ln_delta: f64) -> f64 {
    let ln_order = less_one.ln_1p();
    // ln((a - 1) / a), in a form that nothing cancels in.
    let first = -less_one.recip().ln_1p();
    let second = (-ln_delta - ln_order) / less_one;
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

    /// Budgets of a little more epsilon, and of a little more delta, over fifteen orders of magnitude of both.
    #[test]
    fn a_budget_is_never_zero_never_too_large_and_never_falls() {
        let deltas: Vec<f64> =
            (-150..0).step_by(5).map(|tenth| 10_f64.powf(f64::from(tenth) / 10.0)).collect();
        let epsilons = (-600..130).map(|step| 10_f64.powf(f64::from(step) / 50.0));
        let mut last = vec![0.0; deltas.len()];
        for target in epsilons.chain((1..=200).map(|n| 4.0 + f64::from(n) * 1e-15)) {
            let target = Epsilon::new(target).unwrap();
            let mut smaller_delta = 0.0;
            if target.get() == 4.000_000_000_000_001 {
                last.fill(0.0);
            }
            for (last, at) in last.iter_mut().zip(&deltas) {
                let rho = budget(target, delta(*at));
                assert!(rho.get() > 0.0 && rho.get() >= *last, "{target} {at}: {rho} after {last}");
                assert!(rho.get() >= smaller_delta, "{target} {at}: {rho} after {smaller_delta}");
                (*last, smaller_delta) = (rho.get(), rho.get());
                assert!(epsilon(rho, delta(*at)).unwrap() <= target, "{target} {at}: {rho}");
                let more = Rho::new(rho.get() * (1.0 + 1e-9)).unwrap();
                let spent = best(more.get(), delta(*at));
                assert!(spent > target.get() || spent == 0.0, "{target} {at}: {rho} is too little");
            }
        }
        assert!(budget(Epsilon::ZERO, delta(1e-5)) > Rho::ZERO, "some (0, delta) is kept");
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
