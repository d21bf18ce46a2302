//! What `covey eval` found out about a model, or a run, on a retrieval set.

use std::path::PathBuf;

use covey_protocol::ids::ModelId;
use serde::{Deserialize, Serialize};

use super::lossy;

/// To `covey eval`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// The retrieval set's folder.
    #[serde(serialize_with = "lossy::path")]
    pub set: PathBuf,
    /// Whose judgements counted.
    pub split: String,
    /// Judged queries; every mean is over these.
    pub queries: u64,
    /// Documents searched; null where only finished runs were scored.
    pub documents: Option<u64>,
    /// What was evaluated.
    pub run: EvalRun,
    /// What it was compared with.
    pub compared: Option<EvalCompared>,
    /// Each judged query, by id; empty unless asked for.
    pub per_query: Vec<EvalQuery>,
    /// What there is to know about the set and the runs.
    pub notes: Vec<String>,
}

/// A model's rankings, or those of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRun {
    /// The model's name, or the file as it was named.
    pub name: String,
    /// The model; null for a file.
    pub model: Option<ModelId>,
    /// Judged queries without any result.
    pub unanswered: u64,
    /// Means over the judged queries, one for each k, in ascending order.
    pub measures: Vec<EvalMeasures>,
}

/// Measures of the first `k` results, as trec_eval has them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvalMeasures {
    /// How many results count.
    pub k: u32,
    /// Normalised discounted cumulative gain.
    pub ndcg: f64,
    /// Share of the relevant documents that are among them.
    pub recall: f64,
    /// One over the rank of the first relevant document, or its mean.
    pub mrr: f64,
}

/// A second run, and how the first differs from it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalCompared {
    /// The second run.
    pub run: EvalRun,
    /// One for each k and measure.
    pub differences: Vec<EvalDifference>,
    /// Assignments of signs behind `p`.
    pub permutations: u64,
    /// Samples of queries behind the intervals.
    pub resamples: u64,
    /// What both were drawn from.
    pub seed: u64,
}

/// The first run's measure minus the second's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalDifference {
    /// `ndcg`, `recall` or `mrr`.
    pub measure: String,
    /// How many results count.
    pub k: u32,
    /// Mean difference.
    pub difference: f64,
    /// Lower end of its 95% interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How probable a mean difference as large is by chance: two-sided paired randomisation test.
    pub p: f64,
    /// Queries in which the first run is better.
    pub better: u64,
    /// Queries in which both are alike.
    pub equal: u64,
    /// Queries in which it is worse.
    pub worse: u64,
}

/// A judged query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalQuery {
    /// Its id.
    pub query: String,
    /// For each k.
    pub measures: Vec<EvalMeasures>,
    /// The same of the second run; empty where there is none.
    pub compared: Vec<EvalMeasures>,
}
