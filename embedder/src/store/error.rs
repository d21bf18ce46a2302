//! Errors of obtaining and loading models.

use std::io;
use std::path::{Path, PathBuf};

use super::Family;
use crate::adapter::AdapterFileError;
use crate::{BertError, ComputeError, EmbedError, FormatError};

/// Why a model could not be obtained or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The device to compute on cannot be used.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No model has this name or id.
    #[error("there is no model {name:?}; at hand are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names of the models at hand.
        known: String,
    },
    /// The built-in model cannot be removed.
    #[error("the built-in model is part of the program and cannot be removed or replaced")]
    Builtin,
    /// The model is of a family that does not do what was asked.
    #[error("{name} is of the family {family}, and it must be of the family {wanted} here")]
    Family {
        /// Name of the model.
        name: String,
        /// Its family.
        family: Family,
        /// The family that it must be of.
        wanted: Family,
    },
    /// The model computes in one way only.
    #[error("{name} is of the family {family}, which has no choice of numbers to compute with")]
    OneWay {
        /// Name of the model.
        name: String,
        /// Its family.
        family: Family,
    },
    /// The file of chosen numbers cannot be used.
    #[error("{}: {reason}; remove it, and choose again with `covey model bench --set`", path.display())]
    Precisions {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is not what its pin or its record says.
    #[error(
        "{file} does not match: expected SHA-256 {expected}, found {found}; it was not used. \
         Pull the model again, from another source if this repeats"
    )]
    Mismatch {
        /// The file.
        file: String,
        /// SHA-256 that it must have.
        expected: String,
        /// SHA-256 that it has.
        found: String,
    },
    /// A file is larger than any model's file should be.
    #[error("{file} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// The file.
        file: String,
        /// The limit.
        limit: u64,
    },
    /// `model.json` cannot be used.
    #[error("{}: {reason}; remove the folder and pull the model again", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A name cannot be the name of a model's folder.
    #[error("{0:?} cannot name a model; use letters, digits, '.', '_' and '-', at most 64")]
    Name(String),
    /// Another model has this name already.
    #[error("another model is already called {0:?}; remove it first")]
    Taken(String),
    /// What was given is not a model.
    #[error("{}: {reason}", path.display())]
    NotAModel {
        /// Where it was looked for.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// A source could not be reached, or refused.
    #[error("{from} gave no model: {reason}")]
    Unreachable {
        /// The source.
        from: &'static str,
        /// What happened.
        reason: String,
    },
    /// Every source of a pinned model failed.
    #[error("no source gave the model. {0}")]
    NoSource(String),
    /// A hub repository without a pin must be named with an exact commit.
    #[error(
        "{0} is not known here, so name the exact commit: ORG/NAME@REVISION with 40 hex digits"
    )]
    Unpinned(String),
    /// An adapter cannot be used with a model.
    #[error("the adapter cannot be used with {base}: {source}")]
    Adapter {
        /// Name of the model.
        base: String,
        /// What is wrong.
        #[source]
        source: AdapterFileError,
    },
    /// A model that has an adapter cannot get another.
    #[error(
        "{name} has an adapter already; train or add the adapter for the model it was made from"
    )]
    Adapted {
        /// Name of the model.
        name: String,
    },
    /// The folder does not hold a usable BERT model.
    #[error("{}: {source}", folder.display())]
    Bert {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        #[source]
        source: BertError,
    },
    /// The folder does not hold a usable static model.
    #[error("{}: {source}", folder.display())]
    Static {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        #[source]
        source: FormatError,
    },
    /// The built-in model is damaged.
    #[error(transparent)]
    Embed(#[from] EmbedError),
}

/// Wraps an IO error with the path that it is about.
pub(super) fn io_at(path: &Path) -> impl FnOnce(io::Error) -> ModelError {
    let path = path.to_owned();
    move |source| ModelError::Io { path, source }
}
