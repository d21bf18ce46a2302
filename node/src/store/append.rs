//! The append-only log on disk: framed records, each synced before it is acknowledged.
//!
//! [`FileLog`] is generic over the file below it, so that tests can drop unsynced writes, tear them and fill
//! the disk. Format and checks: docs/spec/append-log.md.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::frame::{self, Decoded, HEAD, MAX_FRAME};
use super::{AppendLog, MAX_RECORD, StoreError};
use crate::durable::{self, io};

const MAGIC: &[u8; 8] = b"COVEYLOG";
const VERSION: u32 = 1;
/// Magic, version, four zero bytes.
const HEADER: usize = 16;

/// What a log needs of a file.
pub trait LogFile: Send {
    /// Its length in bytes.
    ///
    /// # Errors
    /// If the disk says no.
    fn length(&self) -> std::io::Result<u64>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// If the file ends before that, or the disk says no.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()>;

    /// Writes all of `bytes` at `offset`. After an error, any part of them may be there.
    ///
    /// # Errors
    /// If the disk says no.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()>;

    /// Cuts the file to `length`.
    ///
    /// # Errors
    /// If the disk says no.
    fn cut(&mut self, length: u64) -> std::io::Result<()>;

    /// Makes all of the above durable.
    ///
    /// # Errors
    /// If the disk says no; what was written may then be lost although a later call succeeds.
    fn sync(&mut self) -> std::io::Result<()>;
}

impl LogFile for File {
    fn length(&self) -> std::io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> std::io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn cut(&mut self, length: u64) -> std::io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        self.sync_data()
    }
}

/// An [`AppendLog`] in a file.
#[derive(Debug)]
pub struct FileLog<F> {
    file: F,
    path: PathBuf,
    /// Where the next record goes.
    end: u64,
    torn: u64,
    failed: bool,
}

impl FileLog<File> {
    /// Opens the log at `path` for this process alone, creating it if needed.
    ///
    /// # Errors
    /// If it is in use, damaged, of another version, or the disk says no.
    pub fn open_path(path: &Path) -> Result<Self, StoreError> {
        if path.symlink_metadata().is_err() {
            match durable::write_new(path, &header()) {
                Ok(()) | Err(StoreError::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)
            .map_err(io("open", path))?;
        match durable::try_lock(&file).map_err(io("lock", path))? {
            true => Self::open(file, path),
            false => Err(StoreError::Busy { path: path.to_owned() }),
        }
    }
}

impl<F: LogFile> FileLog<F> {
    /// Opens the log in `file`, which starts with [`header`]. Checks every record; an append that a crash cut
    /// short is dropped. `path` is for messages.
    ///
    /// # Errors
    /// If it is damaged, of another version, or the disk says no.
    pub fn open(mut file: F, path: &Path) -> Result<Self, StoreError> {
        check_header(&file, path)?;
        let length = file.length().map_err(io("read", path))?;
        let end = walk(&file, path, length, &mut |_| ())?;
        let torn = length - end;
        if torn > 0 {
            check_torn(&file, path, end, length)?;
            file.cut(end).and_then(|()| file.sync()).map_err(io("repair", path))?;
            tracing::warn!(path = %path.display(), bytes = torn, "dropped an append that a crash cut short");
        }
        Ok(Self { file, path: path.to_owned(), end, torn, failed: false })
    }

    /// Adds a record that is durable only after [`FileLog::sync`].
    pub(crate) fn add(&mut self, record: &[u8]) -> Result<(), StoreError> {
        if record.len() > MAX_RECORD {
            return Err(StoreError::RecordTooLarge(record.len()));
        }
        if self.failed {
            let error = std::io::Error::other("an earlier append failed; restart to try again");
            return Err(io("append to", &self.path)(error));
        }
        let frame = frame::encode(self.end, record);
        if let Err(error) = self.file.write_at(&frame, self.end) {
            self.take_back(self.end);
            return Err(io("append to", &self.path)(error));
        }
        self.end += frame.len() as u64;
        Ok(())
    }

    /// Makes what was added durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.file.sync().map_err(|error| {
            // Nobody knows what is on the disk now, and a second sync may claim success.
            self.failed = true;
            io("sync", &self.path)(error)
        })
    }

    /// Cuts a half-written record off; afterwards the log is as before, or takes no more.
    fn take_back(&mut self, end: u64) {
        let undone = self.file.cut(end).and_then(|()| self.file.sync());
        self.failed |= undone.is_err();
        self.end = end;
    }
}

