//! Joining a dense and a lexical ranking by a convex combination of their scores.
//!
//! Both scores are brought to [0, 1] first: the cosine from the bounds it has by itself, BM25 from
//! 0 to the best score of the list. What the lexical list lacks scores 0; what the dense list lacks
//! scores as its last entry, the most it can have. See Bruch, Gai and Ingber 2022, "An Analysis of
//! Fusion Functions for Hybrid Retrieval" (arXiv 2210.11934), which finds this better than fusing
//! ranks.

use std::collections::BTreeMap;

/// The share of the dense score by default.
///
/// Chosen on training queries with a 256-dimensional static model and lists of 100, nDCG@10 at
/// 0, .3, .5, .6, .7, .9 and 1: scifact .696 .701 .704 .709 .710 .692 .547, nfcorpus .332 .340 .342
/// .342 .342 .329 .258. With the exact cosine in place of the dense list's last entry it is much
/// the same there; so taken, 20ng-threads has .508 .513 .514 .512 .505 .441 .295 and
/// debian-packages .687 .691 .694 .694 .688 .640 .513.
pub(crate) const DEFAULT_ALPHA: f32 = 0.6;

/// Adds up `alpha` of the dense and `1 - alpha` of the lexical score for everything in either
/// list, best first, equal scores in order of key.
///
/// `dense` holds cosines from -1 to 1, `lexical` BM25 scores from 0; neither need be sorted, each
/// names a key once, and scores that are not finite count as least. `alpha` is brought into 0 to 1.
pub(crate) fn fuse<K: Ord + Copy>(
    dense: &[(K, f32)],
    lexical: &[(K, f32)],
    alpha: f32,
) -> Vec<(K, f32)> {
    let alpha = if alpha.is_nan() { 0.0 } else { alpha.clamp(0.0, 1.0) };
    let best = lexical.iter().map(|&(_, score)| finite(score)).fold(0.0, f32::max);
    let last = dense.iter().map(|&(_, cosine)| unit(cosine)).reduce(f32::min).unwrap_or(0.0);
    let mut scores: BTreeMap<K, f32> = BTreeMap::new();
    for &(key, cosine) in dense {
        scores.insert(key, alpha * unit(cosine));
    }
    for &(key, score) in lexical {
        let share = if best > 0.0 { finite(score).max(0.0) / best } else { 0.0 };
        *scores.entry(key).or_insert(alpha * last) += (1.0 - alpha) * share;
    }
    let mut all: Vec<(K, f32)> = scores.into_iter().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

/// A cosine's place between its bounds.
fn unit(cosine: f32) -> f32 {
    if cosine.is_finite() { (cosine.clamp(-1.0, 1.0) + 1.0) / 2.0 } else { 0.0 }
}

fn finite(score: f32) -> f32 {
    if score.is_finite() { score } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type List = &'static [(u8, f32)];

    fn check(dense: List, lexical: List, alpha: f32, expected: List) {
        let found = fuse(dense, lexical, alpha);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((key, score), (wanted, value)) in found.iter().zip(expected) {
            assert_eq!(key, wanted, "{found:?}");
            assert!((score - value).abs() < 1e-6, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn lists_are_joined() {
        check(&[], &[], 0.5, &[]);
        check(&[(1, 0.5)], &[], 0.8, &[(1, 0.6)]);
        check(&[], &[(1, 3.0), (2, 6.0)], 0.8, &[(2, 0.2), (1, 0.1)]);
        check(&[(1, 1.0), (2, 0.0)], &[(2, 8.0)], 0.5, &[(2, 0.75), (1, 0.5)]);
        check(&[(1, 0.2), (2, 0.1)], &[(2, 8.0)], 1.0, &[(1, 0.6), (2, 0.55)]);
        check(&[(1, 0.2), (2, 0.1)], &[(2, 8.0)], 0.0, &[(2, 1.0), (1, 0.0)]);
        check(&[(2, 0.0), (1, 0.0)], &[], 0.5, &[(1, 0.25), (2, 0.25)]);
        check(&[(1, 1.0), (2, 0.0)], &[(3, 8.0)], 0.5, &[(3, 0.75), (1, 0.5), (2, 0.25)]);
        check(&[(1, f32::NAN)], &[(2, f32::INFINITY)], 0.5, &[(1, 0.0), (2, 0.0)]);
        check(&[(1, 5.0)], &[(1, -5.0)], f32::NAN, &[(1, 0.0)]);
    }

    proptest! {
        #[test]
        fn scores_stay_in_bounds(
            dense in prop::collection::btree_map(any::<u8>(), any::<f32>(), 0..20),
            lexical in prop::collection::btree_map(any::<u8>(), any::<f32>(), 0..20),
            alpha in any::<f32>(),
        ) {
            let dense: Vec<_> = dense.into_iter().collect();
            let lexical: Vec<_> = lexical.into_iter().collect();
            let all = fuse(&dense, &lexical, alpha);
            prop_assert!(all.is_sorted_by(|a, b| a.1 >= b.1));
            prop_assert!(all.iter().all(|(_, score)| (0.0..=1.0 + 1e-6).contains(score)));
            let either = |key: u8| dense.iter().chain(&lexical).any(|(found, _)| *found == key);
            prop_assert!((0..=255).filter(|key| either(*key)).count() == all.len());
        }
    }
}
