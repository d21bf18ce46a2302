//! A node's own collections: names over indexes, searched while they are brought up to date.
//!
//! Everything here may block (it reads files and runs the model); the node calls it where it computes.

mod adopt;
mod change;
mod cost;
mod export;
mod goals;
mod imported;
mod mine;
mod record;
mod search;
mod slot;
mod tune;
mod upkeep;
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_crypto::Digest;
use covey_index::{Collection, Files, IndexError};
use covey_privacy::ledger::CollectionKey;
use covey_protocol::ids::{ModelId, Name};

pub(crate) use change::Meter;
pub(crate) use imported::key_of_pairs;
pub use search::{LocalHit, LocalSearch, Query};
pub use slot::Moving;
pub use vectors::{Vectors, embed};

use crate::api::{ApiError, ErrorCode, TunedInfo};
use crate::env::Env;
use crate::models::Models;
use crate::store::{IndexPlace, Kv, StoreError, Table};
use adopt::Signals;
use record::{Record, RecordError};
use slot::Slot;

/// Most collections of one node.
pub const MAX_COLLECTIONS: usize = 256;

/// The collections of a node.
pub struct Collections {
    env: Env,
    kv: Arc<dyn Kv>,
    place: IndexPlace,
    files: Arc<dyn Files>,
    models: Arc<dyn Models>,
    max_file_bytes: u64,
    slots: Mutex<BTreeMap<Name, Arc<Slot>>>,
    signals: Signals,
}

/// What is known of a collection without searching it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its name.
    pub name: Name,
    /// Files and folders in it.
    pub roots: Vec<PathBuf>,
    /// Files indexed.
    pub files: u64,
    /// Chunks that can be found.
    pub chunks: u64,
    /// Chunks of changed or removed files that still take space.
    pub dead_chunks: u64,
    /// Bytes of its index, without that of its words.
    pub index_bytes: u64,
    /// Bytes of the index of its words.
    pub lexical_bytes: u64,
    /// Bytes of text indexed.
    pub text_bytes: u64,
    /// The model it was built with.
    pub model: ModelId,
    /// Why it cannot be searched, if so.
    pub problem: Option<String>,
    /// The goals it is kept at, if any.
    pub tuned: Option<TunedInfo>,
    /// How far it is on its way to another release of the model, if it is.
    pub moving: Option<Moving>,
}

/// What collections are made of.
pub(crate) struct Ground {
    pub(crate) env: Env,
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) place: IndexPlace,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) models: Arc<dyn Models>,
    pub(crate) max_file_bytes: u64,
}

impl Collections {
    /// Opens every collection the key-value store knows. A damaged one is kept with its problem, so
    /// that the others go on working; one whose record is damaged is passed over, and its files stay.
    ///
    /// # Errors
    /// If the store fails, or a newer version of this program wrote a record.
    pub(crate) fn open(ground: Ground) -> Result<Self, StoreError> {
        let Ground { env, kv, place, files, models, max_file_bytes } = ground;
        let (mut slots, mut all_known) = (BTreeMap::new(), true);
        for (key, value) in kv.scan(Table::Collections, b"")? {
            let name = std::str::from_utf8(&key).ok().and_then(|name| name.parse::<Name>().ok());
            let decoded = Record::decode(&value);
            if let Err(RecordError::Newer { found, expected }) = decoded {
                let path = format!("the record of collection {}", String::from_utf8_lossy(&key));
                return Err(StoreError::Version { path: path.into(), found, expected });
            }
            let (Some(name), Ok(mut record)) = (name, decoded) else {
                all_known = false;
                tracing::error!(
                    "a collection's record in the state database is damaged, so it is passed over; its index \
                     is kept. Restore a backup with `covey restore`, or add its folders again"
                );
                continue;
            };
            let opened = open_index(&place, &record);
            if let Ok(Some(index)) = &opened {
                record.model = model_of(index);
            }
            let slot = Slot::new(name.clone(), record, opened);
            slots.insert(name, Arc::new(slot));
        }
        if all_known {
            remove_orphans(&place, slots.values());
        }
        let slots = Mutex::new(slots);
        Ok(Self {
            env,
            kv,
            place,
            files,
            models,
            max_file_bytes,
            slots,
            signals: Signals::default(),
        })
    }

