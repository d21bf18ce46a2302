//! Tails of the hypergeometric distribution, the same on every machine.
//!
//! Client and coordinator compute thresholds apart and must agree, so logarithms come from a
//! library in software, not from the platform's.

/// Logarithms of factorials up to a bound.
pub(super) struct Factorials(Vec<f64>);

impl Factorials {
    pub(super) fn up_to(n: u32) -> Self {
        let mut sum = 0.0;
        let rest = (1..=n).map(|i| {
            sum += libm::log(f64::from(i));
            sum
        });
        Self(std::iter::once(0.0).chain(rest).collect())
    }

    /// The logarithm of `n` choose `k`; minus infinity where there is no way.
    pub(super) fn choose(&self, n: u32, k: u32) -> f64 {
        if k > n {
            return f64::NEG_INFINITY;
        }
        let at = |i: u32| self.0[i as usize];
        at(n) - at(k) - at(n - k)
    }

    /// P\[X = x\] where X counts the marked among `drawn` of `all`, `marked` of which are.
    fn exactly(&self, all: u32, marked: u32, drawn: u32, x: u32) -> f64 {
        let ways = self.choose(marked, x) + self.choose(all - marked, drawn - x);
        libm::exp(ways - self.choose(all, drawn))
    }

    /// P\[X >= x\], summed from the smallest terms up.
    pub(super) fn at_least(&self, all: u32, marked: u32, drawn: u32, x: u32) -> f64 {
        let most = marked.min(drawn);
        (x..=most).rev().map(|x| self.exactly(all, marked, drawn, x)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_counting() {
        let f = Factorials::up_to(10);
        // Draw 4 of 10, 3 marked: P[X >= 2] = (3*21 + 1*7) / 210.
        assert!((f.at_least(10, 3, 4, 2) - 70.0 / 210.0).abs() < 1e-12);
        assert!((f.at_least(10, 3, 4, 0) - 1.0).abs() < 1e-12);
        assert_eq!(f.at_least(10, 3, 4, 4), 0.0);
    }
}
