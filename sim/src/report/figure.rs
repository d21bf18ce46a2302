//! A mean over seeds, and how sure it is.

use serde::{Deserialize, Serialize};

/// Quantiles at .975 of Student's t distribution with 1, 2, … degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

/// A mean over seeds with its 95% confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// Where the interval begins, by Student's t; absent with one seed, which says nothing about others.
    pub low: Option<f64>,
    /// Where it ends.
    pub high: Option<f64>,
    /// Seeds that have a value.
    pub seeds: u32,
}

impl Figure {
    /// It shared out among so many.
    pub(super) fn over(self, many: f64) -> Self {
        let each = |value: f64| value / many;
        Self { mean: each(self.mean), low: self.low.map(each), high: self.high.map(each), ..self }
    }

    /// Of one value for each seed; none without values. Values that are no numbers are left out.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let half = (squares / (count - 1.0) / count).sqrt() * t(values.len().saturating_sub(1));
        let seeds = u32::try_from(values.len()).unwrap_or(u32::MAX);
        match seeds {
            0 => None,
            1 => Some(Self { mean, low: None, high: None, seeds }),
            _ => Some(Self { mean, low: Some(mean - half), high: Some(mean + half), seeds }),
        }
    }
}

/// The quantile; above the table's end the first two terms of its expansion around the normal one, which are then right to three decimals.
fn t(freedom: usize) -> f64 {
    const NORMAL: f64 = 1.959_964;
    match T.get(freedom.wrapping_sub(1)) {
        Some(quantile) => *quantile,
        None => {
            let (n, cube) = (freedom as f64, NORMAL * NORMAL * NORMAL);
            let fifth = cube * NORMAL * NORMAL;
            let second = (5.0 * fifth + 16.0 * cube + 3.0 * NORMAL) / (96.0 * n * n);
            NORMAL + (cube + NORMAL) / (4.0 * n) + second
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_students() {
        let figure = Figure::of([1.0, 2.0, 3.0]).expect("there are values");
        assert_eq!((figure.mean, figure.seeds), (2.0, 3));
        // 4.303 · 1 / √3
        assert!((figure.low.expect("an interval") - (2.0 - 2.484)).abs() < 1e-3, "{figure:?}");
        for (freedom, expected) in [(31, 2.0395), (40, 2.0211), (120, 1.9799), (1000, 1.9623)] {
            assert!((t(freedom) - expected).abs() < 5e-4, "{freedom}: {}", t(freedom));
        }
    }

    #[test]
    fn one_seed_has_no_interval_and_none_has_no_mean() {
        let one = Figure::of([4.0, f64::NAN]).expect("a value");
        assert_eq!((one.mean, one.low, one.high, one.seeds), (4.0, None, None, 1));
        assert_eq!(Figure::of([]), None);
    }
}
