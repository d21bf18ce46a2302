//! Tails of the standard normal distribution that stay accurate where they underflow.

use std::f64::consts::{FRAC_1_SQRT_2, LN_2, PI};

/// exp(x²) erfc(x), x at least 0: relative error below 1e-14.
pub(super) fn erfcx(x: f64) -> f64 {
    if x < 5.0 {
        return (x * x).exp() * libm::erfc(x);
    }
    // Laplace's continued fraction; 60 terms are exact to a double from 5 on.
    let tail = (1..=60).rev().fold(x, |tail, k| x + f64::from(k) / 2.0 / tail);
    1.0 / (tail * PI.sqrt())
}

/// ln Q(x), Q the chance that a standard normal is above x.
pub(super) fn ln_tail(x: f64) -> f64 {
    if x > 0.0 {
        -x * x / 2.0 + erfcx(x * FRAC_1_SQRT_2).ln() - LN_2
    } else {
        (-0.5 * libm::erfc(-x * FRAC_1_SQRT_2)).ln_1p()
    }
}

/// ln of the chance that a standard normal lies between `low` and `high`, either of them possibly infinite.
/// Minus infinity where they touch or cross.
pub(super) fn ln_between(low: f64, high: f64) -> f64 {
    if low >= high {
        return f64::NEG_INFINITY;
    }
    let width = high - low;
    let middle = low + width / 2.0;
    if width * (1.0 + middle.abs()) < 0.2 {
        ln_narrow(middle, width)
    } else if low >= 0.0 {
        ln_sub(ln_tail(low), ln_tail(high))
    } else if high <= 0.0 {
        ln_sub(ln_tail(-high), ln_tail(-low))
    } else {
        (-(ln_tail(high).exp() + ln_tail(-low).exp())).ln_1p()
    }
}

/// Five-point Gauss-Legendre quadrature of the density, which has no cancellation.
fn ln_narrow(middle: f64, width: f64) -> f64 {
    const NODES: [(f64, f64); 5] = [
        (0.0, 0.568_888_888_888_888_9),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
        (-0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
        (0.906_179_845_938_664, 0.236_926_885_056_189_1),
        (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
    ];
    let sum: f64 = NODES
        .iter()
        .map(|(node, weight)| {
            let t = node * width / 2.0;
            weight * (-t * (middle + t / 2.0)).exp()
        })
        .sum();
    -middle * middle / 2.0 + (sum * width / 2.0).ln() - (2.0 * PI).ln() / 2.0
}

/// ln(e^a + e^b).
pub(super) fn ln_add(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY { large } else { large + (small - large).exp().ln_1p() }
}

/// ln(e^a - e^b), minus infinity where b is at least a.
pub(super) fn ln_sub(a: f64, b: f64) -> f64 {
    if b >= a { f64::NEG_INFINITY } else { a + (-(b - a).exp_m1()).ln() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{a} is not {b}");
    }

    #[test]
    fn tails_agree_with_published_values() {
        // scipy.special.log_ndtr(-x), scipy 1.17.1.
        for (x, expected) in [
            (-3.0, -0.001_350_809_964_748_193),
            (0.0, -LN_2),
            (1.0, -1.841_021_645_009_263_7),
            (7.0, -27.384_307_498_811_882),
            (7.2, -28.831_457_520_321_884),
            (38.0, -726.557_216_018_820_1),
            (1e3, -500_007.826_694_812_2),
        ] {
            close(ln_tail(x), expected, 1e-13);
        }
    }

    #[test]
    fn intervals_add_up() {
        for (low, high) in [(-1.0, 2.0), (5.0, 5.1), (-40.0, -39.0), (30.0, 31.0), (-0.01, 0.01)] {
            let parts = (0..1000).map(|i| {
                let at = |i: i32| low + (high - low) * f64::from(i) / 1000.0;
                ln_between(at(i), at(i + 1))
            });
            close(parts.fold(f64::NEG_INFINITY, ln_add), ln_between(low, high), 1e-12);
        }
        close(ln_between(f64::NEG_INFINITY, f64::INFINITY), 0.0, 1e-15);
        close(ln_between(3.0, f64::INFINITY), ln_tail(3.0), 1e-15);
        assert_eq!(ln_between(1.0, 1.0), f64::NEG_INFINITY);
    }
}
