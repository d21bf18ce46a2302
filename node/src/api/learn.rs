//! Learning together: taking part in a group's rounds, and coordinating them.

use std::path::PathBuf;

use covey_privacy::ledger::Unit;
use covey_protocol::ids::{ModelId, Name, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{Condition, Hours, Schedule, lossy};

/// On what terms this node takes part in a group's rounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptIn {
    /// The group.
    pub group: Name,
    /// The collections that are learnt from; may be empty if there are files of pairs.
    #[serde(default)]
    pub collections: Vec<Name>,
    /// What the rounds protect that this node takes part in: the peer, or each document by itself, and then not all of them together.
    #[serde(default = "whole_peer")]
    pub unit: Unit,
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
    /// Seconds that a member must have been in the group, without being invited by the coordinator, to count towards `min_honest`; null
    /// or 0 to count all.
    #[serde(default)]
    pub known_for_s: Option<u64>,
    /// Most steps of training in a round.
    pub max_steps: u32,
    /// Most bytes of values and masked vector in an attempt.
    #[serde(default = "max_bytes")]
    pub max_bytes: u64,
    /// When, and how much of the time, this node trains.
    #[serde(default)]
    pub schedule: Schedule,
    /// What becomes of new releases; by default what [`super::Call::ModelFollow`] said last, else they are adopted.
    #[serde(default)]
    pub adopt: Option<Adopt>,
    /// Files of pairs that are learnt from as well (absolute): JSON lines, as mining writes them.
    #[serde(default)]
    pub pairs: Vec<PathBuf>,
}

/// What an attempt may send and receive unless the person says so.
pub const DEFAULT_MAX_BYTES: u64 = 512 << 20;

fn max_bytes() -> u64 {
    DEFAULT_MAX_BYTES
}

const fn whole_peer() -> Unit {
    Unit::Peer
}

/// Changes of the terms on which this node takes part in a group's rounds. What is null stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeLimits {
    /// The group.
    pub group: Name,
    /// What all rounds together may cost.
    #[serde(default)]
    pub epsilon: Option<f64>,
    /// What epsilons are told for.
    #[serde(default)]
    pub delta: Option<f64>,
    /// What one attempt may cost.
    #[serde(default)]
    pub round_epsilon: Option<f64>,
    /// Fewest honest members that an update must be summed with, this node's included.
    #[serde(default)]
    pub min_honest: Option<u32>,
    /// Share of a cohort that may collude without harm, in thousandths.
    #[serde(default)]
    pub collusion_permille: Option<u16>,
    /// See [`OptIn::known_for_s`]; 0 demands nothing.
    #[serde(default)]
    pub known_for_s: Option<u64>,
    /// Most steps of training in a round.
    #[serde(default)]
    pub max_steps: Option<u32>,
    /// Most bytes of values and masked vector in an attempt.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// See [`Schedule::when`].
    #[serde(default)]
    pub when: Option<Vec<Condition>>,
    /// See [`Schedule::hours`].
    #[serde(default)]
    pub hours: Option<Vec<Hours>>,
    /// See [`Schedule::cpu_share`].
    #[serde(default)]
    pub cpu_share: Option<f64>,
}

/// What becomes of a new release of a group's model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adopt {
    /// It is fetched, checked, tried on own pairs and used, by itself.
    #[default]
    Auto,
    /// The person is asked.
    Ask,
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
    /// What is protected: the peer, or each document by itself, which takes noise.
    #[serde(default = "whole_peer")]
    pub unit: Unit,
    /// Most documents of a participant that count in a round, where each is protected by itself; 32 by default.
    #[serde(default)]
    pub documents: Option<u32>,
    /// Longest update, or gradient of a document; by whether there is noise by default.
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
    /// Most participants: the first so many that check in; at most 100, and by default.
    #[serde(default)]
    pub max_cohort: Option<u32>,
    /// Share of a cohort that may collude, in thousandths.
    pub collusion_permille: u16,
    /// Share of it that may drop out, in thousandths.
    pub dropout_permille: u16,
    /// Seconds from a plan to the end of checking in: the time to train.
    pub window_s: u64,
    /// Seconds that a phase of the sum waits for those who are missing.
    pub phase_s: u32,
    /// The same for masked vectors; four times as long by default.
    #[serde(default)]
    pub upload_s: Option<u32>,
    /// Seconds from the end of a round to the next plan.
    pub pause_s: u64,
    /// Fewest seconds from one release to the next that is made by itself; a week by default, null where all are made by hand.
    #[serde(default = "weekly")]
    pub release_every_s: Option<u64>,
    /// The first round's number at least, where what the coordinator kept is lost and members refuse lower ones.
    #[serde(default)]
    pub first_round: Option<u64>,
}

