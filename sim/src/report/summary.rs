//! A run in a few figures, for programs that compare many.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::figure::Figure;
use super::measured::Measured;
use crate::metrics::{RoundMetric, SearchMetric};
use crate::scenario::Scenario;

/// Version of the summary's schema.
pub const VERSION: u32 = 1;

/// What a run came to. Within a version fields are only added.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of the schema.
    pub version: u32,
    /// Whether the run came to its end.
    pub complete: bool,
    /// What the scenario is called.
    pub name: String,
    /// Seeds of which anything was measured.
    pub seeds: Vec<u64>,
    /// What rounds came to, if there were any.
    pub rounds: Option<RoundsSummary>,
    /// What questions came to, if any were asked.
    pub search: Option<SearchSummary>,
}

/// What rounds came to: means over seeds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundsSummary {
    /// Rounds that are over in every seed, those that failed among them.
    pub done: u32,
    /// Rounds that came to nothing.
    pub failed: Option<Figure>,
    /// Quality before the first round.
    pub quality_before: Option<Figure>,
    /// Quality when it was last measured.
    pub quality: Option<Figure>,
    /// Mean quality of the tenth of the peers that are served worst, when it was last measured.
    pub worst_decile: Option<Figure>,
    /// Mean quality of all peers, where each is judged by its own pairs, when it was last measured.
    #[serde(default)]
    pub peers_quality: Option<Figure>,
    /// Loss when it was last measured.
    pub loss: Option<Figure>,
    /// The most epsilon that any peer has spent, by what its ledger is charged; absent without noise, where there is no bound.
    pub epsilon: Option<Figure>,
    /// Noise on each sum, as a multiple of the clip norm.
    #[serde(default)]
    pub noise: Option<Figure>,
    /// Share of what honest peers alone gained that an attack has undone, when it was last measured.
    pub attack: Option<Figure>,
    /// Times that a check had an honest peer go no further; absent where there was no cause.
    #[serde(default)]
    pub refused: Option<Figure>,
    /// The same by the check's number.
    #[serde(default)]
    pub refused_by: BTreeMap<String, Figure>,
    /// Times that one opened shares for a coordinator that lied.
    #[serde(default)]
    pub opened: Option<Figure>,
    /// Updates of honest peers that a coordinator which lies or has colluders could open, in all rounds.
    #[serde(default)]
    pub exposed: Option<Figure>,
    /// Share of those who checked in whose vectors were summed, in rounds that came to something.
    pub survived: Option<Figure>,
    /// Bytes that a peer sent in all rounds, on average over all peers of the scenario.
    pub up_per_peer_bytes: Option<Figure>,
    /// And received.
    pub down_per_peer_bytes: Option<Figure>,
    /// Most bytes that one peer sent in a round.
    pub most_up_bytes: Option<Figure>,
    /// And received.
    pub most_down_bytes: Option<Figure>,
    /// Bytes that all peers sent and received.
    pub total_bytes: Option<Figure>,
    /// Virtual seconds until the end of the last round.
    pub virtual_s: Option<Figure>,
}

/// What questions came to: means over seeds of what an hour came to, each hour weighted by its questions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SearchSummary {
    /// Questions asked.
    pub questions: Option<Figure>,
    /// Members asked.
    pub asked: Option<Figure>,
    /// Share of them that answered.
    pub answered: Option<Figure>,
    /// That refused.
    pub refused: Option<Figure>,
    /// That did not answer in time.
    pub timed_out: Option<Figure>,
    /// That could not be reached.
    pub offline: Option<Figure>,
    /// Share of the best ten passages of everybody in the group that were found.
    pub recall: Option<Figure>,
    /// Milliseconds within which half of an hour's questions were answered.
    pub p50_ms: Option<Figure>,
    /// Milliseconds within which 95 of a hundred were.
    pub p95_ms: Option<Figure>,
    /// Bytes moved.
    pub total_bytes: Option<Figure>,
    /// Share of questions whose best result is forged, of those to groups with forgers.
    pub attack: Option<Figure>,
    /// Share of others' passages that flooders have got in the end.
    #[serde(default)]
    pub harvested: Option<Figure>,
}

