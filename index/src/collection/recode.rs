//! Coding every chunk anew: for another release of the model, or at other settings.
//!
//! Each chunk is embedded once. Content files stay as they are; only codes are written. Until all are
//! there, searches are answered from the codes of before, and what is done survives an interruption.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rayon::prelude::*;

use super::load::load_codes;
use super::merge::learn;
use super::{Collection, Part, Progress, Stage, UpdateOptions};
use crate::codec::{Codec, ROWS_PER_DIM, provisional};
use crate::coded::{Coded, CodedBuilder, transcode};
use crate::encoder::{Encoder, EncoderId, encode_checked};
use crate::error::IndexError;
use crate::files::Files;
use crate::manifest::{CodesRef, FileRef, Move};
use crate::segment::Segment;
use crate::vectors::{Rows, sanitize};

/// What coding anew did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecodeReport {
    /// Chunks embedded.
    pub embedded: usize,
    /// Files left out as they changed, vanished or cannot be read; an update takes them in again.
    pub stale: usize,
    /// Whether it was ended early. The next call goes on from there.
    pub cancelled: bool,
}

impl Collection {
    /// Codes every chunk anew with `encoder`, which is the collection's own or another release of the
    /// same model, and at the settings now in force.
    ///
    /// The collection answers for its release of before until this has come to its end. A root that
    /// is away is an error ([`IndexError::RootUnreadable`]): its files would otherwise be lost.
    pub fn recode(
        &mut self,
        files: &dyn Files,
        encoder: &dyn Encoder,
        options: &UpdateOptions,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<RecodeReport, IndexError> {
        self.check_writable()?;
        self.snapshot.check_base(encoder)?;
        self.check_roots(files)?;
        let mut report = RecodeReport::default();
        loop {
            let Some(part) = self.next_to_recode(encoder) else { break };
            self.recode_part(&part, files, encoder, options, progress, &mut report)?;
            if report.cancelled {
                return Ok(report);
            }
        }
        self.switch(encoder.id(), options.seed)?;
        Ok(report)
    }

    /// The release that [`recode`](Self::recode) is on the way to, if it was interrupted.
    pub fn moving_to(&self) -> Option<EncoderId> {
        let release = self.manifest.moving.as_ref()?.release;
        Some(EncoderId { base: self.manifest.encoder.base, release })
    }

    /// Without its root, such as a drive that is not plugged in, every file would count as vanished.
    fn check_roots(&self, files: &dyn Files) -> Result<(), IndexError> {
        for root in &self.manifest.roots {
            let unreadable = |source| IndexError::RootUnreadable { root: root.clone(), source };
            files.resolve(root).map_err(unreadable)?;
        }
        Ok(())
    }

    /// A part without codes of this encoder. Codes for a release other than this one are forgotten.
    fn next_to_recode(&self, encoder: &dyn Encoder) -> Option<Part> {
        let moving = self.manifest.moving.as_ref();
        let done = moving.filter(|moving| moving.release == encoder.id().release);
        let parts = self.snapshot.parts().iter();
        let mut left =
            parts.filter(|part| done.is_none_or(|done| !done.codes.contains_key(&part.id)));
        left.next().cloned()
    }

    fn recode_part(
        &mut self,
        part: &Part,
        files: &dyn Files,
        encoder: &dyn Encoder,
        options: &UpdateOptions,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
        report: &mut RecodeReport,
    ) -> Result<(), IndexError> {
        let dim = encoder.dim();
        let content = part.segment.content.clone();
        let mut vectors = vec![0f32; content.len() as usize * dim];
        let (mut dead, total) = (Vec::new(), part.live_files().count());
        for (done, (number, file)) in part.live_files().enumerate() {
            let event = Progress {
                stage: Stage::Embedding,
                path: file.path.clone(),
                files_seen: total,
                files_done: done,
                files_total: total,
                chunks_embedded: report.embedded,
                chunks_expected: content.len() as usize,
            };
            if progress(event).is_break() {
                report.cancelled = true;
                return Ok(());
            }
            let text = self.snapshot.texts().current(part, number, files);
            let texts = text.as_ref().and_then(|text| {
                let passages = content.passages(file)?;
                passages
                    .iter()
                    .map(|passage| text.get(passage.span.clone()))
                    .collect::<Option<Vec<_>>>()
            });
            let Some(texts) = texts else {
                dead.push(number);
                continue;
            };
            let mut at = file.chunks.start as usize * dim;
            for batch in texts.chunks(options.batch.max(1)) {
                let rows = encode_checked(encoder, batch)?;
                vectors[at..at + rows.len()].copy_from_slice(&rows);
                at += rows.len();
                report.embedded += batch.len();
            }
        }
        sanitize(&mut vectors, dim);
        report.stale += dead.len();
        self.save_codes(part, Rows::new(&vectors, dim), encoder.id(), dead, options.seed)
    }

    /// Saves a part's codes of the next release, and lists them.
    fn save_codes(
        &mut self,
        part: &Part,
        rows: Rows<'_>,
        to: EncoderId,
        dead: Vec<u32>,
        seed: u64,
    ) -> Result<(), IndexError> {
        let mut manifest = self.manifest.clone();
        let moving = manifest.moving.take().filter(|moving| moving.release == to.release);
        let mut moving = match moving {
            Some(moving) => moving,
            None => {
                let (codec, _) = self.write_codec(&provisional(rows, seed))?;
                Move { release: to.release, codec, codes: BTreeMap::new() }
            }
        };
        let codec = self.codecs[&moving.codec.id].clone();
        let mut codes = CodedBuilder::new(codec);
        codes.push_vectors(rows);
        let (file, _) = self.write_codes(&part.segment.content, codes, seed)?;
        moving.codes.insert(part.id, file);
        manifest.moving = Some(moving);
        if let Some(reference) = manifest.segments.iter_mut().find(|s| s.content.id == part.id) {
            reference.dead.extend(dead);
        }
        self.commit(manifest, BTreeMap::new())
    }

    /// Learns a codec for the new codes, brings them to it, and makes them the collection's.
    fn switch(&mut self, to: EncoderId, seed: u64) -> Result<(), IndexError> {
        let mut manifest = self.manifest.clone();
        let Some(moving) = manifest.moving.take() else {
            // A collection without chunks.
            manifest.encoder = to;
            return self.commit(manifest, BTreeMap::new());
        };
        let raw = self.codecs[&moving.codec.id].clone();
        let parts = self.raw_parts(&moving, &raw)?;
        let chunks: usize =
            parts.iter().map(|part| part.alive.iter().filter(|a| **a).count()).sum();
        let learnt = raw.dim() >= 16 && chunks >= ROWS_PER_DIM * raw.dim();
        let (number, codec) = if learnt {
            let borrowed: Vec<&Part> = parts.iter().collect();
            let (reference, codec) =
                self.write_codec(&learn(&borrowed, manifest.settings, seed))?;
            (reference, codec)
        } else {
            (moving.codec, raw.clone())
        };
        let mut segments = BTreeMap::new();
        for (reference, part) in manifest.segments.iter_mut().zip(&parts) {
            let (file, segment) = if learnt {
                let codes = bring(&part.segment.coded, &codec);
                self.write_codes(&part.segment.content, codes, seed ^ part.id)?
            } else {
                (moving.codes[&part.id], self.reopen(part, &moving.codes[&part.id], &raw)?)
            };
            reference.codes = CodesRef { file, codec: number.id };
            segments.insert(part.id, Arc::new(segment));
        }
        manifest.codecs.push(number);
        manifest.encoder = to;
        self.commit(manifest, segments)
    }

    /// The parts of the collection with their new codes.
    fn raw_parts(&self, moving: &Move, codec: &Arc<Codec>) -> Result<Vec<Part>, IndexError> {
        let parts = self.snapshot.parts().iter();
        let parts = parts.map(|part| {
            let segment = self.reopen(part, &moving.codes[&part.id], codec)?;
            Ok(part.with_segment(Arc::new(segment)))
        });
        parts.collect()
    }

    fn reopen(
        &self,
        part: &Part,
        codes: &FileRef,
        codec: &Arc<Codec>,
    ) -> Result<Segment, IndexError> {
        load_codes(&*self.store, part.segment.content.clone(), codes, codec)
    }
}

/// All of a part's codes, in the order of chunks, as codes of another codec.
fn bring(coded: &Coded, codec: &Arc<Codec>) -> CodedBuilder {
    let positions = coded.positions();
    let width = codec.width();
    let mut rows = vec![0u8; positions.len() * width];
    let code = || vec![0u8; coded.codec().width()];
    rows.par_chunks_exact_mut(width).zip(&positions).for_each_init(
        code,
        |code, (row, position)| {
            coded.copy_code(*position as usize, code);
            transcode(code, coded.codec(), codec, row);
        },
    );
    let mut codes = CodedBuilder::new(codec.clone());
    codes.push_rows(&rows);
    codes
}
