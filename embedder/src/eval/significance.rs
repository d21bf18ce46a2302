//! Whether a difference between two runs over the same queries could be chance.
//!
//! The test is Fisher's paired randomisation test, two-sided, on the mean difference: if the runs were no
//! different, each query's difference could as well have the other sign. Smucker, Allan and Carterette (A
//! comparison of statistical significance tests for information retrieval evaluation, CIKM 2007) find that it and
//! the t-test agree, and that the sign and Wilcoxon tests mislead. The interval is the bootstrap's percentile
//! interval of the mean difference (Efron and Tibshirani, An introduction to the bootstrap, 1993, chapter 13).

use rayon::prelude::*;

/// Random assignments of signs; the one that was observed is one more.
pub const PERMUTATIONS: usize = 99_999;
/// Samples of queries, drawn with replacement, behind the interval.
pub const RESAMPLES: usize = 9_999;
/// What all random numbers are drawn from: the same differences give the same result.
pub const SEED: u64 = 2007;

/// Share of the samples' means below the interval, and above it.
const TAIL: f64 = 0.025;

/// A mean difference, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// The mean over queries.
    pub mean: f64,
    /// Lower end of the 95% interval of the mean.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How probable a mean at least as far from 0 is if there is no difference: (r + 1) / (n + 1), where r of the
    /// n = [`PERMUTATIONS`] assignments reach it (Phipson and Smyth 2010). Off by less than .005 in 499 of 500 cases.
    pub p: f64,
    /// Queries with a difference above 0.
    pub better: usize,
    /// Queries without a difference.
    pub equal: usize,
    /// Queries with a difference below 0.
    pub worse: usize,
}

/// Compares two runs by `differences`, one run's value of a measure minus the other's for each query, all finite.
/// None if there are no queries.
#[must_use]
pub fn compare(differences: &[f64]) -> Option<Comparison> {
    if differences.is_empty() {
        return None;
    }
    let mean = mean(differences);
    let (low, high) = interval(differences);
    let better = differences.iter().filter(|it| **it > 0.0).count();
    let worse = differences.iter().filter(|it| **it < 0.0).count();
    let equal = differences.len() - better - worse;
    Some(Comparison { mean, low, high, p: probability(differences), better, equal, worse })
}

fn mean(differences: &[f64]) -> f64 {
    differences.iter().sum::<f64>() / differences.len() as f64
}

fn probability(differences: &[f64]) -> f64 {
    let moved: Vec<f64> = differences.iter().copied().filter(|it| *it != 0.0).collect();
    let size: f64 = moved.iter().map(|it| it.abs()).sum();
    // Assignments that come to the same must not differ by how sums are rounded.
    let bar = moved.iter().sum::<f64>().abs() - 1e-12 * size;
    let reaches = |at: &usize| signed_sum(&moved, &mut Generator::new(*at as u64)).abs() >= bar;
    let reached = (0..PERMUTATIONS).into_par_iter().filter(reaches).count();
    (reached + 1) as f64 / (PERMUTATIONS + 1) as f64
}

/// The sum with a random sign for each.
fn signed_sum(of: &[f64], generator: &mut Generator) -> f64 {
    let mut sum = 0.0;
    for part in of.chunks(64) {
        let signs = generator.next();
        for (at, it) in part.iter().enumerate() {
            sum += f64::from_bits(it.to_bits() ^ ((signs >> at & 1) << 63));
        }
    }
    sum
}

fn interval(differences: &[f64]) -> (f64, f64) {
    let count = differences.len() as u128;
    let resampled = |at: usize| {
        let mut generator = Generator::new((PERMUTATIONS + at) as u64);
        let mut drawn = || differences[((u128::from(generator.next()) * count) >> 64) as usize];
        (0..count).map(|_| drawn()).sum::<f64>() / count as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).into_par_iter().map(resampled).collect();
    means.sort_unstable_by(f64::total_cmp);
    let below = ((RESAMPLES + 1) as f64 * TAIL).round() as usize - 1;
    (means[below], means[RESAMPLES - 1 - below])
}

/// SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014).
struct Generator(u64);

