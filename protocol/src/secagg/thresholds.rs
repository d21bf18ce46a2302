//! How many neighbours, and how many of their shares it takes (docs/spec/secagg.md, "Thresholds").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::tails::Factorials;
use super::terms::{Bounds, Topology};
use crate::limits::MAX_SHAREHOLDERS;

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
    /// Fewest honest clients that it is of: survivors less colluders and, on a sparse graph, those
    /// few whom a coordinator can cut off by dropping all who drew them.
    pub honest: u32,
    /// Clients whose agreement decides on the survivors.
    pub witnesses: u32,
    /// How many of them must agree.
    pub agreements: u32,
}

/// No graph of this cohort keeps the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
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
    /// Most neighbours of a client on a sparse graph, drawn by it and drawing it: all that may collude,
    /// and five times as many honest ones as draw it on average, which is exceeded with a probability
    /// below 2^-5k. It bounds what others can make a client compute.
    pub const fn most_neighbours(&self) -> usize {
        (6 * self.shareholders + self.colluders) as usize
    }

    /// The thresholds for a cohort of `n`.
    ///
    /// # Errors
    /// [`Unreachable`] if nothing keeps the bounds.
    pub fn of(topology: Topology, bounds: &Bounds, n: u32) -> Result<Self, Unreachable> {
        let thresholds = match topology {
            Topology::Complete => Self::complete(bounds, n),
            Topology::Sparse => Self::sparse_or_known(bounds, n),
        };
        thresholds.ok_or(Unreachable { cohort: n, topology })
    }

    /// Those of a sparse graph take milliseconds where cohorts are large, and a plan is checked for a score of them, time and again.
    fn sparse_or_known(bounds: &Bounds, n: u32) -> Option<Self> {
        static KNOWN: Mutex<BTreeMap<(Bounds, u32), Option<Thresholds>>> =
            Mutex::new(BTreeMap::new());
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thresholds) = known().get(&(*bounds, n)) {
            return *thresholds;
        }
        let thresholds = Self::sparse(bounds, n);
        let mut known = known();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert((*bounds, n), thresholds);
        thresholds
    }

    fn complete(bounds: &Bounds, n: u32) -> Option<Self> {
        let survivors = bounds.survivors(n);
        let colluders = bounds.colluders(n);
        let threshold = majority(n, colluders);
        (threshold <= survivors).then_some(Self {
            cohort: n,
            colluders,
            shareholders: n,
            threshold,
            survivors,
            honest: survivors.saturating_sub(colluders),
            witnesses: n,
            agreements: threshold,
        })
    }

    fn sparse(bounds: &Bounds, n: u32) -> Option<Self> {
        let factorials = Factorials::up_to(n);
        let survivors = bounds.survivors(n);
        let colluders = bounds.colluders(n);
        let (shareholders, threshold) = neighbours(&factorials, bounds, n)?;
        let witnesses = n.min(WITNESSES);
        let agreements = majority(witnesses, lying_witnesses(&factorials, bounds, n, witnesses));
        let cut_off = cut_off(&factorials, bounds, n, shareholders);
        enough_agree(&factorials, bounds, n, witnesses, agreements).then_some(Self {
            cohort: n,
            colluders,
            shareholders,
            threshold,
            survivors,
            honest: survivors.saturating_sub(colluders + cut_off),
            witnesses,
            agreements,
        })
    }
}

/// Thresholds of sparse graphs that are remembered at once, of some 100 bytes each.
const MOST_KNOWN: usize = 4_096;

/// So many of `all` that two sets of them share more than `liars`.
const fn majority(all: u32, liars: u32) -> u32 {
    (all + liars) / 2 + 1
}

/// Witnesses of a large cohort: enough that what a tenth of colluders have among them stays far
/// below a third, however long the coordinator tries cohorts out.
const WITNESSES: u32 = 300;
/// Cohorts that a coordinator may try out to get witnesses it likes, as a power of two: the draw
/// follows from keys that colluders choose.
const TRIES: f64 = 64.0;

/// Most colluders among the witnesses, but for a probability of 2^-security after 2^[`TRIES`]
/// draws; all colluders where everybody is a witness.
fn lying_witnesses(factorials: &Factorials, bounds: &Bounds, n: u32, witnesses: u32) -> u32 {
    let colluders = bounds.colluders(n).min(n);
    let rare = libm::exp2(-f64::from(bounds.security_bits) - TRIES);
    let most = colluders.min(witnesses);
    (0..most)
        .find(|lying| factorials.at_least(n, colluders, witnesses, lying + 1) <= rare)
        .unwrap_or(most)
}

