//! Results of commands that need no running node; the command line prints them, the socket never carries them.

use std::path::PathBuf;

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
