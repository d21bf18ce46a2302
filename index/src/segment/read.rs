//! Opening a segment: every number that the rest of the code relies on is checked here, once.

use std::ops::Range;
use std::path::PathBuf;

use half::f16;

use super::layout::*;
use super::{FileEntry, Segment};
use crate::bytes::{Reader, u32_at};
use crate::chunk::{MAX_CHUNK_BYTES, MAX_INDENT};
use crate::codes::code_bytes;
use crate::container::{Refusal, Sections};
use crate::document::{EXTRACTOR, Format, MAX_TEXT};
use crate::encoder::EncoderId;
use crate::files::FileStat;
use crate::paths::{from_bytes, is_below, join};
use crate::store::Blob;

struct Meta {
    encoder: EncoderId,
    dim: usize,
    chunks: usize,
    files: usize,
    entry: u32,
}

impl Segment {
    /// Checks and opens a segment.
    pub(crate) fn open(blob: Blob) -> Result<Self, Refusal> {
        let sections = Sections::read(&blob, MAGIC)?;
        if sections.len() != SECTIONS {
            return Err("IDX-08: unknown sections".into());
        }
        let section = |kind| sections.range(kind).map(|range| &blob[range]);
        let meta = read_meta(section(META)?)?;
        let width = code_bytes(meta.dim);
        let sized = |kind, item: usize, count: usize| -> Result<Range<usize>, Refusal> {
            let range = sections.range(kind)?;
            let wanted = item.checked_mul(count);
            if wanted != Some(range.len()) {
                return Err("IDX-10: a section's size does not fit the counts".into());
            }
            Ok(range)
        };
        let records = sized(FILES, FILE_RECORD, meta.files)?;
        let chunks = sized(CHUNKS, CHUNK_RECORD, meta.chunks)?;
        let mean = sized(MEAN, 4, meta.dim)?;
        let codes = sized(CODES, width, meta.chunks)?;
        let scales = sized(SCALES, 2, meta.chunks)?;
        let offsets = sized(OFFSETS, 4, meta.chunks + 1)?;
        let links = sections.range(LINKS)?;

        let roots = read_roots(section(ROOTS)?)?;
        let files = read_files(&blob[records], &roots, section(PATHS)?, meta.chunks)?;
        let titles = read_titles(section(TITLES)?)?;
        check_chunks(&blob[chunks.clone()], &files, titles.len())?;
        let mean = read_mean(&blob[mean])?;
        check_scales(&blob[scales.clone()])?;
        check_links(&blob[offsets.clone()], &blob[links.clone()], meta.chunks)?;
        Ok(Self {
            head: sections.head,
            blob,
            encoder: meta.encoder,
            dim: meta.dim,
            entry: meta.entry,
            mean,
            files,
            titles,
            chunks,
            codes,
            scales,
            offsets,
            links,
        })
    }
}

fn read_meta(bytes: &[u8]) -> Result<Meta, Refusal> {
    let mut reader = Reader::new(bytes);
    let mut read = || {
        let base = reader.array()?;
        let release = reader.array()?;
        let meta = Meta {
            encoder: EncoderId { base, release },
            dim: reader.u32()? as usize,
            chunks: reader.u32()? as usize,
            files: reader.u32()? as usize,
            entry: reader.u32()?,
        };
        let encodings = (reader.u32()?, reader.u32()?);
        let _seed = reader.u64()?;
        reader.finished().then_some((meta, encodings))
    };
    let (meta, encodings) = read().ok_or("IDX-09: the metadata has the wrong size")?;
    if encodings != (CODE_SIGN, LINKS_PLAIN) {
        return Err("IDX-09: an unknown encoding of codes or links".into());
    }
    let sane = (1..=MAX_DIM).contains(&meta.dim)
        && (1..=MAX_CHUNKS).contains(&meta.chunks)
        && (1..=meta.chunks).contains(&meta.files)
        && (meta.entry as usize) < meta.chunks;
    if !sane {
        return Err("IDX-09: counts out of bounds".into());
    }
    Ok(meta)
}

fn read_roots(bytes: &[u8]) -> Result<Vec<PathBuf>, Refusal> {
    const WHAT: &str = "IDX-11: the roots are not a list of absolute paths in order";
    let roots = read_strings(bytes, |bytes| from_bytes(bytes).filter(|root| root.is_absolute()));
    let roots = roots.ok_or(WHAT)?;
    if !roots.is_sorted_by(|a, b| a < b) {
        return Err(WHAT.into());
    }
    Ok(roots)
}

fn read_titles(bytes: &[u8]) -> Result<Vec<String>, Refusal> {
    let titles = read_strings(bytes, |bytes| std::str::from_utf8(bytes).ok().map(str::to_owned));
    titles.ok_or(Refusal::Corrupt("IDX-13: the titles are not a list of UTF-8 strings"))
}

