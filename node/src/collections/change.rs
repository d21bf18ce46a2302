//! Adding to, taking from and rebuilding collections.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use covey_index::{Collection, IndexError, Settings, Stage, UpdateReport};
use covey_protocol::ids::Name;

use super::cost::settings;
use super::record::Record;
use super::slot::{Claim, Slot, View};
use super::{Collections, IndexPlace, MAX_COLLECTIONS};
use crate::api::{Added, ApiError, ErrorCode, Profile, Progress, Skipped};
use crate::cancel::CancelFlag;
use crate::errors;
use crate::models::ModelHandle;
use crate::store::{Table, Write};

/// Most skipped files that one report lists.
const MAX_SKIPPED: usize = 1_000;

/// Told how far a change has come.
pub(crate) type Meter<'a> = &'a mut dyn FnMut(Progress);

impl Collections {
    /// Indexes `path` into the collection called `name` (by default, as the folder or file is),
    /// making it where there is none, or brings it up to date.
    pub(crate) fn add(
        &self,
        path: &Path,
        name: Option<Name>,
        profile: Option<Profile>,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<Added, ApiError> {
        let root = self.resolve(path)?;
        let name = match name {
            Some(name) => name,
            None => self.name_for(&root)?,
        };
        let model = self.models.current()?;
        let slot = self.slot_or_new(&name, &model)?;
        let mut claim = slot.claim()?;
        let model = self.model_for(&slot)?;
        check_whole(&slot, &root)?;
        check_profile(&claim, profile)?;
        let is_new = claim.index.is_none() && slot.record().roots().is_empty();
        let had_folder = self.folder(&slot.record()).is_some_and(|dir| dir.exists());
        let result = self.add_root(&mut claim, &root, profile, &model, meter, cancel);
        let empty = claim.index.as_ref().is_none_or(|index| index.stats().chunks == 0);
        if empty && is_new && (result.is_err() || cancel.is_cancelled()) {
            // Nothing was there before and nothing came of it: leave no trace.
            claim.index = None;
            drop(claim);
            self.forget(&slot)?;
            if had_folder {
                self.erase(&slot.record());
            } else {
                self.remove_index(&slot.record());
            }
        }
        cancel.check()?;
        result
    }

    /// The name that `root` goes by where none was given: never that of a collection of other folders, which may be
    /// shared.
    fn name_for(&self, root: &Path) -> Result<Name, ApiError> {
        let name = default_name(root)?;
        let roots = self.slot(&name).map_or_else(|_| Vec::new(), |slot| slot.record().roots());
        let Some(other) = roots.first().filter(|_| !roots.iter().any(|known| known == root)) else {
            return Ok(name);
        };
        let message = format!("there is a collection {name} already, of {}", other.display());
        Err(ApiError::new(ErrorCode::Exists, message).hint(format!(
            "add to it with `--collection {name}`, or choose another name with `--collection NAME`"
        )))
    }

    fn add_root(
        &self,
        claim: &mut Claim,
        root: &Path,
        profile: Option<Profile>,
        model: &ModelHandle,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<Added, ApiError> {
        let slot = Arc::clone(claim.slot());
        let mut record = slot.record();
        let dir = record.dir.clone();
        if record.add_root(root) {
            self.kv.write(vec![record.put(&slot.name)])?;
            slot.set_record(record);
        }
        let index = match &mut claim.index {
            Some(index) => index,
            none => {
                let settings = settings(profile, self.is_slow(model.id));
                none.insert(self.make(&slot.name, &dir, model, settings)?)
            }
        };
        let report = self.update(index, &slot.name, root, model, meter, cancel)?;
        claim.publish();
        self.keep_tuned(claim, model, meter, cancel);
        Ok(added(&slot.name, report))
    }

    /// Forgets `path` of collection `name`, or all of it.
    pub(crate) fn remove(&self, name: &Name, path: Option<&Path>) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        let mut claim = slot.claim()?;
        let Some(path) = path else {
            claim.index = None;
            drop(claim);
            self.forget(&slot)?;
            self.remove_index(&slot.record());
            return Ok(());
        };
        // A folder that is gone is known by the name it was added under.
        let root = self.files.resolve(path).unwrap_or_else(|_| path.to_path_buf());
        let mut record = slot.record();
        if !record.remove_root(&root) {
            return Err(not_of(name, &root));
        }
        if let Some(index) = &mut claim.index {
            match index.remove_root(&root) {
                Ok(_) | Err(IndexError::UnknownRoot { .. }) => {}
                Err(error) => return Err(errors::index(name, error)),
            }
        }
        self.kv.write(vec![record.put(name)])?;
        slot.set_record(record);
        Ok(())
    }

    /// Builds collection `name` anew from its folders with the current model. Until that is done,
    /// searches see it as it was. See [`all_there`](Self::all_there) for what to ask before.
    pub(crate) fn reindex(
        &self,
        name: &Name,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<Added, ApiError> {
        let model = self.models.current()?;
        let slot = self.slot(name)?;
        let mut claim = slot.claim()?;
        let old = slot.record();
        let mut record = Record::new(self.new_dir(), model.id);
        record.tuned = old.tuned.clone();
        let settings = match slot.settings() {
            Some(settings) => self.settings_for(settings, old.model, model.id),
            None => settings(None, self.is_slow(model.id)),
        };
        let made = self.make(name, &record.dir, &model, settings);
        let rebuilt = made.and_then(|index| {
            self.rebuild(index, name, old.roots(), &mut record, &model, meter, cancel)
        });
        let (index, total) = match rebuilt {
            Ok(rebuilt) => rebuilt,
            Err(error) => {
                self.remove_index(&record);
                return Err(error);
            }
        };
        self.kv.write(vec![record.put(name)])?;
        slot.set_record(record);
        claim.index = Some(index);
        claim.publish();
        self.remove_index(&old);
        self.keep_tuned(&mut claim, &model, meter, cancel);
        Ok(total)
    }

    /// That building `name` anew loses nothing: every folder of it can be reached, or its index
    /// answers nothing as it is.
    pub(crate) fn all_there(&self, name: &Name) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        if slot.settings().is_none() || slot.model() != self.models.current()?.id {
            return Ok(());
        }
        for root in slot.record().roots() {
            if let Err(error) = self.files.resolve(&root) {
                let root = root.display();
                let message = format!(
                    "{root} cannot be read ({error}): building {name} anew would lose what is indexed of it"
                );
                return Err(ApiError::new(ErrorCode::NotFound, message).hint(format!(
                    "bring it back, or take it out of the collection: covey remove {name} \"{root}\""
                )));
            }
        }
        Ok(())
    }

    /// Brings `path`, a file or folder of collection `name`, up to date.
    pub(crate) fn refresh(
        &self,
        name: Name,
        path: &Path,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<Added, ApiError> {
        let root = self.resolve(path)?;
        if root != path || !self.slot(&name)?.record().roots().contains(&root) {
            return Err(not_of(&name, path));
        }
        self.add(path, Some(name), None, meter, cancel)
    }

    /// Indexes `roots` into an empty index. A root that is gone is reported as skipped; should it come back, the
    /// next rebuild takes it in again.
    #[expect(clippy::too_many_arguments, reason = "what is rebuilt, from what, and who is told")]
    fn rebuild(
        &self,
        mut index: Collection,
        name: &Name,
        roots: Vec<PathBuf>,
        record: &mut Record,
        model: &ModelHandle,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<(Collection, Added), ApiError> {
        let mut total = added(name, UpdateReport::default());
        for root in roots {
            record.add_root(&root);
            if let Err(error) = self.files.resolve(&root) {
                total.skipped.push(Skipped { path: root, reason: error.to_string() });
                total.skipped_total += 1;
                continue;
            }
            let report = self.update(&mut index, name, &root, model, meter, cancel)?;
            cancel.check()?;
            sum(&mut total, added(name, report));
        }
        Ok((index, total))
    }

    /// The names of all collections.
    pub(crate) fn names(&self) -> Vec<Name> {
        self.lock().keys().cloned().collect()
    }

    fn resolve(&self, path: &Path) -> Result<PathBuf, ApiError> {
        self.files.resolve(path).map_err(|error| {
            let message = format!("{} cannot be read: {error}", path.display());
            ApiError::new(ErrorCode::NotFound, message).hint("check the path and its permissions")
        })
    }

    fn slot_or_new(&self, name: &Name, model: &ModelHandle) -> Result<Arc<Slot>, ApiError> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(name) {
            return Ok(Arc::clone(slot));
        }
        if slots.len() >= MAX_COLLECTIONS {
            let message = format!("there are {MAX_COLLECTIONS} collections already");
            return Err(ApiError::new(ErrorCode::Usage, message)
                .hint("add the folder to one of them with `--collection NAME`"));
        }
        let record = Record::new(self.new_dir(), model.id);
        let slot = Arc::new(Slot::new(name.clone(), record, Ok(None)));
        slots.insert(name.clone(), Arc::clone(&slot));
        Ok(slot)
    }

    fn new_dir(&self) -> String {
        format!("c{:016x}", self.env.next_u64())
    }

    fn make(
        &self,
        name: &Name,
        dir: &str,
        model: &ModelHandle,
        settings: Settings,
    ) -> Result<Collection, ApiError> {
        let made = match &self.place {
            IndexPlace::Memory => Collection::in_memory(&*model.encoder),
            IndexPlace::Disk(base) => Collection::create(&base.join(dir), &*model.encoder),
        };
        let made = made.and_then(|mut index| {
            index.set_settings(settings)?;
            Ok(index)
        });
        made.map_err(|error| errors::index(name, error))
    }

    pub(super) fn update(
        &self,
        index: &mut Collection,
        name: &Name,
        root: &Path,
        model: &ModelHandle,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<UpdateReport, ApiError> {
        let (encoder, options) = (&*model.encoder, self.options());
        index
            .update(root, &*self.files, encoder, &options, &mut self.told(meter, cancel))
            .map_err(|error| errors::index(name, error))
    }

    /// Removes a collection, whose index is still to be removed; its claim must be released.
    fn forget(&self, slot: &Slot) -> Result<(), ApiError> {
        let key = slot.name.as_str().as_bytes().to_vec();
        self.kv.write(vec![Write::Delete(Table::Collections, key)])?;
        self.lock().remove(&slot.name);
        Ok(())
    }

    /// Removes an index's files, and no others. A failure costs space only.
    fn erase(&self, record: &Record) {
        let Some(dir) = self.folder(record) else { return };
        if let Err(error) = Collection::erase(&dir) {
            tracing::warn!(%error, "cannot remove an index that is no longer used");
        }
    }

    /// Removes an index's files and its folder, unless something else is in it.
    fn remove_index(&self, record: &Record) {
        self.erase(record);
        if let Some(dir) = self.folder(record) {
            // What stays where a node keeps its indexes, the next start removes.
            let _ = std::fs::remove_dir(dir);
        }
    }

    fn folder(&self, record: &Record) -> Option<PathBuf> {
        match &self.place {
            IndexPlace::Disk(base) => Some(base.join(&record.dir)),
            IndexPlace::Memory => None,
        }
    }
}

/// Refuses to give a collection that is there another profile in passing.
fn check_profile(claim: &Claim, profile: Option<Profile>) -> Result<(), ApiError> {
    let (Some(index), Some(profile)) = (&claim.index, profile) else { return Ok(()) };
    if index.settings().profile() == Some(profile.into()) {
        return Ok(());
    }
    let name = &claim.slot().name;
    let message = format!("collection {name} is there already, with other settings");
    let profile = covey_index::Profile::from(profile).name();
    Err(ApiError::new(ErrorCode::Exists, message)
        .hint(format!("change them with `covey index profile {name} {profile}`")))
}

/// Refuses to add `root` to a collection that misses other folders it should hold.
fn check_whole(slot: &Slot, root: &Path) -> Result<(), ApiError> {
    let problem = match slot.view() {
        View::Ready(_) => return Ok(()),
        View::Unmade if slot.record().roots().iter().all(|known| known == root) => return Ok(()),
        View::Unmade => "its index is missing".to_owned(),
        View::Broken(problem) => problem,
    };
    let name = &slot.name;
    let message = format!("collection {name} cannot be added to: {problem}");
    Err(ApiError::new(ErrorCode::Corrupt, message)
        .hint(format!("rebuild it from its folders with `covey reindex {name}`")))
}

/// A collection is called as its folder or file, unless that is no valid name.
fn default_name(root: &Path) -> Result<Name, ApiError> {
    let name = root.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    name.ok_or_else(|| {
        let message = format!("{} does not make a name for a collection", root.display());
        ApiError::new(ErrorCode::Usage, message).hint("choose one with `--collection NAME`")
    })
}

pub(super) fn progress(at: &covey_index::Progress) -> Progress {
    let (stage, done, total) = match at.stage {
        Stage::Scanning => ("scanning", at.files_seen, None),
        Stage::Embedding => ("indexing", at.chunks_embedded, Some(at.chunks_expected)),
        Stage::Merging => ("merging", at.chunks_embedded, Some(at.chunks_expected)),
    };
    Progress {
        stage: stage.to_owned(),
        done: done as u64,
        total: total.map(|total| total.max(done) as u64),
        item: Some(at.path.display().to_string()),
    }
}

fn not_of(name: &Name, path: &Path) -> ApiError {
    let message = format!("{} is not in collection {name}", path.display());
    ApiError::new(ErrorCode::NotFound, message)
        .hint("`covey status` shows the folders of each collection")
}

fn added(name: &Name, report: UpdateReport) -> Added {
    let skipped = report.skipped.into_iter().take(MAX_SKIPPED);
    Added {
        collection: name.clone(),
        added: report.added as u64,
        changed: report.changed as u64,
        removed: report.removed as u64,
        unchanged: report.unchanged as u64,
        embedded: report.embedded as u64,
        chunks: report.chunks as u64,
        skipped: skipped
            .map(|(path, reason)| Skipped { path, reason: reason.to_string() })
            .collect(),
        skipped_total: report.skipped_count as u64,
        elapsed_ms: 0,
    }
}

/// Adds what one more root brought to a report.
fn sum(total: &mut Added, more: Added) {
    total.added += more.added;
    total.changed += more.changed;
    total.removed += more.removed;
    total.unchanged += more.unchanged;
    total.embedded += more.embedded;
    total.chunks = more.chunks;
    total.skipped.extend(more.skipped);
    total.skipped.truncate(MAX_SKIPPED);
    total.skipped_total += more.skipped_total;
}
