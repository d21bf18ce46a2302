//! What came of fine-tuning a model; the command line prints it, the socket never carries it.

use serde::{Deserialize, Serialize};

use super::{MineReport, ModelEntry};

/// To `covey model train`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainReport {
    /// The new model; null where nothing that was learnt did better than the one at the start.
    pub model: Option<ModelEntry>,
    /// Name of the model that it was made from.
    pub base: String,
    /// `lora` or `head`.
    pub adapter: String,
    /// Parameters that moved.
    pub parameters: u64,
    /// Pairs that were learnt from.
    pub pairs: u64,
    /// Pairs that were held out.
    pub held_out_pairs: u64,
    /// Pairs that were left out: without text, repeated, and beyond what one document may give.
    pub dropped: DroppedPairs,
    /// Steps taken.
    pub steps: u64,
    /// `done`, `early`, `diverged` or `asked`.
    pub stopped: String,
    /// Loss of the held-out pairs before and after; null without any.
    pub held_out_before: Option<f64>,
    /// After.
    pub held_out: Option<f64>,
    /// What was mined for it from the person's own files; null where nothing was.
    #[serde(default)]
    pub mined: Option<MineReport>,
}

/// Pairs that were left out, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DroppedPairs {
    /// A side has no text, or both are one.
    pub empty: u64,
    /// The document had the same pair already.
    pub repeated: u64,
    /// Beyond what one document may give.
    pub beyond_cap: u64,
}
