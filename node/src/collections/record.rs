//! What the key-value store remembers of a collection, so that its index can be rebuilt.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use covey_protocol::ids::{ModelId, Name};
use serde::{Deserialize, Serialize};

use super::goals::Tuned;
use crate::store::{Table, Write};

const VERSION: u8 = 2;
/// The version without goals.
const WITHOUT_GOALS: u8 = 1;

/// A collection's settings. Paths are bytes, as file names need not be text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    version: u8,
    /// The folder of its index, below the place of all indexes.
    pub(super) dir: String,
    /// The model it is built with.
    pub(super) model: ModelId,
    roots: Vec<Vec<u8>>,
    /// The goals it is kept at, if the person gave some.
    pub(super) tuned: Option<Tuned>,
}

/// A record of the first version.
#[derive(Serialize, Deserialize)]
struct First {
    version: u8,
    dir: String,
    model: ModelId,
    roots: Vec<Vec<u8>>,
}

/// A record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RecordError {
    #[error("the record is damaged")]
    Damaged,
    #[error("the record has version {found}; this program reads up to {expected}")]
    Newer { found: u32, expected: u32 },
}

impl Record {
    pub(super) fn new(dir: String, model: ModelId) -> Self {
        Self { version: VERSION, dir, model, roots: Vec::new(), tuned: None }
    }

    /// Reads a stored record, of the first version as well.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let damaged = |_| RecordError::Damaged;
        let record: Self = match *bytes.first().ok_or(RecordError::Damaged)? {
            WITHOUT_GOALS => {
                let First { dir, model, roots, .. } =
                    postcard::from_bytes(bytes).map_err(damaged)?;
                Self { version: VERSION, dir, model, roots, tuned: None }
            }
            VERSION => postcard::from_bytes(bytes).map_err(damaged)?,
            0 => return Err(RecordError::Damaged),
            newer => {
                let (found, expected) = (newer.into(), VERSION.into());
                return Err(RecordError::Newer { found, expected });
            }
        };
        let plain = !record.dir.is_empty()
            && record.dir.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if plain { Ok(record) } else { Err(RecordError::Damaged) }
    }

    pub(super) fn put(&self, name: &Name) -> Write {
        let value = postcard::to_stdvec(self).expect("every field has a known length");
        Write::Put(Table::Collections, name.as_str().as_bytes().to_vec(), value)
    }

    pub(super) fn roots(&self) -> Vec<PathBuf> {
        self.roots.iter().map(|bytes| PathBuf::from(OsString::from_vec(bytes.clone()))).collect()
    }

    /// Says whether it was not there.
    pub(super) fn add_root(&mut self, root: &Path) -> bool {
        let bytes = root.as_os_str().as_bytes().to_vec();
        let place = self.roots.binary_search(&bytes);
        if let Err(at) = place {
            self.roots.insert(at, bytes);
        }
        place.is_err()
    }

    /// Says whether it was there.
    pub(super) fn remove_root(&mut self, root: &Path) -> bool {
        let before = self.roots.len();
        self.roots.retain(|bytes| bytes != root.as_os_str().as_bytes());
        self.roots.len() < before
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::Digest;

    use super::*;

    #[test]
    fn a_record_of_the_first_version_is_read() {
        let model = ModelId { base: Digest::sha256(b"b"), release: Digest::sha256(b"r") };
        let old = First { version: 1, dir: "c01".into(), model, roots: vec![b"/a".to_vec()] };
        let mut record = Record::new("c01".into(), model);
        record.add_root(Path::new("/a"));
        let bytes = postcard::to_stdvec(&old).expect("encodes");
        assert_eq!(Record::decode(&bytes), Ok(record));
    }

    #[test]
    fn a_record_is_read_back_and_damage_is_noticed() {
        let model = ModelId { base: Digest::sha256(b"b"), release: Digest::sha256(b"r") };
        let mut record = Record::new("c01".into(), model);
        record.add_root(Path::new("/b"));
        record.add_root(Path::new("/a"));
        record.add_root(Path::new("/b"));
        assert_eq!(record.roots(), [PathBuf::from("/a"), PathBuf::from("/b")]);
        let bytes = postcard::to_stdvec(&record).expect("encodes");
        assert_eq!(Record::decode(&bytes), Ok(record.clone()));
        let damaged = Err(RecordError::Damaged);
        assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), damaged);
        assert_eq!(Record::decode(&[]), damaged);
        assert_eq!(Record::decode(&[&[0], &bytes[1..]].concat()), damaged);
        let newer = Record::decode(&[&[VERSION + 1], &bytes[1..]].concat());
        assert_eq!(newer, Err(RecordError::Newer { found: 3, expected: 2 }));
        let escaping = Record::new("../x".into(), model);
        assert_eq!(Record::decode(&postcard::to_stdvec(&escaping).expect("encodes")), damaged);
        assert!(record.remove_root(Path::new("/a")) && !record.remove_root(Path::new("/a")));
    }
}
