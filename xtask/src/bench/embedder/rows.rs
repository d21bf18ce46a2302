//! What the report's JSON holds.

use serde::{Deserialize, Serialize};

use super::Part;

/// How our own rows name their engine.
pub const OURS: &str = "covey";

/// A row, and the day it was measured.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Dated {
    /// `YYYY-MM-DD`, UTC.
    pub date: String,
    #[serde(flatten)]
    pub row: Row,
}

/// One row, by its part of the report.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Row {
    Inference(Inference),
    Peak(Peak),
    Agreement(Agreement),
    Static(Static),
    Training(Training),
    Peft(Peft),
    Quality(Quality),
    /// The same before and after fine-tuning.
    Tuning(Quality),
}

/// What one engine takes for texts of one kind.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Inference {
    /// `covey int8`, `onnxruntime f32` and the like.
    pub engine: String,
    pub version: String,
    #[serde(default)]
    pub note: Option<String>,
    /// `chunk` (256 tokens) or `question` (12 tokens).
    pub text: String,
    /// Texts in a call.
    pub batch: u32,
    /// CPU milliseconds of one thread for a text: the least of all rounds.
    pub cpu_ms: f64,
    /// The middle one.
    pub median_ms: f64,
    pub rounds: u32,
}

/// The most that the processor multiplies.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Peak {
    /// `f32`, `int16` or `int8`.
    pub numbers: String,
    /// Thousand millions of operations a second, a multiplication and an addition being two.
    pub giga: f64,
    /// The sets of instructions that were there.
    pub instructions: String,
}

/// How near an engine's vectors are to the reference's.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Agreement {
    pub engine: String,
    pub reference: String,
    pub texts: u32,
    /// Cosine with the reference's vector of the same text: mean and least.
    pub mean: f64,
    pub least: f64,
}

/// What the static model takes, or a tokenizer alone.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Static {
    pub engine: String,
    pub version: String,
    /// Millions of tokens cut in a second, on one thread.
    pub mega_tokens: f64,
    /// Chunks embedded in a second on one thread.
    #[serde(default)]
    pub chunks: Option<f64>,
    /// Microseconds for one chunk alone.
    #[serde(default)]
    pub chunk_us: Option<f64>,
}

/// What a step of training takes, on one thread.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Training {
    pub engine: String,
    pub version: String,
    /// `lora` (MiniLM, rank 8 on queries and values) or `head` (the static model's map).
    pub task: String,
    /// CPU seconds of a step: the least.
    pub cpu_s: f64,
    /// Most memory of the process, in MiB.
    #[serde(default)]
    pub peak_mb: Option<f64>,
    /// Pairs a second.
    pub pairs_per_s: f64,
}

/// An adapter of ours, opened by Python's `peft`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Peft {
    pub versions: Vec<String>,
    pub texts: u32,
    /// Least cosine with our vector of the same text.
    pub least: f64,
    /// The same with the model without the adapter, to show that it makes a difference.
    pub without: f64,
}

/// What a model finds on the test questions of a set.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Quality {
    pub set: String,
    pub questions: u32,
    pub model: String,
    /// nDCG@10, the mean over questions.
    pub ndcg: f64,
    #[serde(default)]
    pub beside: Option<Beside>,
}

/// How that differs from what another model finds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Beside {
    pub model: String,
    /// The mean over questions, and as a share of the other's.
    pub difference: f64,
    pub share: f64,
    /// The 95% interval of the mean.
    pub low: f64,
    pub high: f64,
    /// How probable it is by chance: a paired randomisation test, two-sided.
    pub p: f64,
}

impl Row {
    /// The part that measures it.
    pub fn part(&self) -> Part {
        match self {
            Self::Inference(_) | Self::Peak(_) => Part::Inference,
            Self::Agreement(_) => Part::Agreement,
            Self::Static(_) => Part::Static,
            Self::Training(_) | Self::Peft(_) => Part::Training,
            Self::Quality(_) => Part::Formats,
            Self::Tuning(_) => Part::Tuning,
        }
    }
}
