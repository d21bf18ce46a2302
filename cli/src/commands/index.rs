//! `covey index`: building one, what it takes, whether it is whole, making it smaller, writing it out.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use covey_node::api::{ApiError, Call, ExportCall, ExportFormat, Profile};
use covey_node::directory::Ask;
use covey_protocol::ids::Name;

use super::collections::{absolute, existing, goes_on};
use crate::place::Place;
use crate::session::Session;
use crate::text::parse_size;

/// Build, see, check, shrink, tune and export indexes
#[derive(Debug, Subcommand)]
pub enum Index {
    Build(Build),
    /// Show what an index holds, what it takes on disk, and its settings
    Info(Any),
    /// Read all of an index and check it; fails with exit code 18 where it is damaged
    Verify(Any),
    /// Make an index as small as it gets, without embedding anything again
    Compact(Any),
    Export(Export),
    /// Embed and code every passage anew: after another profile was chosen, or for a new model release
    Recode(One),
    /// Choose how much disk an index may take, and how hard searches look
    Profile(Choose),
}

// Without descriptions of their own, so that each command keeps its own.
#[derive(Debug, Args)]
pub struct Any {
    /// The collection, or the directory of an index (a path with a `/`, or one that starts with a dot)
    #[arg(value_name = "COLLECTION|DIR")]
    place: Place,
}

#[derive(Debug, Args)]
pub struct One {
    /// The collection
    collection: Name,
}

/// Choose how much disk an index may take, and how hard searches look
#[derive(Debug, Args)]
#[command(after_help = "Example: covey index profile notes small && covey index recode notes")]
pub struct Choose {
    /// The collection
    collection: Name,
    /// The profile
    profile: Chosen,
    /// Most bytes on disk for embeddings kept from earlier questions, such as 8MB; 0 for none (by
    /// default what suits profile and model)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    cache: Option<u64>,
}

/// Settings for three kinds of need.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Chosen {
    /// About 17 bytes a passage; no search by words
    Small,
    /// About 60 bytes a passage
    Balanced,
    /// About 200 bytes a passage, for the fastest answers
    Fast,
}

impl From<Chosen> for Profile {
    fn from(chosen: Chosen) -> Self {
        match chosen {
            Chosen::Small => Self::Small,
            Chosen::Balanced => Self::Balanced,
            Chosen::Fast => Self::Fast,
        }
    }
}

/// Index a folder into a directory of its own, without a node
///
/// The index holds codes, positions and words, as a collection's does. `covey index info DIR`, `covey
/// search --index DIR` and the like take it by its path. The same command again brings it up to date.
#[derive(Debug, Args)]
#[command(after_help = "Example: covey index build ~/papers --out ./papers.index")]
pub struct Build {
    /// The file or folder to index
    folder: PathBuf,
    /// The directory of the index, made where there is none
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// How much disk a new index may take (balanced by default)
    #[arg(long, value_enum)]
    profile: Option<Chosen>,
    /// The model, by name or id (by default that of the index, or the built-in one)
    #[arg(long)]
    model: Option<String>,
}

/// Write out what an index knows, one JSON line a passage
#[derive(Debug, Args)]
#[command(
    after_help = "Example: covey index export notes --out notes.jsonl\n         covey index export ./papers.index --out papers.jsonl --format npy"
)]
pub struct Export {
    /// The collection, or the directory of an index
    #[arg(value_name = "COLLECTION|DIR")]
    place: Place,
    /// The file to write; one that is there is replaced
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Lines alone, or lines and beside them a .npy file with a vector for each
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Leave the texts out
    #[arg(long)]
    no_text: bool,
    /// Put each passage's vector, computed again, into its line
    #[arg(long)]
    vectors: bool,
}

/// What an export consists of.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum Format {
    /// A JSON object a line
    #[default]
    Jsonl,
    /// The same, and FILE with the ending .npy for NumPy
    Npy,
}

impl From<Format> for ExportFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Jsonl => Self::Jsonl,
            Format::Npy => Self::Npy,
        }
    }
}

impl Index {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let with = |place: Place, call: fn(Name) -> Call, ask: Ask, what: &str| match place {
            Place::Collection(name) => session.show(call(name), what),
            Place::Directory(dir) => session.output.done(session.ask(&dir, ask, what)?),
        };
        match self {
            Self::Build(it) => it.run(session),
            Self::Info(Any { place }) => {
                with(place, |collection| Call::IndexInfo { collection }, Ask::Info, "looking")
            }
            Self::Verify(Any { place }) => {
                with(place, |collection| Call::IndexVerify { collection }, Ask::Verify, "checking")
            }
            Self::Compact(Any { place }) => {
                let call = |collection| Call::IndexCompact { collection };
                with(place, call, Ask::Compact, "compacting")
            }
            Self::Export(it) => it.run(session),
            Self::Recode(One { collection }) => {
                session.show(Call::IndexRecode { collection }, "coding anew")
            }
            Self::Profile(Choose { collection, profile, cache }) => {
                let next = format!(
                    "From now on passages are coded so; `covey index recode {collection}` codes all anew."
                );
                let (profile, cache_bytes) = (profile.into(), cache);
                let call = Call::IndexProfile { collection, profile, cache_bytes };
                let reply = session.call(call, "changing")?;
                session.output.notice(&next);
                session.output.done(reply)
            }
        }
    }
}

impl Build {
    fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let folder = existing(&self.folder)?;
        let profile = self.profile.map(Into::into);
        let ask = Ask::Build { folder, profile, model: self.model };
        let reply = session.ask(&self.out, ask, "indexing").map_err(goes_on)?;
        session.output.done(reply)
    }
}

impl Export {
    fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let export = ExportCall {
            path: absolute(&self.out)?,
            format: self.format.into(),
            text: !self.no_text,
            vectors: self.vectors,
        };
        match self.place {
            Place::Collection(collection) => {
                session.show(Call::IndexExport { collection, export }, "exporting")
            }
            Place::Directory(dir) => {
                let reply = session.ask(&dir, Ask::Export(export), "exporting")?;
                session.output.done(reply)
            }
        }
    }
}
