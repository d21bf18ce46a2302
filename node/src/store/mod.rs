//! Where a node keeps its state: what survives kill -9 ([`Kv`]) and what survives power loss ([`AppendLog`]).

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub mod append;
mod blobs;
mod disk;
pub mod frame;
pub(crate) mod head;
mod kv;
mod memory;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod faulty;

pub use disk::DiskStores;
pub use memory::MemoryStores;

/// Most bytes in one record of an [`AppendLog`].
pub const MAX_RECORD: usize = 1024 * 1024;

/// Under this key of [`Table::Meta`] a restored home holds the time of its backup (u64, little-endian,
/// Unix milliseconds). A group's owner must sync with another member before it sequences again, and
/// the node removes the key once that is done for all its groups.
pub const RESTORED_KEY: &[u8] = b"restored";

/// A store that failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk said no.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The bytes on disk are not what this store wrote.
    #[error("{path} is damaged: {what}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Written by a version this one cannot read.
    #[error("{path} has format version {found}; this Covey reads version {expected}")]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u32,
        /// The version this build reads.
        expected: u32,
    },
    /// The key-value store failed.
    #[error("the state database failed: {0}")]
    Database(String),
    /// Something has that name already.
    #[error("{path} is there already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another process, or another part of this one, has it open.
    #[error("{path} is in use")]
    Busy {
        /// The file or folder.
        path: PathBuf,
    },
    /// It belongs to another user.
    #[error("{path} belongs to another user")]
    NotOurs {
        /// The file or folder.
        path: PathBuf,
    },
    /// A name that no log can have.
    #[error("no log can be called {0:?}: names have 1 to 100 of a-z, 0-9 and -")]
    LogName(String),
    /// A record that no log takes.
    #[error("a record of {0} bytes is more than the {MAX_RECORD} a log takes")]
    RecordTooLarge(usize),
}

impl StoreError {
    /// Whether the disk is full, or a quota used up.
    pub fn is_disk_full(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }
}

/// The named trees of the key-value store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Table {
    /// Collections and their settings, by name.
    Collections,
    /// Shares: (group, collection) to what is revealed.
    Shares,
    /// Per group: local settings and the invite book.
    Groups,
    /// Address hints by node.
    Addresses,
    /// Small singletons: store version, current model, flags.
    Meta,
    /// Results that the person opened, and what they had asked.
    Opened,
    /// Rounds of learning: taken part in, and coordinated.
    Rounds,
}

impl Table {
    /// The tables that a backup holds: what the person opened stays where it was opened, and rounds are of one machine's.
    pub const BACKED_UP: [Self; 5] =
        [Self::Collections, Self::Shares, Self::Groups, Self::Addresses, Self::Meta];
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets `key` to `value`.
    Put(Table, Vec<u8>, Vec<u8>),
    /// Removes `key`.
    Delete(Table, Vec<u8>),
}

/// A small key-value store. What [`Kv::write`] has acknowledged survives kill -9.
pub trait Kv: Send + Sync {
    /// The value under `key`.
    ///
    /// # Errors
    /// If the database fails.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// All pairs whose key starts with `prefix`, in key order.
    ///
    /// # Errors
    /// If the database fails.
    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StoreError>;

    /// Applies all of `writes` or none, and flushes.
    ///
    /// # Errors
    /// If the database fails. Reads may then show `writes` until it is opened again, which shows all or
    /// none of them.
    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError>;
}

/// An append-only sequence of records; an acknowledged record survives power loss.
pub trait AppendLog: Send {
    /// Appends one record and syncs it; when this returns, the record is durable.
    ///
    /// # Errors
    /// If the disk fails; the log is then as before, or refuses further appends until reopened.
    fn append(&mut self, record: &[u8]) -> Result<(), StoreError>;

    /// Shows every record to `each`, oldest first, one in memory at a time.
    ///
    /// # Errors
    /// If the file is damaged.
    fn visit(&self, each: &mut dyn FnMut(&[u8])) -> Result<(), StoreError>;

    /// All records, oldest first.
    ///
    /// # Errors
    /// If the file is damaged.
    fn read(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut records = Vec::new();
        self.visit(&mut |record| records.push(record.to_vec()))?;
        Ok(records)
    }

    /// How many bytes of an append cut short by a crash were dropped when the log was opened. They
    /// were never acknowledged.
    fn torn_bytes(&self) -> u64 {
        0
    }
}

/// Named files that come and go: what a round of learning needs for as long as it lasts, and an adapter's values. Names are of a-z,
/// 0-9 and -.
pub trait Blobs: Send + Sync {
    /// Writes a file, all of it or nothing, durably.
    ///
    /// # Errors
    /// If the disk says no.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// A file's bytes, if it is there.
    ///
    /// # Errors
    /// If the disk says no.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Up to `most` of a file's bytes from `offset` on; none where it ends before that, or is not there.
    ///
    /// # Errors
    /// If the disk says no.
    fn read(&self, name: &str, offset: u64, most: usize) -> Result<Vec<u8>, StoreError>;

    /// How many bytes a file has; 0 if it is not there.
    ///
    /// # Errors
    /// If the disk says no.
    fn length(&self, name: &str) -> Result<u64, StoreError>;

    /// Writes `bytes` behind the first `offset` bytes of a file, which is made where it is not there; what was behind them goes. It survives
    /// kill -9, not a loss of power.
    ///
    /// # Errors
    /// If the file is shorter than `offset`, or the disk says no.
    fn extend(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes every file whose name starts with `prefix`.
    ///
    /// # Errors
    /// If the disk says no.
    fn remove(&self, prefix: &str) -> Result<(), StoreError>;
}

/// Where index segments of collections live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexPlace {
    /// One folder per collection below this one.
    Disk(PathBuf),
    /// In memory, for the simulator.
    Memory,
}

/// All stores of one node.
pub trait Stores: Send + Sync {
    /// The key-value store.
    fn kv(&self) -> Arc<dyn Kv>;

    /// Opens the append-only log called `name` (`[a-z0-9-]+`), creating it if needed.
    ///
    /// # Errors
    /// If it cannot be opened or is damaged.
    fn log(&self, name: &str) -> Result<Box<dyn AppendLog>, StoreError>;

    /// Removes the log called `name`, if it is there.
    ///
    /// # Errors
    /// If the disk fails.
    fn remove_log(&self, name: &str) -> Result<(), StoreError>;

    /// Where collections' indexes live.
    fn index_place(&self) -> IndexPlace;

    /// Named files.
    fn blobs(&self) -> Arc<dyn Blobs>;
}
