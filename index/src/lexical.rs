//! Lexical search: BM25 over a collection's chunks, kept in a folder of its own.
//!
//! A document is one chunk, named by its segment's number and its own; only which words it has and
//! how often is kept, neither text nor positions. Start from [`Lexical::open_or_create`]; a
//! [`LexicalReader`] answers while the index is written. Nothing here cannot be made again: an
//! index that is damaged or of another version says so and is built anew.
//!
//! Which segments are in it is part of what a commit writes, so index and list never disagree, and
//! a crash between commits only means adding again what [`Lexical::segments`] does not name.

mod analysis;
mod error;
mod layout;
mod read_only;
mod search;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tantivy::directory::{MmapDirectory, RamDirectory};
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy, MergePolicy, NoMergePolicy};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

pub(crate) use error::LexicalError;
use error::guarded;
use layout::{Covered, Fields};
use read_only::ReadOnly;
#[cfg(test)]
pub(crate) use search::LexicalHit;
pub(crate) use search::LexicalReader;

/// Memory in which the writer collects postings before it writes them out.
const ARENA_BYTES: usize = 32 << 20;
/// Text that may wait for the writer before it is made to catch up.
const MAX_WAITING_BYTES: usize = 32 << 20;
/// The most of one chunk that is indexed, in bytes of title and of text.
const MAX_INDEXED_BYTES: usize = 64 << 10;
/// Share of removed documents at which a part is written anew.
const MAX_REMOVED: f32 = 0.2;
/// Parts of about one size that are merged into one.
const MERGE_PARTS: usize = 6;

/// The lexical index of one collection. One value writes it at a time.
pub(crate) struct Lexical {
    place: Place,
    index: Index,
    fields: Fields,
    reader: IndexReader,
    /// What the last commit covers.
    covered: Covered,
    /// What the next one will.
    next: Covered,
    /// Segments to which chunks were added since the last commit, and those that had some before.
    started: BTreeSet<u64>,
    resumed: BTreeSet<u64>,
    writer: Option<IndexWriter>,
    waiting: usize,
}

enum Place {
    Folder(PathBuf),
    Memory(RamDirectory),
}

/// The folder for tantivy, which would wait for ever to read a pipe.
fn map_folder(dir: &Path) -> Result<MmapDirectory, LexicalError> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            let name = entry.file_name();
            let message = format!("{} is no file", Path::new(&name).display());
            return Err(LexicalError::Damaged(message));
        }
    }
    let directory = MmapDirectory::open(dir);
    directory.map_err(|error| LexicalError::from(tantivy::TantivyError::from(error)))
}

