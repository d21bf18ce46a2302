//! Pairs to learn from in files that others made, or `covey model mine` did.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use covey_crypto::Digest;
use covey_embedder::train::Pair;
use covey_privacy::ledger::{CollectionKey, Unit};
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

    /// The pairs of `collections`, none if there are none, and those in `files`. For the unit `Document` each document counts by itself, whatever the others are:
    /// a file is one, and in a file of pairs what its pairs name.
    ///
    /// # Errors
    /// Also if pairs of a file name no document, where they have to.
    pub(crate) fn pairs_of(
        &self,
        collections: &[Name],
        files: &[PathBuf],
        opened: &[OpenedInfo],
        unit: Unit,
        cancel: &CancelFlag,
    ) -> Result<Vec<Pair>, ApiError> {
        let by_document = unit == Unit::Document;
        let mut pairs = match collections {
            [] => Vec::new(),
            some => self.pairs(some, opened, by_document, cancel)?,
        };
        for file in files {
            cancel.check()?;
            let mut imported = self.imported(file)?;
            if by_document {
                imported.iter_mut().try_for_each(|pair| name_by_file(file, pair))?;
            }
            pairs.append(&mut imported);
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

/// Documents of two files are two, whatever they are called.
fn name_by_file(file: &Path, pair: &mut Pair) -> Result<(), ApiError> {
    if pair.document.is_empty() {
        let message = format!(
            "not all pairs in {} name the document that they come from, which is to be protected",
            file.display()
        );
        return Err(ApiError::new(ErrorCode::Usage, message)
            .hint("give each pair its \"document\", or take part with --unit peer"));
    }
    if pair.place.is_empty() {
        pair.place.clone_from(&pair.document);
    }
    pair.document = format!("{}: {}", file.display(), pair.document);
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_of_two_files_are_two_and_each_has_to_have_a_name() {
        let named = |file: &str, document: &str, place: &str| {
            let (document, place) = (document.to_owned(), place.to_owned());
            let mut pair = Pair { document, place, ..Pair::default() };
            name_by_file(Path::new(file), &mut pair).map(|()| (pair.document, pair.place))
        };
        let first = named("/a.jsonl", "1", "").expect("has a name");
        let second = named("/b.jsonl", "1", "").expect("has a name");
        assert_ne!(first.0, second.0);
        assert_eq!(first.1, second.1, "held out in either or in none");
        assert_eq!(named("/a.jsonl", "/x/y.md", "y.md").expect("has a name").1, "y.md");
        let error = named("/a.jsonl", "", "y.md").expect_err("has none");
        assert_eq!(error.code, ErrorCode::Usage);
    }
}
