//! What can go wrong with a collection, said so that a person knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::encoder::{EncodeError, EncoderId, short};

/// An error of a [`Collection`](crate::Collection).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// There is no collection here.
    #[error("no index in {}; create it first", dir.display())]
    NotFound {
        /// The directory looked at.
        dir: PathBuf,
    },
    /// A collection is already here.
    #[error("there is already an index in {}; open it instead", dir.display())]
    AlreadyExists {
        /// The directory looked at.
        dir: PathBuf,
    },
    /// Another process, or another value in this one, is writing this collection.
    #[error("the index in {} is in use by another process; stop it, or ask it instead", dir.display())]
    Locked {
        /// The collection's directory.
        dir: PathBuf,
    },
    /// The collection was opened for reading only.
    #[error("the index was opened for reading only")]
    ReadOnly,
    /// A file of the index is damaged. The user's own files are not touched by this; see
    /// [`Collection::repair`](crate::Collection::repair).
    #[error(
        "index file {file} is damaged ({what}); repair the index, which drops the damaged part, then update its folders"
    )]
    Corrupt {
        /// Name of the file inside the collection's directory.
        file: String,
        /// Which check failed, by its number in the specification.
        what: String,
    },
    /// A file was written by another version of the format.
    #[error(
        "index file {file} has format version {found}, this program reads {supported}; update the program or build the index anew"
    )]
    Version {
        /// Name of the file.
        file: String,
        /// Version in the file.
        found: u32,
        /// Version this program writes and reads.
        supported: u32,
    },
    /// The encoder is not the one the index was built with.
    #[error(transparent)]
    WrongModel(Box<WrongModel>),
    /// A vector has the wrong length, or is not made of finite numbers.
    #[error("the query cannot be searched for: {what}")]
    BadQuery {
        /// What is wrong with it.
        what: String,
    },
    /// The folder to add cannot be read at all. What was known of it is kept.
    #[error("{} cannot be read ({source}); what the index knows of it is kept", root.display())]
    RootUnreadable {
        /// The folder or file.
        root: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This folder was never added.
    #[error("{} is not in this index", root.display())]
    UnknownRoot {
        /// The folder asked for.
        root: PathBuf,
    },
    /// A bound of the format was reached.
    #[error("the index cannot hold more: {what}")]
    TooLarge {
        /// Which bound.
        what: &'static str,
    },
    /// The lexical index failed.
    #[error("searching by words failed: {what}")]
    Lexical {
        /// What happened.
        what: String,
    },
    /// The collection has no lexical index.
    #[error("this index cannot be searched by words; switch its lexical part on and update it")]
    NoWords,
    /// Settings outside their bounds.
    #[error("these settings are out of bounds: 8 to 65536 bytes a chunk, a confidence of 0 to 10")]
    BadSettings,
    /// There are too few chunks to tune for.
    #[error(
        "there are {chunks} passages to tune for, and with fewer than {least} there is nothing to gain: any settings are fast and small"
    )]
    TooFewToTune {
        /// Chunks that can be read.
        chunks: usize,
        /// How many it takes.
        least: usize,
    },
    /// Goals that make no sense.
    #[error("these goals are out of bounds: a recall of 0 to 1, and some disk")]
    BadGoals,
    /// The disk is full. The index is as it was before.
    #[error("no space left on the disk while writing {}; free some and try again, nothing was lost", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// Reading or writing the index itself failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The model failed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl IndexError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull { path },
            _ => Self::Io { path, source },
        }
    }
}

/// The model of an index and another one that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub struct WrongModel {
    /// The model of the index.
    pub index: EncoderId,
    /// The model offered.
    pub encoder: EncoderId,
}

impl WrongModel {
    /// Whether they are two models altogether, rather than two releases of one.
    pub fn base_differs(&self) -> bool {
        self.index.base != self.encoder.base
    }

    fn message(&self) -> String {
        if self.base_differs() {
            format!(
                "the index was built with model {}, the current model is {}: switch back to it, or build the index anew",
                short(&self.index.base),
                short(&self.encoder.base)
            )
        } else {
            format!(
                "the index holds release {} of its model, the current release is {}: rebuild the index for it",
                short(&self.index.release),
                short(&self.encoder.release)
            )
        }
    }
}
