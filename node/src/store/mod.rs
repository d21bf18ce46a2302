//! Where a node keeps its state: what survives kill -9 ([`Kv`]) and what survives power loss ([`AppendLog`]).

use std::path::PathBuf;
use std::sync::Arc;

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
}

/// The named trees of the key-value store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
}

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
    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError>;

    /// Applies all of `writes` or none, and flushes.
    ///
    /// # Errors
    /// If the database fails.
    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError>;
}

/// An append-only sequence of records; an acknowledged record survives power loss.
pub trait AppendLog: Send {
    /// Appends one record and syncs it; when this returns, the record is durable.
    ///
    /// # Errors
    /// If the disk fails; the log is then as before, or refuses further appends until reopened.
    fn append(&mut self, record: &[u8]) -> Result<(), StoreError>;

    /// All records, oldest first.
    ///
    /// # Errors
    /// If the file is damaged before its last record.
    fn read(&self) -> Result<Vec<Vec<u8>>, StoreError>;
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
}
