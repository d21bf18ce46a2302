//! Own files: what is indexed, and who may search it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use covey_node::api::{ApiError, Call, ErrorCode, Reveal};
use covey_protocol::ids::Name;

use super::index::Chosen;
use crate::session::Session;

/// Index a file or folder, or bring its index up to date
///
/// Text, Markdown, HTML, PDF, DOCX, EPUB, e-mail, notebooks, tables and source code are indexed; what
/// is skipped is listed with the reason.
/// A second run only touches what has changed. Nobody else can search it until you share it.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: covey add ~/notes\n         covey add ~/papers --collection reading"
)]
pub struct Add {
    /// The file or folder
    path: PathBuf,
    /// The collection to put it in (by default one named after the folder)
    #[arg(long, short)]
    collection: Option<Name>,
    /// How much disk a new collection's index may take (balanced by default)
    #[arg(long, value_enum)]
    profile: Option<Chosen>,
}

impl Add {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let path = existing(&self.path)?;
        session.ensure_node(None)?;
        let profile = self.profile.map(Into::into);
        let call = Call::Add { path, collection: self.collection, profile };
        session.show(call, "indexing").map_err(goes_on)
    }
}

/// Says what to do after an interrupted indexing.
pub fn goes_on(error: ApiError) -> ApiError {
    match error.code {
        ErrorCode::Cancelled if error.hint.is_none() => {
            error.hint("the same command again goes on from there")
        }
        _ => error,
    }
}

/// Forget a collection, or one folder of it; your files stay untouched
#[derive(Debug, Args)]
pub struct Remove {
    /// The collection
    collection: Name,
    /// Only this file or folder of it
    path: Option<PathBuf>,
}

impl Remove {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let Self { collection, path } = self;
        // What is to be forgotten may be gone from the disk already.
        let path = path.map(|path| existing(&path).or_else(|_| absolute(&path))).transpose()?;
        let notice = match &path {
            Some(path) => format!("Forgot {} of {collection}.", path.display()),
            None => format!("Forgot {collection}."),
        };
        done(session, Call::Remove { collection, path }, &notice)
    }
}

/// Rebuild collections with the current model
#[derive(Debug, Args)]
pub struct Reindex {
    /// The collection (by default all of them)
    collection: Option<Name>,
}

impl Reindex {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.show(Call::Reindex { collection: self.collection }, "indexing")
    }
}

/// Let the members of a group search a collection
#[derive(Debug, Args)]
#[command(after_help = "Example: covey share notes --group lab --reveal snippet")]
pub struct Share {
    /// The collection
    collection: Name,
    /// The group
    #[arg(long, short)]
    group: Name,
    /// How much of a match its members see
    #[arg(long, short, value_enum)]
    reveal: Revealed,
}

/// How much of a match is shown.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Revealed {
    /// That something matches, and how well
    Score,
    /// Also the title and the best few lines
    Snippet,
    /// Also the whole passage
    Full,
}

impl Share {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let Self { collection, group, reveal } = self;
        let (reveal, sees) = match reveal {
            Revealed::Score => (Reveal::Score, "that something matches, and how well"),
            Revealed::Snippet => (Reveal::Snippet, "titles and snippets"),
            Revealed::Full => (Reveal::Full, "whole passages"),
        };
        let notice = format!("Members of {group} can now search {collection} and see {sees}.");
        done(session, Call::Share { collection, group, reveal }, &notice)
    }
}

/// Take a share back
#[derive(Debug, Args)]
pub struct Unshare {
    /// The collection
    collection: Name,
    /// The group
    #[arg(long, short)]
    group: Name,
}

impl Unshare {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let Self { collection, group } = self;
        let notice = format!("Members of {group} can no longer search {collection}.");
        done(session, Call::Unshare { collection, group }, &notice)
    }
}

/// Makes a call whose result says little, and says in words that it was done.
pub fn done(session: &Session<'_>, call: Call, notice: &str) -> Result<(), ApiError> {
    let reply = session.call(call, "working")?;
    session.output.notice(notice);
    session.output.done(reply)
}

/// `path`, absolute and free of links and dots, if there is something.
pub fn existing(path: &Path) -> Result<PathBuf, ApiError> {
    path.canonicalize().map_err(|error| {
        let path = path.display();
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                ApiError::new(ErrorCode::NotFound, format!("there is no file or folder {path}"))
            }
            _ => ApiError::new(ErrorCode::Storage, format!("cannot use {path}: {error}")),
        }
    })
}

/// `path` from the root on, whether or not anything is there.
pub fn absolute(path: &Path) -> Result<PathBuf, ApiError> {
    std::path::absolute(path)
        .map_err(|error| ApiError::new(ErrorCode::Usage, format!("{}: {error}", path.display())))
}