impl Generator {
    /// One of many streams that are independent for this purpose.
    fn new(stream: u64) -> Self {
        let mut seeder = Self(SEED ^ stream.rotate_left(32));
        Self(seeder.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of all assignments of signs that reach the observed mean.
    fn exact(differences: &[f64]) -> f64 {
        let observed = differences.iter().sum::<f64>().abs() - 1e-12;
        let all = 1u32 << differences.len();
        let sum = |signs: u32| -> f64 {
            let signed = |(at, it): (usize, &f64)| if signs >> at & 1 == 1 { -it } else { *it };
            differences.iter().enumerate().map(signed).sum()
        };
        (0..all).filter(|signs| sum(*signs).abs() >= observed).count() as f64 / f64::from(all)
    }

    #[test]
    fn the_test_agrees_with_all_assignments_of_signs() {
        let cases: [&[f64]; 6] = [
            &[0.1; 10],
            &[0.3, -0.1, 0.2, 0.25, -0.05, 0.4, 0.1, 0.02, 0.0, -0.3],
            &[0.5, -0.5, 0.25, -0.25],
            &[0.7],
            // Its sums tie, but for rounding.
            &[0.1, 0.2, 0.3, -0.4],
            &[0.31, 0.02, -0.11, 0.4, 0.07, 0.2, -0.03, 0.15, 0.09, 0.28, -0.01, 0.12],
        ];
        for differences in cases {
            let found = compare(differences).unwrap();
            let expected = exact(differences);
            // Five standard deviations: another seed would fail once in a million.
            let tolerance = 5.0 * (expected * (1.0 - expected) / PERMUTATIONS as f64).sqrt() + 2e-5;
            assert!((found.p - expected).abs() <= tolerance, "{} for {expected}", found.p);
        }
    }

    #[test]
    fn the_interval_is_near_that_of_the_normal_distribution_where_queries_are_many() {
        let differences: Vec<f64> =
            (0..2_000).map(|it| f64::from(it * 7 % 200) / 100.0 - 0.9).collect();
        let found = compare(&differences).unwrap();
        let variance =
            differences.iter().map(|it| (it - found.mean).powi(2)).sum::<f64>() / (2_000.0 - 1.0);
        let half = 1.96 * (variance / 2_000.0).sqrt();
        assert!((found.low - (found.mean - half)).abs() < 0.05 * half, "{found:?}, {half}");
        assert!((found.high - (found.mean + half)).abs() < 0.05 * half, "{found:?}, {half}");
    }

    #[test]
    fn queries_are_counted_and_the_same_comes_out_again() {
        let differences = [0.5, 0.0, -0.25, 0.0, 0.125];
        let found = compare(&differences).unwrap();
        assert_eq!((found.better, found.equal, found.worse), (2, 2, 1));
        assert_eq!(found.mean, 0.075);
        assert!(found.low < found.mean && found.mean < found.high);
        assert_eq!(compare(&differences), Some(found));
        let mirrored = compare(&differences.map(|it| -it)).unwrap();
        assert_eq!((mirrored.p, mirrored.low, mirrored.high), (found.p, -found.high, -found.low));
        let same = compare(&[0.0; 3]).unwrap();
        assert_eq!((same.mean, same.low, same.high, same.p, same.equal), (0.0, 0.0, 0.0, 1.0, 3));
        assert_eq!(compare(&[]), None);
    }

    #[test]
    fn where_nothing_differs_it_seldom_says_so() {
        let mut generator = Generator::new(u64::MAX);
        let mut uniform = || generator.next() as f64 / u64::MAX as f64 - 0.5;
        let trials = 200;
        let found = |_| compare(&[(); 30].map(|()| uniform())).unwrap();
        let alarms: Vec<Comparison> = (0..trials).map(found).collect();
        let low = alarms.iter().filter(|it| it.p < 0.05).count();
        // Of 200 at a chance of .05, more than 24 are alarms less than once in a thousand seeds.
        assert!((1..=24).contains(&low), "{low} of {trials}");
        let missed = alarms.iter().filter(|it| it.low > 0.0 || it.high < 0.0).count();
        assert!((1..=28).contains(&missed), "{missed} of {trials}");
    }
}
