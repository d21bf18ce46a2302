//! What a segment knows of the user's files: names, hashes, where chunks lie, titles and facts.
//!
//! None of it depends on the model's weights, so a new release of the model leaves it as it is.
//! `docs/spec/index-format.md` section 3 lays it out; everything that could be wrong in a file is
//! checked when it is opened or when it is used.

mod build;
mod files;
mod sections;
mod spans;

use std::ops::Range;
use std::path::{Path, PathBuf};

pub(crate) use build::{ContentBuilder, NewFile};
pub(crate) use files::read_roots;
pub(crate) use sections::SectionEntry;
pub(crate) use spans::Passage;

use crate::bytes::{Reader, u32_at};
use crate::chunk::{MAX_CHUNK_BYTES, MAX_INDENT};
use crate::container::{Checksum, Refusal, Sections, checksum};
use crate::document::{EXTRACTOR, Format};
use crate::files::FileStat;
use crate::store::Blob;
use spans::{GROUP, Spans};

const MAGIC: [u8; 8] = *b"COVEYDOC";
const META: u32 = 1;
const ROOTS: u32 = 2;
const FILES: u32 = 3;
const SPAN_TABLE: u32 = 4;
const SPANS: u32 = 5;
const SECTION_TABLE: u32 = 6;
const SECTIONS: u32 = 7;
const TEXTS: u32 = 8;
const KINDS: usize = 8;

/// Chunks of one segment at most.
pub(crate) const MAX_CHUNKS: usize = 1 << 24;
/// Sections of one segment at most.
pub(crate) const MAX_SECTIONS: usize = 2 * MAX_CHUNKS;
const LEVEL: i32 = 9;

/// First bytes of a SHA-256 of a file: enough to tell an edited file from an unedited one.
pub(crate) type FileHash = [u8; 16];

/// The hash of a file's bytes.
pub(crate) fn hash_of(bytes: &[u8]) -> FileHash {
    checksum(&[bytes])
}

/// An opened content file.
pub(crate) struct Content {
    blob: Blob,
    head: Checksum,
    count: usize,
    section_count: usize,
    files: Vec<FileEntry>,
    span_table: Range<usize>,
    spans: Range<usize>,
    section_table: Range<usize>,
    sections: Range<usize>,
    texts: Range<usize>,
}

/// How a file's text came out of its bytes, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    format: u8,
    extractor: u8,
}

/// Set in the number of a format where the file's bytes are its text.
const PLAIN: u8 = 0x80;

impl Kind {
    /// By this version of the extractor; `plain` says whether the file's bytes are its text.
    pub(crate) fn current(format: Format, plain: bool) -> Self {
        let plain = if plain { PLAIN } else { 0 };
        Self { format: format.number() | plain, extractor: EXTRACTOR }
    }

    /// `Some(None)` for text made by another extractor, `None` for what no extractor makes.
    #[expect(clippy::option_option, reason = "an outdated kind is not a wrong one")]
    fn format(self) -> Option<Option<Format>> {
        if self.extractor != EXTRACTOR {
            return Some(None);
        }
        Format::from_number(self.format & !PLAIN).map(Some)
    }
}

/// A file as it was when it was indexed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// Full name.
    pub(crate) path: PathBuf,
    /// Name below the root it was found in.
    pub(crate) relative: PathBuf,
    pub(crate) root: PathBuf,
    /// `None` for text made by another version of the extractor: the file is stale.
    pub(crate) format: Option<Format>,
    pub(crate) kind: Kind,
    pub(crate) stat: FileStat,
    pub(crate) hash: FileHash,
    /// Length of its extracted text.
    pub(crate) text_len: usize,
    /// Its chunks, by number.
    pub(crate) chunks: Range<u32>,
    /// Its sections, by number; the first stands for the file itself.
    pub(crate) sections: Range<u32>,
    /// Its text, compressed, where it is kept: a range of TEXTS.
    kept: Range<usize>,
}

