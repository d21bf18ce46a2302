//! How many examples each peer gets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_chacha::ChaCha20Rng;

use crate::draw;

/// Weights by Zipf's law, each peer's rank drawn: 1/rank^exponent, scaled to a sum of 1.
pub(super) fn weights(rng: &mut ChaCha20Rng, peers: usize, exponent: f64) -> Vec<f64> {
    let mut weights: Vec<f64> = (1..=peers).map(|rank| libm::pow(rank as f64, -exponent)).collect();
    draw::shuffle(rng, &mut weights);
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// `total` in parts by `weights`, rounded down and what is left to the largest remainders; then none
/// below `least`, if there are as many, at the cost of the largest.
pub(super) fn apportion(total: usize, weights: &[f64], least: usize) -> Vec<usize> {
    let sum: f64 = weights.iter().sum();
    if weights.is_empty() || sum <= 0.0 {
        return vec![0; weights.len()];
    }
    let exact = |weight: &f64| total as f64 * (weight / sum);
    let mut sizes: Vec<usize> = weights.iter().map(|weight| exact(weight) as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let remainder = |at: &usize| exact(&weights[*at]) - sizes[*at] as f64;
    order.sort_by(|a, b| remainder(b).total_cmp(&remainder(a)).then(a.cmp(b)));
    let given: usize = sizes.iter().sum();
    // Rounding may have summed to one more than there is: then the largest gives it back below.
    for &at in order.iter().cycle().take(total.saturating_sub(given)) {
        sizes[at] += 1;
    }
    let least = least.min(total / weights.len());
    sizes.iter_mut().for_each(|size| *size = (*size).max(least));
    let mut over = sizes.iter().sum::<usize>().saturating_sub(total);
    let mut largest: BinaryHeap<(usize, Reverse<usize>)> =
        sizes.iter().enumerate().map(|(at, size)| (*size, Reverse(at))).collect();
    while over > 0 {
        let Some((size, Reverse(at))) = largest.pop() else { break };
        sizes[at] = size - 1;
        largest.push((size - 1, Reverse(at)));
        over -= 1;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_rounded_to_the_total_and_none_is_below_the_least() {
        for (total, weights, least, parts) in [
            (10, vec![1.0, 1.0, 1.0], 0, vec![4, 3, 3]),
            (10, vec![3.0, 2.0, 1.0], 0, vec![5, 3, 2]),
            (10, vec![1000.0, 1.0, 1.0], 2, vec![6, 2, 2]),
            (5, vec![1000.0, 1.0, 1.0], 2, vec![3, 1, 1]),
            (0, vec![1.0, 2.0], 2, vec![0, 0]),
            (7, vec![], 2, vec![]),
        ] {
            assert_eq!(apportion(total, &weights, least), parts, "{total} {weights:?}");
        }
    }

    #[test]
    fn ranks_weigh_by_zipfs_law() {
        let mut weights = weights(&mut draw::stream(1, "test", 0), 5, 1.0);
        weights.sort_by(|a, b| b.total_cmp(a));
        for (rank, weight) in weights.iter().enumerate() {
            assert!((weight * (rank + 1) as f64 / weights[0] - 1.0).abs() < 1e-12);
        }
    }
}
