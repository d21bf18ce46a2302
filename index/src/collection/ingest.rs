//! Reading one file: from a path to its text and hash, or to the reason why not.

use std::path::Path;

use crate::content::{FileHash, Kind, hash_of};
use crate::document::{Extracted, Format, SNIFF, SkipReason, classify, extract, guess, is_binary};
use crate::files::{FileStat, Files};

/// A file's contents, ready to be cut into chunks.
pub(super) struct Document {
    pub(super) kind: Kind,
    pub(super) format: Format,
    pub(super) extracted: Extracted,
}

/// The bytes of a file that may be text.
pub(super) struct Contents {
    bytes: Vec<u8>,
    pub(super) hash: FileHash,
}

/// Reads a file unless its name, size or first bytes already say no.
pub(super) fn read(
    files: &dyn Files,
    path: &Path,
    stat: FileStat,
    limit: u64,
) -> Result<Contents, SkipReason> {
    let unreadable = |error: std::io::Error| SkipReason::Unreadable(error.to_string());
    let by_name = guess(path)?;
    if stat.size > limit {
        return Err(SkipReason::TooLarge { size: stat.size, limit });
    }
    if stat.size == 0 {
        return Err(SkipReason::Empty);
    }
    if by_name == Format::Text && stat.size > 8 * SNIFF {
        let head = files.read(path, SNIFF).map_err(unreadable)?;
        if is_binary(&head) {
            return Err(SkipReason::Binary);
        }
    }
    let bytes = files.read(path, limit.saturating_add(1)).map_err(unreadable)?;
    if bytes.len() as u64 > limit {
        return Err(SkipReason::TooLarge { size: bytes.len() as u64, limit });
    }
    let hash = hash_of(&bytes);
    Ok(Contents { bytes, hash })
}

impl Contents {
    /// Bytes of it.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn extract(self, path: &Path) -> Result<Document, SkipReason> {
        let format = classify(path, &self.bytes)?;
        let (length, utf8) = (self.bytes.len(), std::str::from_utf8(&self.bytes).is_ok());
        let extracted = extract(format, path, self.bytes)?;
        // Nothing is taken away from such a file but a mark at its start.
        let plain = format.is_plain() && utf8 && extracted.text.len() == length;
        Ok(Document { kind: Kind::current(format, plain), format, extracted })
    }
}
