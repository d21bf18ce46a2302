//! Updating one root.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ingest::read;
use super::scan::{Place, Scan, Suspect, scan};
use super::{Collection, Progress, Stage, UpdateOptions, UpdateReport};
use crate::chunk::{Chunk, chunk};
use crate::codec::{Codec, provisional};
use crate::coded::CodedBuilder;
use crate::content::{ContentBuilder, NewFile, Passage, SectionEntry};
use crate::document::{Extracted, SkipReason};
use crate::encoder::{Encoder, encode_checked};
use crate::error::IndexError;
use crate::files::{FileStat, Files};
use crate::manifest::Manifest;
use crate::vectors::{Rows, sanitize};

/// Chunks guessed per byte still to be read, until there is something to go by.
const GUESS: f64 = 1.0 / 1000.0;

pub(super) struct Updater<'a> {
    pub(super) collection: &'a mut Collection,
    pub(super) files: &'a dyn Files,
    pub(super) encoder: &'a dyn Encoder,
    pub(super) options: &'a UpdateOptions,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    pub(super) report: UpdateReport,
    /// The state to commit next.
    pub(super) manifest: Manifest,
    builder: ContentBuilder,
    /// Vectors of the builder's first chunks.
    vectors: Vec<f32>,
    /// For each file in the builder, the older version it takes the place of.
    replaces: Vec<Replaces>,
    /// Texts of the builder's other chunks, not embedded yet.
    waiting: Vec<String>,
    pub(super) meter: Meter,
}

/// What becoming part of the index means for a file.
#[derive(Clone, Copy)]
pub(super) enum Replaces {
    Nothing,
    Older(Place),
}

/// Counts for progress.
pub(super) struct Meter {
    pub(super) stage: Stage,
    pub(super) files_seen: usize,
    pub(super) files_done: usize,
    pub(super) files_total: usize,
    pub(super) bytes_done: u64,
    pub(super) bytes_total: u64,
    chunks: usize,
}