impl Content {
    /// Checks and opens a content file.
    pub(crate) fn open(blob: Blob) -> Result<Self, Refusal> {
        let table = Sections::read(&blob, MAGIC)?;
        if table.len() != KINDS {
            return Err("IDX-08: unknown sections".into());
        }
        let section = |kind| table.range(kind).map(|range| &blob[range]);
        let [count, files, section_count] =
            read_meta(section(META)?).ok_or("IDX-09: the counts are out of bounds")?;
        let roots = read_roots(section(ROOTS)?)
            .ok_or("IDX-11: the roots are not a list of absolute paths in order")?;
        let texts = table.range(TEXTS)?;
        let totals =
            files::Totals { files, chunks: count, sections: section_count, texts: texts.len() };
        let files = files::decode(section(FILES)?, &roots, totals)
            .ok_or("IDX-12: a file's record is not valid")?;
        let tables = (section(SPAN_TABLE)?.len(), section(SECTION_TABLE)?.len());
        let wanted = (4 * count.div_ceil(GROUP), 4 * section_count.div_ceil(sections::FRAME));
        if tables != wanted {
            return Err("IDX-10: a section's size does not fit the counts".into());
        }
        let content = Self {
            head: table.head,
            count,
            section_count,
            files,
            span_table: table.range(SPAN_TABLE)?,
            spans: table.range(SPANS)?,
            section_table: table.range(SECTION_TABLE)?,
            sections: table.range(SECTIONS)?,
            texts,
            blob,
        };
        content.check_passages().ok_or("IDX-14: a chunk's place is not valid")?;
        content.check_frames().ok_or("IDX-18: the frames do not share out their section")?;
        Ok(content)
    }

    /// Goes through everything that is only read when it is used.
    pub(crate) fn verify(&self) -> Result<(), Refusal> {
        for frame in 0..self.section_count.div_ceil(sections::FRAME) {
            self.frame(frame).ok_or("IDX-13: titles and facts are not valid")?;
        }
        for file in self.files.iter().filter(|file| !file.kept.is_empty()) {
            self.kept_text(file).ok_or("IDX-17: a kept text is not valid")?;
        }
        Ok(())
    }

    /// How many chunks it holds.
    pub(crate) fn len(&self) -> u32 {
        self.count as u32
    }

    /// Identifies the whole file's contents.
    pub(crate) fn head(&self) -> Checksum {
        self.head
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> usize {
        self.blob.len()
    }

    pub(crate) fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Number of the file a chunk belongs to.
    pub(crate) fn file_of(&self, chunk: u32) -> usize {
        self.files.partition_point(|file| file.chunks.end <= chunk)
    }

    /// Where a chunk lies, its section counted from its file's first.
    pub(crate) fn passage(&self, chunk: u32) -> Option<Passage> {
        self.span_reader().get(chunk, |chunk| self.starts(chunk))
    }

    /// All chunks of a file.
    pub(crate) fn passages(&self, file: &FileEntry) -> Option<Vec<Passage>> {
        let mut passages = Vec::with_capacity(file.chunks.len());
        let mut chunk = file.chunks.start;
        while chunk < file.chunks.end {
            let last =
                (chunk as usize / GROUP * GROUP + GROUP - 1).min(file.chunks.end as usize - 1);
            self.span_reader().walk(
                last,
                |chunk| self.starts(chunk),
                |number, passage| {
                    if number >= chunk {
                        passages.push(passage);
                    }
                    Some(())
                },
            )?;
            chunk = last as u32 + 1;
        }
        Some(passages)
    }

    /// The sections of a frame; see [`section`](Self::section).
    fn frame(&self, number: usize) -> Option<Vec<SectionEntry>> {
        let table = self.blob.get(self.section_table.clone())?;
        let frames = self.blob.get(self.sections.clone())?;
        sections::decode(table, frames, number, self.section_count)
    }

    /// A section by its number in the segment.
    pub(crate) fn section(&self, section: u32) -> Option<SectionEntry> {
        let at = section as usize;
        self.frame(at / sections::FRAME)?.into_iter().nth(at % sections::FRAME)
    }

    /// All sections of a file, that of the file itself first.
    pub(crate) fn sections(&self, file: &FileEntry) -> Option<Vec<SectionEntry>> {
        let mut all = Vec::with_capacity(file.sections.len());
        let mut at = file.sections.start as usize;
        while at < file.sections.end as usize {
            let frame = at / sections::FRAME;
            let end = ((frame + 1) * sections::FRAME).min(file.sections.end as usize);
            let skip = at - frame * sections::FRAME;
            all.extend(self.frame(frame)?.into_iter().skip(skip).take(end - at));
            at = end;
        }
        (all.len() == file.sections.len()).then_some(all)
    }

    /// The text of a file that is kept here.
    pub(crate) fn kept_text(&self, file: &FileEntry) -> Option<String> {
        let texts = self.blob.get(self.texts.clone())?;
        let bytes = unzstd(texts.get(file.kept.clone())?, file.text_len)?;
        let text = String::from_utf8(bytes).ok()?;
        (text.len() == file.text_len).then_some(text)
    }

    /// The kept text as it is stored.
    pub(crate) fn kept_bytes(&self, file: &FileEntry) -> Option<&[u8]> {
        self.blob.get(self.texts.clone())?.get(file.kept.clone())
    }

    fn span_reader(&self) -> Spans<'_> {
        let table = self.blob.get(self.span_table.clone()).unwrap_or_default();
        let groups = self.blob.get(self.spans.clone()).unwrap_or_default();
        Spans { table, groups, count: self.count }
    }

