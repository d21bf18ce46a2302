//! All stores of one node in its home.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::append::FileLog;
use super::blobs::FileBlobs;
use super::kv::SledKv;
use super::{AppendLog, Blobs, IndexPlace, Kv, StoreError, Stores};
use crate::durable::{self, io};
use crate::home::Home;

/// All stores of one node, in its home. Only the process that holds the home's lock opens them.
pub struct DiskStores {
    kv: Arc<SledKv>,
    logs: PathBuf,
    indexes: PathBuf,
    blobs: Arc<FileBlobs>,
}

impl DiskStores {
    /// Opens the stores in `home`, creating them if needed.
    ///
    /// # Errors
    /// If they are in use, damaged, of another version, or the disk says no.
    pub fn open(home: &Home) -> Result<Self, StoreError> {
        Self::open_in(&home.node_dir(), &home.index_dir())
    }

    /// Opens the stores in folder `node`, with indexes in `indexes`.
    pub(crate) fn open_in(node: &Path, indexes: &Path) -> Result<Self, StoreError> {
        let logs = node.join("logs");
        let db = node.join("db");
        let blobs = node.join("blobs");
        for dir in [node, &logs, &db, &blobs, indexes] {
            durable::create_dir(dir)?;
        }
        let kv = Arc::new(SledKv::open(&db)?);
        let blobs = Arc::new(FileBlobs::in_folder(blobs)?);
        Ok(Self { kv, logs, indexes: indexes.to_owned(), blobs })
    }

    /// The names of all logs, in order.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn log_names(&self) -> Result<Vec<String>, StoreError> {
        let failed = || io("list", &self.logs);
        let mut names = Vec::new();
        for file in std::fs::read_dir(&self.logs).map_err(failed())? {
            let name = file.map_err(failed())?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".log"));
            names.extend(name.filter(|name| check_log_name(name).is_ok()).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Opens a log with what only files have.
    pub(crate) fn file_log(&self, name: &str) -> Result<FileLog<File>, StoreError> {
        FileLog::open_path(&self.log_path(name)?)
    }

    fn log_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        check_log_name(name)?;
        Ok(self.logs.join(format!("{name}.log")))
    }
}

impl Stores for DiskStores {
    fn kv(&self) -> Arc<dyn Kv> {
        self.kv.clone()
    }

    fn log(&self, name: &str) -> Result<Box<dyn AppendLog>, StoreError> {
        Ok(Box::new(self.file_log(name)?))
    }

    fn remove_log(&self, name: &str) -> Result<(), StoreError> {
        durable::remove_if_there(&self.log_path(name)?)?;
        durable::sync_dir(&self.logs)
    }

    fn index_place(&self) -> IndexPlace {
        IndexPlace::Disk(self.indexes.clone())
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.blobs.clone()
    }
}

/// Whether `name` can be a log's: 1 to 100 of a-z, 0-9 and -.
pub(super) fn check_log_name(name: &str) -> Result<(), StoreError> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    match (1..=100).contains(&name.len()) && name.chars().all(is_allowed) {
        true => Ok(()),
        false => Err(StoreError::LogName(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_named_listed_and_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::below(dir.path()).expect("resolves");
        home.create().expect("creates");
        let stores = DiskStores::open(&home).expect("opens");
        for name in ["", "a/b", "..", "A", "a.b", &"a".repeat(101)] {
            assert!(matches!(stores.log(name), Err(StoreError::LogName(_))), "{name:?}");
        }
        let long = "a".repeat(100);
        for name in ["group-0f", "audit", &long] {
            stores.log(name).expect("opens").append(name.as_bytes()).expect("appends");
        }
        assert_eq!(stores.log_names().expect("lists"), [&long, "audit", "group-0f"]);
        assert_eq!(stores.log("audit").expect("opens").read().expect("reads"), [b"audit"]);
        stores.remove_log("audit").expect("removes");
        stores.remove_log("audit").expect("is gone already");
        assert_eq!(stores.log_names().expect("lists"), [&long, "group-0f"]);
        assert_eq!(stores.index_place(), IndexPlace::Disk(home.index_dir()));
    }

    #[test]
    fn one_process_opens_them_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = Home::below(dir.path()).expect("resolves");
        let first = DiskStores::open(&home).expect("opens");
        assert!(matches!(DiskStores::open(&home), Err(StoreError::Busy { .. })));
        drop(first);
        DiskStores::open(&home).expect("opens again");
    }
}
