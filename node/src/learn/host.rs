//! Coordinators of groups whose log names this node.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use covey_coordinator::store::{Key, Store};
use covey_coordinator::{Coordinator, GroupView};
use covey_net::Link;
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::round::Phase;
use covey_protocol::secagg::Members;
use covey_protocol::wire::v1::round::{RoundAnswer, RoundRefusal, RoundReply, RoundRequest};
use tokio::time::sleep;

use super::calls::failed;
use super::meter::Piece;
use crate::api::{ApiError, ErrorCode};
use crate::node::Node;
use crate::rounds::{Answers, RoundStore, serve};

/// The longest that a coordinator is not looked at.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// And the shortest, so that one that always has something due starves nobody.
const SHORTEST: Duration = Duration::from_millis(1);

impl<L: Link> Node<L> {
    /// Answers one request about a round. Whatever the bytes are, there is a reply.
    pub(crate) async fn serve_round(&self, from: NodeId, body: Vec<u8>) -> Vec<u8> {
        serve(&self.env, body, |request| self.answer_round(from, request)).await
    }

    /// The answer to one request about a round, when there is one that says more than to wait, or after a while.
    pub(super) async fn answer_round(&self, from: NodeId, request: RoundRequest) -> RoundReply {
        self.learning.held.answer(self, from, request).await
    }

    /// The coordinator of a group that names this node.
    pub(super) async fn coordinator(&self, group: GroupId) -> Result<Arc<Coordinator>, ApiError> {
        let hosted = || self.learning.state().hosted.get(&group).cloned();
        if let Some(coordinator) = hosted() {
            return Ok(coordinator);
        }
        let _once = self.learning.opening.lock().await;
        if let Some(coordinator) = hosted() {
            return Ok(coordinator);
        }
        let store = RoundStore::new(self.kv.clone(), self.learning.blobs.clone(), group);
        let key = self.groups.key();
        let opened = self.env.compute(move || Coordinator::open(key, Arc::new(store))).await;
        match opened {
            Ok(coordinator) => {
                let mut state = self.learning.state();
                state.problems.remove(&group);
                Ok(state.hosted.entry(group).or_insert_with(|| Arc::new(coordinator)).clone())
            }
            Err(error) => {
                self.learning.state().problems.insert(group, error.to_string());
                Err(ApiError::new(ErrorCode::Corrupt, error.to_string()))
            }
        }
    }

    /// Whether rounds of a group are under way here, coordinated by this node now or until somebody else was named.
    pub(super) async fn has_rounds(&self, group: GroupId) -> Result<bool, ApiError> {
        let store = RoundStore::new(self.kv.clone(), self.learning.blobs.clone(), group);
        // Nothing is begun where nothing is kept.
        if store.get(Key::State).map_err(|error| failed(&error.into()))?.is_none() {
            return Ok(false);
        }
        let coordinator = self.coordinator(group).await?;
        Ok(coordinator.at().is_some() || coordinator.status().left.is_some())
    }

    /// A group as its log has it now, for its coordinator.
    pub(super) fn group_view(&self, group: GroupId) -> Option<GroupView> {
        let me = self.id();
        let look = |log: &Log| {
            let ours = log.coordinator() == Some(me) && !log.is_frozen();
            ours.then(|| GroupView {
                group,
                epoch: log.head().epoch,
                coordinator: me,
                members: Members::new(log.members().keys().copied())
                    .expect("fewer than a cohort's most"),
                release: log.releases()[0],
                quorum: log.quorum(),
            })
        };
        self.groups.view(group, look).flatten()
    }

    /// Does what the coordinators here have due, for as long as the node runs.
    pub(crate) async fn run_coordinators(&self) {
        let mut last = BTreeMap::new();
        loop {
            let mut next = LOOK_EVERY;
            for group in self.groups.active() {
                let Some(view) = self.group_view(group) else { continue };
                let Ok(coordinator) = self.coordinator(group).await else { continue };
                let now = self.env.now();
                let ticking = coordinator.clone();
                let ticked = self.env.compute(move || ticking.tick(&view, now)).await;
                self.learning.meter.phase(group, phase_of(&coordinator), now);
                match ticked {
                    Ok(()) => {
                        let at = coordinator.at();
                        // Between two tries nothing is done, and what is wrong stays wrong.
                        if at.is_some() || coordinator.status().left.is_none() {
                            self.learning.state().problems.remove(&group);
                        }
                        if last.insert(group, at) != Some(at) {
                            self.learning.held.moved();
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a coordinator cannot go on");
                        self.learning.state().problems.insert(group, error.to_string());
                        continue;
                    }
                }
                if let Some(at) = coordinator.wake_at() {
                    let left = at.0.saturating_sub(self.env.now().0);
                    next = next.min(Duration::from_millis(left).max(SHORTEST));
                }
            }
            self.learning.promotes.notify_one();
            tokio::select! {
                () = sleep(next) => {}
                () = self.learning.woken.notified() => {}
            }
        }
    }
}

impl<L: Link> Answers for Node<L> {
    async fn answer_now(
        &self,
        from: NodeId,
        request: RoundRequest,
    ) -> (RoundReply, Option<Arc<Coordinator>>) {
        let (id, group) = (request.id, request.group);
        let look = |log: &Log| {
            let member = log.role_of(from).is_some() && !log.is_frozen();
            member.then(|| log.coordinator() == Some(self.id()))
        };
        let member = self.groups.view(group, look).flatten();
        // Of releases that it has, every member has manifest and values to give.
        if member.is_some()
            && let Some(answer) = self.answer_held(group, &request.ask).await
        {
            return (RoundReply { id, answer }, None);
        }
        let coordinator = match member {
            Some(true) => self.coordinator(group).await.ok(),
            Some(false) | None => None,
        };
        let Some(coordinator) = coordinator else {
            let answer = RoundAnswer::Refused(RoundRefusal::NotHere);
            return (RoundReply { id, answer }, None);
        };
        let now = self.env.now();
        let piece = Piece::of(&request);
        let asked = coordinator.clone();
        let (reply, woken, moved, phase) = self
            .env
            .compute(move || {
                let before = (asked.wake_at(), asked.at());
                let reply = asked.serve(&from, request, now);
                let woken = asked.wake_at() != before.0;
                let moved = asked.at() != before.1;
                (reply, woken, moved, (woken || moved).then(|| phase_of(&asked)))
            })
            .await;
        self.learning.meter.taken(piece, &reply.answer);
        if let Some(phase) = phase {
            self.learning.meter.phase(group, phase, now);
        }
        if woken || moved {
            self.learning.woken.notify_one();
        }
        if moved {
            self.learning.held.moved();
        }
        (reply, Some(coordinator))
    }
}

/// The phase of the round that is on.
fn phase_of(coordinator: &Coordinator) -> Option<Phase> {
    coordinator.status().running.map(|(_, _, phase, ..)| phase)
}
