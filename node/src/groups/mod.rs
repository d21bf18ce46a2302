//! The groups of a node: their verified logs, what is stored of them, and how they change.
//!
//! [`Groups`] holds the state and does no networking; `calls`, `join` and `serve` are the node's
//! side of `/covey/group/1`, around the pure decisions in [`covey_protocol::group`]. A log entry is
//! durable before it is acknowledged or sent.

mod calls;
mod errors;
mod group;
mod invites;
mod join;
mod serve;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_crypto::{Digest, SecretKey};
use covey_protocol::group::{
    Change, Entry, InviteBook, Log, Rejection, SignedRequest, Standing, Wish,
};
use covey_protocol::ids::{GroupId, Name, NodeId};
use covey_protocol::limits::{MAX_GROUPS, MAX_NAME};
use covey_protocol::wire;
use serde::{Deserialize, Serialize};

use crate::api::{ApiError, ErrorCode};
use crate::env::Env;
use crate::store::{Kv, RESTORED_KEY, StoreError, Stores, Table, Write};
pub(crate) use errors::{frozen, gone};
use group::{Group, file_name};

/// The key of the invite book in [`Table::Groups`]; groups have keys of 32 bytes.
const INVITES_KEY: &[u8] = b"invites";
const RECORD_VERSION: u8 = 1;
/// Most bytes of a stored group record or invite book.
const MAX_STORED: usize = 1024 * 1024;

/// What the key-value store remembers of a group.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u8,
    name: Name,
}

/// Every group of this node.
pub(crate) struct Groups {
    me: NodeId,
    key: Arc<SecretKey>,
    env: Env,
    kv: Arc<dyn Kv>,
    stores: Arc<dyn Stores>,
    state: Mutex<State>,
}

struct State {
    groups: BTreeMap<GroupId, Group>,
    /// Groups whose file cannot be used, with the reason.
    damaged: BTreeMap<GroupId, (Name, String)>,
    book: InviteBook,
}

