//! What an hour's questions come to.

use std::collections::{BTreeMap, BTreeSet};

use super::forger::AD;
use super::hour::Came;
use super::town::{Role, Town};
use crate::SimError;
use crate::metrics::SearchMetric;

/// Different passages of others that each flooder has got so far, by its number.
pub(super) type Harvest = BTreeMap<usize, BTreeSet<String>>;

/// What is counted besides the metric itself.
#[derive(Default)]
pub(super) struct Tally {
    took_ms: Vec<f64>,
    found: usize,
    wanted: usize,
    /// Questions whose best result is a forger's, of questions to groups that have one.
    forged: usize,
    forgeable: usize,
    harvest: Harvest,
}

impl Tally {
    /// Goes on with what was harvested before.
    pub(super) fn with(harvest: Harvest) -> Self {
        Self { harvest, ..Self::default() }
    }

    pub(super) fn count(
        &mut self,
        town: &Town,
        came: &Came,
        metric: &mut SearchMetric,
    ) -> Result<(), SimError> {
        metric.questions += 1;
        let group = &town.groups[came.group];
        let report = came.report.as_ref();
        let hits = report.into_iter().flat_map(|report| &report.results);
        let texts: Vec<&str> = hits.filter_map(|hit| hit.text.as_deref()).map(str::trim).collect();
        if let Some(report) = report {
            let coverage = &report.coverage;
            metric.asked += u64::from(coverage.asked);
            metric.answered += u64::from(coverage.answered);
            metric.refused += u64::from(coverage.refused);
            metric.timed_out += u64::from(coverage.timed_out);
            metric.offline += u64::from(coverage.offline);
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
            self.harvest.entry(came.peer).or_default().extend(got);
        }
        Ok(())
    }

    /// Sums up, and gives back what was harvested so far.
    pub(super) fn finish(mut self, town: &Town, metric: &mut SearchMetric) -> Harvest {
        self.took_ms.sort_by(f64::total_cmp);
        metric.p50_ms = quantile(&self.took_ms, 50);
        metric.p95_ms = quantile(&self.took_ms, 95);
        metric.recall = (self.wanted > 0).then(|| self.found as f64 / self.wanted as f64);
        metric.attack = (self.forgeable > 0).then(|| self.forged as f64 / self.forgeable as f64);
        let shares: Vec<f64> = town.flooders().filter_map(|it| self.harvested(town, it)).collect();
        let count = shares.len() as f64;
        metric.harvested = (count > 0.0).then(|| shares.iter().sum::<f64>() / count);
        self.harvest
    }

    /// Which part of what others in a flooder's group share now it has got, where that is known and there is anything.
    fn harvested(&self, town: &Town, (group, peer): (usize, usize)) -> Option<f64> {
        let others = town.groups[group].truth.as_ref()?.of_others(peer);
        let got = self.harvest.get(&peer).into_iter().flatten();
        let got = got.filter(|text| others.contains(text.as_str())).count();
        (!others.is_empty()).then(|| got as f64 / others.len() as f64)
    }
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
