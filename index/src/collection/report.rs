//! What an update is told, tells and gives back.

use std::path::PathBuf;

use crate::document::SkipReason;

/// How to update a collection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct UpdateOptions {
    /// Larger files are skipped.
    pub max_file_bytes: u64,
    /// Work is saved, as a segment, whenever this many chunks are embedded.
    pub segment_chunks: usize,
    /// Chunks handed to the encoder at once.
    pub batch: usize,
    /// Segments of about one size that are allowed before they are merged into one.
    pub merge_at: usize,
    /// Share of dead chunks in a segment, in percent, from which it is written anew.
    pub dead_percent: usize,
    /// Decides the graph, with the vectors; the same seed gives the same bytes.
    pub seed: u64,
}

impl Default for UpdateOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: 64 << 20,
            segment_chunks: 8192,
            batch: 64,
            merge_at: 4,
            dead_percent: 30,
            seed: 0,
        }
    }
}

/// What an update is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Looking for files.
    Scanning,
    /// Reading and embedding what is new.
    Embedding,
    /// Copying the codes of segments that are merged.
    Merging,
}

/// How far an update is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// What it is busy with.
    pub stage: Stage,
    /// The file it is at.
    pub path: PathBuf,
    /// Files found so far.
    pub files_seen: usize,
    /// Files read so far, of those that changed.
    pub files_done: usize,
    /// Files that changed and have to be read.
    pub files_total: usize,
    /// Chunks embedded so far.
    pub chunks_embedded: usize,
    /// Chunks there will be, guessed from the bytes still to be read.
    pub chunks_expected: usize,
}

/// What an update did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateReport {
    /// The root's one absolute name, as [`Collection::roots`](crate::Collection::roots) has it.
    pub root: PathBuf,
    /// Files that are new.
    pub added: usize,
    /// Files whose contents changed.
    pub changed: usize,
    /// Files that are gone, or can no longer be indexed.
    pub removed: usize,
    /// Files that are as they were.
    pub unchanged: usize,
    /// Chunks the collection now holds, over all roots.
    pub chunks: usize,
    /// Chunks embedded.
    pub embedded: usize,
    /// Files left out, and why; at most [`UpdateReport::MAX_LISTED`] of them.
    pub skipped: Vec<(PathBuf, SkipReason)>,
    /// How many were left out.
    pub skipped_count: usize,
    /// Whether `progress` ended it early.
    pub cancelled: bool,
}

impl UpdateReport {
    /// The most skipped files a report lists.
    pub const MAX_LISTED: usize = 10_000;

    pub(super) fn skip(&mut self, path: PathBuf, reason: SkipReason) {
        self.skipped_count += 1;
        if self.skipped.len() < Self::MAX_LISTED {
            self.skipped.push((path, reason));
        }
    }
}

/// Sizes and counts of a collection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CollectionStats {
    /// Segments it is made of.
    pub segments: usize,
    /// Files indexed.
    pub files: usize,
    /// Chunks that can be found.
    pub chunks: usize,
    /// Chunks of changed or removed files that still take space.
    pub dead_chunks: usize,
    /// Bytes of the index, with what is made of it for another release, without its lexical part.
    pub index_bytes: u64,
    /// Bytes of the lexical index.
    pub lexical_bytes: u64,
    /// Bytes that recomputed embeddings take which are kept for later questions.
    pub cache_bytes: u64,
    /// Bytes of text indexed.
    pub text_bytes: u64,
}

/// What [`Collection::verify`](crate::Collection::verify) went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments read.
    pub segments: usize,
    /// Files indexed in them.
    pub files: usize,
    /// Chunks in them, dead ones included.
    pub chunks: usize,
    /// Bytes read of the index, without its lexical part.
    pub bytes: u64,
    /// Bytes of the cache of recomputed embeddings, on top of those.
    pub cache_bytes: u64,
    /// Embeddings in it that are whole. Others are as good as absent, and no error.
    pub cached: usize,
    /// Chunks that no walk of the graph can reach; 0 in a segment this program wrote.
    pub unreachable: usize,
}
