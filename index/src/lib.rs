//! A private LEANN index over a person's own files.
//!
//! A vector index usually stores every embedding. This one stores a tiny code for each chunk (and, for
//! millions of them, a pruned neighbour graph), throws the embeddings away, and recomputes the few
//! dozen a query needs from the files themselves (LEANN, arXiv 2506.08276). Text is not copied either: a chunk is a
//! span in the user's file, and a file that changed is noticed and left out of the answer until the
//! next update.
//!
//! Start from [`Collection`]: [`Collection::update`] brings a folder in, [`Collection::search`]
//! answers a query vector. A [`Snapshot`] answers queries while an update runs.
//!
//! [`Snapshot::mine`] finds pairs of texts to learn from.
//!
//! [`Snapshot::tune`] finds settings that reach a recall, a latency and a size on disk.
//!
//! This crate never runs a model and never talks to the network: it is handed an [`Encoder`] and
//! the [`Files`] to read. It reads no clock and draws no ambient randomness, so the same files,
//! encoder and seed give the same bytes.
//!
//! The file format is in `docs/spec/index-format.md`; the checks numbered there (`IDX-01` ...) are
//! named where the code makes them.

mod bits;
mod bytes;
mod cache;
mod chunk;
mod codec;
mod coded;
mod collection;
mod container;
mod content;
mod document;
mod encoder;
mod error;
mod files;
mod filter;
mod graph;
mod grep;
mod hybrid;
mod lexical;
mod line;
mod manifest;
mod mining;
mod paths;
mod search;
mod segment;
mod settings;
mod store;
mod tune;
mod vectors;

#[cfg(any(test, feature = "internals"))]
extern crate self as covey_index;
#[cfg(any(test, feature = "internals"))]
mod fixture;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;

pub use collection::{
    Collection, CollectionStats, Progress, RecodeReport, RecodeStep, RecodedPart, Snapshot, Stage,
    UpdateOptions, UpdateReport, VerifyReport,
};
pub use document::SkipReason;
pub use encoder::{EncodeError, Encoder, EncoderId};
pub use error::{IndexError, WrongModel};
pub use files::{Disk, FileStat, Files, MemoryFiles, Walked};
pub use filter::{Facts, Filter, FilterError, MAX_FILTER_BYTES};
pub use grep::{Case, Grep, GrepError, GrepOptions, LineMatch};
pub use mining::{
    LeftOut, MAX_ANCHOR, MAX_PASSAGE, Mined, MinedFile, PairKind, TextPair, Unfit, anchor, passage,
    title_anchor,
};
pub use search::{
    GrepHit, GrepResult, Hit, Listed, ListedChunk, ListedFile, SearchOptions, SearchResult,
    Stopped, TimeLeft,
};
pub use settings::{Profile, Settings};
pub use tune::{
    DiskGoal, TUNE_K, TUNE_LEAST, TuneCosts, TuneDesk, TuneGoal, TuneGoals, TuneMeasured,
    TuneProgress, TuneReport, TuneRow, TuneStage,
};