impl Lexical {
    /// Opens the index in `dir` and verifies every byte of it, or makes an empty one where there is
    /// none. Where [`LexicalError::rebuild`] says so, remove the folder, call this again and add
    /// every segment.
    pub(crate) fn open_or_create(dir: &Path) -> Result<Self, LexicalError> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Self::open(Place::Folder(dir.to_owned()), map_folder(dir)?)
    }

    /// Opens the index in `dir` for reading and verifies every byte of it. Writes nothing there.
    pub(crate) fn open_read_only(dir: &Path) -> Result<Self, LexicalError> {
        let directory = map_folder(dir)?;
        if !Index::exists(&directory).map_err(tantivy::TantivyError::from)? {
            return Err(LexicalError::Damaged("its description is missing".to_owned()));
        }
        Self::open(Place::Folder(dir.to_owned()), ReadOnly(directory))
    }

    /// An empty index that lives in memory only.
    pub(crate) fn in_memory() -> Result<Self, LexicalError> {
        let directory = RamDirectory::create();
        Self::open(Place::Memory(directory.clone()), directory)
    }

    fn open(
        place: Place,
        directory: impl Into<Box<dyn tantivy::Directory>>,
    ) -> Result<Self, LexicalError> {
        let directory = directory.into();
        guarded(|| {
            let (index, fields, covered) = layout::open(directory)?;
            let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
            Ok(Self {
                place,
                index,
                fields,
                reader,
                next: covered.clone(),
                covered,
                started: BTreeSet::new(),
                resumed: BTreeSet::new(),
                writer: None,
                waiting: 0,
            })
        })
    }

    /// The segments whose chunks are in the index, as of the last commit, each with the numbers of those of
    /// its files that are not.
    pub(crate) fn segments(&self) -> &BTreeMap<u64, BTreeSet<u32>> {
        &self.covered.0
    }

    /// Adds one chunk of a segment. All chunks of a segment are added between two commits, unless some are
    /// [missing](Self::miss) and it is [resumed](Self::resume); what an interrupted attempt left of it is
    /// dropped first.
    pub(crate) fn add(
        &mut self,
        segment: u64,
        chunk: u32,
        title: &str,
        text: &str,
    ) -> Result<(), LexicalError> {
        if self.waiting >= MAX_WAITING_BYTES {
            // What is written so far is not yet covered, so a crash here costs only the work.
            let mut covered = self.covered.clone();
            covered.0.retain(|segment, _| !self.resumed.contains(segment));
            self.or_forget(|lexical| lexical.write(&covered))?;
        }
        self.cover(segment)?;
        let mut body = String::with_capacity(title.len().min(MAX_INDEXED_BYTES) + 1);
        body.push_str(clip(title));
        body.push('\n');
        body.push_str(clip(text));
        self.waiting += body.len();
        let mut document = TantivyDocument::new();
        document.add_u64(self.fields.segment, segment);
        document.add_u64(self.fields.chunk, u64::from(chunk));
        document.add_text(self.fields.body, body);
        self.or_forget(|lexical| Ok(lexical.writer()?.add_document(document)?))?;
        Ok(())
    }

    /// Says that a segment is in the index, also one without any chunk.
    pub(crate) fn cover(&mut self, segment: u64) -> Result<(), LexicalError> {
        if !self.started.contains(&segment) {
            self.delete(segment)?;
            self.started.insert(segment);
            self.next.0.insert(segment, BTreeSet::new());
        }
        Ok(())
    }

    /// Goes on with a segment that is in the index: chunks of files that were missing follow.
    pub(crate) fn resume(&mut self, segment: u64) -> Result<(), LexicalError> {
        self.or_forget(|lexical| lexical.writer().map(|_| ()))?;
        self.started.insert(segment);
        self.resumed.insert(segment);
        Ok(())
    }

    /// Says which files of a segment that was begun or resumed are not in the index.
    pub(crate) fn miss(&mut self, segment: u64, files: BTreeSet<u32>) {
        self.next.0.insert(segment, files);
    }

    /// Removes a segment's chunks; nothing where there are none.
    pub(crate) fn remove_segment(&mut self, segment: u64) -> Result<(), LexicalError> {
        self.delete(segment)?;
        self.next.0.remove(&segment);
        self.started.remove(&segment);
        self.resumed.remove(&segment);
        Ok(())
    }

    /// Makes what was added and removed durable and visible to new readers, and merges parts where
    /// that pays. Frees the writer's memory. After an error of this or of [`add`](Self::add), what
    /// was added and removed since the last commit is forgotten.
    pub(crate) fn commit(&mut self) -> Result<(), LexicalError> {
        self.finish(|index| {
            let mut policy = LogMergePolicy::default();
            policy.set_min_num_segments(MERGE_PARTS);
            policy.set_del_docs_ratio_before_merge(MAX_REMOVED);
            let parts = index.searchable_segment_metas()?;
            Ok(policy.compute_merge_candidates(&parts).into_iter().map(|group| group.0).collect())
        })
    }

    /// Commits, and merges everything into one part: the smallest the index can be.
    pub(crate) fn compact(&mut self) -> Result<(), LexicalError> {
        self.finish(|index| {
            let parts = index.searchable_segment_metas()?;
            let clean = parts.len() <= 1 && parts.iter().all(|part| !part.has_deletes());
            Ok(if clean { vec![] } else { vec![parts.iter().map(|part| part.id()).collect()] })
        })
    }

    /// A view of the last commit, cheap to take and to copy.
    pub(crate) fn reader(&self) -> Result<LexicalReader, LexicalError> {
        LexicalReader::new(self.reader.searcher(), self.fields)
    }

    /// The size of the index, in bytes.
    pub(crate) fn bytes(&self) -> Result<u64, LexicalError> {
        let dir = match &self.place {
            Place::Memory(directory) => return Ok(directory.total_mem_usage() as u64),
            Place::Folder(dir) => dir,
        };
        let mut total = 0;
        for entry in fs::read_dir(dir)? {
            total += entry?.metadata()?.len();
        }
        Ok(total)
    }

    fn finish(
        &mut self,
        choose: impl Fn(&Index) -> Result<Vec<Vec<tantivy::index::SegmentId>>, LexicalError>,
    ) -> Result<(), LexicalError> {
        self.or_forget(|lexical| {
            if lexical.writer.is_some() {
                lexical.write(&lexical.next.clone())?;
                lexical.covered = lexical.next.clone();
                lexical.started.clear();
                lexical.resumed.clear();
            }
            for group in choose(&lexical.index)? {
                lexical.writer()?.merge(&group).wait()?;
            }
            if let Some(writer) = lexical.writer.take() {
                writer.garbage_collect_files().wait()?;
                writer.wait_merging_threads()?;
            }
            lexical.reader.reload()?;
            Ok(())
        })
    }

    /// Where this fails, the writer may be unusable: the next use starts from the last commit.
    fn or_forget<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, LexicalError>,
    ) -> Result<T, LexicalError> {
        let done = step(self);
        if done.is_err() {
            self.writer = None;
            self.next = self.covered.clone();
            self.started.clear();
            self.resumed.clear();
            self.waiting = 0;
        }
        done
    }

    /// Writes what was added, together with the list of segments that are complete.
    fn write(&mut self, covered: &Covered) -> Result<(), LexicalError> {
        self.waiting = 0;
        let payload = covered.to_string();
        let mut commit = self.writer()?.prepare_commit()?;
        commit.set_payload(&payload);
        commit.commit()?;
        Ok(())
    }

    fn delete(&mut self, segment: u64) -> Result<(), LexicalError> {
        let term = Term::from_field_u64(self.fields.segment, segment);
        self.or_forget(|lexical| Ok(lexical.writer()?.delete_term(term)))?;
        Ok(())
    }

    fn writer(&mut self) -> Result<&mut IndexWriter, LexicalError> {
        if self.writer.is_none() {
            // One thread keeps the order of chunks, so that equal input makes equal postings.
            let options = IndexWriterOptions::builder()
                .num_worker_threads(1)
                .num_merge_threads(1)
                .memory_budget_per_thread(ARENA_BYTES)
                .build();
            let writer = self.index.writer_with_options(options)?;
            writer.set_merge_policy(Box::new(NoMergePolicy));
            // A writer that was killed may have left files whose names this one would use.
            writer.garbage_collect_files().wait()?;
            self.writer = Some(writer);
            // Another may have written since this was opened; from here on nobody can.
            self.covered = layout::covered(&self.index)?;
            self.next = self.covered.clone();
        }
        Ok(self.writer.as_mut().expect("made just above"))
    }
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_INDEXED_BYTES)]
}
