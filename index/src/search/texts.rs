//! The text of a file as it was when it was indexed, or nothing.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::Hit;
use crate::collection::{Part, Snapshot};
use crate::content::{FileEntry, FileHash, hash_of};
use crate::document::{Extracted, extract, text};
use crate::files::{FileStat, Files};

/// Most bytes of extracted text kept in memory.
const MAX_BYTES: usize = 32 << 20;

/// Texts that were extracted lately, last used last. A text is kept under its file's hash, so it can
/// never be an outdated one.
#[derive(Default)]
pub(crate) struct TextCache {
    texts: Mutex<VecDeque<Cached>>,
}

struct Cached {
    path: PathBuf,
    hash: FileHash,
    text: Arc<str>,
}

/// A file that is known to be as it was.
#[derive(Clone)]
enum Current {
    /// Its text.
    Text(Arc<str>),
    /// Its bytes are its text; its size and time when that was found out.
    Plain(FileStat),
}

/// The reading of one search: each file is looked at once.
pub(crate) struct Reading<'a> {
    snapshot: &'a Snapshot,
    files: &'a dyn Files,
    known: HashMap<(usize, usize), Option<Current>>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, files: &'a dyn Files) -> Self {
        Self { snapshot, files, known: HashMap::new() }
    }

    /// A chunk with its text, still without a score; `None` if its file is not as it was.
    pub(crate) fn hit(&mut self, part: usize, chunk: u32) -> Option<Hit> {
        let (at, part) = (part, self.snapshot.parts().get(part)?);
        let content = &part.segment.content;
        let number = content.file_of(chunk);
        let file = content.files().get(number)?;
        let passage = content.passage(chunk)?;
        let current = self
            .known
            .entry((at, number))
            .or_insert_with(|| self.snapshot.texts().find(part, number as u32, self.files))
            .clone()?;
        let text = match current {
            Current::Text(text) => text.get(passage.span.clone())?.to_owned(),
            Current::Plain(stat) => {
                let text = plain(self.files, file, stat, passage.span.clone());
                if text.is_none() {
                    self.known.insert((at, number), None);
                }
                text?
            }
        };
        let section = content.section(file.sections.start.checked_add(passage.section)?)?;
        let title = if section.title.is_empty() { file.name() } else { section.title };
        let text_hash = Sha256::digest(text.as_bytes()).into();
        let path = file.path.clone();
        Some(Hit { score: 0.0, margin: 0.0, path, title, span: passage.span, text, text_hash })
    }
}

impl Reading<'_> {
    /// The files that were looked at and are not as they were, by part and number.
    pub(super) fn stale(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        let stale = self.known.iter().filter(|(_, current)| current.is_none());
        stale.map(|((part, number), _)| (*part, *number as u32))
    }
}

/// A range of a file whose bytes are its text, unless it has changed since it was looked at.
fn plain(
    files: &dyn Files,
    file: &FileEntry,
    stat: FileStat,
    span: Range<usize>,
) -> Option<String> {
    let bytes = files.read_range(&file.path, span.start as u64..span.end as u64).ok()?;
    if files.stat(&file.path).ok()? != stat {
        return None;
    }
    String::from_utf8(bytes).ok().filter(|text| text.len() == span.len())
}

impl TextCache {
    /// The whole text of a part's file, if the file is still what was indexed.
    pub(crate) fn current(&self, part: &Part, number: u32, files: &dyn Files) -> Option<Arc<str>> {
        let file = part.segment.content.files().get(number as usize)?;
        match self.find(part, number, files)? {
            Current::Text(text) => Some(text),
            Current::Plain(stat) => Some(plain(files, file, stat, 0..file.text_len)?.into()),
        }
    }

    /// What is known of a part's file, if it is still what was indexed: by size and time, or where
    /// those differ by its hash.
    fn find(&self, part: &Part, number: u32, files: &dyn Files) -> Option<Current> {
        let content = &part.segment.content;
        let file = content.files().get(number as usize)?;
        let format = file.format?;
        let known = part.stat(number)?;
        let now = files.stat(&file.path).ok()?;
        if now.size != known.size {
            return None;
        }
        let sure = now == known;
        if sure && file.is_plain() {
            return Some(Current::Plain(now));
        }
        if sure && let Some(text) = self.get(file) {
            return Some(Current::Text(text));
        }
        if sure && file.is_kept() {
            let text: Arc<str> = content.kept_text(file)?.into();
            self.put(file, text.clone());
            return Some(Current::Text(text));
        }
        let bytes = files.read(&file.path, known.size.saturating_add(1)).ok()?;
        if bytes.len() as u64 != known.size {
            return None;
        }
        let same =
            if sure { files.stat(&file.path).ok()? == now } else { hash_of(&bytes) == file.hash };
        if !same {
            return None;
        }
        if file.is_plain() {
            return Some(Current::Plain(now));
        }
        let text: Arc<str> = text(format, &file.path, bytes).ok()?.into();
        if text.len() != file.text_len {
            return None;
        }
        self.put(file, text.clone());
        Some(Current::Text(text))
    }

    /// All that a part's file says, extracted anew, if its bytes are those that were indexed.
    pub(crate) fn extracted(part: &Part, number: u32, files: &dyn Files) -> Option<Extracted> {
        let file = part.segment.content.files().get(number as usize)?;
        let format = file.format?;
        let bytes = files.read(&file.path, file.stat.size.saturating_add(1)).ok()?;
        if hash_of(&bytes) != file.hash {
            return None;
        }
        extract(format, &file.path, bytes).ok().filter(|it| it.text.len() == file.text_len)
    }

    fn get(&self, file: &FileEntry) -> Option<Arc<str>> {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let at =
            texts.iter().position(|cached| cached.hash == file.hash && cached.path == file.path)?;
        let cached = texts.remove(at)?;
        let text = cached.text.clone();
        texts.push_back(cached);
        Some(text)
    }

    fn put(&self, file: &FileEntry, text: Arc<str>) {
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.retain(|cached| cached.path != file.path);
        texts.push_back(Cached { path: file.path.clone(), hash: file.hash, text });
        let mut total: usize = texts.iter().map(|cached| cached.text.len()).sum();
        while total > MAX_BYTES
            && let Some(oldest) = texts.pop_front()
        {
            total -= oldest.text.len();
        }
    }
}
