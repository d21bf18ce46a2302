//! Learning together: taking part in a group's rounds, and coordinating them.

use std::path::PathBuf;

use covey_protocol::ids::{ModelId, Name, UnixMillis};
use serde::{Deserialize, Serialize};

use super::lossy;

/// On what terms this node takes part in a group's rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptIn {
    /// The group.
    pub group: Name,
    /// The collections that are learnt from; none if there are files of pairs.
    #[serde(default)]
    pub collections: Vec<Name>,
    /// What all rounds together may cost, at `delta`; null to take part without noise, and without any promise.
    pub epsilon: Option<f64>,
    /// What epsilons are told for.
    pub delta: f64,
    /// What one attempt may cost; as much as all together by default.
    #[serde(default)]
    pub round_epsilon: Option<f64>,
    /// Fewest honest members that an update must be summed with, this node's included.
    pub min_honest: u32,
    /// Share of a cohort that may collude without harm, in thousandths.
    pub collusion_permille: u16,
    /// Most steps of training in a round.
    pub max_steps: u32,
    /// Files of pairs that are learnt from as well (absolute): JSON lines, as mining writes them.
    #[serde(default)]
    pub pairs: Vec<PathBuf>,
}

/// What the person who coordinates wants. What is left out has a default that suits the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRounds {
    /// The group.
    pub group: Name,
    /// How many rounds.
    pub rounds: u32,
    /// The model to start from; the current one by default.
    #[serde(default)]
    pub model: Option<String>,
    /// What taking part in all rounds may cost at most, at `delta`; noise is chosen by it. Null for no noise.
    pub epsilon: Option<f64>,
    /// What epsilons are told for.
    pub delta: f64,
    /// Longest update; by whether there is noise by default.
    #[serde(default)]
    pub clip: Option<f64>,
    /// Rank of the adapter. By default a small one, and a full map for a static model without noise.
    #[serde(default)]
    pub rank: Option<u16>,
    /// FedProx's mu; 0 for FedAvg.
    pub proximal: f64,
    /// Times that every pair is looked at in a round.
    pub epochs: u16,
    /// Most steps in a round.
    pub max_steps: u32,
    /// Learning rate; by the model's family by default.
    #[serde(default)]
    pub rate: Option<f64>,
    /// What becomes of the mean update: `average`, `momentum`, `adagrad`, `adam` or `yogi`.
    pub rule: String,
    /// The rule's rate.
    pub server_rate: f64,
    /// Fewest participants.
    pub min_cohort: u32,
    /// Share of a cohort that may collude, in thousandths.
    pub collusion_permille: u16,
    /// Share of it that may drop out, in thousandths.
    pub dropout_permille: u16,
    /// Seconds from a plan to the end of checking in: the time to train.
    pub window_s: u64,
    /// Seconds that a phase of the sum waits for those who are missing.
    pub phase_s: u32,
    /// Seconds from the end of a round to the next plan.
    pub pause_s: u64,
}

/// How learning stands in one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnInfo {
    /// The group.
    pub group: Name,
    /// Name of the member that coordinates; null if nobody does.
    pub coordinator: Option<String>,
    /// Whether that is this node.
    pub coordinates: bool,
    /// The group's current release, 0 before the first.
    pub release: u32,
    /// On what terms this node takes part; null if it does not.
    pub taking_part: Option<OptIn>,
    /// What its part in a round has come to, such as `training` or `waiting`.
    pub doing: Option<String>,
    /// Why it took no part in the last plan, if it did not.
    pub refused: Option<String>,
    /// Rounds that this node was summed in.
    pub rounds: u64,
    /// What this node coordinates, if it does.
    pub campaign: Option<CampaignInfo>,
    /// What training for the last plan came to, since this node was started. It is told to nobody else.
    pub trained: Option<TrainedInfo>,
}

/// What training for a plan came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedInfo {
    /// The plan's round.
    pub round: u64,
    /// Pairs there were to learn from.
    pub pairs: u64,
    /// Steps that were taken.
    pub steps: u64,
    /// Milliseconds that mining and training took.
    pub ms: u64,
    /// Length of the update, before it is shortened to the plan's clip norm.
    pub norm: f64,
}

/// How a campaign stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CampaignInfo {
    /// Rounds that are still wanted; null if none are under way.
    pub left: Option<u32>,
    /// The round that is on.
    pub round: Option<RoundInfo>,
    /// Rounds in the checkpoint.
    pub rounds: u32,
    /// Fewest participants of one of them.
    pub participants: u32,
    /// What they cost one who took part in all: epsilon at `delta`; null where one had no noise.
    pub epsilon: Option<f64>,
    /// See `epsilon`.
    pub delta: Option<f64>,
    /// Why nothing is under way although something should be.
    pub problem: Option<String>,
    /// The attempts of the past, oldest first, at most 100.
    pub history: Vec<PastRound>,
}

/// The round that is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoundInfo {
    /// Its number.
    pub round: u64,
    /// Which attempt, from 0.
    pub attempt: u32,
    /// Where it is.
    pub phase: String,
    /// How many take part.
    pub participants: u64,
    /// How many of them are done with the phase.
    pub done: u64,
}

/// An attempt that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRound {
    /// The round.
    pub round: u64,
    /// Which attempt at it, from 0.
    pub attempt: u32,
    /// When it ended.
    pub at: UnixMillis,
    /// How many were summed; 0 if it failed.
    pub participants: u32,
    /// Length of the mean update.
    pub norm: Option<f64>,
    /// Mean loss of participants' held-out pairs before and after, noise included, where that was asked for.
    pub loss: Option<(f64, f64)>,
    /// Why it failed.
    pub failed: Option<String>,
    /// Share of the participants whose updates were shortened to the clip norm, where that was asked for.
    pub clipped: Option<f64>,
    /// How long each phase took, in milliseconds, in order.
    pub phases: Vec<(String, u64)>,
}

/// A release of a group's model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseInfo {
    /// Its number.
    pub number: u32,
    /// The exact model.
    pub id: ModelId,
    /// What it is called here; null if it has not been fetched.
    pub model: Option<String>,
    /// Whether new collections and questions use it.
    pub used: bool,
}

/// A release that is used from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdoptedRelease {
    /// Its number.
    pub number: u32,
    /// What it is called here.
    pub model: String,
    /// Loss of pairs of own files without and with it; null where this node learns from none.
    pub loss: Option<(f64, f64)>,
}

/// One account of the privacy ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrivacyAccount {
    /// What it is for.
    pub account: String,
    /// The collection, where it is for one that is here.
    pub collection: Option<Name>,
    /// The file of pairs, where it is for one that is learnt from.
    #[serde(serialize_with = "lossy::option")]
    pub pairs: Option<PathBuf>,
    /// `peer` or `document`.
    pub unit: String,
    /// Epsilon spent so far at `delta`, rounded up: zero-out. Null if that is beyond any bound.
    pub epsilon: Option<f64>,
    /// The same for replacing one contribution by another.
    pub replace_one_epsilon: Option<f64>,
    /// What epsilons are told for.
    pub delta: f64,
    /// What may be spent, if there is a bound.
    pub budget: Option<f64>,
}
