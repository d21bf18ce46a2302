//! Named files in a folder of their own.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

use super::disk::check_log_name;
use super::{Blobs, StoreError};
use crate::durable::{self, io};

/// Largest file: the values of the largest adapter, or its masked vector.
const MAX_BLOB: u64 = 256 * 1024 * 1024;

/// A folder of named files.
pub(super) struct FileBlobs(PathBuf);

impl FileBlobs {
    /// In a folder that is there. Files that were not finished when a process was killed may hold secrets, and go.
    pub(super) fn in_folder(folder: PathBuf) -> Result<Self, StoreError> {
        let blobs = Self(folder);
        blobs.remove_if(|name| name.starts_with('.') && name.ends_with(".part"))?;
        Ok(blobs)
    }

    /// Removes files for good, by their names.
    fn remove_if(&self, goes: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let failed = || io("list", &self.0);
        let mut removed = false;
        for file in std::fs::read_dir(&self.0).map_err(failed())? {
            let file = file.map_err(failed())?;
            if file.file_name().to_str().is_some_and(&goes) {
                durable::remove_if_there(&file.path())?;
                removed = true;
            }
        }
        if removed { durable::sync_dir(&self.0) } else { Ok(()) }
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        check_log_name(name)?;
        Ok(self.0.join(name))
    }

    /// A file with its path and length, if it is there.
    fn open(&self, name: &str) -> Result<Option<(File, PathBuf, u64)>, StoreError> {
        let path = self.path(name)?;
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(io("open", &path))?,
        };
        let length = file.metadata().map_err(io("look at", &path))?.len();
        Ok(Some((file, path, length)))
    }
}

impl Blobs for FileBlobs {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        durable::replace(&self.path(name)?, bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let opened = self.open(name)?;
        opened.map(|(file, path, _)| durable::read_open(&file, &path, MAX_BLOB)).transpose()
    }

    fn read(&self, name: &str, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        let Some((file, path, length)) = self.open(name)? else { return Ok(Vec::new()) };
        let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(most)];
        file.read_exact_at(&mut bytes, offset).map_err(io("read", &path))?;
        Ok(bytes)
    }

    fn length(&self, name: &str) -> Result<u64, StoreError> {
        Ok(self.open(name)?.map_or(0, |(_, _, length)| length))
    }

    fn extend(&self, name: &str, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(durable::FILE_MODE);
        let file = options.open(&path).map_err(io("open", &path))?;
        let length = file.metadata().map_err(io("look at", &path))?.len();
        if length < offset {
            let what = "it is shorter than what was written to it".to_owned();
            return Err(StoreError::Corrupt { path, what });
        }
        if length > offset {
            file.set_len(offset).map_err(io("cut", &path))?;
        }
        file.write_all_at(bytes, offset).map_err(io("write to", &path))
    }

    fn remove(&self, prefix: &str) -> Result<(), StoreError> {
        self.remove_if(|name| name.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_extended_cut_and_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let memory = crate::store::MemoryStores::new();
        let of_memory = crate::store::Stores::blobs(&memory);
        let of_disk = FileBlobs::in_folder(dir.path().to_owned()).expect("opens");
        for blobs in [&of_disk as &dyn Blobs, &*of_memory] {
            assert_eq!(blobs.get("a-1").expect("reads"), None);
            blobs.put("a-1", b"one").expect("writes");
            blobs.put("a-1", b"another").expect("writes anew");
            blobs.extend("a-2", 0, b"0123456789").expect("makes it");
            blobs.extend("a-2", 4, b"xy").expect("cuts and adds");
            assert!(blobs.extend("a-2", 7, b"z").is_err(), "a hole");
            assert_eq!(blobs.get("a-2").expect("reads").as_deref(), Some(&b"0123xy"[..]));
            assert_eq!(blobs.length("a-2").expect("looks"), 6);
            assert_eq!(blobs.read("a-2", 3, 2).expect("reads"), b"3x");
            assert_eq!(blobs.read("a-2", 5, 9).expect("reads"), b"y");
            assert_eq!(blobs.read("a-2", 6, 9).expect("reads"), b"");
            assert_eq!(blobs.read("a-2", u64::MAX, 9).expect("reads"), b"");
            assert_eq!(
                (blobs.length("a-3").expect("looks"), blobs.read("a-3", 0, 1).expect("reads")),
                (0, vec![])
            );
            blobs.put("b", b"").expect("writes");
            blobs.remove("a-").expect("removes");
            assert_eq!(blobs.get("a-1").expect("reads"), None);
            assert_eq!(blobs.get("b").expect("reads"), Some(vec![]));
        }
        assert!(matches!(of_disk.put("../x", b""), Err(StoreError::LogName(_))));
    }

    #[test]
    fn what_a_killed_process_left_half_written_goes_when_it_is_opened() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in [".p0123-record.part", "p0123-seen", ".keep", "x.part"] {
            std::fs::write(dir.path().join(name), b"half a secret").expect("writes");
        }
        FileBlobs::in_folder(dir.path().to_owned()).expect("opens");
        let files = std::fs::read_dir(dir.path()).expect("lists");
        let mut names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
        names.sort();
        assert_eq!(names, [".keep", "p0123-seen", "x.part"]);
    }
}
