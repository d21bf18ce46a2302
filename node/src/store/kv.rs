//! The key-value store on `sled`: one tree, each key behind one byte for its table.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use super::{Kv, Pair, StoreError, Table, Write};
use crate::durable::{self, io};

/// Under this key of [`Table::Meta`]: the store's version (u32, little-endian).
const VERSION_KEY: &[u8] = b"store-version";
/// What this build reads and writes.
const VERSION: u32 = 1;
/// A file beside sled's own that says that the database was made. Without it, a database that lost its
/// data would pass for a new one.
const MADE: &str = "made";
/// Bytes of pages kept in memory.
const CACHE: u64 = 16 * 1024 * 1024;

/// One step from a version to the next: the changes it takes. They and the new version are
/// written in one batch.
type Migration = fn(&dyn Kv) -> Result<Vec<Write>, StoreError>;

/// Step `i` leads from version `i + 1` to `i + 2`.
const MIGRATIONS: &[Migration] = &[];
const _: () = assert!(MIGRATIONS.len() + 1 == VERSION as usize);

/// A [`Kv`] in a folder.
pub(super) struct SledKv {
    db: sled::Db,
    path: PathBuf,
    /// Keeps a scan from seeing half of a batch.
    whole_batches: RwLock<()>,
    /// Holds the folder's lock; dropped after `db`.
    _lock: File,
}

impl SledKv {
    /// Opens the database in the folder `path`, creating it if needed, and brings it up to this version.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_at(path, MIGRATIONS)
    }

    fn open_at(path: &Path, migrations: &[Migration]) -> Result<Self, StoreError> {
        let lock = lock_folder(path)?;
        let db = open_sled(path)?;
        let kv = Self { db, path: path.to_owned(), whole_batches: RwLock::new(()), _lock: lock };
        kv.migrate(migrations)?;
        Ok(kv)
    }

    fn migrate(&self, migrations: &[Migration]) -> Result<(), StoreError> {
        let newest = u32::try_from(migrations.len()).unwrap_or(u32::MAX).saturating_add(1);
        let mut version = match self.get(Table::Meta, VERSION_KEY)? {
            None if self.db.is_empty() && !self.path.join(MADE).exists() => {
                self.write(vec![put_version(newest)])?;
                newest
            }
            None => return Err(damaged(&self.path)),
            Some(bytes) => {
                bytes.try_into().map(u32::from_le_bytes).map_err(|_| damaged(&self.path))?
            }
        };
        if version == 0 || version > newest {
            let path = self.path.clone();
            return Err(StoreError::Version { path, found: version, expected: newest });
        }
        for migration in migrations.iter().skip(version as usize - 1) {
            version += 1;
            let mut writes = migration(self)?;
            writes.push(put_version(version));
            self.write(writes)?;
        }
        let made = self.path.join(MADE);
        if made.exists() { Ok(()) } else { durable::write_new(&made, b"") }
    }
}

impl Kv for SledKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.db.get(place(table, key)).map_err(|error| failed(&self.path, error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let _whole = self.whole_batches.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = self.db.scan_prefix(place(table, prefix));
        let pairs = pairs.map(|pair| pair.map(|(key, value)| (key[1..].to_vec(), value.to_vec())));
        pairs.collect::<Result<_, _>>().map_err(|error| failed(&self.path, error))
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let _whole = self.whole_batches.write().unwrap_or_else(PoisonError::into_inner);
        let mut batch = sled::Batch::default();
        for write in writes {
            match write {
                Write::Put(table, key, value) => batch.insert(place(table, &key), value),
                Write::Delete(table, key) => batch.remove(place(table, &key)),
            }
        }
        self.db.apply_batch(batch).map_err(|error| failed(&self.path, error))?;
        self.db.flush().map_err(|error| failed(&self.path, error))?;
        Ok(())
    }
}

fn open_sled(path: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
    for _ in 0..durable::LOCK_TRIES {
        // sled panics on some kinds of damage.
        let problem = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => return Ok(db),
            // We hold the folder's lock, so this is our own process still closing the last one.
            Ok(Err(sled::Error::Io(error))) if error.to_string().contains("acquire lock") => {
                std::thread::sleep(durable::LOCK_PAUSE);
                continue;
            }
            Ok(Err(error)) => failed(path, error),
            Err(_) => damaged(path),
        };
        if !remove_unfinished(path) {
            return Err(problem);
        }
    }
    Err(StoreError::Busy { path: path.to_owned() })
}

/// Removes snapshots that sled began and never finished, as on a full disk: it takes them for the newest ones, and
/// does without. Whether there were any.
fn remove_unfinished(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    let mut removed = false;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            removed |= std::fs::remove_file(entry.path()).is_ok();
        }
    }
    removed
}

fn put_version(version: u32) -> Write {
    Write::Put(Table::Meta, VERSION_KEY.to_vec(), version.to_le_bytes().to_vec())
}

/// The key in the one tree. The bytes of tables are part of the format.
fn place(table: Table, key: &[u8]) -> Vec<u8> {
    let tag = match table {
        Table::Collections => b'c',
        Table::Shares => b's',
        Table::Groups => b'g',
        Table::Addresses => b'a',
        Table::Meta => b'm',
        Table::Opened => b'o',
        Table::Rounds => b'r',
    };
    [&[tag], key].concat()
}

