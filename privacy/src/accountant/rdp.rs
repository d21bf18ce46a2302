//! Rényi differential privacy of the Poisson-subsampled Gaussian (Mironov, Talwar and Zhang 2019).
//!
//! With z0 = s² ln(1/q - 1) + 1/2 and R(x) = e^(x²/2) Q(x), their series for a fractional order a is
//!
//! A = (1-q)^a e^(-z0²/2s²) sum over i of C(a, i) (R((i - z0)/s) + R((z0 - a + i)/s)).
//!
//! R falls, and |C(a, i)| falls and alternates in sign once i passes a. So the rest of the series is at most the last term
//! taken, which is added to the bound: no order is lost to slow convergence.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2};

use super::normal::{erfcx, ln_add, ln_sub, ln_tail};
use super::zcdp::from_renyi;
use super::{AccountingError, SampledRounds};
use crate::{Delta, Epsilon};

/// Relative slack on A for rounding in its sum.
const SLACK: f64 = 1e-12;
/// Slack for each unit of an exponent.
const ULPS: f64 = 16.0 * f64::EPSILON;
/// Terms of a series before the rest is bounded.
const MAX_TERMS: u32 = 1000;

/// The orders tried: `dp-accounting`'s, and a few closer to one for very little noise.
fn orders() -> impl Iterator<Item = f64> {
    let near = [1.0001, 1.001, 1.003, 1.01, 1.03].into_iter();
    let tenths = (11..110).map(|tenth| f64::from(tenth) / 10.0);
    let whole = (11..64).chain([128, 256, 512, 1024]).map(f64::from);
    near.chain(tenths).chain(whole)
}

/// Epsilon at `delta` of all of `parts` together, rounded up.
///
/// # Errors
/// If no order gives a finite bound.
pub fn epsilon(parts: &[SampledRounds], delta: Delta) -> Result<Epsilon, AccountingError> {
    let ln_delta = delta.get().ln();
    let at = |order: f64| {
        let cost: f64 = parts.iter().map(|part| divergence(part, order)).sum();
        from_renyi(order - 1.0, cost, ln_delta)
    };
    let best = orders().map(at).filter(|bound| !bound.is_nan()).fold(f64::INFINITY, f64::min);
    Epsilon::new(best).map_err(|_| AccountingError::Unbounded("so little noise"))
}

/// Rényi divergence of `order` that `part` costs in all, rounded up.
fn divergence(part: &SampledRounds, order: f64) -> f64 {
    let (q, s) = (part.rate.get(), part.noise.get());
    let rounds = f64::from(part.rounds.get());
    if q == 1.0 {
        return rounds * order / s / s / 2.0 * (1.0 + SLACK);
    }
    let ln_a = if order.fract() == 0.0 { whole(q, s, order) } else { fractional(q, s, order) };
    if ln_a.is_nan() {
        return f64::INFINITY;
    }
    // Rounding of the binomials and powers, before they are exponentiated.
    let slack = ULPS * order * (1.0 - (-q).ln_1p() - q.ln());
    rounds * (ln_a.max(0.0) * (1.0 + SLACK) + slack) / (order - 1.0)
}

/// ln A for a whole order: the binomial sum of C(a, k) (1-q)^(a-k) q^k e^((k² - k)/2s²).
fn whole(q: f64, s: f64, order: f64) -> f64 {
    let mut ln_binomial = 0.0;
    let mut sum = f64::NEG_INFINITY;
    let mut k = 0.0;
    while k <= order {
        let chance = ln_binomial + (order - k) * (-q).ln_1p() + k * q.ln();
        sum = ln_add(sum, chance + (k * k - k) / 2.0 / s / s);
        ln_binomial += ((order - k) / (k + 1.0)).ln();
        k += 1.0;
    }
    sum
}

