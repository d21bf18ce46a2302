//! Writing a content file.

use std::path::PathBuf;

use super::files::{self, Record};
use super::sections::{self, SectionEntry};
use super::spans::{self, Passage};
use super::*;
use crate::bytes::Put;
use crate::container::Writer;
use crate::paths::to_bytes;

/// A file ready to be indexed. It has at least one chunk and one section, that of the file itself.
pub(crate) struct NewFile {
    pub(crate) root: PathBuf,
    pub(crate) relative: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) stat: FileStat,
    pub(crate) hash: FileHash,
    pub(crate) text_len: usize,
    pub(crate) passages: Vec<Passage>,
    pub(crate) sections: Vec<SectionEntry>,
    /// Its text as [`pack_text`](Self::pack_text) makes it, where it is to be kept.
    pub(crate) kept: Vec<u8>,
}

impl NewFile {
    /// A text as it is kept.
    pub(crate) fn pack_text(text: &str) -> Vec<u8> {
        zstd::bulk::compress(text.as_bytes(), LEVEL).expect("compressing in memory succeeds")
    }
}

/// Gathers files.
#[derive(Default)]
pub(crate) struct ContentBuilder {
    files: Vec<NewFile>,
    chunks: usize,
    sections: usize,
}

impl ContentBuilder {
    pub(crate) fn push(&mut self, file: NewFile) {
        self.chunks += file.passages.len();
        self.sections += file.sections.len();
        self.files.push(file);
    }

    /// Whether a segment has room for another file with as many chunks and sections.
    pub(crate) fn has_room(&self, chunks: usize, sections: usize) -> bool {
        self.chunks + chunks <= MAX_CHUNKS && self.sections + sections <= MAX_SECTIONS
    }

    /// Chunks of all files.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Keeps the first files whose chunks are among the first `chunks`. Gives how many files stay,
    /// and how many chunks.
    pub(crate) fn keep_chunks(&mut self, chunks: usize) -> (usize, usize) {
        let mut total = 0;
        let fitting = self.files.iter().take_while(|file| {
            let fits = total + file.passages.len() <= chunks;
            total += if fits { file.passages.len() } else { 0 };
            fits
        });
        let files = fitting.count();
        self.files.truncate(files);
        self.chunks = total;
        self.sections = self.files.iter().map(|file| file.sections.len()).sum();
        (files, total)
    }

    /// The bytes of the file.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut roots: Vec<&PathBuf> = self.files.iter().map(|file| &file.root).collect();
        roots.sort_unstable();
        roots.dedup();
        let mut root_bytes = Vec::new();
        root_bytes.put_u32(roots.len() as u32);
        for root in &roots {
            let bytes = to_bytes(root);
            root_bytes.put_u32(bytes.len() as u32);
            root_bytes.extend_from_slice(&bytes);
        }
        let records = self.files.iter().map(|file| Record {
            root: roots.partition_point(|root| *root < &file.root),
            path: to_bytes(&file.relative),
            kind: file.kind,
            stat: file.stat,
            hash: &file.hash,
            text_len: file.text_len,
            chunks: file.passages.len(),
            sections: file.sections.len(),
            kept: file.kept.len(),
        });
        let records = files::encode(records);
        let (span_table, groups) =
            spans::encode(self.files.iter().map(|file| file.passages.as_slice()));
        let texts = self.files.iter().flat_map(|file| &file.kept).copied().collect();
        let mut meta = Vec::new();
        meta.put_u32(self.chunks as u32);
        meta.put_u32(self.files.len() as u32);
        let entries: Vec<SectionEntry> =
            self.files.into_iter().flat_map(|file| file.sections).collect();
        meta.put_u32(entries.len() as u32);
        let (section_table, frames) = sections::encode(&entries);

        let mut writer = Writer::new(MAGIC);
        writer.section(META, meta);
        writer.section(ROOTS, root_bytes);
        writer.section(FILES, records);
        writer.section(SPAN_TABLE, span_table);
        writer.section(SPANS, groups);
        writer.section(SECTION_TABLE, section_table);
        writer.section(SECTIONS, frames);
        writer.section(TEXTS, texts);
        writer.finish()
    }
}
