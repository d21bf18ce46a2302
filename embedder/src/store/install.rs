//! Adds folders to the store so that each is complete or absent, whoever else tries.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::ModelError;
use super::error::io_at;

const LOCK: &str = ".lock";
const STAGING: &str = ".staging";

/// Holds the store's lock, and a scratch folder that vanishes with it.
pub(super) struct Installer {
    dir: PathBuf,
    _lock: File,
}

impl Installer {
    /// Waits for the lock, then clears what an interrupted installation left.
    pub(super) fn begin(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join(LOCK);
        let lock = File::create(&path).map_err(io_at(&path))?;
        lock.lock().map_err(io_at(&path))?;
        let installer = Self { dir: dir.to_owned(), _lock: lock };
        let staging = installer.staging();
        remove_if_there(&staging)?;
        fs::create_dir(&staging).map_err(io_at(&staging))?;
        Ok(installer)
    }

    /// A folder for scratch files.
    pub(super) fn staging(&self) -> PathBuf {
        self.dir.join(STAGING)
    }

    /// Writes `files` as the folder `name`, with those of `shared` (a name and where it is) beside them,
    /// replacing it if it is there.
    pub(super) fn install(
        &self,
        name: &str,
        files: &[(&str, &[u8])],
        shared: &[(&str, PathBuf)],
    ) -> Result<PathBuf, ModelError> {
        let complete = self.staging().join("complete");
        fs::create_dir(&complete).map_err(io_at(&complete))?;
        for (file, path) in shared {
            share(path, &complete.join(file))?;
        }
        for (file, content) in files {
            write_synced(&complete.join(file), content)?;
        }
        sync_dir(&complete)?;
        let folder = self.dir.join(name);
        self.move_away(&folder)?;
        fs::rename(&complete, &folder).map_err(io_at(&folder))?;
        sync_dir(&self.dir)?;
        Ok(folder)
    }

    /// Writes `content` as the file `name` of the store, replacing it if it is there.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), ModelError> {
        let complete = self.staging().join("file");
        write_synced(&complete, content)?;
        let path = self.dir.join(name);
        fs::rename(&complete, &path).map_err(io_at(&path))?;
        sync_dir(&self.dir)
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), ModelError> {
        self.move_away(&self.dir.join(name))?;
        sync_dir(&self.dir)
    }

    /// A rename, so that nobody sees a folder with half of its files.
    fn move_away(&self, folder: &Path) -> Result<(), ModelError> {
        if folder.exists() {
            fs::rename(folder, self.staging().join("replaced")).map_err(io_at(folder))?;
        }
        Ok(())
    }
}

impl Drop for Installer {
    fn drop(&mut self) {
        // The next installation clears what cannot be removed now.
        let _ = fs::remove_dir_all(self.staging());
    }
}

fn remove_if_there(folder: &Path) -> Result<(), ModelError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_at(folder)(error)),
        _ => Ok(()),
    }
}

/// Makes `new` the same file as `old`, which never changes, or a copy where the disk does not link.
fn share(old: &Path, new: &Path) -> Result<(), ModelError> {
    if fs::hard_link(old, new).is_ok() {
        return Ok(());
    }
    fs::copy(old, new).and_then(|_| File::open(new)?.sync_all()).map_err(io_at(new))
}

fn write_synced(path: &Path, content: &[u8]) -> Result<(), ModelError> {
    let mut file = File::create_new(path).map_err(io_at(path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(io_at(path))
}

fn sync_dir(path: &Path) -> Result<(), ModelError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io_at(path))
}