const fn weekly() -> Option<u64> {
    Some(7 * 24 * 3_600)
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
    /// How far training is, while it goes on.
    #[serde(default)]
    pub training: Option<StepsInfo>,
    /// The plan that it follows.
    #[serde(default)]
    pub plan: Option<PlanInfo>,
    /// Why it took no part in the last plan, if it did not.
    pub refused: Option<String>,
    /// Whom a cohort could be of, if this node takes part and does not demand to know.
    #[serde(default)]
    pub strangers: Option<String>,
    /// Rounds that this node was summed in.
    pub rounds: u64,
    /// Why the current release is not used, if it is not.
    #[serde(default)]
    pub not_adopted: Option<String>,
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
    /// Steps that were taken; documents, where each counts by itself.
    pub steps: u64,
    /// Milliseconds that mining and training took.
    pub ms: u64,
    /// Length of the update, before it is shortened to the plan's clip norm; of the documents' gradients, on average.
    pub norm: f64,
    /// Whether each document counts by itself.
    #[serde(default)]
    pub by_document: bool,
    /// Why nothing was learnt, if so: with noise, zeros are sent then, which cost what an update does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing: Option<String>,
}

/// How far training for a round is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepsInfo {
    /// Steps done.
    pub done: u64,
    /// Steps there will be, if nothing ends training early.
    pub total: u64,
}

/// The plan of a round as a participant follows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanInfo {
    /// The round.
    pub round: u64,
    /// Which attempt at it is on, from 0.
    pub attempt: u32,
    /// How many there may be.
    pub attempts: u32,
    /// What it protects.
    #[serde(default = "whole_peer")]
    pub unit: Unit,
    /// When training and checking in end.
    pub check_in_by: UnixMillis,
    /// How loud the noise will be, if there is any.
    pub noise: Option<NoiseInfo>,
}

/// How loud a round's noise is beside what is learnt, at best: where all updates are as long as they may be and point the same way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NoiseInfo {
    /// Length of the noise over that of the sum. Above 1 noise drowns the signal.
    pub over_signal: f64,
    /// With so many participants.
    pub cohort: u32,
    /// With so many documents of each, which count by themselves; 0 where the peer does.
    #[serde(default)]
    pub documents: u32,
    /// Values of an update.
    pub values: u64,
    /// The noise that the plan promises, in multiples of the clip norm.
    pub multiplier: f64,
    /// The noise that so many participants add up to: more than promised where more take part than the fewest, as each adds its share.
    pub total: f64,
}

/// What a node does for a group's round, at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearningNow {
    /// The group.
    pub group: Name,
    /// The round, once its plan is known.
    pub round: Option<u64>,
    /// What is done.
    pub doing: String,
    /// How far training is, while it goes on.
    pub training: Option<StepsInfo>,
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
    /// What they protect.
    #[serde(default = "whole_peer")]
    pub unit: Unit,
    /// What they cost one who took part in all: epsilon at `delta`; null where one had no noise.
    pub epsilon: Option<f64>,
    /// See `epsilon`.
    pub delta: Option<f64>,
    /// How loud the noise of its rounds is with as many participants as the last sum had, or with all members before the first; null
    /// where none is added, or no rounds are wanted.
    #[serde(default)]
    pub noise: Option<NoiseInfo>,
    /// Fewest seconds from one release to the next that is made by itself; null where all are made by hand.
    #[serde(default)]
    pub release_every_s: Option<u64>,
    /// How far the next release has come: what it does, after "the next release".
    #[serde(default)]
    pub next_release: Option<String>,
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
    /// When the phase ends at the latest.
    #[serde(default)]
    pub ends: Option<UnixMillis>,
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
    /// Where a candidate was evaluated: the share of participants whose pairs do no worse with it.
    #[serde(default)]
    pub no_worse: Option<f64>,
    /// Why it failed.
    pub failed: Option<String>,
    /// Share of the participants whose updates were shortened to the clip norm, where that was asked for.
    pub clipped: Option<f64>,
    /// How long each phase took, in milliseconds, in order.
    pub phases: Vec<(String, u64)>,
}

/// The releases of a group's model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseList {
    /// The newest first.
    pub releases: Vec<ReleaseInfo>,
    /// What becomes of new ones here.
    pub adopt: Adopt,
    /// Old ones that are kept besides those in use.
    pub keep: u32,
    /// Why the current one is not used, if it is not.
    pub not_adopted: Option<String>,
    /// As the coordinator: how far the next one has come.
    pub next_release: Option<String>,
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
    /// Why it is not adopted by itself, if it was declined.
    #[serde(default)]
    pub declined: Option<String>,
    /// What members made of it, where they were asked and it is here. The coordinator vouches for it.
    #[serde(default)]
    pub evaluation: Option<ReleaseEvaluation>,
}

/// What members made of a release before it became one, noise included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReleaseEvaluation {
    /// How many.
    pub members: u32,
    /// Mean loss of their held-out pairs before and with it.
    pub loss: (f64, f64),
    /// The share of them whose pairs do no worse.
    pub no_worse: f64,
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
