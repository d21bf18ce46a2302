//! A group's releases as people and searches see them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use covey_crypto::Digest;
use covey_embedder::adapter::AdapterConfig;
use covey_net::Link;
use covey_privacy::ledger::Unit;
use covey_protocol::group::{CurrentRelease, Log};
use covey_protocol::ids::{GroupId, ModelId, Name};
use covey_protocol::limits::MAX_RELEASES;

use crate::api::{Adopt, ApiError, ErrorCode, ReleaseEvaluation, ReleaseInfo, ReleaseList, Reply};
use crate::cancel::CancelFlag;
use crate::node::Node;
use crate::rounds::{Compared, compare};

/// Pairs that are told from each other at a time, and tokens of a text that count, where a release is judged.
const JUDGED: (usize, usize) = (64, 128);

impl<L: Link> Node<L> {
    pub(crate) async fn model_releases(
        &self,
        name: &Name,
        keep: Option<u32>,
    ) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        if let Some(keep) = keep {
            if keep > super::held::MOST_KEPT {
                let most = super::held::MOST_KEPT;
                let message = format!("at most {most} old releases are kept");
                return Err(ApiError::new(ErrorCode::Usage, message));
            }
            self.learning.shelve(id, |shelf| shelf.set_keep(keep))?;
            self.tidy(id).await;
        }
        self.release_list(id).await
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
        for model in releases.into_iter().flatten().map(|it| it.release.model).chain(kin) {
            if models.len() < MAX_RELEASES && !models.contains(&model) {
                models.push(model);
            }
        }
        Ok(models)
    }

    pub(super) fn releases(&self, id: GroupId) -> [Option<CurrentRelease>; 2] {
        self.groups.view(id, Log::releases).unwrap_or_default()
    }

    pub(super) async fn release_list(&self, id: GroupId) -> Result<Reply, ApiError> {
        let models = self.models.clone();
        let here = self.env.compute(move || models.list()).await?;
        let shelf = self.learning.shelf(id)?;
        let info = |CurrentRelease { release, .. }: CurrentRelease| {
            let entry = here.iter().find(|entry| entry.id == release.model);
            let manifest = self.learning.said(id, &release.manifest)?;
            Ok(ReleaseInfo {
                number: release.number,
                id: release.model,
                model: entry.map(|entry| entry.name.clone()),
                used: entry.is_some_and(|entry| entry.current),
                declined: shelf.declined(&release.manifest).map(str::to_owned),
                evaluation: manifest.and_then(|it| it.evaluation).map(|it| ReleaseEvaluation {
                    members: it.members,
                    loss: (it.loss_before, it.loss_after),
                    no_worse: it.no_worse,
                }),
            })
        };
        let releases = self.releases(id).into_iter().flatten().map(info);
        Ok(Reply::Releases(ReleaseList {
            releases: releases.collect::<Result<_, ApiError>>()?,
            adopt: self.adopts(id, &shelf)?,
            keep: shelf.keep(),
            not_adopted: self.not_adopted(id)?,
            next_release: self.next_release(id),
        }))
    }

    /// As the coordinator: how far the next release has come.
    pub(super) fn next_release(&self, id: GroupId) -> Option<String> {
        let hosted = {
            let state = self.learning.state();
            if let Some(why) = state.unreleased.get(&id) {
                return Some(why.clone());
            }
            state.hosted.get(&id).cloned()
        };
        self.group_view(id)?;
        hosted.and_then(|coordinator| coordinator.status().candidate)
    }

    /// The models that the group's releases here were trained from, by release.
    pub(super) fn bases(&self, id: GroupId) -> Result<BTreeMap<ModelId, ModelId>, ApiError> {
        let mut bases = BTreeMap::new();
        for held in &self.learning.shelf(id)?.held {
            if let Some(manifest) = self.learning.said(id, &held.manifest)? {
                bases.insert(held.model, manifest.base);
            }
        }
        Ok(bases)
    }

    /// Why the current release is not used, as far as there is a reason.
    pub(super) fn not_adopted(&self, id: GroupId) -> Result<Option<String>, ApiError> {
        let Some(CurrentRelease { release, .. }) = self.releases(id)[0] else { return Ok(None) };
        let shelf = self.learning.shelf(id)?;
        if let Some(why) = shelf.declined(&release.manifest) {
            return Ok(Some(why.to_owned()));
        }
        if shelf.adopted == Some(release.manifest) {
            return Ok(None);
        }
        let waits = self.learning.state().waits.get(&id).map(|waiting| waiting.why.clone());
        Ok(waits.or(match self.adopts(id, &shelf)? {
            Adopt::Auto => Some("it is looked at soon".to_owned()),
            Adopt::Ask => {
                let name = self.groups.name_of(id).ok_or_else(crate::groups::gone)?;
                Some(format!("it is yours to decide (`covey model adopt {name}`)"))
            }
        }))
    }

    /// The loss of held-out pairs of own collections and files with the values before (the model as it is if there are none) and after; nothing if there
    /// are too few. Nothing leaves the node.
    pub(super) async fn compare_own(
        &self,
        (names, files): (Vec<Name>, Vec<PathBuf>),
        base: ModelId,
        adapter: AdapterConfig,
        before: Option<Vec<f32>>,
        after: Vec<f32>,
    ) -> Result<Option<(f64, f64)>, ApiError> {
        let (collections, models) = (self.collections.clone(), self.models.clone());
        let opened = self.opened.list()?;
        let comparing = move || {
            let pairs =
                collections.pairs_of(&names, &files, &opened, Unit::Peer, &CancelFlag::new())?;
            let compared = Compared { base, adapter, before, after };
            let mut pass = || {
                collections.let_searches_pass(|| false);
                false
            };
            let found = compare(&*models, compared, &pairs, JUDGED, &mut pass)?;
            Ok(found.map(|(before, after, _)| (before, after)))
        };
        crate::background::quietly(&self.env, comparing).await
    }
}

/// Digits of a digest in a name: enough that nobody finds other values with the same, and few enough for a name, which has 64 letters.
const DIGITS: usize = 26;

/// What a release is called here. Its values are part of the name, so that no other group's is called alike.
pub(super) fn model_name(group: &Name, number: u32, values: &Digest) -> String {
    let letters = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let group: String = group.as_str().chars().map(letters).take(20).collect();
    let values = &values.to_string()[..DIGITS];
    format!("r-{}-{number}-{values}", group.trim_matches('-'))
}