impl<'a> Updater<'a> {
    pub(super) fn new(
        collection: &'a mut Collection,
        files: &'a dyn Files,
        encoder: &'a dyn Encoder,
        options: &'a UpdateOptions,
        progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Self {
        Self {
            files,
            encoder,
            options,
            progress,
            report: UpdateReport::default(),
            manifest: collection.manifest.clone(),
            builder: ContentBuilder::default(),
            vectors: Vec::new(),
            replaces: Vec::new(),
            waiting: Vec::new(),
            meter: Meter {
                stage: Stage::Scanning,
                files_seen: 0,
                files_done: 0,
                files_total: 0,
                bytes_done: 0,
                bytes_total: 0,
                chunks: 0,
            },
            collection,
        }
    }

    pub(super) fn run(mut self, root: &Path) -> Result<UpdateReport, IndexError> {
        let unreadable = |source| IndexError::RootUnreadable { root: root.into(), source };
        let root = self.files.resolve(root).map_err(unreadable)?;
        if let Err(at) = self.manifest.roots.binary_search(&root) {
            self.manifest.roots.insert(at, root.clone());
        }
        self.report.root.clone_from(&root);
        let scan = scan(
            &self.collection.snapshot,
            &self.manifest.roots,
            &root,
            self.files,
            &mut self.report,
            self.progress,
        )?;
        self.report.cancelled = scan.cancelled;
        if !scan.cancelled {
            self.take_in(&root, scan)?;
        }
        if !self.report.cancelled {
            self.merge()?;
            self.collection.sync_words(self.files)?;
        }
        self.report.chunks = self.collection.stats().chunks;
        Ok(self.report)
    }

    /// Indexes what changed, saving from time to time, and forgets what is gone.
    fn take_in(&mut self, root: &Path, scan: Scan) -> Result<(), IndexError> {
        self.meter.stage = Stage::Embedding;
        self.meter.files_seen = scan.seen;
        self.meter.files_total = scan.suspects.len();
        self.meter.bytes_total = scan.suspects.iter().map(|suspect| suspect.stat.size).sum();
        for suspect in scan.suspects {
            self.announce(suspect.path.clone());
            if self.report.cancelled {
                break;
            }
            let size = suspect.stat.size;
            self.take_suspect(root, suspect)?;
            self.meter.files_done += 1;
            self.meter.bytes_done += size;
        }
        if !self.report.cancelled {
            self.report.removed += scan.gone.len();
            for place in scan.gone {
                self.bury(place);
            }
        }
        self.save()
    }

    fn take_suspect(&mut self, root: &Path, suspect: Suspect) -> Result<(), IndexError> {
        let Suspect { relative, path, stat, known } = suspect;
        let contents = match read(self.files, &path, stat, self.options.max_file_bytes) {
            Ok(contents) => contents,
            Err(reason) => return self.leave_out(path, reason, known.map(|known| known.place)),
        };
        if let Some(known) = &known
            && known.current
            && known.hash == contents.hash
        {
            self.report.unchanged += 1;
            self.touch(known.place, stat.mtime_ns);
            return Ok(());
        }
        let place = known.map(|known| known.place);
        let (hash, length) = (contents.hash, contents.len());
        let document = match contents.extract(&path) {
            Ok(document) => document,
            Err(reason) => return self.leave_out(path, reason, place),
        };
        let chunks = chunk(&document.extracted, document.format, self.encoder)?;
        if chunks.is_empty() {
            return self.leave_out(path, SkipReason::Empty, place);
        }
        let file = NewFile {
            root: root.into(),
            relative,
            kind: document.kind,
            // What was read, which may have grown since the walk; the older time has it looked at again.
            stat: FileStat { size: length, ..stat },
            hash,
            text_len: document.extracted.text.len(),
            passages: passages(&chunks),
            kept: if document.format.keeps_text() {
                NewFile::pack_text(&document.extracted.text)
            } else {
                Vec::new()
            },
            sections: sections(&document.extracted),
        };
        let replaces = place.map_or(Replaces::Nothing, Replaces::Older);
        self.push(file, &document.extracted.text, replaces, &path)
    }

    /// Reports a file that is not indexed. One that is only unreadable keeps what is known of it:
    /// it may be back tomorrow, and until then a query passes over it.
    fn leave_out(
        &mut self,
        path: PathBuf,
        reason: SkipReason,
        place: Option<Place>,
    ) -> Result<(), IndexError> {
        let back_soon = matches!(reason, SkipReason::Unreadable(_));
        self.report.skip(path, reason);
        if let Some(place) = place
            && !back_soon
        {
            self.report.removed += 1;
            self.bury(place);
        }
        Ok(())
    }

    /// Adds a file to the segment being built, embedding whenever a batch is full and saving
    /// whenever the segment is.
    pub(super) fn push(
        &mut self,
        file: NewFile,
        text: &str,
        replaces: Replaces,
        path: &Path,
    ) -> Result<(), IndexError> {
        if !self.builder.has_room(file.passages.len(), file.sections.len()) {
            self.save()?;
        }
        self.meter.chunks += file.passages.len();
        let spans = file.passages.iter().map(|passage| passage.span.clone());
        self.waiting.extend(spans.map(|span| text[span].to_owned()));
        self.builder.push(file);
        self.replaces.push(replaces);
        while self.waiting.len() >= self.options.batch.max(1) && !self.report.cancelled {
            self.embed(self.options.batch.max(1))?;
            self.announce(path.to_path_buf());
        }
        if self.builder.chunks() >= self.options.segment_chunks.max(1) {
            self.save()?;
        }
        Ok(())
    }

    /// Embeds the first `count` waiting texts.
    fn embed(&mut self, count: usize) -> Result<(), IndexError> {
        let texts: Vec<&str> = self.waiting[..count].iter().map(String::as_str).collect();
        let rows = encode_checked(self.encoder, &texts)?;
        self.vectors.extend_from_slice(&rows);
        self.waiting.drain(..count);
        self.report.embedded += count;
        Ok(())
    }

    /// Writes the segment being built, if there is anything in it, and commits. After a cancellation
    /// the files whose vectors are missing stay out, and their older versions in.
    pub(super) fn save(&mut self) -> Result<(), IndexError> {
        if self.report.cancelled {
            self.waiting.clear();
        } else {
            while !self.waiting.is_empty() {
                self.embed(self.waiting.len().min(self.options.batch.max(1)))?;
            }
        }
        let mut builder = std::mem::take(&mut self.builder);
        let mut vectors = std::mem::take(&mut self.vectors);
        let dim = self.encoder.dim();
        let (complete, chunks) = builder.keep_chunks(vectors.len() / dim);
        vectors.truncate(chunks * dim);
        sanitize(&mut vectors, dim);
        let mut replaces = std::mem::take(&mut self.replaces);
        replaces.truncate(complete);

        let mut segments = BTreeMap::new();
        if complete > 0 {
            let rows = Rows::new(&vectors, dim);
            let (codec, number) = self.codec(rows)?;
            let mut codes = CodedBuilder::new(codec);
            codes.push_vectors(rows);
            let seed = self.options.seed ^ self.manifest.next;
            let (id, segment) =
                self.collection.write_segment(&mut self.manifest, builder, codes, number, seed)?;
            segments.insert(id, segment);
        }
        for replaced in replaces {
            match replaced {
                Replaces::Nothing => self.report.added += 1,
                Replaces::Older(place) => {
                    self.report.changed += 1;
                    self.bury(place);
                }
            }
        }
        self.collection.commit(self.manifest.clone(), segments)?;
        self.manifest = self.collection.manifest.clone();
        Ok(())
    }

    /// The codec for new chunks: the collection's own, or until it has learnt one a provisional one.
    fn codec(&mut self, rows: Rows<'_>) -> Result<(Arc<Codec>, u64), IndexError> {
        let codecs = self.manifest.codecs.iter().rev().filter_map(|reference| {
            Some((self.collection.codecs.get(&reference.id)?.clone(), reference.id))
        });
        let known = codecs.min_by_key(|(codec, _)| codec.is_provisional());
        if let Some(known) = known {
            return Ok(known);
        }
        let (reference, codec) =
            self.collection.write_codec(&provisional(rows, self.options.seed))?;
        self.manifest.codecs.push(reference);
        Ok((codec, reference.id))
    }

    fn bury(&mut self, (segment, file): Place) {
        for reference in &mut self.manifest.segments {
            if reference.content.id == segment {
                reference.dead.insert(file);
                reference.touched.remove(&file);
            }
        }
    }

    fn touch(&mut self, (segment, file): Place, mtime_ns: i64) {
        for reference in &mut self.manifest.segments {
            if reference.content.id == segment {
                reference.touched.insert(file, mtime_ns);
            }
        }
    }

    /// Tells how far things are, and hears whether to go on.
    pub(super) fn announce(&mut self, path: PathBuf) {
        let meter = &self.meter;
        let rate = if meter.bytes_done == 0 {
            GUESS
        } else {
            meter.chunks as f64 / meter.bytes_done as f64
        };
        let left = meter.bytes_total.saturating_sub(meter.bytes_done) as f64;
        let event = Progress {
            stage: meter.stage,
            path,
            files_seen: meter.files_seen,
            files_done: meter.files_done,
            files_total: meter.files_total,
            chunks_embedded: self.report.embedded,
            chunks_expected: meter.chunks + (left * rate) as usize,
        };
        if (self.progress)(event).is_break() {
            self.report.cancelled = true;
        }
    }
}

/// Where chunks lie, in the sections as they are stored: the first is the file itself.
fn passages(chunks: &[Chunk]) -> Vec<Passage> {
    let passage = |chunk: &Chunk| Passage { span: chunk.span.clone(), section: chunk.section + 1 };
    chunks.iter().map(passage).collect()
}

/// What is known of the file, and of each of its sections.
fn sections(extracted: &Extracted) -> Vec<SectionEntry> {
    let whole = SectionEntry { title: String::new(), attributes: extracted.attributes.clone() };
    let parts = extracted.sections.iter().map(|section| SectionEntry {
        title: section.title.clone(),
        attributes: section.attributes.clone(),
    });
    [whole].into_iter().chain(parts).collect()
}