/// A count, then each string with its length before it, and nothing after.
fn read_strings<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> Option<Vec<T>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(4)?;
    let mut strings = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.count(1)?;
        strings.push(read(reader.take(length)?)?);
    }
    reader.finished().then_some(strings)
}

fn read_files(
    records: &[u8],
    roots: &[PathBuf],
    paths: &[u8],
    chunks: usize,
) -> Result<Vec<FileEntry>, Refusal> {
    let mut files: Vec<FileEntry> = Vec::with_capacity(records.len() / FILE_RECORD);
    for record in records.chunks_exact(FILE_RECORD) {
        let next = files.last().map_or(0, |file| file.chunks.end);
        let file =
            read_file(record, roots, paths, next).ok_or("IDX-12: a file's record is not valid")?;
        files.push(file);
    }
    if files.last().map_or(0, |file| file.chunks.end as usize) != chunks {
        return Err("IDX-12: the files do not share out the chunks".into());
    }
    Ok(files)
}

fn read_file(record: &[u8], roots: &[PathBuf], paths: &[u8], next: u32) -> Option<FileEntry> {
    let mut reader = Reader::new(record);
    let root = roots.get(reader.u32()? as usize)?.clone();
    let start = reader.u32()? as usize;
    let end = start.checked_add(reader.u32()? as usize)?;
    let relative = from_bytes(paths.get(start..end)?)?;
    let [format, extractor, zero @ ..] = reader.array::<4>()?;
    let stat = FileStat { size: reader.u64()?, mtime_ns: reader.i64()? };
    let hash = reader.array()?;
    let text_len = usize::try_from(reader.u64()?).ok()?;
    let first = reader.u32()?;
    let count = reader.u32()?;
    let last_word = reader.u32()?;
    let format = if extractor == EXTRACTOR { Some(Format::from_number(format)?) } else { None };
    let sane = zero == [0, 0]
        && last_word == 0
        && text_len <= MAX_TEXT
        && first == next
        && count > 0
        && is_below(&relative);
    sane.then_some(())?;
    Some(FileEntry {
        path: join(&root, &relative),
        relative,
        root,
        format,
        stat,
        hash,
        text_len,
        chunks: first..first.checked_add(count)?,
    })
}

fn check_chunks(words: &[u8], files: &[FileEntry], titles: usize) -> Result<(), Refusal> {
    let sane = |chunk: u32, file: &FileEntry| {
        let at = chunk as usize * 3;
        let start = u32_at(words, at)? as usize;
        let length = u32_at(words, at + 1)? as usize;
        let title = u32_at(words, at + 2)?;
        let inside = start.checked_add(length)? <= file.text_len;
        let bounded = (1..=MAX_CHUNK_BYTES + MAX_INDENT).contains(&length);
        let titled = title == NO_TITLE || (title as usize) < titles;
        Some(inside && bounded && titled)
    };
    for file in files {
        if !file.chunks.clone().all(|chunk| sane(chunk, file) == Some(true)) {
            return Err("IDX-14: a chunk's record is not valid".into());
        }
    }
    Ok(())
}

fn read_mean(bytes: &[u8]) -> Result<Vec<f32>, Refusal> {
    let words = bytes.as_chunks::<4>().0;
    let mean: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    if !mean.iter().all(|x| x.is_finite()) {
        return Err("IDX-15: the mean is not finite".into());
    }
    Ok(mean)
}

fn check_scales(bytes: &[u8]) -> Result<(), Refusal> {
    let words = bytes.as_chunks::<2>().0;
    let sane = |word: &[u8; 2]| {
        let scale = f16::from_le_bytes(*word);
        scale.is_finite() && !scale.is_sign_negative()
    };
    if !words.iter().all(sane) {
        return Err("IDX-15: a scale is not a finite positive number".into());
    }
    Ok(())
}

fn check_links(offsets: &[u8], links: &[u8], chunks: usize) -> Result<(), Refusal> {
    let words = offsets.as_chunks::<4>().0;
    let mut offsets = words.iter().map(|&word| u32::from_le_bytes(word));
    let rising = offsets.clone().is_sorted();
    let ends = (offsets.next(), offsets.next_back());
    let total = u32::try_from(links.len() / 4).ok();
    if !rising || ends != (Some(0), total) || !links.len().is_multiple_of(4) {
        return Err("IDX-16: the offsets do not share out the links".into());
    }
    let words = links.as_chunks::<4>().0;
    if !words.iter().all(|&word| (u32::from_le_bytes(word) as usize) < chunks) {
        return Err("IDX-16: a link leads nowhere".into());
    }
    Ok(())
}
