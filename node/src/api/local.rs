//! Results of commands that need no running node; the command line prints them, the socket never carries them.

use std::path::PathBuf;

use covey_privacy::plan::{Drowned, Point};
use covey_protocol::ids::{Name, NodeId};
use serde::{Deserialize, Serialize};

use super::{SearchReport, lossy};

/// To `covey init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initialised {
    /// The new node.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// Where its configuration lives.
    #[serde(serialize_with = "lossy::path")]
    pub config_dir: PathBuf,
    /// Where its keys and state live.
    #[serde(serialize_with = "lossy::path")]
    pub state_dir: PathBuf,
    /// Where its indexes live.
    #[serde(serialize_with = "lossy::path")]
    pub data_dir: PathBuf,
    /// Where it will listen.
    pub listen: Vec<String>,
}

/// To `covey backup` and `covey restore`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupInfo {
    /// The backup.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The node it holds.
    pub node: NodeId,
}

/// To `covey service`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceInfo {
    /// The unit file.
    #[serde(serialize_with = "lossy::path")]
    pub unit: PathBuf,
    /// Whether it is there now.
    pub installed: bool,
    /// Commands to type next.
    pub next: Vec<String>,
}

/// To `covey logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogInfo {
    /// The log file.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// Its last lines, oldest first.
    pub lines: Vec<String>,
}

/// To `covey demo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DemoReport {
    /// The three members.
    pub members: Vec<DemoMember>,
    /// What they asked one another, in order.
    pub questions: Vec<DemoQuestion>,
    /// Time taken in all.
    pub elapsed_ms: u64,
}

/// One of the demo's members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DemoMember {
    /// Its name.
    pub name: Name,
    /// Its node.
    pub node: NodeId,
    /// Files it indexed.
    pub files: u64,
    /// Chunks of these.
    pub chunks: u64,
    /// How much the others see of a match: `nothing`, or as in a share.
    pub reveals: String,
}

/// One of the demo's questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DemoQuestion {
    /// Who asked.
    pub asker: Name,
    /// What.
    pub question: String,
    /// The answer.
    pub report: SearchReport,
}

/// To `covey privacy plan`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrivacyPlan {
    /// What is hidden: `peer` or `document`.
    pub unit: String,
    /// The most that all rounds may give away, as it was asked for.
    pub epsilon: f64,
    /// At this delta.
    pub delta: f64,
    /// How many rounds.
    pub rounds: u32,
    /// Peers in a round.
    pub cohort: u32,
    /// Most documents of each that count in a round; 0 where peers are hidden.
    #[serde(default)]
    pub documents: u32,
    /// Largest share of them that may drop out, in thousandths.
    pub dropout_permille: u16,
    /// Largest share of them that may collude with the coordinator, in thousandths.
    pub collusion_permille: u16,
    /// The fewest who stay.
    pub survivors: u32,
    /// The fewest who add their noise and keep it to themselves: what the noise is made for, and the promise holds for.
    pub honest: u32,
    /// Parameters that are trained.
    pub parameters: u64,
    /// Each update's largest L2 norm.
    pub clip: f64,
    /// Noise on a round's sum as a multiple of it, at least; rounded up.
    pub noise: f64,
    /// What would do by exact accounting of a continuous Gaussian.
    pub gaussian_noise: f64,
    /// Standard deviation of the noise on each coordinate of a sum, where the fewest add it.
    pub deviation: f64,
    /// The same where the whole cohort does.
    pub deviation_of_all: f64,
    /// Length of the noise over that of what is learnt where the whole cohort stays, at best: all updates at full length and pointing the same way.
    pub noise_over_signal: f64,
    /// Where that is above one: what would bring it to one.
    pub drowned: Option<Drowned>,
    /// Epsilon after the first round, the last, and some between, as a ledger charges it and for a continuous Gaussian.
    pub curve: Vec<Point>,
    /// What all rounds give away, rounded up: zero-out.
    pub spent: f64,
    /// The same for replacing one contribution by another.
    pub replace_one_spent: f64,
    /// The claim in words, with its condition.
    pub statement: String,
    /// What outsiders learn, where a rate was given.
    pub outsiders: Option<OutsidersPlan>,
    /// What there is to know before one relies on it.
    pub notes: Vec<String>,
}

/// What those learn who see released models only, if who takes part is a secret, independent draw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutsidersPlan {
    /// The chance with which each unit enters a round.
    pub rate: f64,
    /// Epsilon at the plan's delta, rounded up.
    pub epsilon: f64,
    /// The claim in words.
    pub statement: String,
}
