//! Going through everything an index knows: file by file, each chunk with its text and facts.

use std::ops::{ControlFlow, Range};
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use crate::collection::{Part, Snapshot};
use crate::content::{FileEntry, SectionEntry};
use crate::files::Files;

/// What stands in the place of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It is as it was when it was indexed.
    File(ListedFile),
    /// It changed, vanished or cannot be read, so that its chunks have no text.
    Stale(PathBuf),
}

/// A file and its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its full name.
    pub path: PathBuf,
    /// Its name below the root it was found in.
    pub name: String,
    /// The name of its format, in lower case: `pdf`, `markdown`.
    pub kind: &'static str,
    /// Its size in bytes.
    pub size: u64,
    /// Time of its last modification, in nanoseconds since 1970; negative before.
    pub modified_ns: i64,
    /// In the order of the text.
    pub chunks: Vec<ListedChunk>,
}

/// A chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedChunk {
    /// The headings it stands under, or the file's name below its root.
    pub title: String,
    /// Where it lies in the file's extracted text, in bytes.
    pub span: Range<usize>,
    /// Its text: exactly what was embedded.
    pub text: String,
    /// SHA-256 of that text.
    pub text_hash: [u8; 32],
    /// What is known of the file and of the chunk's section, as filters see it: keys in lower case, of
    /// which one may come several times.
    pub facts: Vec<(String, String)>,
}

impl Snapshot {
    /// Shows every file, in order of path; `Break` ends it. One file's texts are in memory at a time.
    pub fn list(&self, files: &dyn Files, visit: &mut dyn FnMut(Listed) -> ControlFlow<()>) {
        let mut all: Vec<(&Part, u32, &FileEntry)> = Vec::new();
        for part in self.parts() {
            all.extend(part.live_files().map(|(number, file)| (part, number, file)));
        }
        all.sort_unstable_by(|a, b| a.2.path.cmp(&b.2.path));
        for (part, number, file) in all {
            let listed = self.listed(part, number, file, files);
            if visit(listed.map_or_else(|| Listed::Stale(file.path.clone()), Listed::File))
                .is_break()
            {
                return;
            }
        }
    }

    fn listed(
        &self,
        part: &Part,
        number: u32,
        file: &FileEntry,
        files: &dyn Files,
    ) -> Option<ListedFile> {
        let content = &part.segment.content;
        let text = self.texts().current(part, number, files)?;
        let sections = content.sections(file)?;
        let chunks = content.passages(file)?.into_iter().map(|passage| {
            let section = sections.get(passage.section as usize)?;
            let whole = sections.first().filter(|_| passage.section > 0);
            let text = text.get(passage.span.clone())?.to_owned();
            Some(ListedChunk {
                title: if section.title.is_empty() { file.name() } else { section.title.clone() },
                text_hash: Sha256::digest(text.as_bytes()).into(),
                span: passage.span,
                text,
                facts: facts(whole, section),
            })
        });
        let stat = part.stat(number)?;
        Some(ListedFile {
            chunks: chunks.collect::<Option<Vec<_>>>()?,
            path: file.path.clone(),
            name: file.name(),
            kind: file.format?.name(),
            size: stat.size,
            modified_ns: stat.mtime_ns,
        })
    }
}

/// Those of the file, then those of the section that the file does not say already.
fn facts(file: Option<&SectionEntry>, section: &SectionEntry) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    for entry in file.into_iter().chain([section]) {
        for (key, value) in entry.attributes.iter() {
            if !facts.iter().any(|(k, v)| k == key && v == value) {
                facts.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    facts
}
