//! Files that exist only in memory: for tests and simulated peers.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{FileStat, Files, Walked};

/// A map from absolute paths to contents. A counter stands in for time: each
/// [`insert`](Self::insert) is later than the one before.
#[derive(Debug, Default)]
pub struct MemoryFiles {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: i64,
    files: BTreeMap<PathBuf, Entry>,
}

#[derive(Debug)]
struct Entry {
    bytes: Vec<u8>,
    mtime_ns: i64,
    readable: bool,
}

impl MemoryFiles {
    /// No files yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a file, new or not.
    pub fn insert(&self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        let mut state = self.write();
        state.clock += 1;
        let entry = Entry { bytes: bytes.into(), mtime_ns: state.clock, readable: true };
        state.files.insert(path.into(), entry);
    }

    /// Deletes a file; says whether it was there.
    pub fn remove(&self, path: impl AsRef<Path>) -> bool {
        self.write().files.remove(path.as_ref()).is_some()
    }

    /// Grants or takes away the right to read a file.
    pub fn set_readable(&self, path: impl AsRef<Path>, readable: bool) {
        if let Some(entry) = self.write().files.get_mut(path.as_ref()) {
            entry.readable = readable;
        }
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files for MemoryFiles {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        let state = self.read_state();
        if state.below(path).next().is_none() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(path.to_path_buf())
    }

    fn walk(
        &self,
        root: &Path,
        visit: &mut dyn FnMut(Walked) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let found: Vec<(PathBuf, FileStat)> = self
            .read_state()
            .below(root)
            .map(|(path, entry)| (path.clone(), entry.stat()))
            .collect();
        if found.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        for (path, stat) in found {
            let relative = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            if visit(Walked::File { relative, stat }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        let state = self.read_state();
        state.files.get(path).map(Entry::stat).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let state = self.read_state();
        let entry = state.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        if !entry.readable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let length = usize::try_from(limit).map_or(entry.bytes.len(), |n| n.min(entry.bytes.len()));
        Ok(entry.bytes[..length].to_vec())
    }
}

impl State {
    fn below<'a>(&'a self, root: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Entry)> {
        self.files.range(root.to_path_buf()..).take_while(move |(path, _)| path.starts_with(root))
    }
}

impl Entry {
    fn stat(&self) -> FileStat {
        FileStat { size: self.bytes.len() as u64, mtime_ns: self.mtime_ns }
    }
}
