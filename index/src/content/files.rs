//! The records of files: one stream, each counted from the one before, compressed as a whole.

use std::path::PathBuf;

use super::{FileEntry, FileHash, Kind, LEVEL, unzstd};
use crate::bits::{put_varint, unzigzag, varint, zigzag};
use crate::bytes::Reader;
use crate::document::MAX_TEXT;
use crate::files::FileStat;
use crate::paths::{from_bytes, is_below, join};

/// The most a record takes before compression: a path of the longest kind, a hash and some numbers.
const MAX_RECORD: usize = 4096 + 128;

/// A stream takes at most this many bytes for each byte it is compressed to, and paths for each byte of
/// the stream: far more than real ones do, and a bound to what a small file can make a reader allocate.
const MOST_UNPACKED: usize = 256;
const MOST_PATHS: usize = 64;
/// What is added to both, so that small files are never near.
const SLACK: usize = 1 << 20;

/// What the writer knows of a file, in the order of the stream.
pub(super) struct Record<'a> {
    pub(super) root: usize,
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) stat: FileStat,
    pub(super) hash: &'a FileHash,
    pub(super) text_len: usize,
    pub(super) chunks: usize,
    pub(super) sections: usize,
    pub(super) kept: usize,
}

pub(super) fn encode<'a>(records: impl Iterator<Item = Record<'a>>) -> Vec<u8> {
    let (mut stream, mut path, mut mtime) = (Vec::new(), Vec::new(), 0i64);
    for record in records {
        let shared = path.iter().zip(&record.path).take_while(|(a, b)| a == b).count();
        let mut number = |x: usize| put_varint(&mut stream, x as u64);
        number(record.root);
        number(shared);
        number(record.path.len() - shared);
        stream.extend_from_slice(&record.path[shared..]);
        stream.extend_from_slice(&[record.kind.format, record.kind.extractor]);
        put_varint(&mut stream, record.stat.size);
        put_varint(&mut stream, zigzag(record.stat.mtime_ns.wrapping_sub(mtime)));
        stream.extend_from_slice(record.hash);
        for x in [record.text_len, record.chunks, record.sections, record.kept] {
            put_varint(&mut stream, x as u64);
        }
        (path, mtime) = (record.path, record.stat.mtime_ns);
    }
    zstd::bulk::compress(&stream, LEVEL).expect("compressing in memory succeeds")
}

/// What the records must add up to.
#[derive(Clone, Copy)]
pub(super) struct Totals {
    pub(super) files: usize,
    pub(super) chunks: usize,
    pub(super) sections: usize,
    pub(super) texts: usize,
}

pub(super) fn decode(bytes: &[u8], roots: &[PathBuf], totals: Totals) -> Option<Vec<FileEntry>> {
    let most = totals.files.checked_mul(MAX_RECORD)?;
    let stream = unzstd(bytes, most.min(bytes.len().checked_mul(MOST_UNPACKED)? + SLACK))?;
    let mut room = stream.len() * MOST_PATHS + SLACK;
    let mut reader = Reader::new(&stream);
    let (mut path, mut mtime) = (Vec::new(), 0i64);
    let mut files: Vec<FileEntry> = Vec::new();
    let (mut chunk, mut section, mut kept) = (0usize, 0usize, 0usize);
    for _ in 0..totals.files {
        let mut number = || usize::try_from(varint(&mut reader)?).ok();
        let (root, shared, rest) = (number()?, number()?, number()?);
        let root = roots.get(root)?;
        (shared <= path.len()).then(|| path.truncate(shared))?;
        path.extend_from_slice(reader.take(rest)?);
        room = room.checked_sub(path.len())?.checked_sub(root.as_os_str().len())?;
        let relative = from_bytes(&path)?;
        let [format, extractor] = reader.array()?;
        let size = varint(&mut reader)?;
        mtime = mtime.wrapping_add(unzigzag(varint(&mut reader)?));
        let hash = reader.array()?;
        let mut number = || usize::try_from(varint(&mut reader)?).ok();
        let [text_len, chunks, sections, kept_len] = [number()?, number()?, number()?, number()?];
        let kind = Kind { format, extractor };
        let format = kind.format()?;
        let (first, first_section, start) = (chunk, section, kept);
        chunk = chunk.checked_add(chunks)?;
        section = section.checked_add(sections)?;
        kept = kept.checked_add(kept_len)?;
        let sane = text_len <= MAX_TEXT
            && chunks > 0
            && sections > 0
            && chunk <= totals.chunks
            && section <= totals.sections
            && is_below(&relative);
        sane.then_some(())?;
        files.push(FileEntry {
            path: join(root, &relative),
            relative,
            root: root.clone(),
            format,
            kind,
            stat: FileStat { size, mtime_ns: mtime },
            hash,
            text_len,
            chunks: first as u32..chunk as u32,
            sections: first_section as u32..section as u32,
            kept: start..kept,
        });
    }
    let whole = (chunk, section, kept) == (totals.chunks, totals.sections, totals.texts);
    (whole && reader.finished()).then_some(files)
}

/// A count, then each root with its length before it.
pub(crate) fn read_roots(bytes: &[u8]) -> Option<Vec<PathBuf>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(4)?;
    let mut roots = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.count(1)?;
        roots.push(from_bytes(reader.take(length)?).filter(|root| root.is_absolute())?);
    }
    (reader.finished() && roots.is_sorted_by(|a, b| a < b)).then_some(roots)
}
