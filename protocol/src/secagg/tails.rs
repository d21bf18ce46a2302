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

    /// The logarithm of P\[X <= most\] where X counts the hits of `tries` independent tries, each of
    /// which misses with a probability whose logarithm is `miss`, below 0.
    pub(super) fn hits_at_most(&self, tries: u32, miss: f64, most: u32) -> f64 {
        if most >= tries {
            return 0.0;
        }
        let hit = libm::log1p(-libm::exp(miss));
        let exactly =
            |x: u32| self.choose(tries, x) + f64::from(x) * hit + f64::from(tries - x) * miss;
        // The likeliest count, or the largest below it: from there on terms fall both ways.
        let likeliest = (f64::from(tries) * libm::exp(hit)) as u32;
        let start = likeliest.min(most);
        let largest = exactly(start);
        let counts = |term: &f64| *term > -NEGLIGIBLE;
        let term = |x: u32| exactly(x) - largest;
        let below = (0..start).rev().map(term).take_while(counts).map(libm::exp).sum::<f64>();
        let above = (start + 1..=most).map(term).take_while(counts).map(libm::exp).sum::<f64>();
        largest + libm::log(1.0 + below + above)
    }
}

/// Terms that are smaller than the largest by e to this are left out: there are too few of them to
/// be seen in its last place.
const NEGLIGIBLE: f64 = 60.0;

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

    #[test]
    fn hits_agree_with_counting() {
        let f = Factorials::up_to(100);
        let at_most = |tries, miss: f64, most| libm::exp(f.hits_at_most(tries, miss.ln(), most));
        // Five tosses of a coin: 1 + 5 + 10 of 32.
        assert!((at_most(5, 0.5, 2) - 0.5).abs() < 1e-12);
        assert_eq!(at_most(5, 0.5, 5), 1.0);
        for (miss, most) in [(0.9, 3), (0.9, 30), (0.2, 79), (0.2, 90), (0.01, 0)] {
            let hit: f64 = 1.0 - miss;
            let term = |x: u32| {
                libm::exp(f.choose(100, x)) * hit.powi(x as i32) * f64::powi(miss, 100 - x as i32)
            };
            let summed: f64 = (0..=most).map(term).sum();
            assert!((at_most(100, miss, most) / summed - 1.0).abs() < 1e-9, "{miss} {most}");
        }
        assert_eq!(f.hits_at_most(5, f64::NEG_INFINITY, 4), f64::NEG_INFINITY, "all hit");
    }
}
