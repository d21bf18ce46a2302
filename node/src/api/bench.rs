//! What models take on this machine; the command line prints it, the socket never carries it.

use serde::{Deserialize, Serialize};

/// To `covey model bench`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelBench {
    /// Threads that this machine runs at a time.
    pub threads: u64,
    /// Sets of instructions that matter to models, and whether this processor has them.
    pub instructions: Vec<Instructions>,
    /// Tokens of a chunk, markers included.
    pub chunk_tokens: u64,
    /// Tokens of a question, markers included.
    pub query_tokens: u64,
    /// The built-in model first, then by name.
    pub models: Vec<BenchedModel>,
}

/// A set of instructions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instructions {
    /// `avx2` (with FMA), `avx512` (F, BW, DQ and VL) or `vnni` (for registers of 512 bits).
    pub name: String,
    /// Whether they are there.
    pub here: bool,
}

/// What was measured of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchedModel {
    /// Its name.
    pub name: String,
    /// `static` or `bert`.
    pub family: String,
    /// Length of its vectors.
    pub dim: u32,
    /// Tokens a second that its tokenizer cuts, on one thread.
    pub tokens_per_s: f64,
    /// Each way of computing: `f32`, `int16`, `int8` and `reference`, or `static` alone; then the graphics card that was
    /// asked for (`cuda:0`).
    pub paths: Vec<BenchedPath>,
    /// The path it computes by on the processor; null where there is only one.
    pub in_use: Option<String>,
    /// Whether a person chose that; else it follows the processor.
    pub chosen: bool,
    /// The fastest path that is no less exact than what the processor's instructions suggest.
    pub pick: Option<String>,
    /// The fastest of all, where it is less exact than `pick` and clearly faster.
    pub faster: Option<FasterPath>,
}

/// What one way of computing takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchedPath {
    /// Its name.
    pub path: String,
    /// Chunks a second on one thread, by its CPU time where the system tells; of a graphics card, by the clock.
    pub chunks_per_s: f64,
    /// Chunks a second on all threads, by the clock.
    pub chunks_per_s_all_threads: f64,
    /// Microseconds for one chunk alone.
    pub chunk_us: f64,
    /// Microseconds for a question.
    pub query_us: f64,
}

/// A path that is faster and less exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FasterPath {
    /// Its name.
    pub path: String,
    /// Times as fast as the pick.
    pub times: f64,
}
