//! One hour of questions.

use std::time::Duration;

use covey_node::api::SearchReport;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tokio::time::{Instant, sleep_until};

use super::forger::AD;
use super::town::Town;
use crate::SimError;
use crate::metrics::SearchMetric;
use crate::scenario::{Attack, Scenario};
use crate::seed::{Draw, derive};

/// One question: when, in which group, by whom.
struct Asked {
    at: Duration,
    group: usize,
    peer: usize,
    text: String,
}

/// What came of it.
struct Came {
    group: usize,
    peer: usize,
    text: String,
    took: Duration,
    report: Option<SearchReport>,
}

/// Replaces who goes, lets people be away, and asks.
pub(super) async fn pass(
    town: &mut Town,
    scenario: &Scenario,
    seed: u64,
    hour: u32,
) -> Result<SearchMetric, SimError> {
    town.churn(scenario, hour).await?;
    be_away(town, scenario, hour);
    let before = town.world.transcript().bytes;
    let begun = Instant::now();
    let town = &*town;
    let mut metric = SearchMetric { seed, hour, ..SearchMetric::default() };
    let mut tally = Tally::default();
    let mut running = FuturesUnordered::new();
    for asked in questions(town, scenario, hour) {
        let at = begun + asked.at;
        // What comes back meanwhile is counted in the order of its coming.
        loop {
            tokio::select! {
                biased;
                Some(came) = running.next() => tally.count(town, &came, &mut metric)?,
                () = sleep_until(at) => break,
            }
        }
        running.push(ask(town, asked));
    }
    while let Some(came) = running.next().await {
        tally.count(town, &came, &mut metric)?;
    }
    sleep_until(begun + Duration::from_secs(3_600)).await;
    tally.finish(scenario, &mut metric);
    metric.at_s = 3_600.0 * f64::from(hour);
    metric.bytes = town.world.transcript().bytes - before;
    Ok(metric)
}

/// Takes down who is away in that hour, and brings others up. A group's owner is always there: nobody could come or go without it.
fn be_away(town: &Town, scenario: &Scenario, hour: u32) {
    let share = scenario.availability.away;
    if share <= 0.0 {
        return;
    }
    for peer in town.groups.iter().flat_map(|group| group.peers.iter().skip(1)) {
        if crate::training::is_away(town.seed, *peer, share, f64::from(hour)) {
            town.world.take_down(*peer);
        } else {
            town.world.bring_up(*peer);
        }
    }
}

/// The hour's questions in the order of their times. Who is away asks nothing.
fn questions(town: &Town, scenario: &Scenario, hour: u32) -> Vec<Asked> {
    let mut all = Vec::new();
    for (number, group) in town.groups.iter().enumerate() {
        for peer in &group.peers {
            let away = scenario.availability.away;
            let is_away = group.peers[0] != *peer
                && crate::training::is_away(town.seed, *peer, away, f64::from(hour));
            if is_away || town.forgers.contains_key(peer) {
                continue;
            }
            let more = town.flooders.get(peer).copied().unwrap_or(1.0);
            let mut draw = Draw::new(town.seed, "questions", *peer as u64, hour.into());
            let count = draw.about(scenario.search.per_hour * more);
            let words = derive(town.seed, "words", *peer as u64, hour.into());
            let mut words = ChaCha20Rng::from_seed(words);
            for _ in 0..count {
                let at = Duration::from_secs_f64(3_600.0 * draw.share());
                let subject = draw.below(town.made_up.subjects().max(1) as usize) as u32;
                let text = town.made_up.question(subject, &mut words);
                all.push(Asked { at, group: number, peer: *peer, text });
            }
        }
    }
    all.sort_by_key(|asked| (asked.at, asked.peer));
    all
}

async fn ask(town: &Town, asked: Asked) -> Came {
    let Asked { group, peer, text, .. } = asked;
    let begun = Instant::now();
    let report = town.world.ask(peer, &town.groups[group].name, &text).await;
    let report =
        report.inspect_err(|error| tracing::debug!(%error, "a question gets no answer")).ok();
    Came { group, peer, text, took: begun.elapsed(), report }
}

/// What is counted besides the metric itself.
#[derive(Default)]
struct Tally {
    took_ms: Vec<f64>,
    found: usize,
    wanted: usize,
    /// Questions whose best result is a forger's, of questions to groups that have one.
    forged: usize,
    forgeable: usize,
    /// Different passages that flooders have got of those there are for them.
    harvested: std::collections::BTreeMap<usize, (std::collections::BTreeSet<String>, usize)>,
}

impl Tally {
    fn count(
        &mut self,
        town: &Town,
        came: &Came,
        metric: &mut SearchMetric,
    ) -> Result<(), SimError> {
        metric.questions += 1;
        let Some(report) = &came.report else { return Ok(()) };
        let coverage = &report.coverage;
        metric.asked += u64::from(coverage.asked);
        metric.answered += u64::from(coverage.answered);
        metric.refused += u64::from(coverage.refused);
        metric.timed_out += u64::from(coverage.timed_out);
        metric.offline += u64::from(coverage.offline);
        self.took_ms.push(came.took.as_secs_f64() * 1e3);
        let group = &town.groups[came.group];
        let texts = || report.results.iter().filter_map(|hit| hit.text.as_deref()).map(str::trim);
        if group.peers.iter().any(|peer| town.forgers.contains_key(peer)) {
            self.forgeable += 1;
            self.forged += usize::from(texts().next().is_some_and(|text| text.starts_with(AD)));
        }
        let Some(truth) = &group.truth else { return Ok(()) };
        let best = truth.best(&came.text)?;
        self.wanted += best.len();
        self.found += best.iter().filter(|text| texts().any(|found| found == **text)).count();
        if town.flooders.contains_key(&came.peer) {
            let all = truth.of_others(came.peer);
            let (harvested, of) = self.harvested.entry(came.peer).or_default();
            harvested.extend(texts().map(str::to_owned));
            *of = all;
        }
        Ok(())
    }

    fn finish(mut self, scenario: &Scenario, metric: &mut SearchMetric) {
        self.took_ms.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (share * self.took_ms.len() as f64) as usize;
            self.took_ms.get(place.min(self.took_ms.len().saturating_sub(1))).copied()
        };
        metric.p50_ms = at(0.5).unwrap_or_default();
        metric.p95_ms = at(0.95).unwrap_or_default();
        metric.recall = (self.wanted > 0).then(|| self.found as f64 / self.wanted as f64);
        let attacked = |attack| scenario.adversaries.iter().any(|it| it.attack == attack);
        if attacked(Attack::ForgeScores) && self.forgeable > 0 {
            metric.attack = Some(self.forged as f64 / self.forgeable as f64);
        } else if attacked(Attack::Flood) {
            let shares: Vec<f64> = self
                .harvested
                .values()
                .filter(|(_, all)| *all > 0)
                .map(|(harvested, all)| harvested.len() as f64 / *all as f64)
                .collect();
            let count = shares.len().max(1) as f64;
            metric.attack = (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / count);
        }
    }
}
