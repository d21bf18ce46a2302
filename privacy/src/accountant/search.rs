//! One-dimensional searches. Callers stay sound whatever these return: every point is a valid bound.

/// The point with the least `cost` among those tried, of a function that falls and then rises.
/// NaN counts as infinite.
pub(super) fn minimise(
    low: f64,
    high: f64,
    steps: u32,
    mut cost: impl FnMut(f64) -> f64,
) -> (f64, f64) {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let mut tried = |at: f64| {
        let cost = cost(at);
        (at, if cost.is_nan() { f64::INFINITY } else { cost })
    };
    let (mut low, mut high) = (low, high);
    let mut left = tried(high - RATIO * (high - low));
    let mut right = tried(low + RATIO * (high - low));
    for _ in 0..steps {
        if left.1 <= right.1 {
            high = right.0;
            right = left;
            left = tried(high - RATIO * (high - low));
        } else {
            low = left.0;
            left = right;
            right = tried(low + RATIO * (high - low));
        }
    }
    if left.1 <= right.1 { left } else { right }
}

/// The smallest point found at which `holds`, of a condition that stays true once it is.
/// `high` must satisfy it; at most `steps` halvings.
pub(super) fn first_true(
    low: f64,
    high: f64,
    steps: u32,
    mut holds: impl FnMut(f64) -> bool,
) -> f64 {
    let (mut low, mut high) = (low, high);
    for _ in 0..steps {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}
