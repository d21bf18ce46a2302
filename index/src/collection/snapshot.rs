//! A collection frozen at one state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::CollectionStats;
use crate::cache::Cache;
use crate::content::FileEntry;
use crate::encoder::{Encoder, EncoderId};
use crate::error::{IndexError, WrongModel};
use crate::files::FileStat;
use crate::lexical::LexicalReader;
use crate::manifest::{Manifest, SegmentRef};
use crate::search::TextCache;
use crate::segment::Segment;
use crate::settings::Settings;

/// A collection as it was when this was taken: copied by a counter, safe to share between threads,
/// unaffected by later updates.
#[derive(Clone)]
pub struct Snapshot {
    state: Arc<State>,
}

#[derive(Clone)]
struct State {
    encoder: EncoderId,
    dim: usize,
    settings: Settings,
    /// Bytes of codecs and manifest.
    shared_bytes: u64,
    /// Bytes of codec and codes of a move that is under way.
    moving_bytes: u64,
    parts: Vec<Part>,
    texts: Arc<TextCache>,
    words: Option<LexicalReader>,
    word_bytes: u64,
    /// Where recomputed vectors are kept, if anywhere.
    cache: Option<Arc<Cache>>,
}

/// A segment and what of it is alive.
#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) id: u64,
    pub(crate) segment: Arc<Segment>,
    /// For each chunk, whether its file is alive.
    pub(crate) alive: Arc<[bool]>,
    dead: BTreeSet<u32>,
    touched: BTreeMap<u32, i64>,
}

impl Snapshot {
    pub(super) fn empty(encoder: EncoderId, dim: usize) -> Self {
        let state = State {
            encoder,
            dim,
            settings: Settings::default(),
            shared_bytes: 0,
            moving_bytes: 0,
            parts: Vec::new(),
            texts: Arc::default(),
            words: None,
            word_bytes: 0,
            cache: None,
        };
        Self { state: Arc::new(state) }
    }

    /// The snapshot of a manifest, given its segments.
    pub(super) fn next(&self, manifest: &Manifest, segments: BTreeMap<u64, Arc<Segment>>) -> Self {
        let parts = manifest.segments.iter().filter_map(|reference| {
            let segment = segments.get(&reference.content.id)?;
            Some(Part::new(reference, segment.clone()))
        });
        let parts: Vec<Part> = parts.collect();
        let codecs: BTreeMap<[u8; 16], usize> = parts
            .iter()
            .map(|part| part.segment.coded.codec())
            .map(|codec| (codec.head(), codec.bytes()))
            .collect();
        let shared = codecs.values().sum::<usize>() + manifest.to_bytes().len();
        let state = State {
            encoder: manifest.encoder,
            dim: manifest.dim as usize,
            settings: manifest.settings,
            shared_bytes: shared as u64,
            moving_bytes: 0,
            parts,
            texts: self.state.texts.clone(),
            words: self.state.words.clone(),
            word_bytes: self.state.word_bytes,
            cache: self.state.cache.clone(),
        };
        Self { state: Arc::new(state) }
    }

    /// The same with this lexical index.
    pub(super) fn with_words(&self, words: Option<LexicalReader>, word_bytes: u64) -> Self {
        let state = State { words, word_bytes, ..(*self.state).clone() };
        Self { state: Arc::new(state) }
    }

    /// The same with files of a move of so many bytes.
    pub(super) fn with_moving(&self, moving_bytes: u64) -> Self {
        let state = State { moving_bytes, ..(*self.state).clone() };
        Self { state: Arc::new(state) }
    }

    /// The same with this cache.
    pub(crate) fn with_cache(&self, cache: Option<Arc<Cache>>) -> Self {
        let state = State { cache, ..(*self.state).clone() };
        Self { state: Arc::new(state) }
    }

    /// The same without these files, by position of their part and number there.
    pub(crate) fn without(&self, files: impl IntoIterator<Item = (usize, u32)>) -> Self {
        let mut state = (*self.state).clone();
        for (part, file) in files {
            if let Some(part) = state.parts.get_mut(part) {
                part.bury(file);
            }
        }
        Self { state: Arc::new(state) }
    }