impl Summary {
    /// Sums up a run.
    pub fn of(scenario: &Scenario, measured: &Measured<'_>, complete: bool) -> Self {
        Self {
            version: VERSION,
            complete,
            name: scenario.name.clone(),
            seeds: measured.seeds().into_iter().collect(),
            // Seeds at different rounds are not to be averaged, least of all what was spent.
            rounds: match complete {
                true => RoundsSummary::of(scenario, measured),
                false => RoundsSummary::of(scenario, &measured.in_step()),
            },
            search: SearchSummary::of(measured),
        }
    }

    /// All figures by name, in a fixed order.
    pub fn figures(&self) -> Vec<(&'static str, Option<Figure>)> {
        let mut figures = Vec::new();
        if let Some(of) = &self.rounds {
            figures.extend([
                ("failed_rounds", of.failed),
                ("quality_before", of.quality_before),
                ("quality", of.quality),
                ("worst_decile", of.worst_decile),
                ("peers_quality", of.peers_quality),
                ("loss", of.loss),
                ("epsilon", of.epsilon),
                ("noise", of.noise),
                ("attack", of.attack),
                ("refusals", of.refused),
                ("opened", of.opened),
                ("exposed", of.exposed),
                ("survived", of.survived),
                ("up_per_peer_bytes", of.up_per_peer_bytes),
                ("down_per_peer_bytes", of.down_per_peer_bytes),
                ("most_up_bytes", of.most_up_bytes),
                ("most_down_bytes", of.most_down_bytes),
                ("total_bytes", of.total_bytes),
                ("virtual_s", of.virtual_s),
            ]);
        }
        if let Some(of) = &self.search {
            figures.extend([
                ("questions", of.questions),
                ("asked", of.asked),
                ("answered", of.answered),
                ("refused", of.refused),
                ("timed_out", of.timed_out),
                ("offline", of.offline),
                ("recall", of.recall),
                ("p50_ms", of.p50_ms),
                ("p95_ms", of.p95_ms),
                ("search_bytes", of.total_bytes),
                ("search_attack", of.attack),
                ("harvested", of.harvested),
            ]);
        }
        figures
    }
}

impl RoundsSummary {
    fn of(scenario: &Scenario, measured: &Measured<'_>) -> Option<Self> {
        let peers = f64::from(scenario.peers.max(1));
        let sum = |value: fn(&RoundMetric) -> f64| {
            move |rounds: &mut dyn DoubleEndedIterator<Item = &RoundMetric>| {
                Some(rounds.map(value).sum::<f64>())
            }
        };
        let most = |value: fn(&RoundMetric) -> u64| {
            move |rounds: &mut dyn DoubleEndedIterator<Item = &RoundMetric>| {
                rounds.map(value).max().map(|most| most as f64)
            }
        };
        let all = |value: fn(&RoundMetric) -> Option<u32>| {
            move |rounds: &mut dyn DoubleEndedIterator<Item = &RoundMetric>| {
                let values = rounds.filter_map(value).map(f64::from);
                values.fold(None, |sum: Option<f64>, value| Some(sum.unwrap_or_default() + value))
            }
        };
        let sums = scenario.training.algorithm.sums();
        // In the clear nothing is sent, and rounds take as long as they may.
        let over_network = sums && scenario.sum.secure;
        let sent =
            |value: &dyn Fn(&mut dyn DoubleEndedIterator<Item = &RoundMetric>) -> Option<f64>| {
                measured.per_seed(value).filter(|_| over_network)
            };
        Some(Self {
            done: measured.rounds_done()?,
            failed: measured.per_seed(sum(|of| if of.failed.is_some() { 1.0 } else { 0.0 })),
            quality_before: measured
                .per_seed(|rounds| rounds.next().filter(|of| of.round == 0)?.quality),
            quality: measured.last(|of| of.quality),
            worst_decile: measured.last(|of| of.worst_decile),
            peers_quality: measured.last(|of| of.peers_quality),
            loss: measured.last(|of| of.loss),
            epsilon: measured.last(|of| of.epsilon),
            noise: measured.last(|of| of.noise),
            attack: measured.last(|of| of.attack),
            refused: measured.per_seed(refused),
            refused_by: refused_by(measured),
            opened: measured.per_seed(all(|of| of.opened)),
            exposed: measured.per_seed(all(|of| of.exposed)),
            survived: measured.per_seed(survived).filter(|_| sums),
            up_per_peer_bytes: sent(&sum(|of| of.up_bytes as f64)).map(|of| of.over(peers)),
            down_per_peer_bytes: sent(&sum(|of| of.down_bytes as f64)).map(|of| of.over(peers)),
            most_up_bytes: sent(&most(|of| of.most_up_bytes)),
            most_down_bytes: sent(&most(|of| of.most_down_bytes)),
            total_bytes: sent(&sum(|of| of.up_bytes as f64 + of.down_bytes as f64)),
            virtual_s: measured.last(|of| Some(of.at_s)).filter(|_| over_network),
        })
    }
}

