//! Learning together (docs/spec/round.md): this node's part in the rounds of its groups, and the rounds it coordinates.
//!
//! [`Learning`] holds the state. `host` serves the coordinators of groups whose log names this node, `take_part` follows other
//! coordinators' plans, `prepare` trains, and `ledger` has the last word on what leaves. Nothing is learnt from unless the
//! person has opted in.

mod ask;
mod calls;
mod choice;
mod hold;
mod host;
mod ledger;
mod prepare;
mod releases;
mod store;
mod take_part;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_coordinator::Coordinator;
use covey_protocol::ids::{GroupId, NodeId};
use tokio::sync::Notify;

use crate::api::TrainedInfo;
use crate::cancel::CancelFlag;
use crate::store::{Blobs, Kv, Stores};
use ledger::PrivacyLedger;

/// What a node keeps of learning together.
pub(crate) struct Learning {
    kv: Arc<dyn Kv>,
    blobs: Arc<dyn Blobs>,
    ledger: PrivacyLedger,
    state: Mutex<State>,
    /// Something is due earlier than it was.
    woken: Notify,
    /// A coordinator here has come to another phase, attempt or round.
    moved: Notify,
    /// Answers that wait for that.
    held: Arc<hold::Held>,
    /// The person has decided anew.
    chosen: Notify,
    /// Held while a coordinator is read from its store, so that it is read once.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// The coordinators of groups that name this node.
    hosted: BTreeMap<GroupId, Arc<Coordinator>>,
    /// Why a group's coordinator does nothing.
    problems: BTreeMap<GroupId, String>,
    /// What this node is doing in a group's round.
    doing: BTreeMap<GroupId, String>,
    /// What training for the last plan came to.
    trained: BTreeMap<GroupId, TrainedInfo>,
    /// Why it takes no part.
    refused: BTreeMap<GroupId, String>,
    /// Groups whose round is followed by a task, which what is here ends: when the person opts out, or in anew.
    stops: BTreeMap<GroupId, CancelFlag>,
}

impl Learning {
    pub(crate) fn new(stores: Arc<dyn Stores>, me: NodeId) -> Self {
        Self {
            kv: stores.kv(),
            blobs: stores.blobs(),
            ledger: PrivacyLedger::new(stores, me),
            state: Mutex::new(State::default()),
            woken: Notify::new(),
            moved: Notify::new(),
            held: Arc::default(),
            chosen: Notify::new(),
            opening: tokio::sync::Mutex::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_doing(&self, group: GroupId, doing: &str) {
        self.state().doing.insert(group, doing.to_owned());
    }

    /// Follows a group from now on, unless that is done already. Dropping what this returns ends it, however that comes about.
    fn follow(self: &Arc<Self>, group: GroupId) -> Option<Following> {
        let mut state = self.state();
        let Entry::Vacant(place) = state.stops.entry(group) else { return None };
        let stop = place.insert(CancelFlag::new()).clone();
        drop(state);
        Some(Following { learning: Arc::clone(self), group, stop })
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
