//! A coordinator's store in a node's: state and records in the key-value store, the rest in named files.

use std::sync::{Arc, Mutex, PoisonError};

use covey_coordinator::store::{Key, Store, StoreError};
use covey_crypto::Digest;
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::round::{values_from_bytes, values_to_bytes};

use crate::store::{Blobs, Kv, Table, Write};

/// What one group's coordinator keeps.
pub struct RoundStore {
    kv: Arc<dyn Kv>,
    blobs: Arc<dyn Blobs>,
    group: GroupId,
    /// Bytes of the journal that are whole entries, once that is known.
    journal: Mutex<Option<u64>>,
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError(Box::new(error))
}

impl RoundStore {
    /// In these stores of a node.
    pub fn new(kv: Arc<dyn Kv>, blobs: Arc<dyn Blobs>, group: GroupId) -> Self {
        Self { kv, blobs, group, journal: Mutex::new(None) }
    }

    /// The first part of the names of all its files.
    fn file(&self, rest: &str) -> String {
        format!("c{}-{rest}", &self.group.to_string()[..16])
    }

    fn key(&self, kind: u8, rest: &[u8]) -> Vec<u8> {
        [b"c", &self.group.0.as_bytes()[..], &[kind], rest].concat()
    }

    fn key_of(&self, key: Key) -> Vec<u8> {
        match key {
            Key::State => self.key(0, &[]),
            Key::Manifest(digest) => self.key(1, digest.as_bytes()),
        }
    }

    fn spool_file(&self, from: &NodeId) -> String {
        self.file(&format!("s-{from}"))
    }

    fn values_file(&self, digest: &Digest) -> String {
        self.file(&format!("v-{digest}"))
    }
}

impl Store for RoundStore {
    fn get(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        self.kv.get(Table::Rounds, &self.key_of(key)).map_err(failed)
    }

    fn put(&self, key: Key, bytes: &[u8]) -> Result<(), StoreError> {
        let write = Write::Put(Table::Rounds, self.key_of(key), bytes.to_vec());
        self.kv.write(vec![write]).map_err(failed)
    }

    fn record(&self, round: u64, attempt: u32, bytes: &[u8]) -> Result<(), StoreError> {
        let place = [&round.to_be_bytes()[..], &attempt.to_be_bytes()].concat();
        let key = self.key(2, &place);
        self.kv.write(vec![Write::Put(Table::Rounds, key, bytes.to_vec())]).map_err(failed)
    }

    fn records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let pairs = self.kv.scan(Table::Rounds, &self.key(2, &[])).map_err(failed)?;
        Ok(pairs.into_iter().map(|(_, value)| value).collect())
    }

    fn append(&self, entry: &[u8]) -> Result<(), StoreError> {
        let mut length = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match length.take() {
            Some(before) => before,
            None => self.journal()?.iter().map(|entry| entry.len() as u64 + 4).sum(),
        };
        let frame = [&(entry.len() as u32).to_le_bytes()[..], entry].concat();
        self.blobs.extend(&self.file("journal"), before, &frame).map_err(failed)?;
        *length = Some(before + frame.len() as u64);
        Ok(())
    }

    fn journal(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let bytes = self.blobs.get(&self.file("journal")).map_err(failed)?.unwrap_or_default();
        let (mut entries, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            // An entry that was cut short was not acknowledged.
            let Some((entry, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize)
            else {
                break;
            };
            entries.push(entry.to_vec());
            rest = after;
        }
        Ok(entries)
    }

    fn spool(&self, from: &NodeId, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        self.blobs.extend(&self.spool_file(from), offset, bytes).map_err(failed)
    }

    fn spooled_bytes(&self, from: &NodeId) -> Result<u64, StoreError> {
        self.blobs.length(&self.spool_file(from)).map_err(failed)
    }

    fn spooled(&self, from: &NodeId) -> Result<Vec<u8>, StoreError> {
        let bytes = self.blobs.get(&self.spool_file(from)).map_err(failed)?;
        Ok(bytes.unwrap_or_default())
    }

    fn clear(&self) -> Result<(), StoreError> {
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.blobs.remove(&self.file("s-")).map_err(failed)?;
        self.blobs.remove(&self.file("journal")).map_err(failed)
    }

    fn put_values(&self, digest: &Digest, values: &[f32]) -> Result<(), StoreError> {
        self.blobs.put(&self.values_file(digest), &values_to_bytes(values)).map_err(failed)
    }

    fn values(&self, digest: &Digest) -> Result<Option<Vec<f32>>, StoreError> {
        let bytes = self.blobs.get(&self.values_file(digest)).map_err(failed)?;
        Ok(bytes.map(|bytes| values_from_bytes(&bytes)))
    }

    fn drop_values(&self, digest: &Digest) -> Result<(), StoreError> {
        self.blobs.remove(&self.values_file(digest)).map_err(failed)
    }
}