/// sled has a lock too, but tells a taken one apart from other failures by its text only.
fn lock_folder(path: &Path) -> Result<File, StoreError> {
    let folder = File::open(path).map_err(io("open", path))?;
    match durable::try_lock(&folder).map_err(io("lock", path))? {
        true => Ok(folder),
        false => Err(StoreError::Busy { path: path.to_owned() }),
    }
}

fn damaged(path: &Path) -> StoreError {
    let what = "the state database cannot be read; restore it from a backup".to_owned();
    StoreError::Corrupt { path: path.to_owned(), what }
}

fn failed(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(source) => io("use the state database in", path)(plain(source)),
        sled::Error::Corruption { .. } => damaged(path),
        sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_)
        | sled::Error::ReportableBug(_) => StoreError::Database(error.to_string()),
    }
}

/// sled repeats an error with its debug form as the text; the kind says the same in words.
fn plain(error: std::io::Error) -> std::io::Error {
    match error.kind() {
        std::io::ErrorKind::Other => error,
        kind => kind.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Write {
        Write::Put(Table::Groups, key.into(), value.into())
    }

    #[test]
    fn tables_do_not_mix_and_scans_are_in_key_order() {
        let dir = tempfile::tempdir().expect("a folder");
        crate::store::memory::check_kv(&SledKv::open(dir.path()).expect("opens"));
    }

    #[test]
    fn what_was_written_is_there_after_reopening() {
        let dir = tempfile::tempdir().expect("a folder");
        let kv = SledKv::open(dir.path()).expect("opens");
        kv.write(vec![put("k", "v")]).expect("writes");
        drop(kv);
        let kv = SledKv::open(dir.path()).expect("opens");
        assert_eq!(kv.get(Table::Groups, b"k").expect("reads"), Some(b"v".to_vec()));
    }

    #[test]
    fn a_snapshot_that_a_full_disk_left_unfinished_does_no_harm() {
        let dir = tempfile::tempdir().expect("a folder");
        let kv = SledKv::open(dir.path()).expect("opens");
        kv.write(vec![put("k", "v")]).expect("writes");
        drop(kv);
        let newest = dir.path().join("snap.00000000FFFFF000.generating");
        std::fs::write(&newest, "").expect("writes");
        let kv = SledKv::open(dir.path()).expect("opens");
        assert_eq!(kv.get(Table::Groups, b"k").expect("reads"), Some(b"v".to_vec()));
        assert!(!newest.exists());
    }

    #[test]
    fn older_stores_migrate_step_by_step_and_newer_ones_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        SledKv::open_at(dir.path(), &[]).expect("creates version 1");
        let rename: Migration = |kv| {
            assert_eq!(kv.get(Table::Meta, VERSION_KEY)?, Some(vec![1, 0, 0, 0]));
            Ok(vec![put("renamed", "1")])
        };
        let again: Migration = |kv| {
            assert!(kv.get(Table::Groups, b"renamed")?.is_some(), "steps run in order");
            Ok(vec![Write::Delete(Table::Groups, b"renamed".to_vec()), put("again", "2")])
        };
        for _ in 0..2 {
            let kv = SledKv::open_at(dir.path(), &[rename, again]).expect("migrates once");
            let pairs = kv.scan(Table::Groups, b"").expect("scans");
            assert_eq!(pairs, [(b"again".to_vec(), b"2".to_vec())]);
        }
        let error = SledKv::open(dir.path()).err().expect("is newer");
        assert!(matches!(error, StoreError::Version { found: 3, expected: 1, .. }), "{error}");
    }

    #[test]
    fn a_second_opener_and_a_damaged_database_are_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let kv = SledKv::open(dir.path()).expect("opens");
        let error = SledKv::open(dir.path()).err().expect("is in use");
        assert!(matches!(error, StoreError::Busy { .. }), "{error}");
        for i in 0..100 {
            kv.write(vec![put(&format!("key {i}"), &"value ".repeat(i))]).expect("writes");
        }
        drop(kv);
        let db = dir.path().join("db");
        let good = std::fs::read(&db).expect("reads");
        let mut damaged = vec![Vec::new(), vec![0; good.len()]];
        for position in (1..good.len()).step_by(9973) {
            let mut bent = good.clone();
            bent[position] ^= 0x41;
            damaged.extend([bent, good[..position].to_vec()]);
        }
        for (case, bytes) in damaged.into_iter().enumerate() {
            std::fs::write(&db, bytes).expect("writes");
            match SledKv::open(dir.path()) {
                Err(StoreError::Corrupt { .. } | StoreError::Database(_)) => {}
                Err(error) => panic!("case {case}: {error}"),
                // A lost end may go unseen, but what is found is what was written.
                Ok(kv) => {
                    for (key, value) in kv.scan(Table::Groups, b"").expect("scans") {
                        let key = String::from_utf8(key).expect("is text");
                        let i: usize = key[4..].parse().expect("is a number");
                        assert_eq!(value, "value ".repeat(i).into_bytes());
                    }
                }
            }
        }
    }
}
