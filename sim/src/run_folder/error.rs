//! What can be wrong with a folder.

use std::io;
use std::path::{Path, PathBuf};

/// A folder that cannot be written or read as a run's.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The disk said no.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something else is in it.
    #[error("{} has something in it that is no run of the simulator, and is left alone; name another folder", .0.display())]
    Foreign(PathBuf),
    /// A run is in it.
    #[error("{} has a run in it already; continue it, replace it, or name another folder", .0.display())]
    Taken(PathBuf),
    /// Nothing of a run is in it.
    #[error("{} has no run in it: there is no {VERSIONS}; name the folder that a run was written to", .0.display(), VERSIONS = super::VERSIONS)]
    NoRun(PathBuf),
    /// Another process has it.
    #[error("another process is writing {}; wait for it, or name another folder", .0.display())]
    Busy(PathBuf),
    /// A line that is none.
    #[error("{}, line {line}: {why}; delete the lines from there on, and continue the run", path.display())]
    Line {
        /// Of which file.
        path: PathBuf,
        /// Which, from 1 on.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A figure that is not finite.
    #[error(
        "what was measured cannot be written down ({0}); this is a mistake in Covey, please report it with the scenario"
    )]
    NoNumber(#[source] serde_json::Error),
    /// A file that is damaged as a whole.
    #[error("{}: {why}; the run cannot be read, run it anew", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// Says what was tried when the disk said no.
pub(crate) fn io<'a>(
    doing: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> FolderError + 'a {
    move |source| FolderError::Io { doing, path: path.to_owned(), source }
}
