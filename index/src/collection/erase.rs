//! Which files in a folder are a collection's, and taking them away.

use std::fs;
use std::io;
use std::path::Path;

use super::{Collection, lock};
use crate::cache;
use crate::error::IndexError;
use crate::manifest::{CODEC, CODES, CONTENT, NAME};
use crate::store::{DirStore, Store};

impl Collection {
    /// Removes the collection in `dir` by the names of its files. The folder stays, and so does whatever else
    /// is in it. Nothing where there is no folder; [`IndexError::Locked`] while somebody writes it.
    pub fn erase(dir: &Path) -> Result<(), IndexError> {
        if !dir.try_exists().map_err(|error| IndexError::io(dir, error))? {
            return Ok(());
        }
        let store = lock(dir)?;
        let failed = |error| IndexError::io(dir, error);
        let names = store.names().map_err(failed)?;
        // Without its manifest, what is left after a crash is no collection.
        let (manifest, others): (Vec<_>, Vec<_>) = names.iter().partition(|name| *name == NAME);
        let others = others
            .into_iter()
            .filter(|name| *name == cache::NAME || is_unfinished(name) || is_numbered(name));
        for name in manifest.into_iter().chain(others) {
            store.remove(name).map_err(failed)?;
        }
        let lexical = dir.join(DirStore::LEXICAL);
        match fs::remove_dir_all(&lexical) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(IndexError::io(&lexical, error));
            }
            _ => {}
        }
        store.remove_lock().map_err(failed)
    }
}

/// Whether `name` is one of a file that a manifest names by kind and number.
pub(super) fn is_numbered(name: &str) -> bool {
    [CONTENT, CODES, CODEC].iter().any(|kind| {
        let number = name.strip_prefix(kind).and_then(|rest| rest.strip_prefix('-'));
        number.is_some_and(|it| it.len() == 16 && it.bytes().all(|b| b.is_ascii_hexdigit()))
    })
}

/// Whether `name` is one of a file whose writing was cut short.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_prefix(DirStore::TEMPORARY).is_some_and(|name| name == NAME || is_numbered(name))
}
