//! Mining pairs to learn from, and the results that the person opened.

use std::path::PathBuf;

use covey_crypto::Digest;
use covey_protocol::ids::{Name, UnixMillis};
use serde::{Deserialize, Serialize};

use super::lossy;

/// Which pairs are wanted, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MineCall {
    /// Of which collections; all by default.
    #[serde(default)]
    pub collections: Vec<Name>,
    /// The file to write (absolute).
    pub path: PathBuf,
    /// So many texts for each pair that seem to belong to it and do not, at most [`MAX_NEGATIVES`].
    #[serde(default)]
    pub negatives: u16,
}

/// Most negatives of a pair.
pub const MAX_NEGATIVES: u16 = 64;

/// What was mined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MineReport {
    /// The collections, by name.
    pub collections: Vec<Name>,
    /// The file that was written; null where it was only needed for a while.
    #[serde(serialize_with = "lossy::option")]
    pub path: Option<PathBuf>,
    /// Its size.
    pub bytes: u64,
    /// Files that were read.
    pub files: u64,
    /// Pairs, by what makes them one.
    pub pairs: MinedPairs,
    /// Negatives of all pairs.
    pub negatives: u64,
    /// What was no pair, by reason.
    pub left_out: UnfitPairs,
    /// Files that changed since they were indexed, of which there are no pairs.
    pub stale: u64,
    /// Some of them.
    #[serde(serialize_with = "lossy::list")]
    pub stale_files: Vec<PathBuf>,
    /// Collections left out and why, a sentence each.
    pub notes: Vec<String>,
}

/// Pairs, by what makes them one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinedPairs {
    /// A title and how the text under it begins.
    pub title: u64,
    /// Headings and the text under them.
    pub heading: u64,
    /// What documents code, and the code.
    pub code: u64,
    /// A question and a result that the person opened.
    pub opened: u64,
}

impl MinedPairs {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.title + self.heading + self.code + self.opened
    }
}

/// What is no pair, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfitPairs {
    /// What would be asked is of fewer than two words.
    pub short: u64,
    /// What would be asked has no letter.
    pub numeric: u64,
    /// The heading is longer than any that a person reads.
    pub long: u64,
    /// What belongs to it is of fewer than three words.
    pub bare: u64,
    /// A result that was opened, and whose text is no longer there.
    pub gone: u64,
}

/// What pairs a model is near to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearReport {
    /// The file that was written.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// The model.
    pub model: String,
    /// Pairs that there were.
    pub pairs: u64,
    /// And those that are in the file.
    pub kept: u64,
}

/// A result that the person opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenedCall {
    /// What they had asked.
    pub question: String,
    /// The file (absolute).
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// SHA-256 of the passage's text.
    pub chunk: Digest,
}

/// A result that the person opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedInfo {
    /// When.
    pub at: UnixMillis,
    /// What they had asked.
    pub question: String,
    /// The file.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// SHA-256 of the passage's text.
    pub chunk: Digest,
}

/// To `covey open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenInfo {
    /// Which of the results, from 1.
    pub number: u64,
    /// What was asked.
    pub question: String,
    /// The file.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// Where in it: the file inside the collection, and the headings.
    pub title: Option<String>,
    /// The line, where lines were searched.
    pub line: Option<u64>,
    /// Whether this node remembers that it was opened.
    pub remembered: bool,
}
