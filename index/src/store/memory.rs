//! Blobs in memory, for tests and simulated peers.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Blob, Store};

#[derive(Default)]
pub(crate) struct MemoryStore {
    blobs: Mutex<BTreeMap<String, Arc<[u8]>>>,
}

impl MemoryStore {
    fn blobs(&self) -> MutexGuard<'_, BTreeMap<String, Arc<[u8]>>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn place(&self) -> &Path {
        Path::new("(memory)")
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.blobs().keys().cloned().collect())
    }

    fn load(&self, name: &str) -> io::Result<Blob> {
        let blob = self.blobs().get(name).cloned();
        blob.map(Blob::Owned).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn save(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.blobs().insert(name.to_owned(), bytes.into());
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.blobs().remove(name);
        Ok(())
    }
}