/// A change of a group that did not come about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The group is not here (any more).
    #[error("there is no such group here")]
    Unknown,
    /// A rule of the log forbids it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// This node was restored from a backup and has not yet asked another member what came after.
    #[error("this node was restored from a backup and must first hear from another member")]
    Unconfirmed,
    /// It could not be written down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Groups {
    /// Reads and verifies all groups. A damaged one does not keep the others from working.
    pub(crate) fn open(
        key: Arc<SecretKey>,
        env: Env,
        stores: Arc<dyn Stores>,
    ) -> Result<Self, StoreError> {
        let kv = stores.kv();
        let restored = kv.get(Table::Meta, RESTORED_KEY)?.is_some();
        let mut state = State {
            groups: BTreeMap::new(),
            damaged: BTreeMap::new(),
            book: InviteBook::default(),
        };
        for (key, value) in kv.scan(Table::Groups, b"")? {
            if key == INVITES_KEY {
                // Losing the book only voids open invites: who was let in stands in the logs.
                state.book = wire::decode(&value, MAX_STORED).unwrap_or_else(|error| {
                    tracing::error!(%error, "the record of issued invites is damaged; open invites are void");
                    InviteBook::default()
                });
                continue;
            }
            let id = <[u8; 32]>::try_from(&key[..]).map(|bytes| GroupId(Digest::from_bytes(bytes)));
            let record = wire::decode::<Record>(&value, MAX_STORED).ok();
            let (Ok(id), Some(Record { version: RECORD_VERSION, name })) = (id, record) else {
                tracing::error!("a group's record in the state database is damaged; passed over");
                continue;
            };
            match Group::load(&*stores, id, name.clone(), restored) {
                Ok(group) => drop(state.groups.insert(id, group)),
                Err(error) => {
                    tracing::error!(group = %id.0.short(), %error, "a membership log cannot be used");
                    state.damaged.insert(id, (name, error.to_string()));
                }
            }
        }
        let me = NodeId::new(key.public());
        Ok(Self { me, key, env, kv, stores, state: Mutex::new(state) })
    }

    /// This node's key.
    pub(crate) fn key(&self) -> Arc<SecretKey> {
        Arc::clone(&self.key)
    }

    /// This node.
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// All groups, with their names here, by name.
    pub(crate) fn names(&self) -> Vec<(Name, GroupId)> {
        let state = self.lock();
        let mut names: Vec<_> =
            state.groups.iter().map(|(id, group)| (group.name.clone(), *id)).collect();
        names.sort();
        names
    }

    /// All groups that this node is a member of now.
    pub(crate) fn active(&self) -> Vec<GroupId> {
        let state = self.lock();
        let is_active =
            |group: &Group| matches!(group.log().standing(self.me), Standing::Member(_));
        state.groups.iter().filter(|(_, group)| is_active(group)).map(|(id, _)| *id).collect()
    }

    /// Groups whose file cannot be used, and why.
    pub(crate) fn damaged(&self) -> Vec<(Name, String)> {
        self.lock().damaged.values().cloned().collect()
    }

    /// The group called `name`.
    pub(crate) fn find(&self, name: &Name) -> Result<GroupId, ApiError> {
        let state = self.lock();
        if let Some((id, _)) = state.groups.iter().find(|(_, group)| group.name == *name) {
            return Ok(*id);
        }
        if let Some((_, problem)) = state.damaged.values().find(|(damaged, _)| damaged == name) {
            let message = format!("the membership log of group {name} is damaged: {problem}");
            return Err(ApiError::new(ErrorCode::Corrupt, message)
                .hint("restore a backup, or leave the group and ask for a new invite"));
        }
        Err(ApiError::new(ErrorCode::NotFound, format!("there is no group called {name} here"))
            .hint("`covey group list` shows them; `covey group create` or `covey join` gets one"))
    }

    /// The group called `name` whose file cannot be used.
    pub(crate) fn find_damaged(&self, name: &Name) -> Option<GroupId> {
        let state = self.lock();
        state.damaged.iter().find(|(_, (damaged, _))| damaged == name).map(|(id, _)| *id)
    }

    /// The name of `id` here.
    pub(crate) fn name_of(&self, id: GroupId) -> Option<Name> {
        self.lock().groups.get(&id).map(|group| group.name.clone())
    }

    /// Looks at a group's log.
    pub(crate) fn view<T>(&self, id: GroupId, look: impl FnOnce(&Log) -> T) -> Option<T> {
        self.lock().groups.get(&id).map(|group| look(group.log()))
    }

    /// Everybody who shares a group with this node, itself left out.
    pub(crate) fn fellow_members(&self) -> BTreeSet<NodeId> {
        let state = self.lock();
        let logs = state.groups.values().map(Group::log);
        let own = logs.filter(|log| log.role_of(self.me).is_some());
        own.flat_map(|log| log.members().keys().copied()).filter(|node| *node != self.me).collect()
    }

    /// Founds a group.
    pub(crate) fn create(&self, name: Name, member: Name) -> Result<GroupId, ApiError> {
        let mut state = self.lock();
        state.check_room()?;
        if state.name_taken(&name) {
            let message = format!("there is a group called {name} here already");
            return Err(ApiError::new(ErrorCode::Exists, message).hint("choose another name"));
        }
        let now = self.env.now();
        let log = self.env.with_rng(|rng| Log::create(name.clone(), member, &self.key, now, rng));
        self.insert(&mut state, name, log)
    }

    /// Takes in a group that this node has joined, under its own name or, where that is taken, a
    /// numbered one.
    pub(crate) fn adopt(&self, log: Log) -> Result<GroupId, ApiError> {
        let mut state = self.lock();
        if state.groups.contains_key(&log.group()) {
            return Ok(log.group());
        }
        state.check_room()?;
        state.damaged.remove(&log.group());
        let name = state.free_name(log.name());
        self.insert(&mut state, name, log)
    }

    /// Forgets a group: its log, and the invites issued for it.
    pub(crate) fn forget(&self, id: GroupId) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.book.forget(id);
        let book = Write::Put(Table::Groups, INVITES_KEY.to_vec(), wire::encode(&state.book));
        self.kv.write(vec![Write::Delete(Table::Groups, key(id)), book])?;
        state.damaged.remove(&id);
        // Closed before its file goes.
        drop(state.groups.remove(&id));
        self.stores.remove_log(&file_name(id))
    }

    /// Lets `work` change the log of `id`; what it adds is durable when this returns.
    pub(crate) fn change<T>(
        &self,
        id: GroupId,
        work: impl FnOnce(&mut Log) -> T,
    ) -> Result<T, ChangeError> {
        let mut state = self.lock();
        let group = state.groups.get_mut(&id).ok_or(ChangeError::Unknown)?;
        Ok(group.change(work)?)
    }

    /// As the owner: makes the next entry.
    pub(crate) fn sequence(&self, id: GroupId, change: Change) -> Result<Entry, ChangeError> {
        self.sequence_with(id, |log, key, now| log.sequence(change, key, now))
    }

    /// As the owner: makes the next entry for somebody's wish.
    pub(crate) fn sequence_request(
        &self,
        id: GroupId,
        request: SignedRequest,
    ) -> Result<Entry, ChangeError> {
        self.sequence_with(id, |log, key, now| log.sequence_request(request, key, now))
    }

    /// As another member: signs a wish for the owner.
    pub(crate) fn wish(&self, id: GroupId, wish: Wish) -> Result<SignedRequest, ChangeError> {
        let now = self.env.now();
        let signed = |log: &Log| self.env.with_rng(|rng| log.wish(wish, &self.key, now, rng));
        Ok(self.view(id, signed).ok_or(ChangeError::Unknown)??)
    }

    /// The members that can be reached were asked, and this log is as new as theirs: this node may
    /// sequence again.
    pub(crate) fn confirm(&self, id: GroupId) {
        let mut state = self.lock();
        let Some(group) = state.groups.get_mut(&id) else { return };
        if !std::mem::replace(&mut group.unconfirmed, false) {
            return;
        }
        let is_open = |group: &Group| group.unconfirmed && group.log().owner() == self.me;
        if state.groups.values().any(is_open) {
            return;
        }
        let delete = Write::Delete(Table::Meta, RESTORED_KEY.to_vec());
        if let Err(error) = self.kv.write(vec![delete]) {
            tracing::warn!(%error, "cannot clear the mark of a restored home; it is tried again after a restart");
        }
    }

    /// Whether this node must hear from another member before it sequences. Where the backup knows
    /// of no other member there is nobody to ask, and the owner goes on alone: members that came
    /// after the backup was made would then see two histories.
    pub(crate) fn is_unconfirmed(&self, id: GroupId) -> bool {
        let state = self.lock();
        state
            .groups
            .get(&id)
            .is_some_and(|group| group.unconfirmed && group.log().members().len() > 1)
    }

    fn sequence_with(
        &self,
        id: GroupId,
        make: impl FnOnce(
            &mut Log,
            &SecretKey,
            covey_protocol::ids::UnixMillis,
        ) -> Result<Entry, Rejection>,
    ) -> Result<Entry, ChangeError> {
        if self.is_unconfirmed(id) {
            return Err(ChangeError::Unconfirmed);
        }
        let now = self.env.now();
        Ok(self.change(id, |log| make(log, &self.key, now))??)
    }

    fn insert(&self, state: &mut State, name: Name, log: Log) -> Result<GroupId, ApiError> {
        let id = log.group();
        let group = Group::begin(&*self.stores, name.clone(), log)?;
        let record = wire::encode(&Record { version: RECORD_VERSION, name });
        self.kv.write(vec![Write::Put(Table::Groups, key(id), record)])?;
        state.groups.insert(id, group);
        Ok(id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn name_taken(&self, name: &Name) -> bool {
        self.groups.values().any(|group| group.name == *name)
            || self.damaged.values().any(|(damaged, _)| damaged == name)
    }

    fn free_name(&self, name: &Name) -> Name {
        let numbered = |n: usize| {
            let suffix = format!("-{n}");
            let stem = name.as_str();
            let stem = stem[..stem.floor_char_boundary(MAX_NAME - suffix.len())].trim_end();
            format!("{stem}{suffix}").parse().ok()
        };
        let mut names =
            std::iter::once(name.clone()).chain((2..=MAX_GROUPS + 2).filter_map(numbered));
        names.find(|name| !self.name_taken(name)).unwrap_or_else(|| name.clone())
    }

    fn check_room(&self) -> Result<(), ApiError> {
        if self.groups.len() + self.damaged.len() < MAX_GROUPS {
            return Ok(());
        }
        let message = format!("this node is in {MAX_GROUPS} groups already");
        Err(ApiError::new(ErrorCode::Usage, message).hint("leave one first: `covey group leave`"))
    }
}

fn key(id: GroupId) -> Vec<u8> {
    id.0.as_bytes().to_vec()
}
