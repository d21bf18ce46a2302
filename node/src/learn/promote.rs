//! As the coordinator: making releases of what was learnt, by itself when one is due, and by command.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use covey_coordinator::{Candidate, Coordinator, GroupView, Promote};
use covey_net::Link;
use covey_protocol::group::{Change, Release, Wish};
use covey_protocol::ids::{GroupId, Name};
use covey_protocol::round::Start;
use tokio::time::{Instant, sleep};

use super::calls::{failed, not_the_coordinator};
use super::held::Held;
use super::releases::model_name;
use crate::api::{ApiError, Reply};
use crate::node::Node;
use crate::rounds::{adapter, is_as_good};

/// The longest that it is not looked whether a release is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How long after one could not be made it is tried again.
const AGAIN: Duration = Duration::from_secs(60);

impl<L: Link> Node<L> {
    /// As the owner: says how many members have to evaluate a release.
    pub(crate) async fn group_policy(&self, group: &Name, quorum: u32) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        self.decree(id, Change::Policy { quorum }).await?;
        self.group_reply(id)
    }

    /// As the coordinator: makes the checkpoint the group's next release; where members have to evaluate it first, asks them.
    pub(crate) async fn model_release(&self, name: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(name)?;
        if self.group_view(id).is_none() {
            return Err(not_the_coordinator(name));
        }
        self.promote(id, true).await?;
        self.release_list(id).await
    }

    /// Makes releases when they are due, for as long as the node runs.
    pub(crate) async fn promote_releases(&self) {
        let mut later: BTreeMap<GroupId, Instant> = BTreeMap::new();
        loop {
            for group in self.groups.active() {
                if later.get(&group).is_some_and(|at| Instant::now() < *at) {
                    continue;
                }
                if let Err(error) = self.promote(group, false).await {
                    tracing::warn!(%error, "the next release cannot be made");
                    let why = format!("cannot be made: {error}");
                    self.learning.state().unreleased.insert(group, why);
                    later.insert(group, Instant::now() + AGAIN);
                } else {
                    self.learning.state().unreleased.remove(&group);
                }
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = self.learning.promotes.notified() => {}
            }
        }
    }

    /// Does what is due for the group's next release, as far as that goes without its members.
    async fn promote(&self, id: GroupId, by_hand: bool) -> Result<(), ApiError> {
        if self.group_view(id).is_none() {
            return Ok(());
        }
        let coordinator = self.coordinator(id).await?;
        let _one = self.learning.promoting.lock().await;
        let mut by_hand = by_hand;
        loop {
            // Entries of the log may have come meanwhile, this node's own among them.
            let Some(view) = self.group_view(id) else { return Ok(()) };
            let (asked, now) = (coordinator.clone(), self.env.now());
            let step = self.env.compute(move || asked.promote(&view, by_hand, now)).await;
            by_hand = false;
            match step.map_err(|error| failed(&error))? {
                Promote::Nothing => return Ok(()),
                Promote::Ask => {
                    if coordinator.wake_at().is_some_and(|at| at <= self.env.now()) {
                        self.learning.woken.notify_one();
                    }
                    return Ok(());
                }
                Promote::Judge(candidate) => {
                    self.judge_candidate(id, &coordinator, candidate).await?
                }
                Promote::Release(candidate) => {
                    let made = self.release(id, &coordinator, candidate).await?;
                    // The owner has it; this node may hear of that later.
                    if self.releases(id)[0].map(|current| current.release) != made {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Lets own held-out pairs say whether the candidate does worse than what it is compared with, if this node learns from any.
    async fn judge_candidate(
        &self,
        id: GroupId,
        coordinator: &Arc<Coordinator>,
        candidate: Candidate,
    ) -> Result<(), ApiError> {
        let judged = match self.learning.choice(id)? {
            Some(choice) => {
                let Candidate { model, adapter: config, values, before, .. } = candidate;
                let config = adapter(&config)?;
                let sources = (choice.collections, choice.pairs);
                self.compare_own(sources, model, config, Some(before), values).await?
            }
            None => None,
        };
        let worse = judged.filter(|(before, after)| !is_as_good(*before, *after)).map(
            |(before, after)| {
                format!(
                    "it does worse on this node's own pairs: loss {after:.4}, and {before:.4} before"
                )
            },
        );
        let Some(view) = self.group_view(id) else { return Ok(()) };
        let now = self.env.now();
        let told = coordinator.judged(&candidate.digest, worse, &view, now);
        told.map_err(|error| failed(&error))
    }

    /// Makes the release, and has it entered in the log.
    async fn release(
        &self,
        id: GroupId,
        coordinator: &Arc<Coordinator>,
        candidate: Candidate,
    ) -> Result<Option<Release>, ApiError> {
        let name = self.groups.name_of(id).ok_or_else(crate::groups::gone)?;
        let Some(view) = self.group_view(id) else { return Ok(None) };
        let (models, now, coordinator) = (self.models.clone(), self.env.now(), coordinator.clone());
        let making = move || make(&*models, &coordinator, &view, &name, candidate, now);
        let (release, held) = self.env.compute(making).await?;
        self.learning.shelve(id, |shelf| shelf.put(held))?;
        self.wish(id, Wish::Release(release)).await?;
        Ok(Some(release))
    }
}

fn make(
    models: &dyn crate::models::Models,
    coordinator: &Coordinator,
    view: &GroupView,
    name: &Name,
    candidate: Candidate,
    now: covey_protocol::ids::UnixMillis,
) -> Result<(Release, Held), ApiError> {
    let Candidate { model: base, adapter: config, digest, values, .. } = candidate;
    let of = Start::of(&values);
    let called = model_name(name, view.number() + 1, &digest);
    let made = models.adapted(base, adapter(&config)?, values, &called)?;
    let release = coordinator.release(made.id, &digest, view, now);
    let release = release.map_err(|error| failed(&error))?;
    let held = Held {
        number: release.number,
        model: release.model,
        manifest: release.manifest,
        values: of,
        name: made.name,
    };
    Ok((release, held))
}
