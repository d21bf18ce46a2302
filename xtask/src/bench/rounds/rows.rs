//! What the report's JSON holds.

use serde::{Deserialize, Serialize};

use super::Part;

/// A row and when it was measured.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Dated {
    pub date: String,
    #[serde(flatten)]
    pub row: Row,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Row {
    /// How the training questions were split.
    Split(Split),
    Quality(Quality),
    Cost(Cost),
}

impl Row {
    pub fn part(&self) -> Part {
        match self {
            Self::Split(_) | Self::Quality(_) => Part::Quality,
            Self::Cost(_) => Part::Cost,
        }
    }
}

/// Questions and pairs of each member.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Split {
    pub set: String,
    pub model: String,
    pub questions: Vec<usize>,
    pub pairs: Vec<usize>,
    /// Questions left out, as another split asks them too.
    pub left_out: usize,
}

/// How a campaign is run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Settings {
    pub rounds: u32,
    /// Nothing for a full map.
    pub rank: Option<u16>,
    pub epochs: u16,
    pub steps: u32,
    pub rate: f64,
    pub proximal: f64,
    pub clip: f64,
    pub rule: String,
    pub server_rate: f64,
    pub epsilon: Option<f64>,
}

/// What a model finds, before or after rounds.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Quality {
    pub set: String,
    pub split: String,
    pub questions: u64,
    /// The base model.
    pub model: String,
    /// `base`, `FedAvg`, `FedProx`, or `FedAvg with noise`.
    pub algorithm: String,
    /// nDCG@10, the mean over the questions.
    pub ndcg: f64,
    /// What there is to say of the rounds, unless it is the base model.
    pub learnt: Option<Learnt>,
}

/// What rounds came to.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Learnt {
    pub settings: Settings,
    /// Fewest participants of a round.
    pub participants: u64,
    /// Lengths of the mean updates.
    pub norms: Vec<f64>,
    /// Most updates of a round that were shortened to the clip norm, as a share, where that was told.
    pub clipped: Option<f64>,
    /// Mean loss of held-out pairs before the first round and after the last, where that was told.
    pub loss: Option<(f64, f64)>,
    /// Difference from the base model over the questions, its 95% interval, and how probable one as large is by chance.
    pub difference: f64,
    pub low: f64,
    pub high: f64,
    pub p: f64,
    pub minutes: f64,
}

/// What rounds cost beside training.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Cost {
    /// `covey` or `flower`.
    pub engine: String,
    pub version: String,
    /// How updates are summed.
    pub sum: String,
    pub clients: usize,
    /// Steps of training of each client in a round.
    pub steps: u32,
    pub rounds: Vec<RoundCost>,
    /// CPU seconds of all processes for all rounds, and those of training among them.
    pub cpu_s: f64,
    pub training_cpu_s: f64,
    /// Bytes that a client sends and receives in a round: the mean of those that are not on the server's node.
    pub up_bytes: Option<f64>,
    pub down_bytes: Option<f64>,
    /// Most resident memory of a client (the median of all) and of the server, with all their processes, MiB.
    pub client_mb: f64,
    pub server_mb: f64,
}

impl Cost {
    /// Wall seconds of a round beside training: the least of all.
    pub fn overhead_s(&self) -> f64 {
        let each = self.rounds.iter().map(|round| round.wall_s - round.training_s);
        each.fold(f64::INFINITY, f64::min)
    }

    /// CPU seconds of a round beside training, of all processes.
    pub fn overhead_cpu_s(&self) -> f64 {
        (self.cpu_s - self.training_cpu_s) / self.rounds.len().max(1) as f64
    }
}

/// One round.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
pub struct RoundCost {
    /// From the end of the round before, or the beginning of the first.
    pub wall_s: f64,
    /// Training of the client that took longest.
    pub training_s: f64,
}