impl<F: LogFile> AppendLog for FileLog<F> {
    fn append(&mut self, record: &[u8]) -> Result<(), StoreError> {
        let before = self.end;
        self.add(record)?;
        self.sync().inspect_err(|_| self.take_back(before))
    }

    fn visit(&self, each: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        match walk(&self.file, &self.path, self.end, each)? {
            end if end == self.end => Ok(()),
            end => Err(corrupt(&self.path, end, "a record was changed since the log was opened")),
        }
    }

    fn torn_bytes(&self) -> u64 {
        self.torn
    }
}

/// The first bytes of every log.
pub fn header() -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header
}

/// Check A1.
fn check_header(file: &impl LogFile, path: &Path) -> Result<(), StoreError> {
    let mut found = [0; HEADER];
    match file.read_at(&mut found, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            return Err(corrupt(path, 0, "it is shorter than its header"));
        }
        Err(error) => return Err(io("read", path)(error)),
    }
    let version = u32::from_le_bytes([found[8], found[9], found[10], found[11]]);
    if found[..8] != MAGIC[..] || found[12..] != [0; 4] {
        return Err(corrupt(path, 0, "it does not start as a log does"));
    }
    if version != VERSION {
        let path = path.to_owned();
        return Err(StoreError::Version { path, found: version, expected: VERSION });
    }
    Ok(())
}

/// Shows the records before `length` to `each` and returns where the first thing that is none starts.
fn walk(
    file: &impl LogFile,
    path: &Path,
    length: u64,
    each: &mut dyn FnMut(&[u8]),
) -> Result<u64, StoreError> {
    let mut offset = HEADER as u64;
    let mut buffer = Vec::new();
    while offset < length {
        match read_frame(file, offset, length, &mut buffer).map_err(io("read", path))? {
            Decoded::Record(record, frame) => {
                each(record);
                offset += frame as u64;
            }
            Decoded::Short | Decoded::Bad => break,
        }
    }
    Ok(offset)
}

/// Reads one frame, no more bytes than its checked head says.
fn read_frame<'a>(
    file: &impl LogFile,
    offset: u64,
    length: u64,
    buffer: &'a mut Vec<u8>,
) -> std::io::Result<Decoded<'a>> {
    let left = length - offset;
    let mut head = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(Decoded::Short);
    }
    file.read_at(&mut head, offset)?;
    let Some(payload) = frame::payload_length(offset, head) else {
        return Ok(Decoded::Bad);
    };
    let frame = HEAD + payload + frame::TAIL;
    if left < frame as u64 {
        return Ok(Decoded::Short);
    }
    buffer.resize(frame, 0);
    file.read_at(buffer, offset)?;
    Ok(frame::decode(offset, buffer))
}

/// Check A5: what follows the last good record may be one append cut short, and nothing else. Every
/// append is synced before the next starts, so it is never longer than a frame and no record follows it.
fn check_torn(file: &impl LogFile, path: &Path, end: u64, length: u64) -> Result<(), StoreError> {
    let damaged = || corrupt(path, end, "a record is damaged, and more records follow it");
    let size = usize::try_from(length - end).unwrap_or(usize::MAX);
    if size > MAX_FRAME {
        return Err(damaged());
    }
    let mut rest = vec![0; size];
    file.read_at(&mut rest, end).map_err(io("read", path))?;
    let follows = (1..rest.len())
        .any(|skip| matches!(frame::decode(end + skip as u64, &rest[skip..]), Decoded::Record(..)));
    if follows { Err(damaged()) } else { Ok(()) }
}

