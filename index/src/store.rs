//! Where a collection's own files live: named blobs, each replaced as a whole or not at all.

mod dir;
mod map;
mod memory;

use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

pub(crate) use dir::DirStore;
#[cfg(test)]
pub(crate) use dir::Fault;
pub(crate) use memory::MemoryStore;

/// Named blobs.
pub(crate) trait Store: Send + Sync {
    /// What to call this place in a message.
    fn place(&self) -> &Path;
    /// The folder that this is, if it is one.
    fn folder(&self) -> Option<&Path> {
        None
    }
    /// Names of all blobs, in no order; remains of interrupted saves are among them.
    fn names(&self) -> io::Result<Vec<String>>;
    fn load(&self, name: &str) -> io::Result<Blob>;
    /// When this succeeds the blob is durable under its name; if it fails or never returns, the name has
    /// either this blob or what it had before, whole.
    fn save(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// Bytes of a blob: mapped from disk or held in memory.
#[derive(Clone)]
pub(crate) enum Blob {
    Mapped(Arc<memmap2::Mmap>),
    Owned(Arc<[u8]>),
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}
