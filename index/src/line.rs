//! Lines through points, by least squares.

use std::ops::RangeInclusive;

/// y is base + slope x on average, with a standard deviation of sigma.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) base: f64,
    pub(crate) slope: f64,
    pub(crate) sigma: f64,
}

impl Line {
    /// The line through these points (x, y); one with a slope of 1 where all x are equal.
    pub(crate) fn fit(points: &[(f64, f64)]) -> Self {
        Self::fit_within(points, f64::NEG_INFINITY..=f64::INFINITY)
    }

    /// The best line whose slope is one of these.
    pub(crate) fn fit_within(points: &[(f64, f64)], slopes: RangeInclusive<f64>) -> Self {
        let n = points.len().max(1) as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), it| (x + it.0 / n, y + it.1 / n));
        let square: f64 = points.iter().map(|it| (it.0 - x).powi(2)).sum();
        let product: f64 = points.iter().map(|it| (it.0 - x) * (it.1 - y)).sum();
        let slope = if square > 0.0 { product / square } else { 1.0 };
        let slope = slope.clamp(*slopes.start(), *slopes.end());
        let base = y - slope * x;
        let errors: f64 = points.iter().map(|it| (it.1 - base - slope * it.0).powi(2)).sum();
        Self { base, slope, sigma: (errors / n).sqrt() }
    }

    /// The y that goes with x, this many standard deviations off.
    pub(crate) fn at(&self, x: f32, off: f32) -> f32 {
        (self.base + self.slope * f64::from(x) + self.sigma * f64::from(off)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_what_lies_on_it_and_between_what_does_not() {
        let exact = Line::fit(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]);
        assert_eq!(exact, Line { base: 3.0, slope: 2.0, sigma: 0.0 });
        assert_eq!(
            Line::fit(&[(0.0, -1.0), (0.0, 1.0)]),
            Line { base: 0.0, slope: 1.0, sigma: 1.0 }
        );
        assert_eq!(Line::fit(&[]), Line { base: 0.0, slope: 1.0, sigma: 0.0 });
        let bounded = Line::fit_within(&[(0.0, 0.0), (2.0, 4.0)], 0.0..=1.5);
        assert_eq!(bounded, Line { base: 0.5, slope: 1.5, sigma: 0.5 });
        assert_eq!(bounded.at(2.0, -1.0), 3.0);
    }
}
