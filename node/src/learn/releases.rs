//! Releases of the shared model: made of the coordinator's checkpoint, named in the group's log, fetched, checked and adopted.

use covey_crypto::Digest;
use covey_embedder::train::{Examples, PairRules, TrainOptions, Trainer};
use covey_net::Link;
use covey_protocol::group::{self, Log, Wish};
use covey_protocol::ids::{GroupId, ModelId, Name, NodeId};
use covey_protocol::limits::MAX_RELEASES;
use covey_protocol::round::{Check, Manifest, Start};
use covey_protocol::wire::v1::round::{RoundAnswer, RoundAsk};

use super::ask::unexpected;
use super::prepare::adapter;
use super::take_part::refused;
use crate::api::{AdoptedRelease, ApiError, ErrorCode, ReleaseInfo, Reply};
use crate::cancel::CancelFlag;
use crate::node::Node;

/// Share of own documents whose pairs a release is judged by.
const JUDGED: f64 = 0.5;
/// Pairs of one document that it is judged by.
const PER_DOCUMENT: usize = 4;
/// A release is worse if it does worse by more than this share.
const WORSE: f64 = 0.02;

impl<L: Link> Node<L> {
    /// As the coordinator: makes the checkpoint the group's next release.
    pub(crate) async fn model_release(&self, name: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        let view = self.group_view(id).ok_or_else(|| {
            let message = format!("this node does not coordinate {name}");
            ApiError::new(ErrorCode::Forbidden, message)
        })?;
        let coordinator = self.coordinator(id).await?;
        let parent = self.releases(id)[0].map(|release| release.model);
        let (models, now) = (self.models.clone(), self.env.now());
        let (name, number) = (name.clone(), view.release + 1);
        let making = move || {
            let failed = |error| super::calls::failed(&error);
            let (base, config, values) = coordinator.checkpoint().map_err(failed)?;
            let digest = Start::digest(&values);
            let called = model_name(&name, number, &digest);
            let model = models.adapted(base, adapter(&config)?, values, &called)?;
            coordinator.release(model.id, &digest, parent, &view, now).map_err(failed)
        };
        let release = self.env.compute(making).await?;
        self.wish(id, Wish::Release(release)).await?;
        self.release_list(id)
    }

    pub(crate) fn model_releases(&self, name: &Name) -> Result<Reply, ApiError> {
        self.release_list(self.groups.find(name)?)
    }

