//! Named files in a folder of their own.

use std::fs::OpenOptions;
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
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        check_log_name(name)?;
        Ok(self.0.join(name))
    }
}

impl Blobs for FileBlobs {
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        durable::replace(&self.path(name)?, bytes)
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name)?;
        match durable::read_bounded(&path, MAX_BLOB) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
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
        let failed = || io("list", &self.0);
        for file in std::fs::read_dir(&self.0).map_err(failed())? {
            let file = file.map_err(failed())?;
            if file.file_name().to_str().is_some_and(|name| name.starts_with(prefix)) {
                durable::remove_if_there(&file.path())?;
            }
        }
        Ok(())
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
        let of_disk = FileBlobs::new(dir.path().to_owned());
        for blobs in [&of_disk as &dyn Blobs, &*of_memory] {
            assert_eq!(blobs.get("a-1").expect("reads"), None);
            blobs.put("a-1", b"one").expect("writes");
            blobs.put("a-1", b"another").expect("writes anew");
            blobs.extend("a-2", 0, b"0123456789").expect("makes it");
            blobs.extend("a-2", 4, b"xy").expect("cuts and adds");
            assert!(blobs.extend("a-2", 7, b"z").is_err(), "a hole");
            assert_eq!(blobs.get("a-2").expect("reads").as_deref(), Some(&b"0123xy"[..]));
            blobs.put("b", b"").expect("writes");
            blobs.remove("a-").expect("removes");
            assert_eq!(blobs.get("a-1").expect("reads"), None);
            assert_eq!(blobs.get("b").expect("reads"), Some(vec![]));
        }
        assert!(matches!(of_disk.put("../x", b""), Err(StoreError::LogName(_))));
    }
}
