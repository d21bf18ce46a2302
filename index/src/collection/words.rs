//! Keeping the lexical index in step with the segments.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::{Collection, Part};
use crate::error::IndexError;
use crate::files::Files;
use crate::lexical::{Lexical, LexicalError};
use crate::store::DirStore;

impl Collection {
    /// Opens the lexical index, if there is one to open. One that is damaged is removed by a writer,
    /// and made again by the next update.
    pub(super) fn open_words(&mut self) {
        let Some(folder) = self.words_folder().filter(|folder| folder.exists()) else { return };
        if !self.manifest.settings.lexical {
            return;
        }
        let opened = if self.writable {
            Lexical::open_or_create(&folder)
        } else {
            // A writer may remove what it merged while it is being opened.
            let open = || Lexical::open_read_only(&folder);
            open().or_else(|_| open()).or_else(|_| open())
        };
        match opened {
            Ok(words) => self.words = Some(words.into()),
            Err(error) if error.rebuild() && self.writable => {
                // What stays of it is found damaged again.
                let _ = fs::remove_dir_all(&folder);
            }
            Err(_) => {}
        }
        self.show_words();
    }

    /// Reads the lexical index again, where there is one.
    pub(super) fn verify_words(&self) -> Result<(), IndexError> {
        let folder = self.words_folder().filter(|folder| folder.exists());
        match folder.filter(|_| self.manifest.settings.lexical) {
            Some(folder) => Ok(Lexical::open_read_only(&folder).map(drop)?),
            None => Ok(()),
        }
    }

    /// Adds the chunks of new segments to the lexical index, and removes those of segments that are
    /// gone; or removes all of it, where the settings want none.
    pub(super) fn sync_words(&mut self, files: &dyn Files) -> Result<(), IndexError> {
        if !self.manifest.settings.lexical {
            self.words = None;
            self.show_words();
            if let Some(folder) = self.words_folder().filter(|folder| folder.exists()) {
                fs::remove_dir_all(&folder).map_err(|error| IndexError::io(&folder, error))?;
            }
            return Ok(());
        }
        let done = self.try_sync_words(files);
        let done = match (done, self.words_folder()) {
            (Err(error), Some(folder)) if error.rebuild() => {
                self.words = None;
                fs::remove_dir_all(&folder).map_err(|error| IndexError::io(&folder, error))?;
                self.try_sync_words(files)
            }
            (done, _) => done,
        };
        self.show_words();
        Ok(done?)
    }

    /// Removes the words of segments that are gone.
    pub(super) fn drop_words(&mut self) -> Result<(), IndexError> {
        let parts: BTreeSet<u64> = self.snapshot.parts().iter().map(|part| part.id).collect();
        let done = self.words.as_mut().map_or(Ok(()), |words| {
            remove_gone(words, &parts)?;
            words.commit()
        });
        self.show_words();
        Ok(done?)
    }

    /// Makes the lexical index as small as it gets.
    pub(super) fn compact_words(&mut self) -> Result<(), IndexError> {
        let done = self.words.as_mut().map_or(Ok(()), |words| words.compact());
        self.show_words();
        Ok(done?)
    }

    fn try_sync_words(&mut self, files: &dyn Files) -> Result<(), LexicalError> {
        let mut words = match self.words.take() {
            Some(words) => words,
            None => Box::new(match self.words_folder() {
                Some(folder) => Lexical::open_or_create(&folder)?,
                None => Lexical::in_memory()?,
            }),
        };
        let parts: BTreeSet<u64> = self.snapshot.parts().iter().map(|part| part.id).collect();
        remove_gone(&mut words, &parts)?;
        let covered = words.segments().clone();
        for part in self.snapshot.parts() {
            let known = covered.get(&part.id);
            match known {
                None => words.cover(part.id)?,
                Some(missing) if missing.is_empty() => continue,
                Some(_) => {}
            }
            self.add_words(&mut words, part, known, files)?;
        }
        words.commit()?;
        self.words = Some(words);
        Ok(())
    }

    /// Adds the chunks of a part's files, or of those that are `missing`, as far as these are as they were. A
    /// file that has changed or cannot be read is missing until it is found as it was, or indexed again.
    fn add_words(
        &self,
        words: &mut Lexical,
        part: &Part,
        missing: Option<&BTreeSet<u32>>,
        files: &dyn Files,
    ) -> Result<(), LexicalError> {
        let content = &part.segment.content;
        let (mut resumed, mut still) = (missing.is_none(), BTreeSet::new());
        let wanted = |number: &u32| missing.is_none_or(|missing| missing.contains(number));
        for (number, file) in part.live_files().filter(|(number, _)| wanted(number)) {
            let text = self.snapshot.texts().current(part, number, files);
            let (Some(text), Some(passages), Some(sections)) =
                (text, content.passages(file), content.sections(file))
            else {
                still.insert(number);
                continue;
            };
            if !std::mem::replace(&mut resumed, true) {
                words.resume(part.id)?;
            }
            for (chunk, passage) in file.chunks.clone().zip(passages) {
                let title = sections.get(passage.section as usize).map_or("", |s| s.title.as_str());
                if let Some(text) = text.get(passage.span) {
                    words.add(part.id, chunk, title, text)?;
                }
            }
        }
        if resumed {
            words.miss(part.id, still);
        }
        Ok(())
    }

    /// Lets searches see the lexical index as it now is.
    fn show_words(&mut self) {
        let reader = self.words.as_ref().and_then(|words| words.reader().ok());
        let bytes = self.words.as_ref().and_then(|words| words.bytes().ok());
        self.snapshot = self.snapshot.with_words(reader, bytes.unwrap_or(0));
    }

    fn words_folder(&self) -> Option<PathBuf> {
        Some(self.store.folder()?.join(DirStore::LEXICAL))
    }
}

fn remove_gone(words: &mut Lexical, parts: &BTreeSet<u64>) -> Result<(), LexicalError> {
    let gone: Vec<u64> =
        words.segments().keys().filter(|id| !parts.contains(id)).copied().collect();
    gone.into_iter().try_for_each(|id| words.remove_segment(id))
}
