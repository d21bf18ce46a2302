//! Pairs to learn from in files that others made, or `covey model mine` did.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use covey_crypto::Digest;
use covey_embedder::train::Pair;
use covey_privacy::ledger::CollectionKey;
use covey_protocol::ids::Name;

use super::Collections;
use crate::api::{ApiError, ErrorCode, OpenedInfo};
use crate::cancel::CancelFlag;

/// Largest file of pairs.
const MAX_BYTES: u64 = 256 << 20;

/// What tells a file of pairs from others in the privacy ledger: its path, so a copy elsewhere is another account.
pub(crate) fn key_of_pairs(file: &Path) -> CollectionKey {
    let digest = Digest::of("covey privacy pairs 1", &[file.as_os_str().as_bytes()]);
    CollectionKey(*digest.as_bytes())
}

impl Collections {
    /// The one name of a file of pairs, which is there and not too large. What is in it is looked at when it is learnt from.
    pub(crate) fn pairs_file(&self, file: &Path) -> Result<PathBuf, ApiError> {
        if !file.is_absolute() {
            let message =
                format!("{}: the path of a file of pairs begins at the root", file.display());
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        let file = self.files.resolve(file).map_err(|error| unreadable(file, &error))?;
        let stat = self.files.stat(&file).map_err(|error| unreadable(&file, &error))?;
        if stat.size > MAX_BYTES {
            return Err(too_large(&file));
        }
        Ok(file)
    }

    /// The pairs of `collections`, none if there are none, and those in `files`.
    pub(crate) fn pairs_of(
        &self,
        collections: &[Name],
        files: &[PathBuf],
        opened: &[OpenedInfo],
        cancel: &CancelFlag,
    ) -> Result<Vec<Pair>, ApiError> {
        let mut pairs = match collections {
            [] => Vec::new(),
            some => self.pairs(some, opened, cancel)?,
        };
        for file in files {
            cancel.check()?;
            pairs.extend(self.imported(file)?);
        }
        Ok(pairs)
    }

    fn imported(&self, file: &Path) -> Result<Vec<Pair>, ApiError> {
        let bytes =
            self.files.read(file, MAX_BYTES + 1).map_err(|error| unreadable(file, &error))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(too_large(file));
        }
        Pair::read_lines(bytes.as_slice()).map_err(|error| {
            let message = format!("the pairs in {}: {error}", file.display());
            ApiError::new(ErrorCode::Usage, message)
                .hint("`covey model mine` writes such files, and `covey model train --help` says what is in them")
        })
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> ApiError {
    let file = file.display();
    match error.kind() {
        ErrorKind::NotFound => {
            ApiError::new(ErrorCode::NotFound, format!("there is no file of pairs {file}"))
                .hint("`covey train opt-in` with --pairs says which file is learnt from")
        }
        _ => ApiError::new(ErrorCode::Storage, format!("cannot read the pairs in {file}: {error}")),
    }
}

fn too_large(file: &Path) -> ApiError {
    let message = format!(
        "{} is larger than {} MiB, which is more than a file of pairs may have",
        file.display(),
        MAX_BYTES >> 20
    );
    ApiError::new(ErrorCode::Usage, message).hint("take fewer pairs, or several files")
}