    /// Sizes and counts.
    pub fn stats(&self) -> CollectionStats {
        let mut stats = CollectionStats {
            index_bytes: self.state.shared_bytes + self.state.moving_bytes,
            lexical_bytes: self.state.word_bytes,
            cache_bytes: self.cache().map_or(0, Cache::bytes),
            ..Default::default()
        };
        for part in self.parts() {
            stats.segments += 1;
            stats.index_bytes += part.segment.bytes() as u64;
            stats.dead_chunks += part.alive.iter().filter(|alive| !**alive).count();
            for (_, file) in part.live_files() {
                stats.files += 1;
                stats.chunks += file.chunks.len();
                stats.text_bytes += file.text_len as u64;
            }
        }
        stats
    }

    /// The model whose vectors this was built from.
    pub fn encoder_id(&self) -> EncoderId {
        self.state.encoder
    }

    pub(crate) fn dim(&self) -> usize {
        self.state.dim
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.state.settings
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.state.parts
    }

    pub(crate) fn words(&self) -> Option<&LexicalReader> {
        self.state.words.as_ref()
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.state.cache.as_deref()
    }

    pub(crate) fn texts(&self) -> &TextCache {
        &self.state.texts
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = (u64, Arc<Segment>)> + '_ {
        self.parts().iter().map(|part| (part.id, part.segment.clone()))
    }

    /// Whether an encoder is the same model, of whatever release.
    pub(super) fn check_base(&self, encoder: &dyn Encoder) -> Result<(), IndexError> {
        if encoder.id().base != self.state.encoder.base || encoder.dim() != self.state.dim {
            let (index, encoder) = (self.state.encoder, encoder.id());
            return Err(IndexError::WrongModel(Box::new(WrongModel { index, encoder })));
        }
        Ok(())
    }

    pub(crate) fn check_encoder(&self, encoder: &dyn Encoder) -> Result<(), IndexError> {
        if encoder.id() != self.state.encoder || encoder.dim() != self.state.dim {
            let (index, encoder) = (self.state.encoder, encoder.id());
            return Err(IndexError::WrongModel(Box::new(WrongModel { index, encoder })));
        }
        Ok(())
    }
}

impl Part {
    fn new(reference: &SegmentRef, segment: Arc<Segment>) -> Self {
        let alive = vec![true; segment.len() as usize].into();
        let (id, touched) = (reference.content.id, reference.touched.clone());
        let mut part = Self { id, segment, alive, dead: BTreeSet::new(), touched };
        reference.dead.iter().for_each(|&file| part.bury(file));
        part
    }

    fn bury(&mut self, file: u32) {
        let chunks = self.segment.content.files()[file as usize].chunks.clone();
        Arc::make_mut(&mut self.alive)[chunks.start as usize..chunks.end as usize].fill(false);
        self.dead.insert(file);
    }

    /// The same files with other codes.
    pub(super) fn with_segment(&self, segment: Arc<Segment>) -> Self {
        Self { segment, ..self.clone() }
    }

    /// Whether a chunk's file is alive.
    pub(crate) fn is_live(&self, chunk: u32) -> bool {
        self.alive.get(chunk as usize) == Some(&true)
    }

    /// Files that are alive, with their numbers.
    pub(crate) fn live_files(&self) -> impl Iterator<Item = (u32, &FileEntry)> {
        let numbered = (0u32..).zip(self.segment.content.files());
        numbered.filter(|(number, _)| !self.dead.contains(number))
    }

    /// Size and time by which a file of this part is known to be unchanged.
    pub(crate) fn stat(&self, number: u32) -> Option<FileStat> {
        let mut stat = self.segment.content.files().get(number as usize)?.stat;
        if let Some(&mtime_ns) = self.touched.get(&number) {
            stat.mtime_ns = mtime_ns;
        }
        Some(stat)
    }
}
