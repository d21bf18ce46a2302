//! Where a coordinator keeps what must outlive it.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;

/// A store that failed.
#[derive(Debug, thiserror::Error)]
#[error("the coordinator's store failed: {0}")]
pub struct StoreError(#[source] pub Box<dyn Error + Send + Sync>);

/// What is kept under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Campaign, checkpoint and the round that is on.
    State,
    /// A release's signed manifest.
    Manifest(Digest),
}

/// The disk, or a simulator's memory. What a call has returned from survives the process being killed. A loss of power may undo the
/// last calls.
pub trait Store: Send + Sync {
    /// What is kept under `key`.
    ///
    /// # Errors
    /// If the store fails.
    fn get(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps `bytes` under `key`, all of them or none.
    ///
    /// # Errors
    /// If the store fails.
    fn put(&self, key: Key, bytes: &[u8]) -> Result<(), StoreError>;

    /// Keeps the record of an attempt at a round for good, in place of one that is there.
    ///
    /// # Errors
    /// If the store fails.
    fn record(&self, round: u64, attempt: u32, bytes: &[u8]) -> Result<(), StoreError>;

    /// All records, by round and attempt.
    ///
    /// # Errors
    /// If the store fails.
    fn records(&self) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Adds an entry to the attempt's journal.
    ///
    /// # Errors
    /// If the store fails.
    fn append(&self, entry: &[u8]) -> Result<(), StoreError>;

    /// The attempt's journal. A last entry that is cut short is left out.
    ///
    /// # Errors
    /// If the store fails.
    fn journal(&self) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Writes the next bytes of a participant's masked vector; at 0 what was there goes.
    ///
    /// # Errors
    /// If the store fails.
    fn spool(&self, from: &NodeId, offset: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// How many bytes of a participant's masked vector are there.
    ///
    /// # Errors
    /// If the store fails.
    fn spooled_bytes(&self, from: &NodeId) -> Result<u64, StoreError>;

    /// A participant's masked vector as far as it is there.
    ///
    /// # Errors
    /// If the store fails.
    fn spooled(&self, from: &NodeId) -> Result<Vec<u8>, StoreError>;

    /// Forgets journal and masked vectors: the attempt is over.
    ///
    /// # Errors
    /// If the store fails.
    fn clear(&self) -> Result<(), StoreError>;

    /// Keeps an adapter's values.
    ///
    /// # Errors
    /// If the store fails.
    fn put_values(&self, digest: &Digest, values: &[f32]) -> Result<(), StoreError>;

    /// An adapter's values, if they are here.
    ///
    /// # Errors
    /// If the store fails.
    fn values(&self, digest: &Digest) -> Result<Option<Vec<f32>>, StoreError>;

    /// Forgets values.
    ///
    /// # Errors
    /// If the store fails.
    fn drop_values(&self, digest: &Digest) -> Result<(), StoreError>;
}

/// In memory, for simulations and tests. It survives the coordinator as long as somebody holds it.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    kept: BTreeMap<Key, Vec<u8>>,
    records: BTreeMap<(u64, u32), Vec<u8>>,
    journal: Vec<Vec<u8>>,
    spools: BTreeMap<NodeId, Vec<u8>>,
    values: BTreeMap<Digest, Vec<f32>>,
}

impl MemoryStore {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: Key) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.memory().kept.get(&key).cloned())
    }

    fn put(&self, key: Key, bytes: &[u8]) -> Result<(), StoreError> {
        self.memory().kept.insert(key, bytes.to_vec());
        Ok(())
    }

    fn record(&self, round: u64, attempt: u32, bytes: &[u8]) -> Result<(), StoreError> {
        self.memory().records.insert((round, attempt), bytes.to_vec());
        Ok(())
    }

    fn records(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.memory().records.values().cloned().collect())
    }

    fn append(&self, entry: &[u8]) -> Result<(), StoreError> {
        self.memory().journal.push(entry.to_vec());
        Ok(())
    }

    fn journal(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self.memory().journal.clone())
    }

    fn spool(&self, from: &NodeId, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut memory = self.memory();
        let spool = memory.spools.entry(*from).or_default();
        spool.truncate(usize::try_from(offset).unwrap_or(usize::MAX));
        spool.extend_from_slice(bytes);
        Ok(())
    }

    fn spooled_bytes(&self, from: &NodeId) -> Result<u64, StoreError> {
        Ok(self.memory().spools.get(from).map_or(0, |bytes| bytes.len() as u64))
    }

    fn spooled(&self, from: &NodeId) -> Result<Vec<u8>, StoreError> {
        Ok(self.memory().spools.get(from).cloned().unwrap_or_default())
    }

    fn clear(&self) -> Result<(), StoreError> {
        let mut memory = self.memory();
        memory.journal.clear();
        memory.spools.clear();
        Ok(())
    }

    fn put_values(&self, digest: &Digest, values: &[f32]) -> Result<(), StoreError> {
        self.memory().values.insert(*digest, values.to_vec());
        Ok(())
    }

    fn values(&self, digest: &Digest) -> Result<Option<Vec<f32>>, StoreError> {
        Ok(self.memory().values.get(digest).cloned())
    }

    fn drop_values(&self, digest: &Digest) -> Result<(), StoreError> {
        self.memory().values.remove(digest);
        Ok(())
    }
}