fn corrupt(path: &Path, offset: u64, what: &str) -> StoreError {
    let what = format!("at byte {offset}, {what}; restore it from a backup");
    StoreError::Corrupt { path: path.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[&[u8]]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("test.log");
        let mut log = FileLog::open_path(&path).expect("opens");
        for record in records {
            log.append(record).expect("appends");
        }
        (dir, path)
    }

    #[test]
    fn records_come_back_in_order_after_reopening() {
        let big = vec![7; MAX_RECORD];
        let records: [&[u8]; 4] = [b"one", b"", b"three", &big];
        let (_dir, path) = written(&records);
        let mut log = FileLog::open_path(&path).expect("opens");
        assert_eq!(log.read().expect("reads"), records);
        assert_eq!(log.torn_bytes(), 0);
        let refused = log.append(&vec![0; MAX_RECORD + 1]);
        assert!(matches!(refused, Err(StoreError::RecordTooLarge(_))));
        log.append(b"five").expect("appends");
        assert_eq!(log.read().expect("reads").len(), 5);
    }

    #[test]
    fn a_log_is_open_once() {
        let (_dir, path) = written(&[]);
        let first = FileLog::open_path(&path).expect("opens");
        assert!(matches!(FileLog::open_path(&path), Err(StoreError::Busy { .. })));
        drop(first);
        FileLog::open_path(&path).expect("opens again");
    }

    #[test]
    fn a_cut_anywhere_in_the_last_record_loses_only_that_one() {
        let (_dir, path) = written(&[b"one", b"two"]);
        let bytes = std::fs::read(&path).expect("reads");
        let first = HEADER + HEAD + 3 + frame::TAIL;
        for cut in first..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).expect("writes");
            let mut log = FileLog::open_path(&path).expect("opens");
            assert_eq!(log.read().expect("reads"), [b"one"], "cut to {cut}");
            assert_eq!(log.torn_bytes(), (cut - first) as u64);
            log.append(b"three").expect("appends");
            assert_eq!(log.read().expect("reads"), [&b"one"[..], b"three"]);
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_record_is_damage_and_nothing_is_dropped() {
        let (_dir, path) = written(&[b"one", b"two", b"three"]);
        let bytes = std::fs::read(&path).expect("reads");
        let last = bytes.len() - (HEAD + 5 + frame::TAIL);
        for position in 0..last {
            let mut bent = bytes.clone();
            bent[position] ^= 0x10;
            std::fs::write(&path, &bent).expect("writes");
            let error = FileLog::open_path(&path).expect_err("is damaged");
            let is_version = matches!(error, StoreError::Version { .. });
            assert_eq!(is_version, (8..12).contains(&position), "byte {position}: {error}");
            assert_eq!(std::fs::read(&path).expect("reads"), bent, "the evidence stays");
        }
    }

    #[test]
    fn garbage_longer_than_one_append_is_damage() {
        let (_dir, path) = written(&[b"one"]);
        let mut bytes = std::fs::read(&path).expect("reads");
        bytes.extend(vec![0xa5; MAX_FRAME]);
        std::fs::write(&path, &bytes).expect("writes");
        FileLog::open_path(&path).expect("as long as one append may be");
        bytes.push(0);
        std::fs::write(&path, &bytes).expect("writes");
        assert!(matches!(FileLog::open_path(&path), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_change_behind_an_open_log_is_noticed() {
        let (_dir, path) = written(&[b"one"]);
        let log = FileLog::open_path(&path).expect("opens");
        let mut bytes = std::fs::read(&path).expect("reads");
        bytes[HEADER + HEAD] ^= 1;
        std::fs::write(&path, &bytes).expect("writes");
        assert!(matches!(log.read(), Err(StoreError::Corrupt { .. })));
    }
}
