//! The tuner: what would each width of codes cost on this machine, over this collection?
//!
//! No candidate is coded for real. A sample of chunks is embedded again, which says what recomputing
//! costs and how far off codes of each width are. Pieces of the sample serve as questions; the codes the
//! collection has now say how its scores are spread for each. With both, the search's own stopping rule
//! runs on made-up estimates, and its recall and recomputations are counted.
//!
//! Start from [`Snapshot::tune`]; nothing is changed by it. [`Snapshot::try_out`] measures the real
//! search afterwards.

mod choose;
mod measure;
mod play;
mod pool;
mod questions;
mod report;
mod sample;
mod trials;
mod widths;

use std::ops::ControlFlow;
use std::time::Duration;

pub use report::{DiskGoal, TuneCosts, TuneGoal, TuneGoals, TuneMeasured, TuneReport, TuneRow};

use crate::collection::Snapshot;
use crate::encoder::Encoder;
use crate::error::IndexError;
use crate::files::Files;
use pool::{pools, scans};
use sample::Sample;
use trials::Trials;
use widths::widths;

/// The recall and the numbers in a report are of so many results.
pub const TUNE_K: usize = 10;
/// With fewer chunks than this there is nothing to gain.
pub const TUNE_LEAST: usize = 300;

/// What a tuner is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuneStage {
    /// Embedding a sample of the chunks again.
    Sampling,
    /// Learning a codec for each width and playing searches with it.
    Comparing,
    /// Asking the real search.
    Asking,
}

/// How far a tuner is.
#[derive(Clone, Copy, Debug)]
pub struct TuneProgress {
    /// What it is busy with.
    pub stage: TuneStage,
    /// Chunks, widths or questions done.
    pub done: usize,
    /// How many there are at most.
    pub total: usize,
}

/// What a tuner is lent: the files, the model, the time and whoever listens.
pub struct TuneDesk<'a> {
    /// Where chunks are read from.
    pub files: &'a dyn Files,
    /// The collection's model.
    pub encoder: &'a dyn Encoder,
    /// The time, from any point on; this crate reads no clock.
    pub now: &'a dyn Fn() -> Duration,
    /// Hears of the progress; `Break` ends the tuning.
    pub progress: &'a mut dyn FnMut(TuneProgress) -> ControlFlow<()>,
}

/// Why a tuner ended without a result.
enum End {
    Cancelled,
    Failed(IndexError),
}

impl From<IndexError> for End {
    fn from(error: IndexError) -> Self {
        Self::Failed(error)
    }
}

impl TuneDesk<'_> {
    fn step(&mut self, stage: TuneStage, done: usize, total: usize) -> Result<(), End> {
        match (self.progress)(TuneProgress { stage, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(End::Cancelled),
        }
    }

    /// Does something and takes the time of it.
    fn timed<T>(&self, act: impl FnOnce() -> T) -> (T, Duration) {
        let start = (self.now)();
        let done = act();
        (done, (self.now)().saturating_sub(start))
    }
}

impl Snapshot {
    /// Finds out what settings would cost and reach here, and which of them fit the goals with the
    /// least disk. Changes nothing. `None` if `progress` ended it.
    ///
    /// Works on what the codes of now say: see [`TuneReport::assumed`] for where that is too little.
    pub fn tune(
        &self,
        desk: &mut TuneDesk<'_>,
        goals: &TuneGoals,
    ) -> Result<Option<TuneReport>, IndexError> {
        self.check_encoder(desk.encoder)?;
        goals.check()?;
        let chunks = self.stats().chunks;
        if chunks < TUNE_LEAST {
            return Err(IndexError::TooFewToTune { chunks, least: TUNE_LEAST });
        }
        or_none(self.compare(desk, goals))
    }

    fn compare(&self, desk: &mut TuneDesk<'_>, goals: &TuneGoals) -> Result<TuneReport, End> {
        let mut sample = Sample::take(self, desk)?;
        let mut assumed = Vec::new();
        let (pools, scan) = pools(self, desk, &mut sample, &mut assumed)?;
        let scans = scans(self, desk, &sample, scan, &mut assumed)?;
        let (present, widths) = widths(self, desk, &sample, &pools, &mut assumed)?;
        let trials = Trials { snapshot: self, sample: &sample, pools: &pools, scans: &scans };
        let mut rows = Vec::new();
        for (done, width) in widths.iter().enumerate() {
            desk.step(TuneStage::Comparing, widths.len() + done, 2 * widths.len())?;
            rows.extend(trials.rows(width));
        }
        let choice = choose::choose(&rows, goals);
        let costs = TuneCosts { scan, ..sample.costs };
        Ok(TuneReport {
            goals: *goals,
            chunks: self.stats().chunks,
            sampled: sample.keys.len(),
            costs,
            rows: choice.frontier,
            chosen: choice.chosen,
            nearest: choice.nearest,
            in_the_way: choice.in_the_way,
            code_bytes: present.code,
            assumed,
            questions: sample.questions.into_iter().map(|question| question.text).collect(),
        })
    }
}

/// A quantile; the values end up sorted. 0 of nothing.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * q).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// The median time.
fn median(times: &[Duration]) -> Duration {
    let mut seconds: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
    Duration::from_secs_f64(quantile(&mut seconds, 0.5))
}

fn or_none<T>(result: Result<T, End>) -> Result<Option<T>, IndexError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(End::Cancelled) => Ok(None),
        Err(End::Failed(error)) => Err(error),
    }
}
#[cfg(test)]
mod tests;
