//! What was measured, in order.

use std::collections::{BTreeMap, BTreeSet};

use super::figure::Figure;
use crate::metrics::{Metric, RoundMetric, SearchMetric};

/// What was measured, by seed and then by round and hour. Where a line is there twice, the later one counts.
#[derive(Debug, Clone, Default)]
pub struct Measured<'a> {
    rounds: BTreeMap<u64, BTreeMap<u32, &'a RoundMetric>>,
    searches: BTreeMap<u64, BTreeMap<u32, &'a SearchMetric>>,
}

impl<'a> Measured<'a> {
    /// Puts lines in order.
    pub fn of(metrics: &'a [Metric]) -> Self {
        let mut measured = Self::default();
        for metric in metrics {
            match metric {
                Metric::Round(of) => {
                    measured.rounds.entry(of.seed).or_default().insert(of.round, of);
                }
                Metric::Search(of) => {
                    measured.searches.entry(of.seed).or_default().insert(of.hour, of);
                }
            }
        }
        measured
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.rounds.is_empty() && self.searches.is_empty()
    }

    /// Seeds of which there is anything.
    pub fn seeds(&self) -> BTreeSet<u64> {
        self.rounds.keys().chain(self.searches.keys()).copied().collect()
    }

    /// All rounds by seed, then round.
    pub fn rounds(&self) -> impl Iterator<Item = &'a RoundMetric> {
        self.rounds.values().flat_map(|rounds| rounds.values().copied())
    }

    /// All hours by seed, then hour.
    pub fn searches(&self) -> impl Iterator<Item = &'a SearchMetric> {
        self.searches.values().flat_map(|hours| hours.values().copied())
    }

    /// One value for each seed, of all its rounds; seeds without one are left out.
    pub(super) fn per_seed(
        &self,
        value: impl Fn(&mut dyn DoubleEndedIterator<Item = &'a RoundMetric>) -> Option<f64>,
    ) -> Option<Figure> {
        Figure::of(self.rounds.values().filter_map(|of| value(&mut of.values().copied())))
    }

    /// The last value that each seed has of something, as it is not measured in every round.
    pub(super) fn last(&self, value: impl Fn(&RoundMetric) -> Option<f64>) -> Option<Figure> {
        self.per_seed(|rounds| rounds.rev().find_map(&value))
    }

    /// The same for hours of questions.
    pub(super) fn per_seed_of_searches(
        &self,
        value: impl Fn(&mut dyn DoubleEndedIterator<Item = &'a SearchMetric>) -> Option<f64>,
    ) -> Option<Figure> {
        Figure::of(self.searches.values().filter_map(|of| value(&mut of.values().copied())))
    }

    /// A mean over seeds for each round in which any has a value.
    pub(super) fn by_round(
        &self,
        value: impl Fn(&RoundMetric) -> Option<f64>,
    ) -> Vec<(f64, Figure)> {
        by_number(self.rounds(), |of| of.round, value)
    }

    /// A mean over seeds for each hour in which any has a value.
    pub(super) fn by_hour(
        &self,
        value: impl Fn(&SearchMetric) -> Option<f64>,
    ) -> Vec<(f64, Figure)> {
        by_number(self.searches(), |of| of.hour, value)
    }

    /// The same without the rounds that not every seed has passed which has any.
    pub(super) fn in_step(&self) -> Self {
        let Some(done) = self.rounds_done() else { return self.clone() };
        let rounds = self.rounds.iter().map(|(seed, of)| {
            let of = of.range(..=done).map(|(round, metric)| (*round, *metric));
            (*seed, of.collect())
        });
        Self { rounds: rounds.collect(), searches: self.searches.clone() }
    }

    /// Rounds that are over in every seed that has any; none without rounds.
    pub(super) fn rounds_done(&self) -> Option<u32> {
        self.rounds.values().filter_map(|of| of.keys().next_back()).min().copied()
    }

    /// The highest number of a round that is there.
    pub(super) fn last_round(&self) -> Option<u32> {
        self.rounds().map(|of| of.round).max()
    }

    /// The highest number of an hour that is there.
    pub(super) fn last_hour(&self) -> Option<u32> {
        self.searches().map(|of| of.hour).max()
    }
}

fn by_number<'a, T: 'a>(
    lines: impl Iterator<Item = &'a T>,
    number: impl Fn(&T) -> u32,
    value: impl Fn(&T) -> Option<f64>,
) -> Vec<(f64, Figure)> {
    let mut values: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for line in lines {
        values.entry(number(line)).or_default().extend(value(line));
    }
    let figures = values.into_iter().map(|(at, values)| (f64::from(at), Figure::of(values)));
    figures.filter_map(|(at, figure)| Some((at, figure?))).collect()
}
