//! What can go wrong with the lexical index.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tantivy::TantivyError;
use tantivy::directory::error::{OpenReadError, OpenWriteError};

/// An error of a [`Lexical`](super::Lexical).
#[derive(Debug, thiserror::Error)]
pub(crate) enum LexicalError {
    /// Its files are not what was written.
    #[error("the lexical index is damaged ({0}); update its folders, which builds it anew")]
    Damaged(String),
    /// It was written by another version of the format, or with another analysis of words.
    #[error(
        "the lexical index was written by another version of this program; update its folders, which builds it anew"
    )]
    Version,
    /// Another process writes it.
    #[error("the lexical index is in use by another process; stop it, or ask it instead")]
    Locked,
    /// Reading or writing failed.
    #[error(
        "the lexical index cannot be read or written ({0}); check its permissions and the disk, then try again"
    )]
    Io(#[from] io::Error),
    /// The library refused.
    #[error("the lexical index failed ({0}); update its folders, which builds it anew")]
    Failed(#[source] Box<TantivyError>),
}

impl LexicalError {
    /// Whether building the index anew is what helps.
    pub(crate) fn rebuild(&self) -> bool {
        match self {
            Self::Damaged(_) | Self::Version | Self::Failed(_) => true,
            Self::Locked | Self::Io(_) => false,
        }
    }
}

impl From<TantivyError> for LexicalError {
    fn from(error: TantivyError) -> Self {
        match error {
            TantivyError::LockFailure(..) => Self::Locked,
            TantivyError::IoError(source) => from_io(&source),
            TantivyError::DataCorruption(what) => Self::Damaged(format!("{what:?}")),
            TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(file)) => {
                Self::Damaged(format!("{} is missing", file.display()))
            }
            TantivyError::OpenWriteError(OpenWriteError::FileAlreadyExists(file)) => {
                Self::Damaged(format!("{} is left from an interrupted write", file.display()))
            }
            TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. })
            | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, .. }) => {
                from_io(&io_error)
            }
            TantivyError::OpenReadError(OpenReadError::IncompatibleIndex(_)) => Self::Version,
            TantivyError::IncompatibleIndex(_) => Self::Version,
            other => Self::Failed(Box::new(other)),
        }
    }
}

/// A file that ends too early or says nonsense is damage; anything else is the system's.
fn from_io(source: &io::Error) -> LexicalError {
    match source.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::Other => LexicalError::Damaged(source.to_string()),
        kind => LexicalError::Io(io::Error::new(kind, source.to_string())),
    }
}

/// Runs what reads the files. They are checked when opened, but the description of what they are
/// has no checksum, and the library trusts it: where it panics, the index is damaged.
pub(super) fn guarded<T>(
    read: impl FnOnce() -> Result<T, LexicalError>,
) -> Result<T, LexicalError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|panic| Err(LexicalError::Damaged(message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("its description is wrong")
        .to_owned()
}
