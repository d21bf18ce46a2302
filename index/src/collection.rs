//! A collection: immutable segments, a manifest that names them, and the steps between its states.

mod erase;
mod hot;
mod ingest;
mod load;
mod merge;
mod recode;
mod report;
mod scan;
mod snapshot;
mod update;
mod upkeep;
mod words;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use load::{load_all, load_manifest, refused, save_manifest};
pub(crate) use merge::budget;
pub use recode::{RecodeReport, RecodeStep, RecodedPart};
pub use report::{CollectionStats, Progress, Stage, UpdateOptions, UpdateReport, VerifyReport};
pub(crate) use snapshot::Part;
pub use snapshot::Snapshot;

use crate::codec::Codec;
use crate::coded::CodedBuilder;
use crate::content::{Content, ContentBuilder};
use crate::encoder::{Encoder, EncoderId};
use crate::error::IndexError;
use crate::files::Files;
use crate::lexical::Lexical;
use crate::manifest::{
    CODEC, CODES, CONTENT, CodesRef, FileRef, Manifest, NAME, SegmentRef, file_name,
};
use crate::search::{SearchOptions, SearchResult};
use crate::segment::Segment;
use crate::settings::Settings;
use crate::store::{Blob, DirStore, MemoryStore, Store};
use update::Updater;

/// An index over some folders.
///
/// One value writes a collection at a time; any number of [`Snapshot`]s of it may answer queries
/// meanwhile. Every change is one atomic replacement of the manifest: a crash at any moment leaves
/// the state before or the state after, never one between.
pub struct Collection {
    pub(crate) store: Box<dyn Store>,
    writable: bool,
    manifest: Manifest,
    /// Whether saving another failed, which may be the one on disk nevertheless.
    unsure: bool,
    codecs: BTreeMap<u64, Arc<Codec>>,
    snapshot: Snapshot,
    /// Opened when it is first needed.
    words: Option<Box<Lexical>>,
}

impl Collection {
    /// Makes an empty collection in `dir` (made if missing, private to the user) for vectors of this
    /// encoder.
    pub fn create(dir: &Path, encoder: &dyn Encoder) -> Result<Self, IndexError> {
        DirStore::make(dir).map_err(|error| IndexError::io(dir, error))?;
        let store = lock(dir)?;
        if dir.join(NAME).exists() {
            return Err(IndexError::AlreadyExists { dir: dir.into() });
        }
        Self::create_in(Box::new(store), encoder)
    }

    /// Opens the collection in `dir` for reading and writing, verifies every byte of it, and removes
    /// what interrupted writes left behind. [`IndexError::Locked`] while another has it open so.
    pub fn open(dir: &Path) -> Result<Self, IndexError> {
        require(dir)?;
        let collection = Self::open_in(Box::new(lock(dir)?), true)?;
        collection.remove_orphans();
        Ok(collection)
    }

