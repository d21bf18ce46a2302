//! The text of a file as it was when it was indexed, or nothing.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::collection::Part;
use crate::document::{Format, extract};
use crate::files::Files;
use crate::segment::FileEntry;

/// Most bytes of extracted text kept.
const MAX_BYTES: usize = 32 << 20;

/// Texts that are expensive to extract (those of PDFs), last used last. A text is kept under its
/// file's hash, so it can never be an outdated one.
#[derive(Default)]
pub(crate) struct TextCache {
    texts: Mutex<VecDeque<Cached>>,
}

struct Cached {
    path: PathBuf,
    hash: [u8; 32],
    text: Arc<str>,
}

impl TextCache {
    /// The text of a part's file, if the file is still what was indexed: by size and time, or where
    /// those differ by its hash.
    pub(crate) fn current(&self, part: &Part, number: u32, files: &dyn Files) -> Option<Arc<str>> {
        let file = part.segment.files().get(number as usize)?;
        let format = file.format?;
        let known = part.stat(number)?;
        let now = files.stat(&file.path).ok()?;
        if now.size != known.size {
            return None;
        }
        let sure = now == known;
        if sure && let Some(text) = self.get(file) {
            return Some(text);
        }
        let bytes = files.read(&file.path, known.size.saturating_add(1)).ok()?;
        if bytes.len() as u64 != known.size {
            return None;
        }
        if !sure && <[u8; 32]>::from(Sha256::digest(&bytes)) != file.hash {
            return None;
        }
        let text: Arc<str> = extract(format, bytes).ok()?.into();
        if text.len() != file.text_len {
            return None;
        }
        if format == Format::Pdf {
            self.put(file, text.clone());
        }
        Some(text)
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
