//! How many neighbours, and how many of their shares it takes (docs/spec/secagg.md, "Thresholds").

use serde::{Deserialize, Serialize};

use super::tails::Factorials;
use super::terms::{Bounds, Topology};
use crate::limits::MAX_NEIGHBOURS;

/// What follows from a cohort's size and a round's bounds. Everybody computes it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// Size of the cohort.
    pub cohort: u32,
    /// Most colluding clients.
    pub colluders: u32,
    /// Shareholders of each client: on a complete graph the whole cohort, the client included; on a
    /// sparse one the neighbours it drew.
    pub shareholders: u32,
    /// How many shares recover a secret.
    pub threshold: u32,
    /// Fewest survivors that the sum may be of.
    pub survivors: u32,
}

/// No graph of this cohort keeps the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cohort of {cohort} cannot keep these bounds{}", hint(*.topology))]
pub struct Unreachable {
    /// Size of the cohort.
    pub cohort: u32,
    /// The topology asked for.
    pub topology: Topology,
}

const fn hint(topology: Topology) -> &'static str {
    match topology {
        Topology::Complete => "; allow fewer colluders or dropouts, or wait for more clients",
        Topology::Sparse => " on a sparse graph; use a complete one",
    }
}

impl Thresholds {
    /// The thresholds for a cohort of `n`.
    ///
    /// # Errors
    /// [`Unreachable`] if nothing keeps the bounds.
    pub fn of(topology: Topology, bounds: &Bounds, n: u32) -> Result<Self, Unreachable> {
        let unreachable = Unreachable { cohort: n, topology };
        let survivors = n - bounds.dropouts(n).min(n);
        let colluders = bounds.colluders(n);
        let (shareholders, threshold) = match topology {
            Topology::Complete => {
                Some((n, (n + colluders) / 2 + 1)).filter(|(_, t)| *t <= survivors)
            }
            Topology::Sparse => sparse(bounds, n),
        }
        .ok_or(unreachable)?;
        Ok(Self { cohort: n, colluders, shareholders, threshold, survivors })
    }
}

/// The least even number k of neighbours for which there is a threshold t, and the least such t,
/// such that for each of
/// the n clients, whose neighbours are k drawn from the n - 1 others,
///
/// - the coordinator cannot have both of its secrets: of its neighbours, fewer than 2t - k collude
///   (2t shares are needed, of which every honest neighbour gives one at most), but for a
///   probability of 2^-security over all clients together;
/// - its secret can be recovered: at least t of its neighbours survive, but for a probability of
///   2^-correctness;
/// - and all honest survivors are summed together, see [`split`].
fn sparse(bounds: &Bounds, n: u32) -> Option<(u32, u32)> {
    let factorials = Factorials::up_to(n);
    let most = n.checked_sub(1)?.min(MAX_NEIGHBOURS as u32 / 4);
    let colluders = bounds.colluders(n).min(n - 1);
    let together = |k, t| {
        split(&factorials, colluders, n, k, t) <= libm::exp2(-f64::from(bounds.security_bits))
    };
    (2..=most).step_by(2).find_map(|k| {
        let mut thresholds = neighbourhood(&factorials, bounds, n, k);
        thresholds.find(|t| together(k, *t)).map(|t| (k, t))
    })
}

/// The thresholds for k neighbours that keep the first two of the conditions.
fn neighbourhood(
    factorials: &Factorials,
    bounds: &Bounds,
    n: u32,
    k: u32,
) -> impl Iterator<Item = u32> {
    let others = n - 1;
    let (colluders, dropouts) = (bounds.colluders(n).min(others), bounds.dropouts(n).min(others));
    let insecure = libm::exp2(-f64::from(bounds.security_bits)) / f64::from(n);
    let lost = libm::exp2(-f64::from(bounds.correctness_bits)) / f64::from(n);
    (k / 2 + 1..=k)
        .skip_while(move |t| factorials.at_least(others, colluders, k, 2 * t - k) > insecure)
        .take_while(move |t| factorials.at_least(others, dropouts, k, k - t + 1) <= lost)
}

/// A bound on the probability that the honest survivors can be split: that there is a set of at
/// most half of the honest clients, each of whom drew at least t of its k neighbours from that set
/// and the colluders. Without one, nobody can be made to agree to survivors of whom the others
/// heard nothing, and no part of the survivors is masked among itself only. By a union over all
/// sets of each size; the draws of different clients are independent.
fn split(factorials: &Factorials, colluders: u32, n: u32, k: u32, t: u32) -> f64 {
    let honest = n - colluders;
    (1..=honest / 2)
        .map(|size| {
            let inside = (size - 1 + colluders).min(n - 1);
            let one = libm::log(factorials.at_least(n - 1, inside, k, t));
            libm::exp(factorials.choose(honest, size) + f64::from(size) * one)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(topology: Topology, n: u32, collusion: u16, dropout: u16) -> Option<(u32, u32)> {
        let bounds = Bounds {
            collusion_permille: collusion,
            dropout_permille: dropout,
            ..Bounds::default()
        };
        let thresholds = Thresholds::of(topology, &bounds, n).ok()?;
        Some((thresholds.shareholders, thresholds.threshold))
    }

    /// Neighbours and threshold by cohort for a tenth of colluders and of dropouts, 2^-40 and 2^-20,
    /// as the formula of Bell et al. 2020 gives them for a malicious server and an honest graph:
    /// our first two conditions alone.
    #[test]
    fn neighbourhoods_agree_with_the_published_formula() {
        let cases = [
            (10, (4, 3)),
            (20, (8, 6)),
            (50, (16, 11)),
            (100, (32, 22)),
            (200, (56, 39)),
            (1_000, (96, 67)),
            (10_000, (122, 85)),
        ];
        for (n, expected) in cases {
            let factorials = Factorials::up_to(n);
            let found = (2..n).step_by(2).find_map(|k| {
                Some((k, neighbourhood(&factorials, &Bounds::default(), n, k).next()?))
            });
            assert_eq!(found, Some(expected), "{n}");
        }
    }

    #[test]
    fn small_sparse_cohorts_take_more_neighbours_and_large_ones_do_not() {
        let cases = [
            (10, Some((6, 5))),
            (20, Some((12, 10))),
            (50, Some((18, 13))),
            (100, Some((32, 22))),
            (1_000, Some((96, 67))),
            (10_000, Some((122, 85))),
        ];
        for (n, expected) in cases {
            assert_eq!(of(Topology::Sparse, n, 100, 100), expected, "{n}");
        }
    }

    #[test]
    fn complete_graphs_take_more_than_half_of_all_and_colluders() {
        let cases = [(3, 3), (5, 4), (10, 7), (20, 14), (50, 34), (100, 67), (200, 134)];
        for (n, threshold) in cases {
            assert_eq!(of(Topology::Complete, n, 334, 0), Some((n, threshold)), "{n}");
        }
        assert_eq!(of(Topology::Complete, 3, 334, 334), None, "nobody may be missing of three");
    }
}
