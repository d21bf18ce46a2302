//! What a tuner is asked for, and what it found.

use std::time::Duration;

use super::TUNE_K;
use crate::error::IndexError;
use crate::settings::Settings;

/// What a collection is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuneGoals {
    /// Share of the ten best results that an answer has to have.
    pub recall: f64,
    /// Time for a question, embedding it included, that nine of ten may take; `None` for any.
    pub latency: Option<Duration>,
    /// What the index may take, its lexical part apart.
    pub disk: DiskGoal,
}

/// What an index may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiskGoal {
    /// A share of the text's bytes.
    Share(f64),
    /// Bytes for each chunk.
    PerChunk(f64),
}

impl Default for TuneGoals {
    fn default() -> Self {
        Self { recall: 0.95, latency: None, disk: DiskGoal::Share(0.08) }
    }
}

impl TuneGoals {
    pub(super) fn check(&self) -> Result<(), IndexError> {
        let disk = match self.disk {
            DiskGoal::Share(share) => share,
            DiskGoal::PerChunk(bytes) => bytes,
        };
        let sane = (0.0..=1.0).contains(&self.recall) && disk.is_finite() && disk > 0.0;
        if sane { Ok(()) } else { Err(IndexError::BadGoals) }
    }
}

/// One of the goals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuneGoal {
    /// [`TuneGoals::recall`]
    Recall,
    /// [`TuneGoals::latency`]
    Latency,
    /// [`TuneGoals::disk`]
    Disk,
}

/// What things cost on this machine, as measured: medians.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TuneCosts {
    /// Embedding a question.
    pub embed: Duration,
    /// Reading a chunk from its file.
    pub read: Duration,
    /// Embedding a chunk.
    pub encode: Duration,
    /// Scanning the codes that the collection has now.
    pub scan: Duration,
}

impl TuneCosts {
    /// Time of a question without the scan.
    pub(super) fn of(&self, recomputed: f64) -> Duration {
        // The texts of an answer are read, embedded again or not.
        let read = self.read.mul_f64(recomputed.max(TUNE_K as f64));
        self.embed + read + self.encode.mul_f64(recomputed)
    }
}

/// Settings, and what they are predicted to take and reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuneRow {
    /// The settings.
    pub settings: Settings,
    /// Bytes of one code.
    pub code_bytes: usize,
    /// Bytes of the whole index for each chunk, its lexical part apart.
    pub bytes_per_chunk: f64,
    /// The same as a share of the text's bytes.
    pub share: f64,
    /// Recall among ten results.
    pub recall: f64,
    /// Standard error of it, as so few questions were played.
    pub recall_error: f64,
    /// Chunks recomputed for a question, on average.
    pub recomputed: f64,
    /// Chunks recomputed that nine of ten questions stay within.
    pub recomputed_p90: f64,
    /// Time that nine of ten questions stay within.
    pub latency: Duration,
}

/// What a tuner found. All numbers of rows are predictions.
#[derive(Clone, Debug)]
pub struct TuneReport {
    /// What was asked for.
    pub goals: TuneGoals,
    /// Chunks of the collection.
    pub chunks: usize,
    /// Chunks that were embedded again to find out.
    pub sampled: usize,
    /// What things cost here.
    pub costs: TuneCosts,
    /// The best settings at each width, from the fewest bytes on.
    pub rows: Vec<TuneRow>,
    /// The row that fits all goals with the least disk.
    pub chosen: Option<usize>,
    /// Where none does, the row that misses them least.
    pub nearest: Option<usize>,
    /// The goals that this one misses.
    pub in_the_way: Vec<TuneGoal>,
    /// Bytes of a code as the collection has them now, on average.
    pub code_bytes: f64,
    /// What could not be measured and was taken for granted, a sentence each.
    pub assumed: Vec<String>,
    pub(super) questions: Vec<String>,
}

impl TuneReport {
    /// Questions that were played.
    pub fn questions(&self) -> usize {
        self.questions.len()
    }

    /// Whether a row's codes differ so much from those of now that all chunks should be coded anew.
    pub fn needs_recode(&self, row: &TuneRow) -> bool {
        (row.code_bytes as f64 - self.code_bytes).abs() > (0.1 * self.code_bytes).max(1.0)
    }

    /// About how long coding all chunks anew takes.
    pub fn recode_time(&self) -> Duration {
        (self.costs.read + self.costs.encode).mul_f64(self.chunks as f64)
    }
}

/// What the real search did when it was asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuneMeasured {
    /// Questions asked.
    pub questions: usize,
    /// Time that half of them took at most, embedding the question included.
    pub p50: Duration,
    /// What nine of ten of them took at most.
    pub p90: Duration,
    /// Time that 95 of 100 took at most.
    pub p95: Duration,
    /// Chunks recomputed for a question, on average.
    pub recomputed: f64,
    /// Recall among ten results, against a search as below.
    pub recall: f64,
    /// The most chunks that this recomputed.
    pub against_recompute: usize,
    /// How sure it was to be, in standard deviations.
    pub against_confidence: f32,
}
