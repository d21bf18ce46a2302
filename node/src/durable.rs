//! Files and folders for one person's eyes, written whole or not at all.
//!
//! A file appears under its name only after its bytes are synced, and the folder is synced after
//! that, so that what a caller was told is there is there after a power loss too.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, OFlags, RenameFlags};

use crate::store::StoreError;

/// Mode of every folder Covey makes.
pub const DIR_MODE: u32 = 0o700;
/// Mode of every file Covey makes in them.
pub const FILE_MODE: u32 = 0o600;
/// How often a lock is tried, and how long apart: 0.2 seconds in all.
pub(crate) const LOCK_TRIES: u32 = 20;
/// See [`LOCK_TRIES`].
pub(crate) const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Makes `dir` and the folders above it as needed, and takes away other users' access to `dir`.
///
/// # Errors
/// If the disk says no, or `dir` is another user's.
pub fn create_dir(dir: &Path) -> Result<(), StoreError> {
    let existed = dir.exists();
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(io("create", dir))?;
    let metadata = std::fs::metadata(dir).map_err(io("look at", dir))?;
    if !is_ours(metadata.uid()) {
        return Err(StoreError::NotOurs { path: dir.to_owned() });
    }
    if metadata.mode() & 0o7777 != DIR_MODE {
        let mode = std::fs::Permissions::from_mode(DIR_MODE);
        std::fs::set_permissions(dir, mode).map_err(io("set the mode of", dir))?;
    }
    match dir.parent() {
        Some(parent) if !existed => sync_dir(parent),
        _ => Ok(()),
    }
}

/// Whether `uid` is the user this process acts as.
pub fn is_ours(uid: u32) -> bool {
    rustix::process::geteuid().as_raw() == uid
}

/// Writes a file that is not there yet.
///
/// # Errors
/// [`StoreError::Exists`] if something has that name, or if the disk says no.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = PartFile::create(path)?;
    file.write(bytes)?;
    file.publish_new()
}

/// Writes a file, in one step replacing the one that has its name.
///
/// # Errors
/// If the disk says no; the old file is then untouched.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = PartFile::create(path)?;
    file.write(bytes)?;
    file.publish()
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// If the disk says no, or the file is larger.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let file = File::open(path).map_err(io("open", path))?;
    read_open(&file, path, limit)
}

/// Reads an open file of at most `limit` bytes; `path` is for the message.
pub(crate) fn read_open(file: &File, path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > limit {
        let what = format!("it is larger than the {limit} bytes it may have");
        return Err(StoreError::Corrupt { path: path.to_owned(), what });
    }
    Ok(bytes)
}

/// Syncs every file below `dir`, and the folders.
pub(crate) fn sync_tree(dir: &Path) -> Result<(), StoreError> {
    for entry in std::fs::read_dir(dir).map_err(io("list", dir))? {
        let path = entry.map_err(io("list", dir))?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path).and_then(|file| file.sync_all()).map_err(io("sync", &path))?;
        }
    }
    sync_dir(dir)
}

/// Makes renames and removals in `dir` durable.
///
/// # Errors
/// If the disk says no.
pub fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("sync", dir))
}

/// A file under construction beside its final name. Dropped before it is published, it is removed.
pub(crate) struct PartFile {
    part: PathBuf,
    path: PathBuf,
    file: File,
}

impl PartFile {
    /// Starts the file that will be called `path`. A leftover of an interrupted attempt is replaced.
    pub(crate) fn create(path: &Path) -> Result<Self, StoreError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = path.with_file_name(format!(".{name}.part"));
        remove_if_there(&part)?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&part)
            .map_err(io("create", &part))?;
        Ok(Self { part, path: path.to_owned(), file })
    }

    /// Adds `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(io("write", &self.path))
    }

    /// Puts `bytes` in the place of the first ones.
    pub(crate) fn write_first(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all_at(bytes, 0).map_err(io("write", &self.path))
    }

    /// Syncs the file and gives it its name, in one step replacing the file that has it.
    pub(crate) fn publish(self) -> Result<(), StoreError> {
        self.sync()?;
        std::fs::rename(&self.part, &self.path).map_err(io("replace", &self.path))?;
        sync_dir(&parent_of(&self.path))
    }

    /// Syncs the file and gives it its name, which nothing may have yet.
    pub(crate) fn publish_new(self) -> Result<(), StoreError> {
        self.sync()?;
        rename_new(&self.part, &self.path)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_all().map_err(io("sync", &self.path))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // Gone already once published; if it cannot be removed, the next attempt tries again.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// Renames a file or folder to a name that nothing has, durably.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<(), StoreError> {
    let exists = || StoreError::Exists { path: to.to_owned() };
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Err(exists()),
        // Some network file systems lack the flag; the home's lock then keeps other Coveys away.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            if to.symlink_metadata().is_ok() {
                return Err(exists());
            }
            std::fs::rename(from, to).map_err(io("create", to))?;
        }
        Err(errno) => return Err(io("create", to)(errno.into())),
    }
    sync_dir(&parent_of(to))
}

/// Removes a file, if it is there.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Where `path` lies, or would lie in its folder, without links on the way; `None` where there is no such folder.
pub(crate) fn real_place(path: &Path) -> Option<PathBuf> {
    let in_folder = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(in_folder)
}

/// Takes `file`'s lock for as long as it stays open; `false` if somebody else has it. A child of this
/// process has a copy of every open file between fork and exec, so a taken lock gets a moment.
pub(crate) fn try_lock(file: &File) -> std::io::Result<bool> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

/// Makes an IO error say what was tried on what.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    move |source| StoreError::Io { action, path: path.to_owned(), source }
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("is there").mode() & 0o7777
    }

    #[test]
    fn a_new_file_is_private_and_never_replaces_another() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("secret");
        write_new(&path, b"one").expect("writes");
        assert_eq!(mode(&path), FILE_MODE);
        assert!(matches!(write_new(&path, b"two"), Err(StoreError::Exists { .. })));
        assert_eq!(read_bounded(&path, 3).expect("reads"), b"one");
        replace(&path, b"three").expect("replaces");
        assert!(matches!(read_bounded(&path, 4), Err(StoreError::Corrupt { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1, "no part is left");
    }

    #[test]
    fn a_planted_link_is_not_written_through() {
        let dir = tempfile::tempdir().expect("a folder");
        let target = dir.path().join("target");
        std::fs::write(&target, b"theirs").expect("writes");
        std::os::unix::fs::symlink(&target, dir.path().join(".new.part")).expect("links");
        std::os::unix::fs::symlink(&target, dir.path().join("taken")).expect("links");
        write_new(&dir.path().join("new"), b"ours").expect("writes");
        let taken = write_new(&dir.path().join("taken"), b"ours");
        assert!(matches!(taken, Err(StoreError::Exists { .. })));
        assert_eq!(std::fs::read(&target).expect("reads"), b"theirs");
    }

    #[test]
    fn folders_are_made_private_and_kept_so() {
        let dir = tempfile::tempdir().expect("a folder");
        let deep = dir.path().join("a/b");
        create_dir(&deep).expect("creates");
        assert_eq!(mode(&deep), DIR_MODE);
        std::fs::set_permissions(&deep, std::fs::Permissions::from_mode(0o755)).expect("opens up");
        create_dir(&deep).expect("is there");
        assert_eq!(mode(&deep), DIR_MODE);
    }
}
