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

impl Record {
    pub(super) fn new(dir: String, model: ModelId) -> Self {
        Self { version: VERSION, dir, model, roots: Vec::new(), tuned: None }
    }

    /// Reads a stored record, of the first version as well; `None` if it is not one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let record: Self = match *bytes.first()? {
            WITHOUT_GOALS => {
                let First { dir, model, roots, .. } = postcard::from_bytes(bytes).ok()?;
                Self { version: VERSION, dir, model, roots, tuned: None }
            }
            _ => postcard::from_bytes(bytes).ok()?,
        };
        let plain = !record.dir.is_empty()
            && record.dir.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        (record.version == VERSION && plain).then_some(record)
    }

    pub(super) fn put(&self, name: &Name) -> Write {
        let value = postcard::to_stdvec(self).expect("every field has a known length");
        Write::Put(Table::Collections, name.as_str().as_bytes().to_vec(), value)
    }

    pub(super) fn roots(&self) -> Vec<PathBuf> {
        self.roots.iter().map(|bytes| PathBuf::from(OsString::from_vec(bytes.clone()))).collect()
    }

    pub(super) fn add_root(&mut self, root: &Path) {
        let bytes = root.as_os_str().as_bytes().to_vec();
        if let Err(at) = self.roots.binary_search(&bytes) {
            self.roots.insert(at, bytes);
        }
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
        assert_eq!(Record::decode(&bytes), Some(record));
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
        assert_eq!(Record::decode(&bytes), Some(record.clone()));
        assert_eq!(Record::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Record::decode(&[]), None);
        let escaping = Record::new("../x".into(), model);
        assert_eq!(Record::decode(&postcard::to_stdvec(&escaping).expect("encodes")), None);
        assert!(record.remove_root(Path::new("/a")) && !record.remove_root(Path::new("/a")));
    }
}
