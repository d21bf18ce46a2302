//! What an hour's questions come to.

use std::collections::{BTreeMap, BTreeSet};

use super::forger::AD;
use super::hour::Came;
use super::town::{Role, Town};
use crate::SimError;
use crate::metrics::SearchMetric;

/// Different passages of others that each flooder has got so far, by its number.
pub(super) type Harvest = BTreeMap<usize, BTreeSet<String>>;

/// What is counted of an hour, in one district or several.
#[derive(Default)]
pub(super) struct Tally {
    counts: Counts,
    took_ms: Vec<f64>,
    found: usize,
    wanted: usize,
    /// Questions whose best result is a forger's, of questions to groups that have one.
    forged: usize,
    forgeable: usize,
    /// What part of others' passages each flooder has got, where that is known.
    harvested: Vec<f64>,
}

/// What is a sum whatever it is counted for.
#[derive(Default, Clone, Copy)]
struct Counts {
    questions: u64,
    asked: u64,
    answered: u64,
    refused: u64,
    timed_out: u64,
    offline: u64,
    bytes: u64,
}

impl Tally {
    /// Counts a question, and what a flooder got by it.
    pub(super) fn count(
        &mut self,
        town: &Town,
        came: &Came,
        harvest: &mut Harvest,
    ) -> Result<(), SimError> {
        self.counts.questions += 1;
        let group = &town.groups[came.group];
        let report = came.report.as_ref();
        let hits = report.into_iter().flat_map(|report| &report.results);
        let texts: Vec<&str> = hits.filter_map(|hit| hit.text.as_deref()).map(str::trim).collect();
        if let Some(report) = report {
            let coverage = &report.coverage;
            self.counts.asked += u64::from(coverage.asked);
            self.counts.answered += u64::from(coverage.answered);
            self.counts.refused += u64::from(coverage.refused);
            self.counts.timed_out += u64::from(coverage.timed_out);
            self.counts.offline += u64::from(coverage.offline);
            self.took_ms.push(came.took.as_secs_f64() * 1e3);
        }
        if group.peers.iter().any(|peer| matches!(town.roles.get(peer), Some(Role::Forger(_)))) {
            self.forgeable += 1;
            self.forged += usize::from(texts.first().is_some_and(|text| text.starts_with(AD)));
        }
        let Some(truth) = &group.truth else { return Ok(()) };
        // A question that failed has found nothing.
        let best = truth.best(&came.text)?;
        self.wanted += best.len();
        self.found += best.iter().filter(|text| texts.contains(text)).count();
        if let Some(Role::Flooder(_)) = town.roles.get(&came.peer) {
            let others = truth.of_others(came.peer);
            let got = texts.into_iter().filter(|text| others.contains(text)).map(str::to_owned);
            harvest.entry(came.peer).or_default().extend(got);
        }
        Ok(())
    }

    /// The hour is over in a district: so many bytes were moved, and that is what flooders have.
    pub(super) fn end(&mut self, town: &Town, harvest: &Harvest, bytes: u64) {
        self.counts.bytes = bytes;
        self.harvested = town.flooders().filter_map(|it| harvested(town, harvest, it)).collect();
    }

    /// The same hour in another district as well.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.counts = self.counts.and(other.counts);
        self.took_ms.extend(other.took_ms);
        self.found += other.found;
        self.wanted += other.wanted;
        self.forged += other.forged;
        self.forgeable += other.forgeable;
        self.harvested.extend(other.harvested);
        self
    }

    /// Sums up.
    pub(super) fn told(mut self, seed: u64, hour: u32) -> SearchMetric {
        self.took_ms.sort_by(f64::total_cmp);
        let Counts { questions, asked, answered, refused, timed_out, offline, bytes } = self.counts;
        let share = |some: usize, all: usize| (all > 0).then(|| some as f64 / all as f64);
        let flooders = self.harvested.len() as f64;
        SearchMetric {
            seed,
            hour,
            at_s: 3_600.0 * f64::from(hour),
            questions,
            asked,
            answered,
            refused,
            timed_out,
            offline,
            recall: share(self.found, self.wanted),
            p50_ms: quantile(&self.took_ms, 50),
            p95_ms: quantile(&self.took_ms, 95),
            bytes,
            attack: share(self.forged, self.forgeable),
            harvested: (flooders > 0.0).then(|| self.harvested.iter().sum::<f64>() / flooders),
        }
    }
}

impl Counts {
    fn and(self, other: Self) -> Self {
        Self {
            questions: self.questions + other.questions,
            asked: self.asked + other.asked,
            answered: self.answered + other.answered,
            refused: self.refused + other.refused,
            timed_out: self.timed_out + other.timed_out,
            offline: self.offline + other.offline,
            bytes: self.bytes + other.bytes,
        }
    }
}

/// Which part of what others in a flooder's group share now it has got, where that is known and there is anything.
fn harvested(town: &Town, harvest: &Harvest, (group, peer): (usize, usize)) -> Option<f64> {
    let others = town.groups[group].truth.as_ref()?.of_others(peer);
    let got = harvest.get(&peer).into_iter().flatten();
    let got = got.filter(|text| others.contains(text.as_str())).count();
    (!others.is_empty()).then(|| got as f64 / others.len() as f64)
}

/// The least of these values, in their order, that so many of a hundred do not exceed; 0 where there are none.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (percent * sorted.len()).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        for (percent, of, expected) in [(95, 20, 19.0), (50, 20, 10.0), (95, 1, 1.0), (50, 3, 2.0)]
        {
            assert_eq!(quantile(&values[..of], percent), expected, "{percent} of {of}");
        }
        assert_eq!(quantile(&[], 95), 0.0);
    }
}
