//! The machine's own files.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use ignore::{DirEntry, WalkBuilder};

use super::{FileStat, Files, Walked};

/// Files on disk. Hidden ones are skipped; `.gitignore`, `.ignore` and `.coveyignore` below the root
/// are respected (those above it are not: who names a folder means it); links are not followed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn walk(
        &self,
        root: &Path,
        visit: &mut dyn FnMut(Walked) -> ControlFlow<()>,
    ) -> io::Result<()> {
        if fs::symlink_metadata(root)?.is_dir() {
            fs::read_dir(root)?;
        }
        let walk = WalkBuilder::new(root)
            .follow_links(false)
            .parents(false)
            .require_git(false)
            .git_global(false)
            .add_custom_ignore_filename(".coveyignore")
            .sort_by_file_name(Ord::cmp)
            .build();
        for entry in walk {
            let walked = match entry {
                Ok(entry) => walked(root, &entry),
                Err(error) => Some(unreadable(root, error)),
            };
            if let Some(walked) = walked
                && visit(walked).is_break()
            {
                break;
            }
        }
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<FileStat> {
        regular(&fs::symlink_metadata(path)?)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = open_regular(path)?;
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn read_range(&self, path: &Path, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut file = open_regular(path)?;
        file.seek(SeekFrom::Start(range.start))?;
        let mut bytes = Vec::new();
        file.take(range.end.saturating_sub(range.start)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn walked(root: &Path, entry: &DirEntry) -> Option<Walked> {
    let relative = below(root, entry.path());
    let kind = entry.file_type()?;
    if kind.is_dir() {
        return None;
    }
    if kind.is_symlink() {
        return Some(Walked::Link { relative });
    }
    if !kind.is_file() {
        return Some(Walked::Special { relative });
    }
    let stat = entry
        .metadata()
        .map_err(|error| error.into_io_error().unwrap_or_else(vanished))
        .and_then(|metadata| regular(&metadata));
    Some(match stat {
        Ok(stat) => Walked::File { relative, stat },
        Err(error) => Walked::Unreadable { relative, error },
    })
}

fn unreadable(root: &Path, error: ignore::Error) -> Walked {
    Walked::Unreadable {
        relative: error_path(&error).map_or_else(PathBuf::new, |path| below(root, path)),
        error: error.into_io_error().unwrap_or_else(vanished),
    }
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            error_path(err)
        }
        _ => None,
    }
}

fn vanished() -> io::Error {
    io::Error::other("it could not be looked at")
}

fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}

fn regular(metadata: &Metadata) -> io::Result<FileStat> {
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(FileStat { size: metadata.len(), mtime_ns: mtime_ns(metadata) })
}

fn mtime_ns(metadata: &Metadata) -> i64 {
    let Ok(time) = metadata.modified() else {
        return 0;
    };
    let nanos = |d: std::time::Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    }
}

/// Opens without following a final link and without waiting on a pipe, then makes sure that what
/// was opened is a regular file: the path may have been swapped since it was looked at.
#[cfg(unix)]
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt;

    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file =
        fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file.
#[cfg(not(unix))]
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    regular(&file.metadata()?)?;
    Ok(file)
}
