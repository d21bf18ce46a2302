//! One immutable segment: some files, their chunks, codes and graph.
//!
//! `docs/spec/index-format.md` section 3 lays it out. [`SegmentBuilder`] writes one, [`Segment`]
//! checks and reads one.

mod builder;
mod layout;
mod read;

use std::ops::Range;
use std::path::{Path, PathBuf};

use half::f16;

use crate::bytes::u32_at;
use crate::codes::code_bytes;
use crate::container::Checksum;
use crate::document::Format;
use crate::encoder::EncoderId;
use crate::files::FileStat;
use crate::store::Blob;

pub(crate) use builder::{NewFile, SegmentBuilder};
pub(crate) use layout::{MAX_CHUNKS, MAX_DIM};

/// An opened segment. Everything a file could get wrong was checked when it was opened.
pub(crate) struct Segment {
    blob: Blob,
    head: Checksum,
    encoder: EncoderId,
    dim: usize,
    entry: u32,
    mean: Vec<f32>,
    files: Vec<FileEntry>,
    titles: Vec<String>,
    chunks: Range<usize>,
    codes: Range<usize>,
    scales: Range<usize>,
    offsets: Range<usize>,
    links: Range<usize>,
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
    pub(crate) stat: FileStat,
    /// SHA-256 of its bytes.
    pub(crate) hash: [u8; 32],
    /// Length of its extracted text.
    pub(crate) text_len: usize,
    /// Its chunks, by number.
    pub(crate) chunks: Range<u32>,
}

/// A chunk as stored.
pub(crate) struct ChunkEntry<'a> {
    pub(crate) span: Range<usize>,
    /// Headings, where it has any.
    pub(crate) title: Option<&'a str>,
}

impl Segment {
    /// How many chunks it holds.
    pub(crate) fn len(&self) -> u32 {
        self.files.last().map_or(0, |file| file.chunks.end)
    }

    /// Identifies the whole file's contents.
    pub(crate) fn head(&self) -> Checksum {
        self.head
    }

    pub(crate) fn bytes(&self) -> usize {
        self.blob.len()
    }

    pub(crate) fn encoder(&self) -> EncoderId {
        self.encoder
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn entry(&self) -> u32 {
        self.entry
    }

    pub(crate) fn mean(&self) -> &[f32] {
        &self.mean
    }

    pub(crate) fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Number of the file a chunk belongs to.
    pub(crate) fn file_of(&self, chunk: u32) -> usize {
        self.files.partition_point(|file| file.chunks.end <= chunk)
    }

    pub(crate) fn chunk(&self, chunk: u32) -> Option<ChunkEntry<'_>> {
        let words = self.blob.get(self.chunks.clone())?;
        let at = chunk as usize * 3;
        let start = u32_at(words, at)? as usize;
        let length = u32_at(words, at + 1)? as usize;
        let title = u32_at(words, at + 2)?;
        Some(ChunkEntry {
            span: start..start.checked_add(length)?,
            title: self.titles.get(title as usize).map(String::as_str),
        })
    }

    /// Sign bits and scale of a chunk's vector. An empty code (which no opened segment yields)
    /// estimates as the mean.
    pub(crate) fn code(&self, chunk: u32) -> (&[u8], f32) {
        let width = code_bytes(self.dim);
        let at = self.codes.start + chunk as usize * width;
        let bits = self.blob.get(at..at + width).unwrap_or_default();
        let at = self.scales.start + chunk as usize * 2;
        let scale = self.blob.get(at..at + 2).and_then(|b| b.try_into().ok());
        let scale = scale.map_or(f16::ZERO, f16::from_le_bytes);
        (bits, scale.to_f32())
    }

    /// Calls `visit` with each neighbour of a chunk.
    pub(crate) fn links(&self, chunk: u32, visit: &mut dyn FnMut(u32)) {
        for &word in self.link_words(chunk).as_chunks::<4>().0 {
            visit(u32::from_le_bytes(word));
        }
    }

    /// How many chunks no walk from the entry can reach.
    pub(crate) fn unreachable(&self) -> usize {
        let mut reached = vec![false; self.len() as usize];
        let mut stack = vec![self.entry];
        let mut count = 0;
        while let Some(chunk) = stack.pop() {
            if !std::mem::replace(&mut reached[chunk as usize], true) {
                count += 1;
                self.links(chunk, &mut |next| stack.push(next));
            }
        }
        reached.len() - count
    }

    fn link_words(&self, chunk: u32) -> &[u8] {
        let range = || {
            let offsets = self.blob.get(self.offsets.clone())?;
            let start = u32_at(offsets, chunk as usize)? as usize;
            let end = u32_at(offsets, chunk as usize + 1)? as usize;
            let links = self.blob.get(self.links.clone())?;
            links.get(start * 4..end * 4)
        };
        range().unwrap_or_default()
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
}

#[cfg(test)]
mod tests;
