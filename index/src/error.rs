//! What can go wrong with a collection, said so that a person knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use crate::encoder::{EncodeError, EncoderId, short};
use crate::lexical::LexicalError;

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
    #[error("the index was opened for reading only; open it for writing to change it")]
    ReadOnly,
    /// A file of the index is damaged. The user's own files are not touched by this; see
    /// [`Collection::repair`](crate::Collection::repair).
    #[error("index file {file} is damaged ({what})")]
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
    #[error("the index cannot hold more ({what}); put some of the folders into another one")]
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
    #[error(
        "these settings are out of bounds; choose 8 to 65536 bytes a chunk and a confidence of 0 to 10"
    )]
    BadSettings,
    /// There are too few chunks to tune for.
    #[error(
        "there are {chunks} passages to tune for, and with fewer than {least} there is nothing to gain: any settings are fast and small"
    )]
    TooFewToTune {
        /// Chunks of the collection.
        chunks: usize,
        /// How many it takes.
        least: usize,
    },
    /// Too many files are not as they were indexed, so that too few chunks can be tuned for.
    #[error(
        "only {read} of {chunks} passages can be read as they were indexed, and tuning takes {least}: bring the index up to date, then tune again"
    )]
    TooFewToRead {
        /// Chunks that can be read.
        read: usize,
        /// Chunks of the collection.
        chunks: usize,
        /// How many it takes.
        least: usize,
    },
    /// No chunk that was looked at gives a question to tune by.
    #[error(
        "the passages that were looked at have too few words to make questions of, and tuning takes some: choose a profile instead"
    )]
    NoQuestions,
    /// Goals that make no sense.
    #[error(
        "these goals are out of bounds; ask for a recall of 0 to 1, and give the index some disk"
    )]
    BadGoals,
    /// The disk is full. The index is as it was before.
    #[error("no space left on the disk while writing {}; free some and try again, nothing was lost", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// Reading or writing the index itself failed.
    #[error(
        "{} cannot be read or written ({source}); check its permissions and the disk, then try again",
        path.display()
    )]
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

impl From<LexicalError> for IndexError {
    fn from(error: LexicalError) -> Self {
        Self::Lexical { what: error.to_string() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_can_do_is_said() {
        let errors = [
            IndexError::Io { path: "/i/manifest".into(), source: io::ErrorKind::TimedOut.into() },
            IndexError::Encode(EncodeError::new("out of memory")),
            IndexError::BadSettings,
            IndexError::BadGoals,
            IndexError::ReadOnly,
            IndexError::TooLarge { what: "too many files" },
            LexicalError::Version.into(),
            IndexError::TooFewToRead { read: 2, chunks: 400, least: 300 },
            IndexError::NoQuestions,
        ];
        let verbs = ["check", "try again", "choose", "ask for", "open", "put", "update", "bring"];
        for error in errors {
            let said = error.to_string();
            let (_, action) = said.split_once(';').or(said.split_once(": ")).expect("two halves");
            assert!(verbs.iter().any(|verb| action.contains(verb)), "{said}");
        }
    }
}
