//! Keeping the cache of recomputed embeddings in step with the collection.

use std::sync::Arc;

use super::Collection;
use crate::cache::{Cache, NAME};

impl Collection {
    /// Goes on with the cache, or takes another where the settings, the model or the number of chunks
    /// ask for that. Vectors of another model go.
    pub(super) fn sync_cache(&mut self) {
        let wanted = self.wanted_cache();
        if let Some(cache) = self.snapshot.cache() {
            if wanted.as_ref().is_some_and(|wanted| cache.serves(wanted)) {
                return;
            }
            cache.retire();
            if wanted.is_none() || !cache.is_for(self.manifest.encoder) {
                self.remove_cache();
            }
        }
        self.snapshot = self.snapshot.with_cache(wanted.map(Arc::new));
    }

    /// Forgets what is kept: some of it is of files that were removed.
    pub(super) fn empty_cache(&mut self) {
        if let Some(cache) = self.snapshot.cache() {
            cache.retire();
            self.remove_cache();
            self.snapshot = self.snapshot.with_cache(self.wanted_cache().map(Arc::new));
        }
    }

    fn wanted_cache(&self) -> Option<Cache> {
        let (folder, manifest) = (self.store.folder()?, &self.manifest);
        let limit = manifest.settings.cache_bytes;
        if limit == 0 {
            return None;
        }
        let parts = self.snapshot.parts().iter();
        let chunks = parts.map(|part| part.segment.len() as usize).sum();
        let dim = manifest.dim as usize;
        Cache::new(folder, manifest.encoder, dim, limit, chunks, self.writable)
    }

    /// One that stays does no harm: what is in it is found by nobody.
    fn remove_cache(&self) {
        if self.writable {
            let _ = self.store.remove(NAME);
        }
    }
}

impl Drop for Collection {
    /// Another process may write to the cache as soon as the lock is gone.
    fn drop(&mut self) {
        if let Some(cache) = self.snapshot.cache() {
            cache.retire();
        }
    }
}
