//! Tuning a collection: goals, what was tried, and what came of it.

use covey_protocol::ids::{Name, UnixMillis};
use serde::{Deserialize, Serialize};

use super::IndexSettings;

/// Finds settings that fit goals, and gives them to a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneCall {
    /// The collection.
    pub collection: Name,
    /// Share of the ten best results an answer has to have; 0.95 by default.
    #[serde(default)]
    pub recall: Option<f64>,
    /// Microseconds that nine of ten questions may take, embedding them included; any by default.
    #[serde(default)]
    pub latency_us: Option<u64>,
    /// What the index may take, that of words apart; 8% of the text by default.
    #[serde(default)]
    pub disk: Option<TuneDisk>,
    /// Only find out and report.
    #[serde(default)]
    pub dry_run: bool,
    /// Where nothing fits, take what misses the goals least.
    #[serde(default)]
    pub nearest: bool,
}

/// What an index may take.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneDisk {
    /// A share of the text's bytes.
    Share(f64),
    /// Bytes for each passage.
    BytesPerChunk(f64),
}

/// What a collection is to reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneGoals {
    /// Share of the ten best results an answer has to have.
    pub recall: f64,
    /// Microseconds that nine of ten questions may take; null for any.
    pub latency_us: Option<u64>,
    /// What the index may take.
    pub disk: TuneDisk,
}

/// The goals a collection is kept at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TunedInfo {
    /// The goals.
    pub goals: TuneGoals,
    /// When it was tuned last.
    pub at: UnixMillis,
    /// Passages it had then; it is tuned again when they have doubled or halved.
    pub chunks: u64,
    /// Whether the settings found were predicted to reach the goals.
    pub fits: bool,
}

/// One of the goals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TuneGoal {
    /// The recall.
    Recall,
    /// The time for a question.
    Latency,
    /// The disk.
    Disk,
}

/// What tuning found and did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneInfo {
    /// The collection.
    pub collection: Name,
    /// What was asked for.
    pub goals: TuneGoals,
    /// Passages in the collection.
    pub chunks: u64,
    /// Passages that were embedded again to find out.
    pub sampled: u64,
    /// Questions played, made of pieces of passages.
    pub questions: u64,
    /// What things cost on this machine.
    pub costs: TuneCosts,
    /// The best settings at each width of codes, from the smallest on.
    pub choices: Vec<TuneChoice>,
    /// Which of them fits with the least disk.
    pub chosen: Option<u64>,
    /// Where none fits, which of them misses the goals least.
    pub nearest: Option<u64>,
    /// The goals that this one misses.
    pub in_the_way: Vec<TuneGoal>,
    /// About how long coding all passages anew takes, in milliseconds; null where that is not needed.
    pub recode_ms: Option<u64>,
    /// Whether settings were changed.
    pub applied: bool,
    /// What the real search did afterwards; null where nothing was changed, or measuring was interrupted.
    pub measured: Option<TuneMeasured>,
    /// What could not be measured and was taken for granted.
    pub assumed: Vec<String>,
}

/// What things cost on this machine: medians, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneCosts {
    /// Embedding a question.
    pub embed_us: f64,
    /// Reading a passage from its file.
    pub read_us: f64,
    /// Embedding a passage.
    pub encode_us: f64,
    /// Scanning the codes that there were.
    pub scan_us: f64,
}

/// Settings, and what they are predicted to take and reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneChoice {
    /// The settings.
    pub settings: IndexSettings,
    /// Bytes of one code.
    pub code_bytes: u64,
    /// Bytes of the whole index for each passage, that of words apart.
    pub bytes_per_chunk: f64,
    /// The same as a share of the text's bytes.
    pub share: f64,
    /// Predicted recall among ten results.
    pub recall: f64,
    /// Its standard error.
    pub recall_error: f64,
    /// Passages predicted to be recomputed for a question, on average.
    pub recomputed: f64,
    /// The number of them that nine of ten questions stay within.
    pub recomputed_p90: f64,
    /// Microseconds that nine of ten questions are predicted to stay within.
    pub latency_us: f64,
}

/// What the real search did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TuneMeasured {
    /// Questions asked: those that were played.
    pub questions: u64,
    /// Microseconds that half of them took at most.
    pub p50_us: f64,
    /// Microseconds that nine of ten took at most, which is what a goal is about.
    pub p90_us: f64,
    /// Microseconds that 95 of 100 took at most.
    pub p95_us: f64,
    /// Passages recomputed for a question, on average.
    pub recomputed: f64,
    /// Recall among ten results, against a search that may recompute much more:
    pub recall: f64,
    /// at most so many passages,
    pub against_recompute: u64,
    /// and has to be so sure, in standard deviations.
    pub against_confidence: f32,
}