/// None where nobody refused or was lied to.
fn refused(rounds: &mut dyn DoubleEndedIterator<Item = &RoundMetric>) -> Option<f64> {
    let (sum, cause) = rounds
        .fold((0, false), |(sum, cause), of| (sum + of.refusals(), cause || of.exposed.is_some()));
    (sum > 0 || cause).then(|| f64::from(sum))
}

fn refused_by(measured: &Measured<'_>) -> BTreeMap<String, Figure> {
    let checks: BTreeSet<&String> = measured.rounds().flat_map(|of| of.refused.keys()).collect();
    let times = |check: &String| {
        let of = |round: &RoundMetric| round.refused.get(check).copied().unwrap_or_default();
        measured.per_seed(|rounds| Some(rounds.map(|round| f64::from(of(round))).sum()))
    };
    checks.into_iter().filter_map(|check| Some((check.clone(), times(check)?))).collect()
}

fn survived(rounds: &mut dyn DoubleEndedIterator<Item = &RoundMetric>) -> Option<f64> {
    let sums = rounds.filter(|of| of.failed.is_none() && of.cohort > 0);
    let (survivors, cohort) = sums.fold((0.0, 0.0), |(survivors, cohort), of| {
        (survivors + f64::from(of.survivors), cohort + f64::from(of.cohort))
    });
    (cohort > 0.0).then(|| survivors / cohort)
}

impl SearchSummary {
    fn of(measured: &Measured<'_>) -> Option<Self> {
        let sum = |value: fn(&SearchMetric) -> u64| {
            measured.per_seed_of_searches(|hours| Some(hours.map(|of| value(of) as f64).sum()))
        };
        let share = |value: fn(&SearchMetric) -> u64| {
            measured.per_seed_of_searches(|hours| {
                mean(hours.map(|of| (value(of) as f64 / of.asked as f64, of.asked as f64)))
            })
        };
        let weighted = |value: fn(&SearchMetric) -> Option<f64>| {
            measured.per_seed_of_searches(|hours| {
                mean(hours.filter_map(|of| Some((value(of)?, of.questions as f64))))
            })
        };
        measured.searches().next()?;
        Some(Self {
            questions: sum(|of| of.questions),
            asked: sum(|of| of.asked),
            answered: share(|of| of.answered),
            refused: share(|of| of.refused),
            timed_out: share(|of| of.timed_out),
            offline: share(|of| of.offline),
            recall: weighted(|of| of.recall),
            p50_ms: weighted(|of| Some(of.p50_ms)),
            p95_ms: weighted(|of| Some(of.p95_ms)),
            total_bytes: sum(|of| of.bytes),
            attack: weighted(|of| of.attack),
            harvested: measured
                .per_seed_of_searches(|hours| hours.rev().find_map(|of| of.harvested)),
        })
    }
}

/// A weighted mean; none without weight.
fn mean(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let values = values.filter(|(_, weight)| *weight > 0.0);
    let (sum, weight) = values
        .fold((0.0, 0.0), |(sum, all), (value, weight)| (value.mul_add(weight, sum), all + weight));
    (weight > 0.0).then(|| sum / weight)
}
