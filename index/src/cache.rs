//! Embeddings that were recomputed lately, kept on disk so that the next question need not.
//!
//! One file in the collection's folder, of a size that the settings bound: a table of places that is
//! read and written in place (`docs/spec/index-format.md`, section 7). A vector is found by the hash of
//! its text and by its model, so an outdated one is never found; each carries a checksum, so one that
//! is torn or damaged is not found either. Nothing here is ever an error: at worst nothing is found.
//! Only snapshots of a collection that is open for writing write to it.

mod record;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use record::Key;
use table::{Shape, Table};

use crate::encoder::EncoderId;

/// Name of the file.
pub(crate) const NAME: &str = "cache";

/// Most embeddings of one search that are kept.
pub(crate) const MOST_AT_ONCE: usize = 1024;

/// The cache of one collection: shared by its snapshots, opened when it is first asked.
pub(crate) struct Cache {
    path: PathBuf,
    encoder: EncoderId,
    limit: u64,
    /// What it has to be at least.
    shape: Shape,
    writable: bool,
    state: Mutex<State>,
}

enum State {
    Unopened,
    Open(Table),
    /// There is none, or it is no longer to be used.
    Off,
}

impl Cache {
    /// A cache in `folder` for `chunks` chunks that takes at most `limit` bytes; `None` if those hold
    /// nothing. One that is not `writable` is asked only.
    pub(crate) fn new(
        folder: &Path,
        encoder: EncoderId,
        dim: usize,
        limit: u64,
        chunks: usize,
        writable: bool,
    ) -> Option<Self> {
        let shape = Shape::fit(encoder, dim, limit, chunks)?;
        let (path, state) = (folder.join(NAME), Mutex::new(State::Unopened));
        Some(Self { path, encoder, limit, shape, writable, state })
    }

    /// Whether it can go on where this other one is wanted.
    pub(crate) fn serves(&self, wanted: &Self) -> bool {
        self.is_for(wanted.encoder)
            && self.limit == wanted.limit
            && self.shape.sets >= wanted.shape.sets
    }

    /// Whether it keeps vectors of this model.
    pub(crate) fn is_for(&self, encoder: EncoderId) -> bool {
        self.encoder == encoder
    }

    /// The vector of the text with this hash, if it is kept: each number is off by at most a 4094th of
    /// the vector's largest.
    pub(crate) fn get(&self, text_hash: &[u8; 32]) -> Option<Vec<f32>> {
        let key = Key::new(self.encoder, text_hash);
        self.with(|table| table.get(&key))?
    }

    /// Keeps vectors, by the hashes of their texts.
    pub(crate) fn put(&self, vectors: &[([u8; 32], Vec<f32>)]) {
        if !self.writable || vectors.is_empty() {
            return;
        }
        let _ = self.with(|table| {
            for (text_hash, row) in vectors {
                table.put(&Key::new(self.encoder, text_hash), row);
            }
        });
    }

    /// Ends its use, also by snapshots that go on.
    pub(crate) fn retire(&self) {
        *self.lock() = State::Off;
    }

    /// Bytes it takes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| taken(&metadata))
    }

    /// Vectors in it that are whole.
    pub(crate) fn count(&self) -> usize {
        self.with(Table::count).unwrap_or(0)
    }

    /// Runs `work` on the table, if there is one.
    fn with<T>(&self, work: impl FnOnce(&mut Table) -> T) -> Option<T> {
        let mut state = self.lock();
        if let State::Unopened = *state {
            // One that cannot be opened or made now is done without.
            *state = self.open().ok().flatten().map_or(State::Off, State::Open);
        }
        match &mut *state {
            State::Open(table) => Some(work(table)),
            State::Unopened | State::Off => None,
        }
    }

    fn open(&self) -> io::Result<Option<Table>> {
        let found = Table::open(&self.path, self.writable).ok().flatten();
        let found = found.filter(|table| table.shape().same_vectors(&self.shape));
        if !self.writable {
            return Ok(found);
        }
        match found {
            Some(table) if table.shape().sets >= self.shape.sets && self.holds(&table) => {
                table.even_out()?;
                Ok(Some(table))
            }
            former => {
                remove(&self.path)?;
                let mut table = Table::make(&self.path, self.shape)?;
                if let Some(mut former) = former {
                    table.take_over(&mut former);
                }
                Ok(Some(table))
            }
        }
    }

    fn holds(&self, table: &Table) -> bool {
        table.shape().bytes() <= self.limit
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What a file takes of the disk: one with holes takes less than its length.
#[cfg(unix)]
fn taken(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata).saturating_mul(512)
}

#[cfg(not(unix))]
fn taken(metadata: &fs::Metadata) -> u64 {
    metadata.len()
}