    /// Opens the collection in `dir` without a lock and without changing anything: it may be asked
    /// but not updated, also while another process writes it.
    pub fn open_read_only(dir: &Path) -> Result<Self, IndexError> {
        require(dir)?;
        // A writer may replace the manifest and drop a segment between our two reads.
        for _ in 0..3 {
            match Self::open_in(Box::new(DirStore::unlocked(dir)), false) {
                Err(IndexError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
        }
        Self::open_in(Box::new(DirStore::unlocked(dir)), false)
    }

    /// A collection that lives in memory only.
    pub fn in_memory(encoder: &dyn Encoder) -> Result<Self, IndexError> {
        Self::create_in(Box::new(MemoryStore::default()), encoder)
    }

    /// Brings `root` (a folder, or one file) up to date, adding it if it is new.
    ///
    /// Only files whose size or time changed are read, and only those whose contents changed are
    /// embedded. Finished work is saved every [`UpdateOptions::segment_chunks`] chunks, so an
    /// interrupted update continues where it was. `Break` from `progress` ends it early and keeps
    /// what is done. What cannot be indexed is in the report with the reason.
    ///
    /// A folder may be added inside another: the innermost one owns a file.
    pub fn update(
        &mut self,
        root: &Path,
        files: &dyn Files,
        encoder: &dyn Encoder,
        options: &UpdateOptions,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<UpdateReport, IndexError> {
        self.check_writable()?;
        self.snapshot.check_encoder(encoder)?;
        Updater::new(self, files, encoder, options, progress).run(root)
    }

    /// Makes the index as small as it gets without embedding anything again: one segment without
    /// what is dead, and one part of the lexical index. Gives the bytes it takes before and after.
    pub fn compact(
        &mut self,
        files: &dyn Files,
        encoder: &dyn Encoder,
        options: &UpdateOptions,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(u64, u64), IndexError> {
        self.check_writable()?;
        self.snapshot.check_encoder(encoder)?;
        let bytes = |collection: &Self| {
            let stats = collection.stats();
            stats.index_bytes + stats.lexical_bytes
        };
        let before = bytes(self);
        Updater::new(self, files, encoder, options, progress).merge_all()?;
        self.sync_words(files)?;
        self.compact_words()?;
        self.empty_cache();
        Ok((before, bytes(self)))
    }

    /// Forgets a root, by the name [`roots`](Self::roots) has for it, and the files it owns. Gives
    /// their number.
    pub fn remove_root(&mut self, root: &Path) -> Result<usize, IndexError> {
        self.check_writable()?;
        self.forget_root(root)
    }

    /// The `k` chunks closest to `query`; see [`Snapshot::search`].
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        files: &dyn Files,
        encoder: &dyn Encoder,
        options: &SearchOptions<'_>,
    ) -> Result<SearchResult, IndexError> {
        self.snapshot.search(query, k, files, encoder, options)
    }

    /// The collection as it is now, cheap to take and to copy: it goes on answering, unchanged,
    /// while this one is updated.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// The folders and files that were added, in order of name.
    pub fn roots(&self) -> &[PathBuf] {
        &self.manifest.roots
    }

    /// The model whose vectors this collection was built from.
    pub fn encoder_id(&self) -> EncoderId {
        self.manifest.encoder
    }

    /// Sizes and counts.
    pub fn stats(&self) -> CollectionStats {
        self.snapshot.stats()
    }

    /// What it may cost and how hard it looks.
    pub fn settings(&self) -> Settings {
        self.manifest.settings
    }

    /// Changes the settings. What searches may do changes at once; how chunks are coded changes for
    /// what is indexed from now on, and for all of it with [`recode`](Self::recode).
    pub fn set_settings(&mut self, settings: Settings) -> Result<(), IndexError> {
        self.check_writable()?;
        if !settings.are_sane() {
            return Err(IndexError::BadSettings);
        }
        let manifest = Manifest { settings, ..self.manifest.clone() };
        self.commit(manifest, BTreeMap::new())
    }

    fn create_in(store: Box<dyn Store>, encoder: &dyn Encoder) -> Result<Self, IndexError> {
        let dim = u32::try_from(encoder.dim()).unwrap_or(u32::MAX);
        if dim == 0 || dim as usize > crate::segment::MAX_DIM {
            return Err(IndexError::TooLarge {
                what: "a vector has between 1 and 16384 dimensions",
            });
        }
        let manifest = Manifest::new(encoder.id(), dim);
        save_manifest(&*store, &manifest)?;
        let snapshot = Snapshot::empty(encoder.id(), dim as usize);
        let codecs = BTreeMap::new();
        Ok(Self { store, writable: true, manifest, unsure: false, codecs, snapshot, words: None })
    }

    pub(crate) fn open_in(store: Box<dyn Store>, writable: bool) -> Result<Self, IndexError> {
        let manifest = load_manifest(&*store)?;
        let (codecs, segments) = load_all(&*store, &manifest)?;
        let empty = Snapshot::empty(manifest.encoder, manifest.dim as usize);
        let snapshot = empty.next(&manifest, segments);
        let unsure = false;
        let mut collection =
            Self { store, writable, manifest, unsure, codecs, snapshot, words: None };
        collection.count_move();
        collection.open_words();
        collection.sync_cache();
        Ok(collection)
    }

    fn check_writable(&self) -> Result<(), IndexError> {
        if self.writable { Ok(()) } else { Err(IndexError::ReadOnly) }
    }

    /// Saves a file under the next number, not yet part of the collection.
    fn write(&mut self, kind: &str, bytes: &[u8]) -> Result<(u64, Blob), IndexError> {
        // Taken even if the save fails: it may have failed after the rename.
        let id = self.manifest.next;
        self.manifest.next += 1;
        let name = file_name(kind, id);
        self.store.save(&name, bytes).map_err(|error| self.io(&name, error))?;
        let blob = self.store.load(&name).map_err(|error| self.io(&name, error))?;
        Ok((id, blob))
    }

    /// Saves a codec; the one to use is the one given back.
    fn write_codec(&mut self, codec: &Codec) -> Result<(FileRef, Arc<Codec>), IndexError> {
        let (id, blob) = self.write(CODEC, &codec.to_bytes())?;
        let refused = |refusal| refused(&file_name(CODEC, id), refusal);
        let codec = Arc::new(Codec::from_bytes(&blob).map_err(refused)?);
        self.codecs.insert(id, codec.clone());
        Ok((FileRef { id, head: codec.head() }, codec))
    }

    /// Saves codes of the chunks of a content file.
    fn write_codes(
        &mut self,
        content: &Arc<Content>,
        codes: CodedBuilder,
        seed: u64,
    ) -> Result<(FileRef, Segment), IndexError> {
        let codec = codes.codec().clone();
        let flat = self.manifest.settings.flat as usize;
        let (id, blob) = self.write(CODES, &codes.finish(content.head(), flat, seed))?;
        let refused = |refusal| refused(&file_name(CODES, id), refusal);
        let segment = Segment::open(content.clone(), blob, &codec).map_err(refused)?;
        Ok((FileRef { id, head: segment.coded.head() }, segment))
    }

    /// Saves a segment and lists it in `manifest`. `codec` is the number of the codes' codec.
    fn write_segment(
        &mut self,
        manifest: &mut Manifest,
        content: ContentBuilder,
        codes: CodedBuilder,
        codec: u64,
        seed: u64,
    ) -> Result<(u64, Arc<Segment>), IndexError> {
        let (id, blob) = self.write(CONTENT, &content.finish())?;
        let refused = |refusal| refused(&file_name(CONTENT, id), refusal);
        let content = Arc::new(Content::open(blob).map_err(refused)?);
        let (file, segment) = self.write_codes(&content, codes, seed)?;
        manifest.next = self.manifest.next;
        manifest.segments.push(SegmentRef {
            content: FileRef { id, head: content.head() },
            codes: CodesRef { file, codec },
            dead: Default::default(),
            touched: Default::default(),
        });
        Ok((id, Arc::new(segment)))
    }

    /// Makes `manifest` the state of the collection, leaving out segments with nothing alive in
    /// them; files that are no longer needed are then removed.
    fn commit(
        &mut self,
        mut manifest: Manifest,
        segments: BTreeMap<u64, Arc<Segment>>,
    ) -> Result<(), IndexError> {
        let mut all: BTreeMap<u64, Arc<Segment>> = self.snapshot.segments().collect();
        all.extend(segments);
        manifest.next = self.manifest.next;
        manifest.segments.retain(|reference| {
            let files = all.get(&reference.content.id).map(|segment| segment.content.files().len());
            files.is_some_and(|files| reference.dead.len() < files)
        });
        manifest.tidy();
        if manifest == self.manifest && !self.unsure {
            return Ok(());
        }
        self.unsure = true;
        save_manifest(&*self.store, &manifest)?;
        self.unsure = false;
        for old in self.manifest.names().difference(&manifest.names()) {
            // One that stays is an orphan, which the next opening removes.
            let _ = self.store.remove(old);
        }
        let moving = manifest.moving.as_ref().map(|moving| moving.codec.id);
        self.codecs.retain(|id, _| {
            moving == Some(*id) || manifest.codecs.iter().any(|codec| codec.id == *id)
        });
        self.snapshot = self.snapshot.next(&manifest, all);
        self.manifest = manifest;
        self.count_move();
        self.sync_cache();
        Ok(())
    }

    /// Counts the files of a move that is under way: no segment has them yet.
    fn count_move(&mut self) {
        let Some(moving) = &self.manifest.moving else { return };
        let codes = moving.codes.values().map(|codes| file_name(CODES, codes.id));
        let names = codes.chain([file_name(CODEC, moving.codec.id)]);
        // One that cannot be read is an error elsewhere.
        let bytes = names.map(|name| self.store.load(&name).map_or(0, |blob| blob.len() as u64));
        self.snapshot = self.snapshot.with_moving(bytes.sum());
    }

    fn io(&self, name: &str, error: io::Error) -> IndexError {
        IndexError::io(&self.store.place().join(name), error)
    }
}

fn require(dir: &Path) -> Result<(), IndexError> {
    match dir.join(NAME).try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(IndexError::NotFound { dir: dir.into() }),
        Err(error) => Err(IndexError::io(dir, error)),
    }
}

fn lock(dir: &Path) -> Result<DirStore, IndexError> {
    DirStore::locked(dir).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => IndexError::Locked { dir: dir.into() },
        _ => IndexError::io(dir, error),
    })
}

#[cfg(test)]
mod crash_tests;
