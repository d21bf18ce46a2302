//! How a question's scores are spread over the collection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::sample::{Key, Sample};
use super::{End, TUNE_K, TuneDesk, TuneStage, median};
use crate::collection::Snapshot;
use crate::search::Estimate;
use crate::vectors::dot;

/// Chunks looked at for each question, the best by the codes of now: at least so many, and a share of all, as
/// coarser codes than those of now may lift any of these into the way of the best.
const LEAST: usize = 2048;
const SHARE: usize = 4;
const MOST: usize = 1 << 16;
/// With fewer chunks than this that are known exactly, what codes say of their error is believed.
const ENOUGH: usize = 200;

/// The chunks that matter for a question.
pub(super) struct Pool {
    /// What is taken for their exact scores.
    pub(super) truth: Vec<f32>,
    /// Which rows of the sample they are, where they are.
    pub(super) sampled: Vec<Option<usize>>,
    /// The score that the worst of the best has, and how many are best.
    pub(super) bar: f32,
    pub(super) best: usize,
}

/// The pools of all questions, and the time that finding candidates takes at the settings of now.
pub(super) fn pools(
    snapshot: &Snapshot,
    desk: &mut TuneDesk<'_>,
    sample: &mut Sample,
    assumed: &mut Vec<String>,
) -> Result<(Vec<Pool>, Duration), End> {
    let probes = snapshot.settings().probes as usize;
    let probes = (probes > 0).then_some(probes);
    let (mut found, mut times, mut residuals) = (Vec::new(), Vec::new(), Vec::new());
    let pool = (rows_of(snapshot) / SHARE).clamp(LEAST, MOST);
    for question in &sample.questions {
        let keep = 4 * snapshot.settings().recompute as usize;
        times.push(desk.timed(|| snapshot.estimates(&question.vector, keep.max(128), probes)).1);
        found.push(snapshot.estimates(&question.vector, pool, Some(usize::MAX)).0);
    }
    if !sample.whole {
        let keys = |it: &Vec<Estimate>| it.iter().map(|estimate| estimate.key).collect();
        let keys: Vec<Vec<Key>> = found.iter().map(keys).collect();
        sample.embed_found(snapshot, desk, &keys)?;
    }
    let rows: BTreeMap<Key, usize> =
        sample.keys.iter().enumerate().map(|(row, &key)| (key, row)).collect();
    let mut known_too = Vec::new();
    for (question, estimates) in sample.questions.iter().zip(found) {
        let known: Vec<Option<usize>> =
            estimates.iter().map(|estimate| rows.get(&estimate.key).copied()).collect();
        let exact = |row: usize| dot(&question.vector, sample.rows().row(row));
        residuals.extend(
            estimates
                .iter()
                .zip(&known)
                .filter_map(|(estimate, row)| Some(f64::from(exact((*row)?) - estimate.mean))),
        );
        known_too.push((estimates, known));
    }
    desk.step(TuneStage::Sampling, sample.keys.len(), sample.keys.len())?;
    if !sample.whole {
        assumed.push(format!(
            "{} of {} passages were embedded; scores of the others are drawn around what their codes say",
            sample.keys.len(),
            rows_of(snapshot),
        ));
    }
    let measured = (residuals.len() >= ENOUGH).then(|| spread(&residuals));
    let pools =
        sample.questions.iter().zip(known_too).enumerate().map(|(number, (question, it))| {
            let (estimates, sampled) = it;
            let mut normal = Normal::new(number as u64);
            let truth: Vec<f32> = estimates
                .iter()
                .zip(&sampled)
                .map(|(estimate, row)| match (row, measured) {
                    (Some(row), _) => dot(&question.vector, sample.rows().row(*row)),
                    (None, Some((bias, sigma))) => estimate.mean + bias + sigma * normal.next(),
                    (None, None) => estimate.mean + estimate.sigma * normal.next(),
                })
                .collect();
            let mut order = truth.clone();
            order.sort_by(|a, b| b.total_cmp(a));
            let best = order.len().min(TUNE_K);
            let bar = order.get(best.saturating_sub(1)).copied().unwrap_or(f32::MIN);
            Pool { truth, sampled, bar, best }
        });
    Ok((pools.collect(), median(&times)))
}

/// A number of blocks to scan, what that takes, and the share of the best by code it finds.
pub(super) struct ScanChoice {
    /// As in the settings.
    pub(super) probes: u32,
    pub(super) time: Duration,
    pub(super) kept: f64,
    /// Whether that is all of them, for which no blocks are needed.
    pub(super) all_blocks: bool,
}

/// Ways to scan: one where there are no blocks, else with more or fewer of them.
pub(super) fn scans(
    snapshot: &Snapshot,
    desk: &mut TuneDesk<'_>,
    sample: &Sample,
    now: Duration,
    assumed: &mut Vec<String>,
) -> Result<Vec<ScanChoice>, End> {
    let blocks = snapshot.parts().iter().map(|part| part.segment.coded.blocks()).max().unwrap_or(0);
    if blocks == 0 {
        if rows_of(snapshot) > snapshot.settings().flat as usize {
            assumed.push(
                "once its segments are merged, the index gets blocks: their loss is not known yet"
                    .to_owned(),
            );
        }
        let probes = snapshot.settings().probes;
        return Ok(vec![ScanChoice { probes, time: now, kept: 1.0, all_blocks: false }]);
    }
    let whole: Vec<BTreeSet<Key>> =
        sample.questions.iter().map(|it| top(snapshot, &it.vector, usize::MAX)).collect();
    let mut choices = Vec::new();
    for (done, part) in [32, 16, 8, 4, 2, 1].into_iter().enumerate() {
        desk.step(TuneStage::Sampling, sample.keys.len() + done, sample.keys.len() + 6)?;
        let probes = blocks.div_ceil(part).max(8).min(blocks);
        let (mut times, mut kept) = (Vec::new(), 0usize);
        for (question, whole) in sample.questions.iter().zip(&whole) {
            let (found, time) = desk.timed(|| top(snapshot, &question.vector, probes));
            times.push(time);
            kept += found.intersection(whole).count();
        }
        let wanted: usize = whole.iter().map(BTreeSet::len).sum();
        choices.push(ScanChoice {
            probes: probes as u32,
            time: median(&times),
            kept: kept as f64 / wanted.max(1) as f64,
            all_blocks: part == 1,
        });
    }
    Ok(choices)
}

fn top(snapshot: &Snapshot, query: &[f32], probes: usize) -> BTreeSet<Key> {
    let (found, _) = snapshot.estimates(query, 128, Some(probes));
    found.iter().take(TUNE_K).map(|estimate| estimate.key).collect()
}

fn rows_of(snapshot: &Snapshot) -> usize {
    snapshot.stats().chunks
}

/// Mean and standard deviation.
fn spread(values: &[f64]) -> (f32, f32) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let square = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (mean as f32, square.sqrt() as f32)
}

/// Normally distributed numbers, always the same for a seed.
pub(super) struct Normal(ChaCha8Rng);

impl Normal {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// By Box and Muller.
    pub(super) fn next(&mut self) -> f32 {
        let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (a, b) = (unit(self.0.next_u64()), unit(self.0.next_u64()));
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
    }
}