/// The most honest survivors that can be parted from the others by choosing, after the draws, who
/// is said to have dropped out, but for a probability of 2^-security: no more clients drew one of
/// them than may drop out. Whom they drew themselves does not help them, as the server can keep it
/// to itself. By a union over them; the draws of the others are independent.
fn cut_off(factorials: &Factorials, bounds: &Bounds, n: u32, k: u32) -> u32 {
    let (honest, dropped) = (n - bounds.colluders(n).min(n), bounds.dropouts(n));
    let rare = libm::exp2(-f64::from(bounds.security_bits));
    let chance = |size: u32| {
        let miss = factorials.choose(n - 1 - size, k) - factorials.choose(n - 1, k);
        let spared = factorials.hits_at_most(honest - size, miss, dropped);
        libm::exp(factorials.choose(honest, size) + spared)
    };
    let mut sum = 0.0;
    // From half of the honest down, until the sum is no longer rare.
    (1..=honest / 2)
        .rev()
        .find(|size| {
            sum += chance(*size);
            sum > rare
        })
        .unwrap_or(0)
}

/// Whether enough witnesses are left to agree when as many clients as may have dropped out, but for
/// a probability of 2^-correctness.
fn enough_agree(f: &Factorials, bounds: &Bounds, n: u32, witnesses: u32, needed: u32) -> bool {
    let lost = libm::exp2(-f64::from(bounds.correctness_bits));
    witnesses
        .checked_sub(needed)
        .is_some_and(|spare| f.at_least(n, bounds.dropouts(n).min(n), witnesses, spare + 1) <= lost)
}

/// The least even number k of neighbours for which there is a threshold t, and the least such t,
/// such that for each of the n clients, whose neighbours are k drawn from the n - 1 others,
///
/// - the coordinator cannot have both of its secrets: of its neighbours, fewer than 2t - k collude
///   (2t shares are needed, of which every honest neighbour gives one at most), but for a
///   probability of 2^-security over all clients together;
/// - its secret can be recovered: at least t of its neighbours survive, but for a probability of
///   2^-correctness;
/// - and all honest survivors are summed together, see [`split`].
fn neighbours(factorials: &Factorials, bounds: &Bounds, n: u32) -> Option<(u32, u32)> {
    let most = n.checked_sub(1)?.min(MAX_SHAREHOLDERS as u32);
    let colluders = bounds.colluders(n).min(n - 1);
    let together = |k, t| {
        split(factorials, colluders, n, k, t) <= libm::exp2(-f64::from(bounds.security_bits))
    };
    (2..=most).step_by(2).find_map(|k| {
        let mut thresholds = neighbourhood(factorials, bounds, n, k);
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
/// and the colluders. Without one, no part of the survivors can be summed apart (specification,
/// "Who is in the sum"). By a union over all sets of each size; the draws of different clients are
/// independent.
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

    #[test]
    fn witnesses_outnumber_their_colluders_and_few_are_cut_off() {
        let bounds = Bounds::default();
        let of = |n| Thresholds::of(Topology::Sparse, &bounds, n).expect("reachable");
        let honest = [(10, 5), (20, 14), (50, 38), (100, 79), (1_000, 798), (10_000, 7_985)];
        for (n, honest) in honest {
            assert_eq!(of(n).honest, honest, "{n}");
        }
        for n in [50, 100, 200, 1_000, 10_000] {
            let it = of(n);
            assert_eq!(it.witnesses, n.min(300));
            // Two sets of agreements share more than could collude, and a tenth may be missing.
            let shared = 2 * it.agreements - it.witnesses;
            let lying = lying_witnesses(&Factorials::up_to(n), &bounds, n, it.witnesses);
            assert!(shared > lying, "{n}");
            assert!(it.agreements <= it.witnesses - it.witnesses / 10, "{n}");
        }
        let complete = Thresholds::of(Topology::Complete, &bounds, 100).expect("reachable");
        assert_eq!((complete.agreements, complete.honest), (complete.threshold, 80));
    }

    /// What `Parameters::fewest_honest` rests on: a larger cohort than the smallest twenty of a round has
    /// no fewer honest clients than those.
    #[test]
    fn the_fewest_honest_are_in_one_of_the_smallest_cohorts() {
        for (collusion, dropout) in [(100, 100), (0, 400), (333, 100), (50, 300), (499, 0)] {
            let bounds = Bounds {
                collusion_permille: collusion,
                dropout_permille: dropout,
                ..Bounds::default()
            };
            for topology in [Topology::Complete, Topology::Sparse] {
                let honest = |n| Thresholds::of(topology, &bounds, n).ok().map(|it| it.honest);
                let honest: Vec<Option<u32>> = (3..200).map(honest).collect();
                for smallest in 0..honest.len() - 20 {
                    let fewest = honest[smallest..].iter().flatten().min();
                    let seen = honest[smallest..=smallest + 20].iter().flatten().min();
                    assert!(honest[smallest].is_none() || seen == fewest, "{bounds:?}");
                }
            }
        }
    }
}
