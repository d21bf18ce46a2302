//! Pairs of texts of the user's own files that belong together, to learn from: a title and how the text under it
//! begins, a heading and what stands under it, what documents a piece of code and the code.
//!
//! Nothing is kept for it in the index: each file is read and taken apart again, and one that is no longer what was
//! indexed gives nothing.

mod code;
mod limits;
mod sections;
#[cfg(test)]
mod tests;

use std::ops::{AddAssign, ControlFlow, Range};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::collection::{Part, Snapshot};
use crate::content::{FileEntry, Passage};
use crate::document::{Extracted, Format};
use crate::files::Files;
use crate::search::TextCache;

pub use limits::{MAX_ANCHOR, MAX_PASSAGE, Unfit, anchor, passage};
pub use sections::title_anchor;

/// What makes two texts of a file a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairKind {
    /// The title of a document or a record, and how its text begins.
    Title,
    /// The headings over a section, and how it begins.
    Heading,
    /// What documents a symbol of source code, and its code.
    Code,
}

/// Two texts that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPair {
    /// What makes them one.
    pub kind: PairKind,
    /// The shorter one, in a line of at most [`MAX_ANCHOR`] bytes.
    pub anchor: String,
    /// What belongs to it, at most [`MAX_PASSAGE`] bytes, without the first one.
    pub passage: String,
    /// The number of the record that both are from, where a file is a list of records.
    pub record: Option<usize>,
}

/// Pairs that were left out, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// See [`Unfit::Short`].
    pub short: usize,
    /// See [`Unfit::Numeric`].
    pub numeric: usize,
    /// See [`Unfit::Long`].
    pub long: usize,
    /// See [`Unfit::Bare`].
    pub bare: usize,
}

impl LeftOut {
    /// Counts one more.
    pub fn count(&mut self, why: Unfit) {
        match why {
            Unfit::Short => self.short += 1,
            Unfit::Numeric => self.numeric += 1,
            Unfit::Long => self.long += 1,
            Unfit::Bare => self.bare += 1,
        }
    }
}

impl AddAssign for LeftOut {
    fn add_assign(&mut self, other: Self) {
        self.short += other.short;
        self.numeric += other.numeric;
        self.long += other.long;
        self.bare += other.bare;
    }
}

/// What stands in the place of one file.
#[derive(Debug)]
pub enum Mined {
    /// It is as it was when it was indexed.
    File(MinedFile),
    /// It changed, vanished or cannot be read, and gives nothing.
    Stale(PathBuf),
}

/// A file's pairs.
#[derive(Debug)]
pub struct MinedFile {
    /// Its full name.
    pub path: PathBuf,
    /// In the order of the text, that of the title first.
    pub pairs: Vec<TextPair>,
    /// What is none.
    pub left_out: LeftOut,
    text: String,
    chunks: Vec<Range<usize>>,
}

impl MinedFile {
    /// The chunk whose text has this SHA-256.
    #[must_use]
    pub fn chunk(&self, text_hash: &[u8; 32]) -> Option<&str> {
        let texts = self.chunks.iter().filter_map(|span| self.text.get(span.clone()));
        texts.into_iter().find(|text| Sha256::digest(text.as_bytes()).as_slice() == text_hash)
    }
}

impl Snapshot {
    /// Shows every file with its pairs, in order of path; `Break` ends it. One file's texts are in memory at a time.
    pub fn mine(&self, files: &dyn Files, visit: &mut dyn FnMut(Mined) -> ControlFlow<()>) {
        let mut all: Vec<(&Part, u32, &FileEntry)> = Vec::new();
        for part in self.parts() {
            all.extend(part.live_files().map(|(number, file)| (part, number, file)));
        }
        all.sort_unstable_by(|a, b| a.2.path.cmp(&b.2.path));
        for (part, number, file) in all {
            let mined = mined(part, number, file, files);
            if visit(mined.map_or_else(|| Mined::Stale(file.path.clone()), Mined::File)).is_break()
            {
                return;
            }
        }
    }
}

fn mined(part: &Part, number: u32, file: &FileEntry, files: &dyn Files) -> Option<MinedFile> {
    let extracted = TextCache::extracted(part, number, files)?;
    let chunks = part.segment.content.passages(file)?.into_iter().map(|Passage { span, .. }| span);
    let (pairs, left_out) = pairs(&extracted, file.format?, &file.path);
    Some(MinedFile {
        path: file.path.clone(),
        pairs,
        left_out,
        text: extracted.text,
        chunks: chunks.collect(),
    })
}

/// The pairs of a document.
fn pairs(extracted: &Extracted, format: Format, path: &Path) -> (Vec<TextPair>, LeftOut) {
    let mut found = Found::default();
    match format {
        Format::Code => code::pairs(&extracted.text, path, &mut found),
        _ if format.has_records() => sections::of_records(extracted, &mut found),
        _ => sections::of_document(extracted, format, &mut found),
    }
    (found.pairs, found.left_out)
}

/// Pairs as they are found.
#[derive(Default)]
struct Found {
    pairs: Vec<TextPair>,
    left_out: LeftOut,
}

impl Found {
    /// Adds a pair unless it is unfit or the last one again, as where a document begins under its title.
    fn add(
        &mut self,
        kind: PairKind,
        anchor: Result<String, Unfit>,
        text: &str,
        record: Option<usize>,
    ) {
        match anchor.and_then(|anchor| Ok((anchor, passage(text)?))) {
            Err(why) => self.left_out.count(why),
            Ok((anchor, passage)) => {
                let again = |last: &TextPair| last.anchor == anchor && last.passage == passage;
                if record.is_some() || !self.pairs.last().is_some_and(again) {
                    self.pairs.push(TextPair { kind, anchor, passage, record });
                }
            }
        }
    }
}
