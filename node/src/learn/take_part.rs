//! This node as one who takes part in the rounds of a group ([`crate::rounds`]).

use std::sync::Arc;
use std::time::Duration;

use covey_crypto::{Digest, Secret32, SecretKey};
use covey_net::Link;
use covey_privacy::ledger::CollectionKey;
use covey_privacy::rng::NoiseRng;
use covey_protocol::group::Log;
use covey_protocol::ids::{Epoch, GroupId, NodeId};
use covey_protocol::round::{Check, Checked, Company, Limits};
use covey_protocol::secagg::Members;
use covey_protocol::wire::v1::round::{RoundAnswer, RoundAsk};
use rand_core::Rng;
use tokio::time::sleep;

use super::{Following, Learning, noise, schedule};
use crate::api::{ApiError, ErrorCode, OptIn, PlanInfo};
use crate::cancel::CancelFlag;
use crate::env::Env;
use crate::node::Node;
use crate::rounds::{Kept, News, Party, Trained, Wait, follow, refused};

/// How often it is looked whether there is a group to follow; the first time comes at random within it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl<L: Link> Node<L> {
    /// Follows the rounds of every group that the person has opted in to, for as long as the node runs.
    pub(crate) async fn follow_rounds(&self) {
        let spread = u32::try_from(self.env.next_u64() % 1_024).unwrap_or_default();
        sleep(LOOK_EVERY * spread / 1_024).await;
        let mut tasks = tokio::task::JoinSet::new();
        for group in self.groups.active() {
            // Whoever opted out right before this node was killed may have left what it had masked.
            let left = self.learning.choice(group).is_ok_and(|choice| choice.is_none());
            if left && let Err(error) = self.learning.kept(group).forget_attempt() {
                tracing::error!(%error, "what was masked cannot be deleted");
            }
        }
        loop {
            for group in self.groups.active() {
                let Some(following) = self.learning.follow(group) else { continue };
                // Read now that a later decision is heard of.
                let chosen = self.learning.choice(group);
                let Some(choice) = chosen.ok().flatten() else { continue };
                let node = self.clone();
                tasks.spawn(async move { node.follow(choice, following).await });
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = self.learning.chosen.notified() => {}
            }
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "following a round failed; this is a bug");
                }
            }
        }
    }

    async fn follow(&self, choice: OptIn, following: Following) {
        let group = following.group;
        let followed = match choice.limits() {
            Ok(limits) => {
                let (kept, stop) = (self.learning.kept(group), following.stop.clone());
                let member = Member { node: self.clone(), group, choice, limits, kept, stop };
                follow(&member).await
            }
            Err(error) => Err(error),
        };
        let stopped = following.stop.is_cancelled();
        if stopped && self.learning.state().left.remove(&group) {
            // Decided while an update was being masked.
            if let Err(error) = self.learning.kept(group).forget_attempt() {
                tracing::error!(%error, "what was masked cannot be deleted");
            }
        }
        drop(following);
        match followed {
            // On other terms from now on, if at all.
            _ if stopped => self.learning.chosen.notify_one(),
            Ok(()) => {}
            Err(error) => {
                tracing::info!(%error, "no part is taken in a round");
                let mut state = self.learning.state();
                state.refused.insert(group, error.to_string());
                if let Some(plan) = state.announced.get(&group) {
                    self.learning.meter.refused(group, *plan);
                }
            }
        }
    }
}

/// This node in one group, on the terms that its person had when it began.
struct Member<L: Link> {
    node: Node<L>,
    group: GroupId,
    choice: OptIn,
    limits: Limits,
    kept: Kept,
    stop: CancelFlag,
}

impl<L: Link> Party for Member<L> {
    type Noise = NoiseRng;

    fn group(&self) -> GroupId {
        self.group
    }

    fn env(&self) -> &Env {
        &self.node.env
    }

    fn key(&self) -> Arc<SecretKey> {
        self.node.groups.key()
    }

    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn stop(&self) -> &CancelFlag {
        &self.stop
    }

    fn coordinator(&self) -> Option<NodeId> {
        self.node.groups.view(self.group, Log::coordinator).flatten()
    }

