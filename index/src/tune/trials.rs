//! Every way to search at one width of codes, played.

use rayon::prelude::*;

use super::play::{Outcome, play};
use super::pool::{Pool, ScanChoice};
use super::sample::Sample;
use super::widths::Width;
use super::{TUNE_K, TuneRow, quantile};
use crate::collection::Snapshot;
use crate::search::rule::Rule;
use crate::settings::Settings;

/// Confidences tried.
const CONFIDENCES: [f32; 7] = [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0];
/// Most recomputed that are tried, of a collection of up to 8192 chunks.
const CAPS: [u32; 16] = [0, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048];

/// What all widths have in common.
pub(super) struct Trials<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) sample: &'a Sample,
    pub(super) pools: &'a [Pool],
    pub(super) scans: &'a [ScanChoice],
}

impl Trials<'_> {
    /// Everything tried at one width.
    pub(super) fn rows(&self, width: &Width) -> Vec<TuneRow> {
        let chunks = self.snapshot.parts().iter().map(|part| part.segment.len() as usize).sum();
        let mut rows = Vec::new();
        for exact in [true, false] {
            let least = if exact { TUNE_K } else { 0 };
            let with = |recompute, confidence| Settings {
                recompute,
                confidence,
                exact,
                ..*self.snapshot.settings()
            };
            let at = |recompute| with(recompute, 0.0).recompute_at(chunks);
            let caps: Vec<u32> = CAPS.into_iter().filter(|&cap| at(cap) >= least).collect();
            let most: Vec<usize> = caps.iter().map(|&cap| at(cap)).collect();
            for confidence in CONFIDENCES {
                let sure = with(0, confidence).confidence_at(chunks);
                let rule = Rule { k: TUNE_K, confidence: sure, exact };
                let played: Vec<Vec<Outcome>> = self
                    .pools
                    .par_iter()
                    .zip(&width.estimates)
                    .map(|(pool, means)| play(rule, means, width.sigma, pool, &most))
                    .collect();
                for (i, &recompute) in caps.iter().enumerate() {
                    let counted = Counted::of(played.iter().map(|outcomes| outcomes[i]));
                    let settings = Settings {
                        bytes_per_chunk: width.bytes_per_chunk,
                        ..with(recompute, confidence)
                    };
                    let scans = self.scans.iter();
                    rows.extend(scans.map(|scan| self.row(width, settings, scan, &counted)));
                }
                // Being surer changes nothing once all of them end at the last cap.
                let last = |outcomes: &Vec<Outcome>| outcomes.last().map(|end| end.recomputed);
                if played.iter().all(|outcomes| last(outcomes) >= most.last().copied()) {
                    break;
                }
            }
        }
        rows
    }

    fn row(
        &self,
        width: &Width,
        settings: Settings,
        scan: &ScanChoice,
        counted: &Counted,
    ) -> TuneRow {
        let stats = self.snapshot.stats();
        // All blocks are scanned faster where there are none.
        let enough = u32::try_from(2 * stats.chunks).unwrap_or(u32::MAX);
        let flat = if scan.all_blocks { settings.flat.max(enough) } else { settings.flat };
        TuneRow {
            settings: Settings { flat, probes: scan.probes, ..settings },
            code_bytes: width.code,
            bytes_per_chunk: width.index_bytes / stats.chunks as f64,
            share: width.index_bytes / stats.text_bytes.max(1) as f64,
            recall: counted.recall * scan.kept,
            recall_error: counted.error,
            recomputed: counted.mean,
            recomputed_p90: counted.p90,
            latency: self.sample.costs.of(counted.p90) + scan.time.mul_f64(width.slower),
        }
    }
}

/// Outcomes of many questions, taken together.
struct Counted {
    recall: f64,
    /// Standard error of the recall.
    error: f64,
    mean: f64,
    p90: f64,
}

impl Counted {
    fn of(outcomes: impl Iterator<Item = Outcome>) -> Self {
        let outcomes: Vec<Outcome> = outcomes.collect();
        let n = outcomes.len().max(1) as f64;
        let recall = outcomes.iter().map(|it| it.recall).sum::<f64>() / n;
        let square = outcomes.iter().map(|it| (it.recall - recall).powi(2)).sum::<f64>();
        let mut counts: Vec<f64> = outcomes.iter().map(|it| it.recomputed as f64).collect();
        let mean = counts.iter().sum::<f64>() / n;
        let error = (square / (n - 1.0).max(1.0) / n).sqrt();
        Self { recall, error, mean, p90: quantile(&mut counts, 0.9) }
    }
}
