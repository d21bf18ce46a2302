//! Binomial probabilities, near enough for bounds that are searched to 10^-4.

/// The chance that exactly `k` of `n` succeed, each with chance `p`.
pub fn point(n: u64, k: u64, p: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    if p <= 0.0 || p >= 1.0 {
        let all = if p <= 0.0 { 0 } else { n };
        return if k == all { 1.0 } else { 0.0 };
    }
    let (n, k) = (n as f64, k as f64);
    let ways = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
    libm::exp(ways + k * libm::log(p) + (n - k) * libm::log1p(-p))
}

/// The chance that `k` or more of `n` succeed.
pub fn at_least(n: u64, k: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    // The shorter side of the mode, outwards, until terms no longer count.
    if (k as f64) > n as f64 * p {
        tail((k..=n).map(|i| point(n, i, p)))
    } else {
        (1.0 - tail((0..k).rev().map(|i| point(n, i, p)))).max(0.0)
    }
}

fn tail(terms: impl Iterator<Item = f64>) -> f64 {
    let mut sum = 0.0;
    for term in terms {
        sum += term;
        if term <= sum * 1e-17 {
            break;
        }
    }
    sum
}

/// Clopper and Pearson's lower bound of a success rate after `k` of `n`: wrong with a chance of at
/// most `error`.
pub fn lower_bound(n: u64, k: u64, error: f64) -> f64 {
    if k == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if at_least(n, k, middle) < error { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!((value / expected - 1.0).abs() < 1e-6, "{value} for {expected}");
    }

    #[test]
    fn agrees_with_known_values() {
        near(point(10, 3, 0.5), 120.0 / 1024.0);
        near(at_least(10, 8, 0.5), 56.0 / 1024.0);
        near(at_least(10, 2, 0.5), 1013.0 / 1024.0);
        // All of n: error^(1/n).
        near(lower_bound(1000, 1000, 0.05), 0.05_f64.powf(1e-3));
        near(lower_bound(20, 1, 0.05), 1.0 - 0.95_f64.powf(0.05));
        assert_eq!((point(3, 4, 0.5), point(3, 3, 1.0), at_least(3, 0, 0.1)), (0.0, 1.0, 1.0));
        assert_eq!(lower_bound(0, 0, 0.05), 0.0);
    }
}
