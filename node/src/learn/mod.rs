//! Learning together (docs/spec/round.md): this node's part in the rounds of its groups, and the rounds it coordinates.
//!
//! [`Learning`] holds the state. `host` serves the coordinators of groups whose log names this node, `take_part` follows other
//! coordinators' plans by [`crate::rounds`], and `train` trains. `promote` makes releases of what was learnt, `fetch` and
//! `adopt` bring them here, `held` keeps them, `forget` ends all that when a group is left. Nothing is learnt from unless the person has opted in.

mod adopt;
mod ask;
mod calls;
mod campaign;
mod choice;
mod company;
mod fetch;
mod forget;
mod held;
mod host;
mod limits;
mod meter;
mod noise;
mod promote;
mod releases;
mod report;
mod schedule;
mod take_part;
mod train;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_coordinator::Coordinator;
use covey_crypto::Digest;
use covey_protocol::ids::{GroupId, Name, NodeId};
use tokio::sync::Notify;

use crate::api::{ApiError, LearningNow, PlanInfo, StepsInfo, TrainedInfo};
use crate::cancel::CancelFlag;
use crate::rounds::{Held, Kept, PrivacyLedger};
use crate::store::{Blobs, Kv, Stores};
use meter::Meter;

/// What is said while a node trains.
const TRAINING: &str = "training";

/// What a node keeps of learning together.
pub(crate) struct Learning {
    /// What is counted of it.
    pub(crate) meter: Meter,
    kv: Arc<dyn Kv>,
    blobs: Arc<dyn Blobs>,
    ledger: Arc<PrivacyLedger>,
    state: Mutex<State>,
    /// Something is due earlier than it was.
    woken: Notify,
    /// Answers of coordinators here that wait for there being more to say.
    held: Held,
    /// The person has decided anew.
    chosen: Notify,
    /// A release may be due.
    promotes: Notify,
    /// Held while a coordinator is read from its store, so that it is read once.
    opening: tokio::sync::Mutex<()>,
    /// Held while a release is made, so that one is.
    promoting: tokio::sync::Mutex<()>,
    /// Held while one is adopted, or gone back from.
    adopting: tokio::sync::Mutex<()>,
    /// Held while what is kept of releases changes.
    shelves: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The coordinators of groups that name this node.
    hosted: BTreeMap<GroupId, Arc<Coordinator>>,
    /// Why a group's coordinator does nothing.
    problems: BTreeMap<GroupId, String>,
    /// What this node is doing in a group's round.
    doing: BTreeMap<GroupId, Doing>,
    /// What training for the last plan came to.
    trained: BTreeMap<GroupId, TrainedInfo>,
    /// The plan that was announced last, let pass or not.
    announced: BTreeMap<GroupId, Digest>,
    /// Why it takes no part.
    refused: BTreeMap<GroupId, String>,
    /// The last plan that came to nothing here, and why: it is not tried again on the same terms.
    failed: BTreeMap<GroupId, (Digest, ApiError)>,
    /// New releases that could not be used yet.
    waits: BTreeMap<GroupId, adopt::Waiting>,
    /// Why a group's next release is not made.
    unreleased: BTreeMap<GroupId, String>,
    /// Groups that the person has opted out of while a round was followed.
    left: BTreeSet<GroupId>,
    /// Groups whose round is followed by a task, which what is here ends: when the person opts out, or in anew.
    stops: BTreeMap<GroupId, CancelFlag>,
}

/// What this node does for a round.
#[derive(Debug, Clone, Default)]
struct Doing {
    what: String,
    training: Option<StepsInfo>,
    /// The plan that it follows, once that has been let pass.
    plan: Option<PlanInfo>,
}

impl Learning {
    pub(crate) fn new(stores: Arc<dyn Stores>, me: NodeId) -> Self {
        Self {
            meter: Meter::default(),
            kv: stores.kv(),
            blobs: stores.blobs(),
            ledger: Arc::new(PrivacyLedger::new(stores, me)),
            state: Mutex::new(State::default()),
            woken: Notify::new(),
            held: Held::default(),
            chosen: Notify::new(),
            promotes: Notify::new(),
            opening: tokio::sync::Mutex::new(()),
            promoting: tokio::sync::Mutex::new(()),
            adopting: tokio::sync::Mutex::new(()),
            shelves: Mutex::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept of a group's rounds.
    fn kept(&self, group: GroupId) -> Kept {
        Kept::new(self.blobs.clone(), self.ledger.clone(), group)
    }

    fn set_doing(&self, group: GroupId, what: &str) {
        let mut state = self.state();
        let doing = state.doing.entry(group).or_default();
        (doing.what, doing.training) = (what.to_owned(), None);
    }

    /// Training has come so far.
    fn set_training(&self, group: GroupId, done: usize, total: usize) {
        let mut state = self.state();
        let doing = state.doing.entry(group).or_default();
        TRAINING.clone_into(&mut doing.what);
        doing.training = Some(StepsInfo { done: done as u64, total: total as u64 });
    }

    fn set_plan(&self, group: GroupId, plan: PlanInfo) {
        self.state().doing.entry(group).or_default().plan = Some(plan);
    }

    /// What is done for a group's round, if anything is.
    pub(crate) fn now(&self, group: GroupId, name: Name) -> Option<LearningNow> {
        let state = self.state();
        let doing = state.doing.get(&group).filter(|doing| !doing.what.is_empty())?;
        let round = doing.plan.as_ref().map(|plan| plan.round);
        Some(LearningNow {
            group: name,
            round,
            doing: doing.what.clone(),
            training: doing.training,
        })
    }

    /// Follows a group from now on, unless that is done already. Dropping what this returns ends it, however that comes about.
    fn follow(self: &Arc<Self>, group: GroupId) -> Option<Following> {
        let mut state = self.state();
        let Entry::Vacant(place) = state.stops.entry(group) else { return None };
        let stop = place.insert(CancelFlag::new()).clone();
        drop(state);
        Some(Following { learning: Arc::clone(self), group, stop })
    }

    /// Ends what is done in a group that the person has left, once that has stopped too.
    fn leave(&self, group: GroupId) {
        let mut state = self.state();
        state.refused.remove(&group);
        if let Some(stop) = state.stops.get(&group) {
            stop.cancel();
            state.left.insert(group);
        }
    }

    /// Ends what is done with an earlier decision of the person's.
    fn stop(&self, group: GroupId) {
        if let Some(stop) = self.state().stops.get(&group) {
            stop.cancel();
        }
    }
}

/// A group's rounds are followed as long as this is there.
struct Following {
    learning: Arc<Learning>,
    group: GroupId,
    stop: CancelFlag,
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut state = self.learning.state();
        state.doing.remove(&self.group);
        state.stops.remove(&self.group);
    }
}
