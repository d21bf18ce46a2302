//! Asking the real search, after the settings are in force.

use std::time::Duration;

use super::play::SAME;
use super::{End, TUNE_K, TuneDesk, TuneMeasured, TuneReport, TuneStage, or_none, quantile};
use crate::collection::Snapshot;
use crate::encoder::encode_checked;
use crate::error::IndexError;
use crate::search::{Hit, SearchOptions, SearchResult};
use crate::vectors::sanitize;

/// No more questions are asked after this time,
const PATIENCE: Duration = Duration::from_secs(30);
/// but so many at least.
const LEAST: usize = 8;
/// What it is compared with may recompute so many times as much, and so many at least,
const LARGER: usize = 4;
const LARGE: usize = 256;
/// and has to be so sure.
const SURE: f32 = 6.0;

impl Snapshot {
    /// Asks the questions that a report was made with, at the settings of now, and compares the answers
    /// with those of a search that may recompute much more. `None` if `progress` ended it.
    ///
    /// Neither uses the cache: what is measured is a question that is new to the collection, as predictions
    /// are, and made-up questions leave nothing behind.
    pub fn try_out(
        &self,
        desk: &mut TuneDesk<'_>,
        report: &TuneReport,
    ) -> Result<Option<TuneMeasured>, IndexError> {
        self.check_encoder(desk.encoder)?;
        or_none(self.with_cache(None).ask_all(desk, report))
    }

    fn ask_all(&self, desk: &mut TuneDesk<'_>, report: &TuneReport) -> Result<TuneMeasured, End> {
        let chunks = self.stats().chunks;
        let budget = (LARGER * self.settings().recompute_at(chunks)).max(LARGE).min(chunks);
        let larger = SearchOptions {
            recompute: Some(budget),
            confidence: Some(SURE),
            exact: Some(true),
            probes: Some(usize::MAX),
            ..SearchOptions::default()
        };
        let plain = SearchOptions::default();
        let (mut times, mut recomputed, mut recall) = (Vec::new(), 0, 0.0);
        let start = (desk.now)();
        for (done, text) in report.questions.iter().enumerate() {
            if done >= LEAST && (desk.now)().saturating_sub(start) > PATIENCE {
                break;
            }
            desk.step(TuneStage::Asking, done, report.questions.len())?;
            let (found, time) = desk.timed(|| self.ask_one(desk, text, &plain));
            let (query, found) = found?;
            let reference = self.search(&query, TUNE_K, desk.files, desk.encoder, &larger)?;
            times.push(time.as_secs_f64());
            recomputed += found.recomputed;
            recall += overlap(&found, &reference);
        }
        let n = times.len().max(1);
        Ok(TuneMeasured {
            questions: times.len(),
            p50: Duration::from_secs_f64(quantile(&mut times, 0.5)),
            p90: Duration::from_secs_f64(quantile(&mut times, 0.9)),
            p95: Duration::from_secs_f64(quantile(&mut times, 0.95)),
            recomputed: recomputed as f64 / n as f64,
            recall: recall / n as f64,
            against_recompute: budget,
            against_confidence: SURE,
        })
    }

    fn ask_one(
        &self,
        desk: &TuneDesk<'_>,
        text: &str,
        options: &SearchOptions<'_>,
    ) -> Result<(Vec<f32>, SearchResult), IndexError> {
        let mut query = encode_checked(desk.encoder, &[text])?;
        sanitize(&mut query, self.dim());
        let found = self.search(&query, TUNE_K, desk.files, desk.encoder, options)?;
        Ok((query, found))
    }
}

/// The share of the second answer that the first has, too, or has as good ones for: the same text may
/// be in several files.
fn overlap(found: &SearchResult, reference: &SearchResult) -> f64 {
    let Some(worst) = reference.hits.last() else { return 1.0 };
    let good = |hit: &&Hit| {
        let as_good = hit.margin == 0.0 && hit.score >= worst.score - SAME;
        as_good || reference.hits.iter().any(|it| it.text_hash == hit.text_hash)
    };
    let shared = found.hits.iter().filter(good).count().min(reference.hits.len());
    shared as f64 / reference.hits.len() as f64
}
