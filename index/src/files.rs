//! Where the user's files live.
//!
//! The index reads files through this trait only: [`Disk`] in production, [`MemoryFiles`] in tests
//! and in the simulator.

mod disk;
mod memory;

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

pub use disk::Disk;
pub(crate) use disk::open_regular;
pub use memory::MemoryFiles;

/// What tells a changed file from an unchanged one without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStat {
    /// Size in bytes.
    pub size: u64,
    /// Time of last modification, in nanoseconds since 1970; negative before.
    pub mtime_ns: i64,
}

/// One thing found below a root.
#[derive(Debug)]
pub enum Walked {
    /// A regular file.
    File {
        /// Its path below the root; empty where the root is this file.
        relative: PathBuf,
        /// Its size and time.
        stat: FileStat,
    },
    /// A symbolic link, which is not followed.
    Link {
        /// Its path below the root.
        relative: PathBuf,
    },
    /// A socket, pipe or device.
    Special {
        /// Its path below the root.
        relative: PathBuf,
    },
    /// A folder or file that could not be looked into. What is known below it is kept.
    Unreadable {
        /// Its path below the root; empty where that is unknown, which stands for the whole root.
        relative: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A readable set of files.
pub trait Files: Send + Sync {
    /// The one absolute name of a file or folder, so that adding it twice under two names finds the
    /// same one. An error where it does not exist.
    fn resolve(&self, path: &Path) -> io::Result<PathBuf>;

    /// Visits everything below `root` (or `root` itself, if it is a file) in a fixed order. `Break`
    /// ends the walk early and is no error; an error means that `root` itself cannot be read.
    fn walk(&self, root: &Path, visit: &mut dyn FnMut(Walked) -> ControlFlow<()>)
    -> io::Result<()>;

    /// Size and time of a regular file; an error for anything else.
    fn stat(&self, path: &Path) -> io::Result<FileStat>;

    /// The first `limit` bytes of a regular file, or all of a shorter one.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The bytes of a regular file in `range`; fewer where it ends before.
    fn read_range(&self, path: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = self.read(path, range.end)?;
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.split_off(start))
    }
}