    fn members(&self, at: Epoch) -> Result<Members, ApiError> {
        let members = self.node.groups.view(self.group, |log| log.members_at(at)).flatten();
        let members = members.ok_or_else(|| {
            ApiError::new(
                ErrorCode::NotFound,
                "the plan is for members that this node has not heard of yet",
            )
        })?;
        // Of an old entry it could count members that are none any more.
        let current = |log: &Log| members.iter().all(|member| log.role_of(*member).is_some());
        if self.node.groups.view(self.group, current) != Some(true) {
            return Err(refused(&Check::Members));
        }
        Members::new(members).map_err(|error| refused(&error))
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn company(&self, coordinator: NodeId, members: &Members) -> Option<Company> {
        self.node.company(self.group, &self.choice, coordinator, members)
    }

    fn waits(&self) -> Result<Option<Wait>, ApiError> {
        // It may have changed since, which is no reason to begin anew.
        let chosen = self.node.learning.choice(self.group)?;
        let schedule = chosen.as_ref().map_or(&self.choice.schedule, |it| &it.schedule);
        let waits = schedule::allows(schedule, &self.node.env.surroundings()).err();
        Ok(waits.map(|waits| -> Wait { Box::new(waits) }))
    }

    fn still_agrees(&self) -> Result<bool, ApiError> {
        let now = self.node.learning.choice(self.group)?;
        Ok(now.is_some_and(|now| now.allows_the_same(&self.choice)))
    }

    fn sources(&self) -> Result<Vec<CollectionKey>, ApiError> {
        self.choice.keys(&self.node.collections)
    }

    fn noise(&self, _: &Digest) -> NoiseRng {
        let secret = self.node.env.with_rng(|rng| {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            Secret32::from_bytes(seed)
        });
        NoiseRng::from_secret(secret)
    }

    fn tell(&self, news: News<'_>) {
        let learning = &self.node.learning;
        match news {
            News::Announced(plan) => {
                learning.state().announced.insert(self.group, plan);
            }
            News::Follows(plan, attempt) => learning.set_plan(self.group, plan_info(plan, attempt)),
            News::Accepts => {
                learning.state().refused.remove(&self.group);
            }
            News::Doing(what) => learning.set_doing(self.group, what),
            News::Over(over) => learning.meter.over(over),
            News::Rests => {
                learning.state().doing.remove(&self.group);
            }
        }
    }

    async fn ask(&self, coordinator: NodeId, ask: RoundAsk) -> Result<RoundAnswer, ApiError> {
        self.node.ask_coordinator(self.group, coordinator, ask).await
    }

    async fn train(&self, coordinator: NodeId, plan: &Checked) -> Result<Trained, ApiError> {
        let (learning, digest) = (&self.node.learning, plan.digest());
        self.node.has_model(plan).await?;
        if let Some(error) = learning.failed_before(self.group, digest) {
            return Err(error);
        }
        let trained =
            self.node.train(self.group, coordinator, &self.choice, plan, &self.stop).await;
        if let Err(error) = &trained
            && fails_again(error.code)
        {
            learning.state().failed.insert(self.group, (digest, error.clone()));
        }
        trained
    }
}

/// Whether what a plan asks for would fail once more, so that it is not begun again for this plan and these terms.
const fn fails_again(code: ErrorCode) -> bool {
    !matches!(
        code,
        ErrorCode::Cancelled | ErrorCode::Unreachable | ErrorCode::Storage | ErrorCode::Busy
    )
}

impl Learning {
    /// Why a plan came to nothing here, on the terms that there are.
    fn failed_before(&self, group: GroupId, plan: Digest) -> Option<ApiError> {
        let state = self.state();
        let (_, error) = state.failed.get(&group).filter(|(of, _)| *of == plan)?;
        Some(error.clone())
    }
}

fn plan_info(plan: &Checked, attempt: u32) -> PlanInfo {
    let it = plan.plan();
    PlanInfo {
        round: it.round,
        attempt,
        attempts: it.attempts,
        unit: it.contribution.unit,
        check_in_by: it.timing.check_in_by,
        noise: noise::over_signal(plan.layout(), it.sum.max_cohort, it.learning.documents),
    }
}
