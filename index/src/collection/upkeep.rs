//! Everything about a collection that is neither an update nor a search.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::erase::{is_numbered, is_unfinished};
use super::load::{Codecs, load_codec, load_codes, load_manifest, load_segment, refused};
use super::{Collection, Snapshot, VerifyReport, lock, require};
use crate::cache;
use crate::error::IndexError;
use crate::manifest::{CONTENT, file_name};
use crate::paths::owner;

impl Collection {
    /// Opens a collection of which some segments are damaged, leaving those out for good; the next
    /// update of their folders indexes their files again. Also gives the errors found. A damaged
    /// manifest cannot be repaired: remove the collection and add its folders again.
    pub fn repair(dir: &Path) -> Result<(Self, Vec<IndexError>), IndexError> {
        require(dir)?;
        let store = Box::new(lock(dir)?);
        let manifest = load_manifest(&*store)?;
        let (mut kept, mut segments, mut errors) = (manifest.clone(), BTreeMap::new(), Vec::new());
        let mut codecs = BTreeMap::new();
        // What was made of the next release is made again.
        kept.moving = None;
        for reference in &manifest.codecs {
            match load_codec(&*store, &manifest, reference) {
                Ok(codec) => drop(codecs.insert(reference.id, codec.into())),
                Err(error) if is_damage(&error) => errors.push(error),
                Err(error) => return Err(error),
            }
        }
        kept.segments.clear();
        for reference in &manifest.segments {
            match load_segment(&*store, &codecs, reference) {
                Ok(segment) => {
                    segments.insert(reference.content.id, segment.into());
                    kept.segments.push(reference.clone());
                }
                Err(error) if is_damage(&error) => errors.push(error),
                Err(error) => return Err(error),
            }
        }
        let mut collection = Self {
            store,
            writable: true,
            snapshot: Snapshot::empty(manifest.encoder, manifest.dim as usize),
            codecs,
            manifest,
            unsure: false,
            words: None,
        };
        if errors.is_empty() && kept == collection.manifest {
            collection.snapshot = collection.snapshot.next(&kept, segments);
        } else {
            collection.commit(kept, segments)?;
        }
        collection.open_words();
        collection.sync_cache();
        collection.remove_orphans();
        Ok((collection, errors))
    }

    /// Reads everything again from where it is stored and checks it, the graph's reachability and the
    /// lexical index included. An error names the first thing wrong.
    pub fn verify(&self) -> Result<VerifyReport, IndexError> {
        let manifest = load_manifest(&*self.store)?;
        let mut report = VerifyReport::default();
        let mut codecs: Codecs = BTreeMap::new();
        let moving = manifest.moving.iter();
        for reference in manifest.codecs.iter().chain(moving.clone().map(|moving| &moving.codec)) {
            let codec = load_codec(&*self.store, &manifest, reference)?;
            report.bytes += codec.bytes() as u64;
            codecs.insert(reference.id, codec.into());
        }
        for reference in &manifest.segments {
            let segment = load_segment(&*self.store, &codecs, reference)?;
            let name = file_name(CONTENT, reference.content.id);
            segment.content.verify().map_err(|refusal| refused(&name, refusal))?;
            report.segments += 1;
            report.files += segment.content.files().len() - reference.dead.len();
            report.chunks += segment.len() as usize;
            report.bytes += segment.bytes() as u64;
            report.unreachable += segment.coded.unreachable();
            // What is there of the next release.
            for moving in moving.clone() {
                if let Some(codes) = moving.codes.get(&reference.content.id) {
                    let content = segment.content.clone();
                    let next = load_codes(&*self.store, content, codes, &codecs[&moving.codec.id])?;
                    report.bytes += next.coded.bytes() as u64;
                }
            }
        }
        self.verify_words()?;
        if let Some(cache) = self.snapshot.cache() {
            (report.cache_bytes, report.cached) = (cache.bytes(), cache.count());
        }
        Ok(report)
    }

    pub(super) fn forget_root(&mut self, root: &Path) -> Result<usize, IndexError> {
        let mut manifest = self.manifest.clone();
        let Ok(at) = manifest.roots.binary_search_by(|known| known.as_path().cmp(root)) else {
            return Err(IndexError::UnknownRoot { root: root.into() });
        };
        let mut forgotten = 0;
        for (reference, part) in manifest.segments.iter_mut().zip(self.snapshot.parts()) {
            for (number, file) in part.live_files() {
                let owned = owner(&self.manifest.roots, &file.path);
                if owned.is_none_or(|owner| owner == root) {
                    reference.dead.insert(number);
                    forgotten += 1;
                }
            }
        }
        manifest.roots.remove(at);
        self.commit(manifest, BTreeMap::new())?;
        self.empty_cache();
        self.drop_words()?;
        Ok(forgotten)
    }

    /// Removes what interrupted writes left: unfinished files, and segments no manifest names.
    /// What cannot be removed now does no harm and is tried again next time.
    pub(super) fn remove_orphans(&self) {
        let named = self.manifest.names();
        for name in self.store.names().unwrap_or_default() {
            let unwanted = name == cache::NAME && self.manifest.settings.cache_bytes == 0;
            let unnamed = is_numbered(&name) && !named.contains(&name);
            if is_unfinished(&name) || unwanted || unnamed {
                let _ = self.store.remove(&name);
            }
        }
    }
}

/// Whether an error says that a segment itself is bad or gone, rather than the disk.
fn is_damage(error: &IndexError) -> bool {
    match error {
        IndexError::Corrupt { .. } => true,
        IndexError::Io { source, .. } => {
            matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput)
        }
        _ => false,
    }
}