    /// One collection that is recorded nowhere: `opened` is the index in the folder called `dir` in the place
    /// that `ground` names, `None` where it is still to be made with `model`.
    pub(crate) fn of_one(
        ground: Ground,
        name: Name,
        dir: String,
        model: ModelId,
        opened: Option<Collection>,
    ) -> Self {
        let Ground { env, kv, place, files, models, max_file_bytes } = ground;
        let mut record = Record::new(dir, model);
        for root in opened.iter().flat_map(Collection::roots) {
            record.add_root(root);
        }
        let slot = Slot::new(name.clone(), record, Ok(opened));
        let slots = Mutex::new([(name, Arc::new(slot))].into());
        Self { env, kv, place, files, models, max_file_bytes, slots, signals: Signals::default() }
    }

    /// All collections, by name.
    pub fn summaries(&self) -> Vec<Summary> {
        let summary = |slot: Arc<Slot>| {
            let stats = slot.stats();
            Summary {
                name: slot.name.clone(),
                roots: slot.record().roots(),
                files: stats.files as u64,
                chunks: stats.chunks as u64,
                dead_chunks: stats.dead_chunks as u64,
                index_bytes: stats.index_bytes,
                lexical_bytes: stats.lexical_bytes,
                text_bytes: stats.text_bytes,
                model: slot.model(),
                problem: slot.problem(),
                tuned: slot.record().tuned.map(|tuned| tuned.told()),
                moving: slot.moving(),
            }
        };
        self.slots().into_iter().map(summary).collect()
    }

    /// Whether there is a collection called `name`.
    pub fn contains(&self, name: &Name) -> bool {
        self.lock().contains_key(name)
    }

    /// Whether there is no collection at all.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// The models of those of `names` that can be searched.
    pub fn models_of(&self, names: &BTreeSet<Name>) -> BTreeSet<ModelId> {
        let slots = self.slots().into_iter();
        let ready = slots.filter(|slot| names.contains(&slot.name) && slot.problem().is_none());
        ready.map(|slot| slot.model()).collect()
    }

    fn slots(&self) -> Vec<Arc<Slot>> {
        self.lock().values().cloned().collect()
    }

    /// What tells the folders of a collection apart in the privacy ledger: for as long as they are where they are, under
    /// whatever collection.
    pub(crate) fn keys_of(&self, name: &Name) -> Result<Vec<CollectionKey>, ApiError> {
        Ok(self.slot(name)?.record().roots().iter().map(|root| key_of_folder(root)).collect())
    }

    /// The same, with the folders of other collections that lie within one of these, or around it: what is learnt from these may be of those, too.
    pub(crate) fn charged_keys_of(&self, name: &Name) -> Result<Vec<CollectionKey>, ApiError> {
        let own = self.slot(name)?.record().roots();
        let all: BTreeSet<PathBuf> =
            self.slots().iter().flat_map(|slot| slot.record().roots()).collect();
        let shares =
            |root: &&PathBuf| own.iter().any(|own| root.starts_with(own) || own.starts_with(root));
        Ok(all.iter().filter(shares).map(|root| key_of_folder(root)).collect())
    }

    fn slot(&self, name: &Name) -> Result<Arc<Slot>, ApiError> {
        self.lock().get(name).cloned().ok_or_else(|| {
            ApiError::new(ErrorCode::NotFound, format!("there is no collection called {name}"))
                .hint("`covey status` lists them; `covey add FOLDER` makes one")
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of_folder(root: &Path) -> CollectionKey {
    let digest = Digest::of("covey privacy collection 1", &[root.as_os_str().as_bytes()]);
    CollectionKey(*digest.as_bytes())
}

pub(crate) fn model_of(index: &Collection) -> ModelId {
    let id = index.encoder_id();
    ModelId { base: Digest::from_bytes(id.base), release: Digest::from_bytes(id.release) }
}

/// The index of a recorded collection: `None` where its first indexing was cut short.
fn open_index(place: &IndexPlace, record: &Record) -> Result<Option<Collection>, String> {
    let IndexPlace::Disk(base) = place else { return Ok(None) };
    match Collection::open(&base.join(&record.dir)) {
        Ok(index) => Ok(Some(index)),
        Err(IndexError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Removes index folders that no record names: what a killed rebuild leaves.
fn remove_orphans<'a>(place: &IndexPlace, slots: impl Iterator<Item = &'a Arc<Slot>>) {
    let IndexPlace::Disk(base) = place else { return };
    let known: BTreeSet<String> = slots.map(|slot| slot.record().dir).collect();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if is_index_dir(&name)
            && !known.contains(&name)
            && let Err(error) = std::fs::remove_dir_all(base.join(name))
        {
            tracing::warn!(%error, "cannot remove an index folder that is no longer used");
        }
    }
}

/// Whether `name` is one that [`change`] gives: a `c` and sixteen hex digits.
fn is_index_dir(name: &str) -> bool {
    name.len() == 17
        && name.starts_with('c')
        && name[1..].bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