    fn starts(&self, chunk: u32) -> bool {
        self.files.binary_search_by_key(&chunk, |file| file.chunks.start).is_ok()
    }

    fn check_frames(&self) -> Option<()> {
        let table = self.blob.get(self.section_table.clone())?;
        let mut end = 0;
        for frame in 0..self.section_count.div_ceil(sections::FRAME) {
            let next = u32_at(table, frame)? as usize;
            (next >= end).then_some(())?;
            end = next;
        }
        (end == self.sections.len()).then_some(())
    }

    fn check_passages(&self) -> Option<()> {
        self.span_reader().check_filling()?;
        let mut file = 0;
        for group in 0..self.count.div_ceil(GROUP) {
            let last = (group * GROUP + GROUP - 1).min(self.count - 1);
            let mut seen = 0;
            self.span_reader().walk(
                last,
                |chunk| self.starts(chunk),
                |chunk, passage| {
                    while self.files.get(file)?.chunks.end <= chunk {
                        file += 1;
                    }
                    let owner = &self.files[file];
                    let sane = passage.span.end <= owner.text_len
                        && (1..=MAX_CHUNK_BYTES + MAX_INDENT).contains(&passage.span.len())
                        && (passage.section as usize) < owner.sections.len();
                    seen += 1;
                    sane.then_some(())
                },
            )?;
            (seen == last + 1 - group * GROUP).then_some(())?;
        }
        Some(())
    }
}

impl FileEntry {
    /// What to call it where no heading names a chunk.
    pub(crate) fn name(&self) -> String {
        let name = if self.relative.as_os_str().is_empty() {
            self.path.file_name().map(Path::new).unwrap_or(&self.path)
        } else {
            &self.relative
        };
        name.to_string_lossy().into_owned()
    }

    /// Whether its bytes are its text.
    pub(crate) fn is_plain(&self) -> bool {
        self.kind.format & PLAIN != 0
    }

    /// Whether its text is kept in the index.
    pub(crate) fn is_kept(&self) -> bool {
        !self.kept.is_empty()
    }
}

fn read_meta(bytes: &[u8]) -> Option<[usize; 3]> {
    let (chunks, files, sections) =
        (u32_at(bytes, 0)? as usize, u32_at(bytes, 1)? as usize, u32_at(bytes, 2)? as usize);
    let mut reader = Reader::new(bytes);
    reader.take(12)?;
    let sane = (1..=MAX_CHUNKS).contains(&chunks)
        && (1..=chunks).contains(&files)
        && (files..=MAX_SECTIONS).contains(&sections);
    (sane && reader.finished()).then_some([chunks, files, sections])
}

/// Unpacks at most `most` bytes.
pub(crate) fn unzstd(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    use std::io::Read;
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes).ok()?;
    let mut plain = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut plain).ok()?;
    (plain.len() <= most).then_some(plain)
}

#[cfg(test)]
mod tests;
