//! A collection: immutable segments, a manifest that names them, and the steps between its states.

mod ingest;
mod merge;
mod report;
mod scan;
mod snapshot;
mod update;
mod upkeep;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use report::{CollectionStats, Progress, Stage, UpdateOptions, UpdateReport, VerifyReport};
pub(crate) use snapshot::Part;
pub use snapshot::Snapshot;

use crate::container::Refusal;
use crate::encoder::{Encoder, EncoderId};
use crate::error::IndexError;
use crate::files::Files;
use crate::manifest::{Manifest, NAME, SegmentRef, segment_name};
use crate::search::{SearchOptions, SearchResult};
use crate::segment::Segment;
use crate::store::{DirStore, MemoryStore, Store};
use update::Updater;

/// An index over some folders.
///
/// One value writes a collection at a time; any number of [`Snapshot`]s of it may answer queries
/// meanwhile. Every change is one atomic replacement of the manifest: a crash at any moment leaves
/// the state before or the state after, never one between.
pub struct Collection {
    store: Box<dyn Store>,
    writable: bool,
    manifest: Manifest,
    snapshot: Snapshot,
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
        options: &SearchOptions,
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
        Ok(Self { store, writable: true, manifest, snapshot })
    }

    fn open_in(store: Box<dyn Store>, writable: bool) -> Result<Self, IndexError> {
        let manifest = load_manifest(&*store)?;
        let mut segments = BTreeMap::new();
        for reference in &manifest.segments {
            let segment = load_segment(&*store, &manifest, reference)?;
            segments.insert(reference.id, Arc::new(segment));
        }
        let empty = Snapshot::empty(manifest.encoder, manifest.dim as usize);
        let snapshot = empty.next(&manifest, segments);
        Ok(Self { store, writable, manifest, snapshot })
    }

    fn check_writable(&self) -> Result<(), IndexError> {
        if self.writable { Ok(()) } else { Err(IndexError::ReadOnly) }
    }

    /// Saves a segment under the next number, not yet part of the collection.
    fn write_segment(
        &mut self,
        manifest: &mut Manifest,
        bytes: &[u8],
    ) -> Result<(u64, Arc<Segment>), IndexError> {
        // Taken even if the save fails: it may have failed after the rename.
        let id = self.manifest.next;
        self.manifest.next += 1;
        let name = segment_name(id);
        self.store.save(&name, bytes).map_err(|error| self.io(&name, error))?;
        let mut reference =
            SegmentRef { id, head: [0; 16], dead: Default::default(), touched: Default::default() };
        let segment = open_segment(&*self.store, &name)?;
        reference.head = segment.head();
        manifest.next = self.manifest.next;
        manifest.segments.push(reference);
        Ok((id, Arc::new(segment)))
    }

    /// Makes `manifest` the state of the collection, leaving out segments with nothing alive in
    /// them, whose files are then removed.
    fn commit(
        &mut self,
        mut manifest: Manifest,
        mut segments: BTreeMap<u64, Arc<Segment>>,
    ) -> Result<(), IndexError> {
        segments.extend(self.snapshot.segments());
        manifest.segments.retain(|reference| {
            let files = segments.get(&reference.id).map(|segment| segment.files().len());
            files.is_some_and(|files| reference.dead.len() < files)
        });
        if manifest == self.manifest {
            return Ok(());
        }
        save_manifest(&*self.store, &manifest)?;
        for old in &self.manifest.segments {
            if !manifest.segments.iter().any(|reference| reference.id == old.id) {
                // One that stays is an orphan, which the next opening removes.
                let _ = self.store.remove(&segment_name(old.id));
            }
        }
        self.snapshot = self.snapshot.next(&manifest, segments);
        self.manifest = manifest;
        Ok(())
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

fn save_manifest(store: &dyn Store, manifest: &Manifest) -> Result<(), IndexError> {
    store
        .save(NAME, &manifest.to_bytes())
        .map_err(|error| IndexError::io(&store.place().join(NAME), error))
}

fn load_manifest(store: &dyn Store) -> Result<Manifest, IndexError> {
    let blob =
        store.load(NAME).map_err(|error| IndexError::io(&store.place().join(NAME), error))?;
    Manifest::from_bytes(&blob).map_err(|refusal| refused(NAME, refusal))
}

fn open_segment(store: &dyn Store, name: &str) -> Result<Segment, IndexError> {
    let blob =
        store.load(name).map_err(|error| IndexError::io(&store.place().join(name), error))?;
    Segment::open(blob).map_err(|refusal| refused(name, refusal))
}

/// Opens a segment and checks that it is the one the manifest means.
fn load_segment(
    store: &dyn Store,
    manifest: &Manifest,
    reference: &SegmentRef,
) -> Result<Segment, IndexError> {
    let name = segment_name(reference.id);
    let segment = open_segment(store, &name)?;
    let files = segment.files().len() as u64;
    let numbers = reference.dead.iter().chain(reference.touched.keys());
    let belongs = segment.head() == reference.head
        && segment.encoder() == manifest.encoder
        && segment.dim() == manifest.dim as usize
        && numbers.max().is_none_or(|&file| u64::from(file) < files);
    if !belongs {
        let what = "IDX-23: it is not the segment the manifest names";
        return Err(refused(&name, what.into()));
    }
    Ok(segment)
}

fn refused(file: &str, refusal: Refusal) -> IndexError {
    let file = file.to_owned();
    match refusal {
        Refusal::Version(found) => {
            IndexError::Version { file, found, supported: crate::container::VERSION }
        }
        Refusal::Corrupt(what) => IndexError::Corrupt { file, what: what.to_owned() },
    }
}

#[cfg(test)]
mod crash_tests;
