//! Using a group's releases: by command, and by themselves where the person wants that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use covey_crypto::Digest;
use covey_net::Link;
use covey_protocol::group::{CurrentRelease, Release};
use covey_protocol::ids::{GroupId, ModelId, Name};
use covey_protocol::round::{Check, Manifest};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::Learning;
use super::fetch::{Fetched, NotUsed};
use super::held::{Held, Shelf};
use super::releases::model_name;
use crate::api::{Adopt, AdoptedRelease, ApiError, ErrorCode, Reply};
use crate::node::Node;
use crate::rounds::{adapter, is_as_good, refused};

/// How often it is looked whether there is a new release.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pauses after one could not be had: from, to.
const AGAIN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3_600));
/// Looks after which old releases are looked at: a collection may have moved on from one.
const TIDY_EVERY: u64 = 60;

/// A new release that could not be used yet.
pub(super) struct Waiting {
    manifest: Digest,
    pub(super) why: String,
    again: Instant,
    pause: Duration,
}

impl<L: Link> Node<L> {
    /// Fetches the group's current release, checks that it is what the log says, judges it by own pairs, and uses it. `force` uses one that
    /// does worse.
    pub(crate) async fn model_adopt(&self, name: &Name, force: bool) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        let [current, _] = self.releases(id);
        let current = current.ok_or_else(|| {
            ApiError::new(ErrorCode::NotFound, format!("{name} has no release yet"))
        })?;
        let adopted = self.adopt(id, name, &current, force, &|_| Ok(())).await;
        adopted.map(Reply::Adopted).map_err(NotUsed::into_error)
    }

    /// Goes back to the model that was in use before the last release that was adopted, which is not adopted by itself again.
    pub(crate) async fn model_rollback(&self, name: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        let _one = self.learning.adopting.lock().await;
        let [current, _] = self.releases(id);
        let before = self.learning.shelf(id)?.before.ok_or_else(|| {
            let message =
                format!("no release of {name} is in use here that was adopted, so there is nothing to go back from");
            ApiError::new(ErrorCode::NotFound, message)
                .hint("`covey model list` shows what is here, `covey model use` chooses")
        })?;
        // If that fails, there is still somewhere to go back to.
        let used = self.model_use(before).await?;
        self.learning.shelve(id, |shelf| {
            shelf.before = None;
            let last = shelf.adopted.into_iter();
            let all: BTreeSet<_> = last.chain(current.map(|it| it.release.manifest)).collect();
            for manifest in all {
                shelf.decline(manifest, "you went back from it".to_owned());
            }
        })?;
        Ok(used)
    }

    /// Says what becomes of new releases.
    pub(crate) async fn model_follow(&self, name: &Name, adopt: Adopt) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        self.learning.shelve(id, |shelf| shelf.follow = Some(adopt))?;
        self.learning.state().waits.remove(&id);
        self.release_list(id).await
    }

    /// Adopts new releases where the person wants that, for as long as the node runs.
    pub(crate) async fn follow_releases(&self) {
        let mut busy = BTreeMap::new();
        let mut tasks = JoinSet::new();
        for look in 0_u64.. {
            for group in self.groups.active() {
                let Some(current) = self.releases(group)[0] else { continue };
                let manifest = current.release.manifest;
                let early = self.learning.state().waits.get(&group).is_some_and(|waiting| {
                    waiting.manifest == manifest && Instant::now() < waiting.again
                });
                if early || busy.values().any(|of| *of == group) {
                    continue;
                }
                let node = self.clone();
                let task = tasks.spawn(async move {
                    if look % TIDY_EVERY == 0 {
                        node.tidy(group).await;
                    }
                    (group, manifest, node.adopt_if_new(group, &current).await)
                });
                busy.insert(task.id(), group);
            }
            sleep(LOOK_EVERY).await;
            while let Some(ended) = tasks.try_join_next_with_id() {
                match ended {
                    Ok((task, (group, manifest, adopted))) => {
                        busy.remove(&task);
                        self.learning.waits(group, manifest, adopted.err());
                    }
                    Err(error) => {
                        busy.remove(&error.id());
                        tracing::error!(%error, "adopting a release failed; this is a bug");
                    }
                }
            }
        }
    }

    /// Adopts the current release if it is new and the person wants that. An error is a reason to try again later.
    async fn adopt_if_new(&self, id: GroupId, current: &CurrentRelease) -> Result<(), ApiError> {
        let shelf = self.learning.shelf(id)?;
        let manifest = current.release.manifest;
        let known = shelf.adopted == Some(manifest) || shelf.declined(&manifest).is_some();
        if known || self.adopts(id, &shelf)? != Adopt::Auto {
            return Ok(());
        }
        let models = self.models.clone();
        let used = self.env.compute(move || models.current()).await?;
        if used.id == current.release.model {
            return self.learning.shelve(id, |shelf| shelf.adopted = Some(manifest));
        }
        let name = self.groups.name_of(id).ok_or_else(crate::groups::gone)?;
        let now = self.env.now();
        if !shelf.may_try(&manifest, now) {
            let message = format!(
                "another release of the group was tried within a day, and this node tries no more by itself; `covey model adopt {name}` tries this one now"
            );
            return Err(ApiError::new(ErrorCode::Busy, message));
        }
        self.learning.shelve(id, |shelf| shelf.tried = Some((manifest, now)))?;
        let ours = shelf.held.iter().any(|held| held.model == used.id);
        // A model that the person chose, or of another group, is not replaced behind their back.
        let look = |manifest: &Manifest| {
            let shelf = self.learning.shelf(id)?;
            let declined = shelf.declined(&current.release.manifest).is_some();
            if declined || self.adopts(id, &shelf)? != Adopt::Auto {
                let message = "it was decided otherwise meanwhile";
                return Err(NotUsed::Failed(ApiError::new(ErrorCode::Cancelled, message)));
            }
            if ours || manifest.base == used.id {
                return Ok(());
            }
            let message = format!(
                "{} is in use here, and the release is made of another model; `covey model adopt {name}` uses it",
                used.name
            );
            Err(NotUsed::Failed(ApiError::new(ErrorCode::WrongModel, message)))
        };
        match self.adopt(id, &name, current, false, &look).await {
            Ok(adopted) => {
                tracing::info!(group = %name, number = adopted.number, "a release is adopted");
                Ok(())
            }
            // It is remembered why.
            Err(NotUsed::Declined(_)) => Ok(()),
            Err(NotUsed::Failed(error)) => Err(error),
        }
    }

    /// What becomes of new releases of a group.
    pub(super) fn adopts(&self, id: GroupId, shelf: &Shelf) -> Result<Adopt, ApiError> {
        if let Some(follow) = shelf.follow {
            return Ok(follow);
        }
        let choice = self.learning.choice(id)?;
        Ok(choice.map_or(Adopt::Ask, |choice| choice.adopt.unwrap_or_default()))
    }

    async fn adopt(
        &self,
        id: GroupId,
        name: &Name,
        current: &CurrentRelease,
        force: bool,
        look: &(dyn Fn(&Manifest) -> Result<(), NotUsed> + Sync),
    ) -> Result<AdoptedRelease, NotUsed> {
        let adopted = self.try_adopt(id, name, current, force, look).await;
        match &adopted {
            Ok(_) => self.tidy(id).await,
            Err(NotUsed::Declined(error)) => {
                let manifest = current.release.manifest;
                self.learning.shelve(id, |shelf| shelf.decline(manifest, error.to_string()))?;
            }
            Err(NotUsed::Failed(_)) => {}
        }
        adopted
    }

    async fn try_adopt(
        &self,
        id: GroupId,
        name: &Name,
        current: &CurrentRelease,
        force: bool,
        look: &(dyn Fn(&Manifest) -> Result<(), NotUsed> + Sync),
    ) -> Result<AdoptedRelease, NotUsed> {
        let fetched = self.fetch(id, current, look).await?;
        let _one = self.learning.adopting.lock().await;
        // Fetching may have taken long, and the group may have been left since.
        self.groups.name_of(id).ok_or_else(crate::groups::gone)?;
        look(&fetched.manifest)?;
        let number = current.release.number;
        let judged = self.judge(id, &fetched).await?;
        if let Some((before, after)) = judged
            && !is_as_good(before, after)
            && !force
        {
            let message = format!(
                "release {number} does worse on pairs of your own files: loss {after:.4}, and {before:.4} without it"
            );
            let error = ApiError::new(ErrorCode::Forbidden, message)
                .hint(format!("covey model adopt {name} --force uses it all the same"));
            return Err(NotUsed::Declined(error));
        }
        let Fetched { signed, manifest, values } = fetched;
        let called = model_name(name, number, &manifest.values.digest);
        let (models, learning, release) =
            (self.models.clone(), self.learning.clone(), current.release);
        let install = move || {
            let model = match models.get(release.model) {
                Some(there) => there,
                None => {
                    let config = adapter(&manifest.adapter)?;
                    if models.list()?.iter().any(|there| there.name == called) {
                        let message = format!(
                            "there is a model called {called} here, which is another one than the release"
                        );
                        return Err(NotUsed::Failed(
                            ApiError::new(ErrorCode::Exists, message)
                                .hint(format!("covey model remove {called}")),
                        ));
                    }
                    let made = models.adapted(manifest.base, config, values.clone(), &called)?;
                    if made.id != release.model {
                        // It was made right here, so it is nobody else's.
                        models.remove(&made.name)?;
                        return Err(NotUsed::Declined(refused(&Check::Model)));
                    }
                    made
                }
            };
            let (of, name) = (manifest.values, model.name.clone());
            let Release { number, model: id_of, manifest: digest } = release;
            let held = Held { number, model: id_of, manifest: digest, values: of, name };
            // First that it is here, so that whatever follows is deleted with it.
            learning.shelve(id, |shelf| shelf.put(held))?;
            learning.keep_release(id, &signed, of, &values)?;
            Ok((model.name, models.current()?.name))
        };
        let (used, before) = self.env.compute(install).await?;
        self.model_use(used.clone()).await?;
        self.learning.shelve(id, |shelf| {
            shelf.accept(&release.manifest);
            shelf.adopted = Some(release.manifest);
            if before != used {
                shelf.before = Some(before);
            }
        })?;
        self.learning.state().waits.remove(&id);
        Ok(AdoptedRelease { number, model: used, loss: judged })
    }

    /// The loss of own held-out pairs with what is used now, and with a release.
    async fn judge(&self, id: GroupId, fetched: &Fetched) -> Result<Option<(f64, f64)>, ApiError> {
        let manifest = &fetched.manifest;
        let models = self.models.clone();
        let used = self.env.compute(move || models.current()).await?.id;
        // Of a release of before the values are here; anything else is compared with as the model without an adapter.
        let shelf = self.learning.shelf(id)?;
        let before = shelf
            .held
            .iter()
            .find(|held| held.model == used && held.values.values == manifest.values.values);
        let alike = |of: &Held| -> Result<bool, ApiError> {
            let before = self.learning.said(id, &of.manifest)?;
            Ok(before
                .is_some_and(|it| (it.base, &it.adapter) == (manifest.base, &manifest.adapter)))
        };
        let before = match before {
            Some(held) if alike(held)? => self.learning.values(id, &held.values)?,
            Some(_) | None => None,
        };
        let sources = match self.learning.choice(id)? {
            Some(choice) => (choice.collections, choice.pairs),
            None => (self.collections.names(), Vec::new()),
        };
        let config = adapter(&manifest.adapter)?;
        self.compare_own(sources, manifest.base, config, before, fetched.values.clone()).await
    }

    /// Deletes releases that are neither in use nor among those that are kept.
    pub(super) async fn tidy(&self, id: GroupId) {
        let Ok(shelf) = self.learning.shelf(id) else { return };
        if shelf.held.len() <= shelf.keep() as usize {
            return;
        }
        let node = self.clone();
        let tidied = self.env.compute(move || node.tidy_now(id)).await;
        if let Err(error) = tidied {
            tracing::warn!(%error, "old releases cannot be deleted");
        }
    }

    fn tidy_now(&self, id: GroupId) -> Result<(), ApiError> {
        let mut used = self.models_in_use()?;
        used.extend(self.releases(id)[0].map(|current| current.release.model));
        let others = self.gone_back_to(id)?;
        let spare = self.learning.shelve(id, |shelf| {
            // Who keeps no old ones goes back to none either.
            let before = shelf.before.clone().filter(|_| shelf.keep() > 0);
            let named =
                |held: &Held| others.contains(&held.name) || before.as_ref() == Some(&held.name);
            let spare = shelf.spare(|held| used.contains(&held.model) || named(held));
            if spare.iter().any(|held| shelf.before.as_ref() == Some(&held.name)) {
                shelf.before = None;
            }
            spare
        })?;
        for held in &spare {
            self.learning.drop_release(id, held)?;
        }
        self.remove_models(&spare)
    }

    /// The models that questions and collections are served with.
    pub(super) fn models_in_use(&self) -> Result<BTreeSet<ModelId>, ApiError> {
        let mut used = self.collections.releases();
        used.insert(self.models.current()?.id);
        Ok(used)
    }

    /// What other groups' rollbacks go back to: a release of one group may have taken the place of another's.
    pub(super) fn gone_back_to(&self, from: GroupId) -> Result<BTreeSet<String>, ApiError> {
        let groups = self.groups.names().into_iter().map(|(_, id)| id);
        let shelves = groups.filter(|id| *id != from).map(|id| self.learning.shelf(id));
        shelves.filter_map(|shelf| shelf.map(|shelf| shelf.before).transpose()).collect()
    }

    /// Deletes the models of releases, those that are here still what they were.
    pub(super) fn remove_models(&self, spare: &[Held]) -> Result<(), ApiError> {
        let here = self.models.list()?;
        for held in spare {
            if here.iter().any(|entry| entry.name == held.name && entry.id == held.model) {
                self.models.remove(&held.name)?;
            }
            tracing::info!(model = %held.name, "an old release is deleted");
        }
        Ok(())
    }
}

impl Learning {
    /// Notes whether a release waits to be used, each time longer than before.
    fn waits(&self, group: GroupId, manifest: Digest, error: Option<ApiError>) {
        let mut state = self.state();
        let last = state.waits.remove(&group).filter(|waiting| waiting.manifest == manifest);
        let Some(error) = error else { return };
        tracing::info!(%error, "a release is not adopted yet");
        let pause = last.map_or(AGAIN.0, |waiting| (2 * waiting.pause).min(AGAIN.1));
        let again = Instant::now() + pause;
        let why = error.to_string();
        state.waits.insert(group, Waiting { manifest, why, again, pause });
    }
}