/// ln of an upper bound on A for a fractional order.
fn fractional(q: f64, s: f64, order: f64) -> f64 {
    let z0 = s * s * ((-q).ln_1p() - q.ln()) + 0.5;
    let (mut plus, mut minus) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    let (mut ln_binomial, mut negative) = (0.0, false);
    for i in 0..MAX_TERMS {
        let i = f64::from(i);
        let term = ln_binomial + ln_add(ln_r((i - z0) / s), ln_r((z0 - order + i) / s));
        let side = if negative { &mut minus } else { &mut plus };
        *side = ln_add(*side, term);
        let last = i > order && (term < plus - 40.0 || i + 1.0 >= f64::from(MAX_TERMS));
        if last {
            plus = ln_add(plus, term);
            break;
        }
        let factor = (order - i) / (i + 1.0);
        negative ^= factor < 0.0;
        ln_binomial += factor.abs().ln();
    }
    // The difference loses what cancels; bounding it by the larger side is what is left then.
    let sum = ln_sub(plus, minus - 1e-13).min(plus);
    let (shift, width) = (z0 / s, order / s);
    let slack = ULPS * (shift * shift + width * width);
    order * (-q).ln_1p() - shift * shift / 2.0 + sum + slack
}

/// ln R(x).
fn ln_r(x: f64) -> f64 {
    if x > 0.0 { erfcx(x * FRAC_1_SQRT_2).ln() - LN_2 } else { ln_tail(x) + x * x / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseMultiplier;
    use crate::accountant::{PoissonRate, Rounds};

    fn part(q: f64, noise: f64, rounds: u32) -> SampledRounds {
        SampledRounds {
            rate: PoissonRate::new(q).unwrap(),
            noise: NoiseMultiplier::new(noise).unwrap(),
            rounds: Rounds::new(rounds).unwrap(),
        }
    }

    #[test]
    fn fractional_orders_lie_between_whole_ones() {
        for (q, s) in [(0.01, 0.5), (0.1, 1.0), (0.5, 2.0), (0.9, 1.5), (0.001, 4.0)] {
            for order in [2.0, 3.0, 7.0, 31.0] {
                let at = |order: f64| fractional(q, s, order);
                let exact = whole(q, s, order);
                let (below, above) = (at(order - 1e-7), at(order + 1e-7));
                assert!(
                    below <= exact * (1.0 + 1e-5) + 1e-7 && above >= exact * (1.0 - 1e-5) - 1e-7
                );
                assert!(
                    (below - exact).abs() < 1e-4 * exact + 1e-6,
                    "{q} {s} {order}: {below} {exact}"
                );
            }
        }
    }

    #[test]
    fn fractional_orders_agree_with_quadrature() {
        // scipy 1.17.1's quad of the defining integral, to 12 digits.
        for (q, s, order, expected) in [
            (0.2, 1.5, 2.5, 0.043_536_075_901_470),
            (0.2, 1.5, 3.3, 0.095_827_181_914_886),
            (0.2, 1.5, 4.7, 0.262_008_563_155_015),
            (0.1, 1.0, 2.5, 0.035_255_590_891_505),
            (0.1, 1.0, 4.7, 0.366_854_968_984_430),
            (0.01, 0.5, 2.5, 0.022_156_917_317_581),
            (0.01, 0.5, 3.3, 0.702_972_823_289_624),
        ] {
            let found = fractional(q, s, order);
            assert!(
                found >= expected - 1e-12 && found < expected + 1e-8,
                "{q} {s} {order}: {found}"
            );
        }
    }

    #[test]
    fn extremes_answer_or_say_no() {
        for q in [1e-12, 1.0 - 1e-16, 1.0] {
            for noise in [1e-300, 1e-3, 1e300] {
                for delta in [5e-324, 0.99] {
                    let _ = epsilon(&[part(q, noise, 1_000_000)], Delta::new(delta).unwrap());
                }
            }
        }
    }

    #[test]
    fn different_rounds_add() {
        let delta = Delta::new(1e-5).unwrap();
        let at = |parts: &[SampledRounds]| epsilon(parts, delta).unwrap().get();
        let (a, b) = (part(0.1, 1.0, 50), part(0.2, 2.0, 30));
        assert!(at(&[a, b]) > at(&[a]) && at(&[a, b]) > at(&[b]));
        assert!((at(&[a, a]) - at(&[part(0.1, 1.0, 100)])).abs() < 1e-9);
    }
}
