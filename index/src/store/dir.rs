//! Blobs in a directory, safe against crashes and a second writer.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::map::map;
use super::{Blob, Store};
use crate::files::open_regular;

const LOCK: &str = "lock";

/// A directory of blobs. The lock, where one was taken, is held until this is dropped.
pub(crate) struct DirStore {
    dir: PathBuf,
    lock: Option<File>,
    #[cfg(test)]
    fault: Option<Arc<Fault>>,
}

impl DirStore {
    /// What the name of a blob begins with until it is written.
    pub(crate) const TEMPORARY: &str = "tmp-";
    /// The folder of the lexical index, which is no blob.
    pub(crate) const LEXICAL: &str = "lexical";

    /// Makes the directory, private to the user, if it is missing.
    pub(crate) fn make(dir: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)
    }

    /// For writing: takes the lock, or gives `WouldBlock` if someone has it.
    pub(crate) fn locked(dir: &Path) -> io::Result<Self> {
        let file = private().truncate(false).read(true).create(true).open(dir.join(LOCK))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        Ok(Self::at(dir, Some(file)))
    }

    /// For reading only.
    pub(crate) fn unlocked(dir: &Path) -> Self {
        Self::at(dir, None)
    }

    /// Gives the lock back and removes its file. One that has something in it is somebody else's, and stays.
    pub(crate) fn remove_lock(self) -> io::Result<()> {
        match &self.lock {
            Some(file) if file.metadata()?.len() == 0 => fs::remove_file(self.dir.join(LOCK)),
            _ => Ok(()),
        }
    }

    fn at(dir: &Path, lock: Option<File>) -> Self {
        Self {
            dir: dir.to_path_buf(),
            lock,
            #[cfg(test)]
            fault: None,
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.step()?;
        let mut file = private().truncate(true).create(true).open(path)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        self.step()?;
        file.write_all(second)?;
        self.step()?;
        file.sync_all()
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.step()?;
        #[cfg(unix)]
        File::open(&self.dir)?.sync_all()?;
        Ok(())
    }
}

impl Store for DirStore {
    fn place(&self) -> &Path {
        &self.dir
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.dir)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            if let Ok(name) = entry?.file_name().into_string()
                && name != LOCK
                && name != Self::LEXICAL
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn load(&self, name: &str) -> io::Result<Blob> {
        let file = open_regular(&self.dir.join(name))?;
        if file.metadata()?.len() == 0 {
            return Ok(Blob::Owned(Arc::new([])));
        }
        Ok(Blob::Mapped(Arc::new(map(&file)?)))
    }

    fn save(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let temporary = self.dir.join(format!("{}{name}", Self::TEMPORARY));
        let done = self.write(&temporary, bytes).and_then(|()| {
            self.step()?;
            fs::rename(&temporary, self.dir.join(name))?;
            self.sync_dir()
        });
        if done.is_err() && self.step().is_ok() {
            // Best effort: on a full disk this gives the space back, and opening cleans up anyway.
            let _ = fs::remove_file(&temporary);
        }
        done
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.step()?;
        fs::remove_file(self.dir.join(name))
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl DirStore {
    /// A point at which tests can make the machine crash.
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the tests' version looks at the fault")]
    fn step(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault.step())
    }

    #[cfg(test)]
    pub(crate) fn with_fault(mut self, fault: Arc<Fault>) -> Self {
        self.fault = Some(fault);
        self
    }
}

/// A disk that fails after some steps: once, or from then on.
#[cfg(test)]
pub(crate) struct Fault {
    taken: std::sync::atomic::AtomicUsize,
    fails: std::ops::Range<usize>,
    kind: io::ErrorKind,
}

#[cfg(test)]
impl Fault {
    /// Steps before `fails` and from its end on succeed.
    pub(crate) fn at(fails: std::ops::Range<usize>, kind: io::ErrorKind) -> Arc<Self> {
        Arc::new(Self { taken: 0.into(), fails, kind })
    }

    fn step(&self) -> io::Result<()> {
        let step = self.taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if self.fails.contains(&step) { Err(self.kind.into()) } else { Ok(()) }
    }

    /// Whether it has failed yet.
    pub(crate) fn struck(&self) -> bool {
        self.taken.load(std::sync::atomic::Ordering::Relaxed) > self.fails.start
    }
}
