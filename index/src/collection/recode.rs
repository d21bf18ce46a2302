//! Coding every chunk anew: for another release of the model, or at other settings.
//!
//! Each chunk is embedded once. Content files stay as they are; only codes are written. Until all are
//! there, searches are answered from the codes of before, and what is done survives an interruption.
//!
//! The work is cut into steps, a segment each. Embedding a step needs a snapshot only, so that whoever
//! moves a collection in the background holds it for moments ([`Collection::accept`]) and updates go on meanwhile.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use rayon::prelude::*;

use super::load::load_codes;
use super::merge::learn;
use super::{Collection, Part, Progress, UpdateOptions};
use crate::codec::{Codec, ROWS_PER_DIM};
use crate::coded::{Coded, CodedBuilder};
use crate::encoder::{Encoder, EncoderId};
use crate::error::IndexError;
use crate::files::Files;
use crate::manifest::{CodesRef, FileRef, Manifest, Move, SegmentRef};
use crate::segment::Segment;

pub use step::{RecodeStep, RecodedPart};

mod step;

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
        let mut report = RecodeReport::default();
        while let Some(step) = self.recode_step(files, encoder, options.seed)? {
            let (done, total) = self.recoded(encoder.id());
            let before = report.embedded;
            let mut told = |event: Progress| {
                let chunks_embedded = before + event.chunks_embedded;
                let chunks_expected = before + (total - done);
                progress(Progress { chunks_embedded, chunks_expected, ..event })
            };
            let Some(part) = step.run(files, encoder, options.batch, &mut told)? else {
                report.cancelled = true;
                return Ok(report);
            };
            report.embedded += part.embedded();
            report.stale += part.stale();
            self.accept(part)?;
        }
        self.finish_recode(encoder, options.seed)?;
        Ok(report)
    }

    /// What to embed next on the way to `encoder`'s release, or `None` where everything is: then
    /// [`finish_recode`](Self::finish_recode) is due. Codes for a third release are forgotten once the
    /// first step is accepted.
    pub fn recode_step(
        &self,
        files: &dyn Files,
        encoder: &dyn Encoder,
        seed: u64,
    ) -> Result<Option<RecodeStep>, IndexError> {
        self.check_writable()?;
        self.snapshot.check_base(encoder)?;
        self.check_roots(files)?;
        let moving = self.moving_for(encoder.id());
        let done = |part: &&Part| moving.is_some_and(|moving| moving.codes.contains_key(&part.id));
        let next = self.snapshot.parts().iter().find(|part| !done(part));
        let codec = moving.map(|moving| self.codecs[&moving.codec.id].clone());
        Ok(next.map(|part| RecodeStep::new(self.snapshot(), part.clone(), codec, seed)))
    }

    /// Saves the codes of a step. `false` where they are of no use any more: the segment is gone, since
    /// its chunks were merged into others, or somebody else began a move of their own.
    pub fn accept(&mut self, part: RecodedPart) -> Result<bool, IndexError> {
        self.check_writable()?;
        let mut manifest = self.manifest.clone();
        let moving = self.moving_for(part.to).cloned();
        let head = moving.as_ref().map(|moving| self.codecs[&moving.codec.id].head());
        // One that was made for this step is not saved yet, and has no checksum.
        let fits = head.unwrap_or_default() == part.codec.head();
        // Numbers begin anew in a collection that was made anew.
        let content = part.part.segment.content.head();
        let same = |it: &SegmentRef| it.content.id == part.part.id && it.content.head == content;
        let known = manifest.segments.iter_mut().find(|reference| same(reference));
        let (Some(reference), true) = (known, fits) else { return Ok(false) };
        reference.dead.extend(part.dead);
        let mut moving = match moving {
            Some(moving) => moving,
            None => {
                let (codec, _) = self.write_codec(&part.codec)?;
                Move { release: part.to.release, codec, codes: BTreeMap::new() }
            }
        };
        let mut codes = CodedBuilder::new(self.codecs[&moving.codec.id].clone());
        codes.push_rows(&part.rows);
        let (file, _) = self.write_codes(&part.part.segment.content, codes, part.seed)?;
        moving.codes.insert(part.part.id, file);
        manifest.moving = Some(moving);
        self.commit(manifest, BTreeMap::new())?;
        Ok(true)
    }

    /// Makes the new codes the collection's, and `encoder`'s release the one it answers for. `false` where
    /// some are missing still, as an update brought new chunks.
    pub fn finish_recode(&mut self, encoder: &dyn Encoder, seed: u64) -> Result<bool, IndexError> {
        self.check_writable()?;
        self.snapshot.check_base(encoder)?;
        let (done, total) = self.recoded(encoder.id());
        if done < total {
            return Ok(false);
        }
        self.switch(encoder.id(), seed)?;
        Ok(true)
    }

    /// Forgets what was made on the way to another release.
    pub fn abandon_recode(&mut self) -> Result<(), IndexError> {
        self.check_writable()?;
        self.commit(Manifest { moving: None, ..self.manifest.clone() }, BTreeMap::new())
    }

    /// How many chunks have codes of this release on the way to it, and how many there are.
    pub fn recoded(&self, to: EncoderId) -> (usize, usize) {
        let moving = self.moving_for(to);
        let (mut done, mut total) = (0, 0);
        for part in self.snapshot.parts() {
            let chunks = part.segment.len() as usize;
            total += chunks;
            if moving.is_some_and(|moving| moving.codes.contains_key(&part.id)) {
                done += chunks;
            }
        }
        (done, total)
    }

    /// The release that [`recode`](Self::recode) is on the way to, if it was interrupted.
    pub fn moving_to(&self) -> Option<EncoderId> {
        let release = self.manifest.moving.as_ref()?.release;
        Some(EncoderId { base: self.manifest.encoder.base, release })
    }

    fn moving_for(&self, to: EncoderId) -> Option<&Move> {
        self.manifest.moving.as_ref().filter(|moving| moving.release == to.release)
    }

    /// Without its root, such as a drive that is not plugged in, every file would count as vanished.
    fn check_roots(&self, files: &dyn Files) -> Result<(), IndexError> {
        for root in &self.manifest.roots {
            let unreadable = |source| IndexError::RootUnreadable { root: root.clone(), source };
            files.resolve(root).map_err(unreadable)?;
        }
        Ok(())
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
            codec.encode(&coded.codec().decode(code), row);
        },
    );
    let mut codes = CodedBuilder::new(codec.clone());
    codes.push_rows(&rows);
    codes
}
