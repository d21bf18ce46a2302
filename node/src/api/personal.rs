//! The person's own adapter for the questions that they ask themselves.

use std::path::PathBuf;

use covey_protocol::ids::{ModelId, Name, UnixMillis};
use serde::{Deserialize, Serialize};

use super::lossy;

/// What the adapter is to be learnt from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonalTrain {
    /// Own collections; all where no files are named either.
    #[serde(default)]
    pub collections: Vec<Name>,
    /// Files of pairs (absolute).
    #[serde(default, serialize_with = "lossy::list")]
    pub pairs: Vec<PathBuf>,
}

/// The person's own adapter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PersonalInfo {
    /// The adapter; null without one.
    pub adapter: Option<PersonalAdapter>,
    /// What was learnt just now, where it does no better than the model alone and was not kept; null otherwise.
    pub not_kept: Option<PersonalLearnt>,
    /// Why the adapter that there is cannot be read; null if there is none, or it can.
    pub problem: Option<String>,
}

/// An adapter that is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonalAdapter {
    /// The very model whose questions it is for.
    pub model: ModelId,
    /// Whether the person wants it used.
    pub on: bool,
    /// Whether it is used: it is on, and its model is the one in use, or a release of that which a collection still holds.
    pub used: bool,
    /// When it was trained.
    pub trained: UnixMillis,
    /// The collections it was learnt from; all of them where no files are named either.
    pub collections: Vec<Name>,
    /// The files of pairs it was learnt from.
    #[serde(serialize_with = "lossy::list")]
    pub files: Vec<PathBuf>,
    /// What was learnt.
    pub learnt: PersonalLearnt,
}

/// What was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PersonalLearnt {
    /// Pairs that were learnt from.
    pub pairs: u64,
    /// Pairs that were held out to judge by; about as many others said when to stop.
    pub held_out_pairs: u64,
    /// Loss of these, with the model alone and with the adapter.
    pub loss: (f64, f64),
    /// One divided by the place at which the text that belongs to a held-out question is found among all texts of the pairs, on average; with the model
    /// alone and with the adapter.
    pub reciprocal_rank: (f64, f64),
    /// How probable a difference of these as large as this one is if there is none (Fisher's paired randomisation test).
    pub p: f64,
}

/// The largest probability of a difference that does not pass for chance.
const CHANCE: f64 = 0.05;

impl PersonalLearnt {
    /// Whether questions do better with it than with the model alone, beyond chance.
    pub fn does_better(&self) -> bool {
        let (ranks, losses) = (self.reciprocal_rank, self.loss);
        losses.1 < losses.0 && ranks.1 > ranks.0 && self.p <= CHANCE
    }
}
