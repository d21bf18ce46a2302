//! What is told of a collection's index, and done to it.

use std::path::PathBuf;

use covey_protocol::ids::Name;
use serde::{Deserialize, Serialize};

use super::{TunedInfo, lossy};

/// Settings for a kind of need, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// As little disk as possible, for more recomputation and fewer of the best results; no index of words.
    Small,
    /// The default.
    Balanced,
    /// More disk, for the least recomputation.
    Fast,
}

impl From<Profile> for covey_index::Profile {
    fn from(profile: Profile) -> Self {
        match profile {
            Profile::Small => Self::Small,
            Profile::Balanced => Self::Balanced,
            Profile::Fast => Self::Fast,
        }
    }
}

impl From<covey_index::Profile> for Profile {
    fn from(profile: covey_index::Profile) -> Self {
        match profile {
            covey_index::Profile::Small => Self::Small,
            covey_index::Profile::Balanced => Self::Balanced,
            covey_index::Profile::Fast => Self::Fast,
        }
    }
}

/// What an index holds and takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// The collection.
    pub collection: Name,
    /// Files indexed.
    pub files: u64,
    /// Chunks that can be found.
    pub chunks: u64,
    /// Chunks of changed or removed files that still take space.
    pub dead_chunks: u64,
    /// Segments it is made of.
    pub segments: u64,
    /// Bytes without the index of words.
    pub index_bytes: u64,
    /// Bytes of the index of words; 0 where there is none.
    pub lexical_bytes: u64,
    /// Bytes of embeddings kept from earlier questions, on top of those.
    #[serde(default)]
    pub cache_bytes: u64,
    /// Bytes of text indexed.
    pub text_bytes: u64,
    /// Its settings.
    pub settings: IndexSettings,
    /// The goals it is kept at, if the person gave some.
    #[serde(default)]
    pub tuned: Option<TunedInfo>,
}

/// What an index may cost and how hard it looks; `covey_index::Settings` explains each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexSettings {
    /// The profile these are, if they are one's.
    pub profile: Option<Profile>,
    /// Bytes a chunk may take on average.
    pub bytes_per_chunk: u32,
    /// Most chunks recomputed for a question, of up to 8192; some more of larger collections.
    pub recompute: u32,
    /// How sure to be that what is left out is no better, in standard deviations.
    pub confidence: f32,
    /// Whether every result's score is recomputed.
    pub exact: bool,
    /// Whether it can be searched by words.
    pub lexical: bool,
    /// Most bytes for embeddings kept from earlier questions; 0 for none.
    #[serde(default)]
    pub cache_bytes: u64,
    /// Up to so many passages a part of the index is scanned as a whole.
    #[serde(default)]
    pub flat: u32,
    /// Blocks scanned of each larger part; 0 chooses by its size.
    #[serde(default)]
    pub probes: u32,
}

impl From<covey_index::Settings> for IndexSettings {
    fn from(settings: covey_index::Settings) -> Self {
        Self {
            profile: settings.profile().map(Into::into),
            bytes_per_chunk: settings.bytes_per_chunk,
            recompute: settings.recompute,
            confidence: settings.confidence,
            exact: settings.exact,
            lexical: settings.lexical,
            cache_bytes: settings.cache_bytes,
            flat: settings.flat,
            probes: settings.probes,
        }
    }
}

/// What checking an index went through; damage is an error instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexVerified {
    /// The collection.
    pub collection: Name,
    /// Segments read.
    pub segments: u64,
    /// Files in them.
    pub files: u64,
    /// Chunks in them, dead ones included.
    pub chunks: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Bytes of embeddings kept from earlier questions, on top of those.
    #[serde(default)]
    pub cache_bytes: u64,
    /// Embeddings among them that are whole; others are ignored, and no damage to the index.
    #[serde(default)]
    pub cached: u64,
}

/// What compacting an index gained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexCompacted {
    /// The collection.
    pub collection: Name,
    /// Bytes before, the index of words included.
    pub before: u64,
    /// Bytes after.
    pub after: u64,
}

/// What coding an index anew did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRecoded {
    /// The collection.
    pub collection: Name,
    /// Chunks embedded.
    pub embedded: u64,
    /// Files left out as they changed since; `covey add` takes them in again.
    pub stale: u64,
    /// Bytes of index now, without the index of words.
    pub index_bytes: u64,
}

/// How an index is written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportCall {
    /// The file of the lines (absolute); one that is there is replaced.
    pub path: PathBuf,
    /// What is written.
    #[serde(default)]
    pub format: ExportFormat,
    /// Whether each line holds its chunk's text.
    #[serde(default = "yes")]
    pub text: bool,
    /// Whether each line holds its chunk's vector, computed again.
    #[serde(default)]
    pub vectors: bool,
}

const fn yes() -> bool {
    true
}

/// What an export consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExportFormat {
    /// A JSON object a line, one for each chunk.
    #[default]
    Jsonl,
    /// The same, and beside it a `.npy` file whose rows are the lines' vectors.
    Npy,
}

/// What writing an index out did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexExported {
    /// The collection.
    pub collection: Name,
    /// The file of the lines.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// The file of the vectors, if there is one.
    #[serde(serialize_with = "lossy::option")]
    pub vectors: Option<PathBuf>,
    /// Files written out.
    pub files: u64,
    /// Chunks, a line each.
    pub chunks: u64,
    /// Bytes of both files.
    pub bytes: u64,
    /// Files left out as they changed since; `covey add` takes them in again.
    pub stale: u64,
    /// Their names; at most the first 1,000.
    #[serde(serialize_with = "lossy::list")]
    pub stale_files: Vec<PathBuf>,
}