    /// Fetches the group's current release, checks that it is what the log says, judges it by own pairs, and uses it. `force` uses one that
    /// does worse.
    pub(crate) async fn model_adopt(&self, name: &Name, force: bool) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        let [current, _] = self.releases(id);
        let release = current.ok_or_else(|| {
            ApiError::new(ErrorCode::NotFound, format!("{name} has no release yet"))
        })?;
        let coordinator = self.groups.view(id, Log::coordinator).flatten();
        let (manifest, values) = self.fetch(id, coordinator, &release).await?;
        let judged = self.judge(id, &manifest, &values).await?;
        if let Some((before, after)) = judged
            && !is_as_good(before, after)
            && !force
        {
            let message = format!(
                "release {} does worse on pairs of your own files: loss {after:.4}, and {before:.4} without it",
                release.number
            );
            return Err(ApiError::new(ErrorCode::Forbidden, message)
                .hint(format!("covey model adopt {name} --force uses it all the same")));
        }
        let called = model_name(name, release.number, &manifest.values.digest);
        let models = self.models.clone();
        let wanted = manifest.model;
        let install = move || {
            if let Some(there) = models.get(wanted) {
                return Ok(there);
            }
            let config = adapter(&manifest.adapter)?;
            let made = models.adapted(manifest.base, config, values, &called)?;
            if made.id != wanted {
                models.remove(&made.name)?;
                return Err(refused(&Check::Model));
            }
            Ok(made)
        };
        let model = self.env.compute(install).await?;
        let used = model.name.clone();
        let models = self.models.clone();
        let before = self.env.compute(move || models.current()).await?.name;
        if before != used {
            let mut seen = self.learning.seen(id)?;
            seen.before = Some(before);
            self.learning.note(id, &seen)?;
        }
        self.model_use(used.clone()).await?;
        let (number, loss) = (release.number, judged);
        Ok(Reply::Adopted(AdoptedRelease { number, model: used, loss }))
    }

    /// Goes back to the model that was in use before the last release that was adopted.
    pub(crate) async fn model_rollback(&self, name: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        let mut seen = self.learning.seen(id)?;
        let used = seen.before.take().ok_or_else(|| {
            let message =
                format!("no release of {name} was adopted here, so there is nothing to go back to");
            ApiError::new(ErrorCode::NotFound, message)
                .hint("`covey model list` shows what is here, `covey model use` chooses")
        })?;
        self.learning.note(id, &seen)?;
        self.model_use(used).await
    }

    /// The release that this node uses first; then those that members may still use or use already: the group's last two,
    /// and what is here of the same lineage.
    pub(crate) fn releases_to_ask(
        &self,
        group: GroupId,
        current: ModelId,
    ) -> Result<Vec<ModelId>, ApiError> {
        let releases = self.releases(group);
        let here = self.models.list()?;
        let kin = here.iter().map(|entry| entry.id).filter(|id| id.base == current.base);
        let mut models = vec![current];
        for model in releases.into_iter().flatten().map(|release| release.model).chain(kin) {
            if models.len() < MAX_RELEASES && !models.contains(&model) {
                models.push(model);
            }
        }
        Ok(models)
    }

    fn releases(&self, id: GroupId) -> [Option<group::Release>; 2] {
        self.groups.view(id, Log::releases).unwrap_or_default()
    }

    fn release_list(&self, id: GroupId) -> Result<Reply, ApiError> {
        let here = self.models.list()?;
        let info = |release: group::Release| {
            let entry = here.iter().find(|entry| entry.id == release.model);
            ReleaseInfo {
                number: release.number,
                id: release.model,
                model: entry.map(|entry| entry.name.clone()),
                used: entry.is_some_and(|entry| entry.current),
            }
        };
        let releases = self.releases(id).into_iter().flatten().map(info).collect();
        Ok(Reply::Releases { releases })
    }

    /// A release's manifest, as the log names it, and its values.
    async fn fetch(
        &self,
        id: GroupId,
        coordinator: Option<NodeId>,
        release: &group::Release,
    ) -> Result<(Manifest, Vec<f32>), ApiError> {
        let coordinator = coordinator.ok_or_else(|| {
            let message = "nobody coordinates the group any more, so nobody has its releases";
            ApiError::new(ErrorCode::NotFound, message)
        })?;
        let ask = RoundAsk::Manifest { of: release.manifest };
        let signed = match self.ask_coordinator(id, coordinator, ask).await? {
            RoundAnswer::Manifest(signed) => signed,
            other => return Err(unexpected(&other)),
        };
        let manifest = signed.verify().map_err(|check| refused(&check))?;
        let fits = signed.digest() == release.manifest
            && manifest.group == id
            && manifest.number == release.number
            && manifest.model == release.model;
        if !fits {
            return Err(refused(&Check::Form));
        }
        let values = self.values(id, coordinator, manifest.values).await?;
        Ok((manifest, values))
    }

    /// The loss of own pairs without and with the release, if this node learns from any collections. Nothing leaves the node.
    async fn judge(
        &self,
        id: GroupId,
        manifest: &Manifest,
        values: &[f32],
    ) -> Result<Option<(f64, f64)>, ApiError> {
        let Some(choice) = self.learning.choice(id)? else { return Ok(None) };
        let (collections, models) = (self.collections.clone(), self.models.clone());
        let (opened, config) = (self.opened.list()?, adapter(&manifest.adapter)?);
        let (base, values) = (manifest.base, values.to_vec());
        let judge = move || {
            let stop = CancelFlag::new();
            let pairs = collections.pairs_of(&choice.collections, &choice.pairs, &opened, &stop)?;
            let rules = PairRules { per_document: PER_DOCUMENT, held_out: JUDGED, seed: 1 };
            let examples = Examples::new(&pairs, &rules);
            let learner = models.learner(base, config, &examples.texts, 128)?;
            let loss = |values: Vec<f32>| {
                let options = TrainOptions::default();
                let trainer = Trainer::new(&*learner, &examples, options, Some(values));
                let trainer = trainer.map_err(|error| refused(&error))?;
                trainer.held_out_loss().map_err(|error| refused(&error))
            };
            if examples.train.len() < 2 {
                return Ok(None);
            }
            Ok(loss(learner.start())?.zip(loss(values)?))
        };
        self.env.compute(judge).await
    }
}

/// Whether a loss is no worse than the one before. One that is no number is.
fn is_as_good(before: f64, after: f64) -> bool {
    after <= before * (1.0 + WORSE)
}

/// What a release is called here. Its values are part of the name, so that no other group's is called alike.
fn model_name(group: &Name, number: u32, values: &Digest) -> String {
    let letters = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let group: String = group.as_str().chars().map(letters).take(40).collect();
    format!("r-{}-{number}-{}", group.trim_matches('-'), values.short())
}
