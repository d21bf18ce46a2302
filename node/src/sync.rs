//! Keeping membership logs equal: asking others what is new, and telling them.

use std::collections::BTreeMap;
use std::time::Duration;

use covey_net::{Link, LinkError, Protocol};
use covey_protocol::group::sync::{Next, Pull};
use covey_protocol::group::{Entry, Equivocation, Log};
use covey_protocol::ids::{Epoch, GroupId, NodeId, RequestId};
use covey_protocol::limits::{
    MAX_ENTRIES_PER_PUSH, MAX_ENTRIES_PER_REPLY, MAX_GROUP_REPLY, MAX_LOG_ENTRIES,
};
use covey_protocol::wire;
use covey_protocol::wire::v1::group::{GroupRefusal, GroupReply, GroupRequest, Hint};
use futures::StreamExt;
use tokio::time::Instant;

use crate::addresses::SaidBy;
use crate::groups::ChangeError;
use crate::node::{Job, Node};

/// How long one group request may take.
pub(crate) const GROUP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a person's call waits for members to hear of a change; the rest hear of it later.
const ANNOUNCE_PATIENCE: Duration = Duration::from_secs(3);
/// Members told at once.
const ANNOUNCE_AT_ONCE: usize = 16;
/// Pages of one pull: enough for the longest log, read twice.
const MAX_PAGES: u64 = 2 * (MAX_LOG_ENTRIES / MAX_ENTRIES_PER_REPLY as u64 + 2);
/// Two pulls from one member are at least so far apart.
const SHORTEST_GAP: Duration = Duration::from_secs(1);
/// Pulls that are remembered; past this the oldest are forgotten.
const MAX_REMEMBERED: usize = 4_096;

/// Why a request brought no reply.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("the reply makes no sense")]
    Unreadable,
}

/// Why two logs could not be made equal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SyncError {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("refused: {0}")]
    Refused(GroupRefusal),
    #[error("the other side sent what is not a log")]
    Bad,
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Which pulls are under way, and when the last of each began.
#[derive(Default)]
pub(crate) struct Pulls(BTreeMap<(GroupId, NodeId), (Instant, bool)>);

impl Pulls {
    /// Whether to begin now; remembers it if so.
    fn begin(&mut self, key: (GroupId, NodeId), now: Instant, gap: Duration) -> bool {
        let recent =
            |(since, running): &(Instant, bool)| *running || now.duration_since(*since) < gap;
        if self.0.get(&key).is_some_and(recent) {
            return false;
        }
        if self.0.len() >= MAX_REMEMBERED {
            self.0.retain(|_, mark| recent(mark));
        }
        self.0.insert(key, (now, true));
        true
    }

    fn end(&mut self, key: (GroupId, NodeId)) {
        if let Some((_, running)) = self.0.get_mut(&key) {
            *running = false;
        }
    }
}

impl<L: Link> Node<L> {
    /// A fresh request id.
    pub(crate) fn request_id(&self) -> RequestId {
        RequestId(self.env.next_u64())
    }

    /// This node's own addresses, as hints for others.
    pub(crate) fn own_hints(&self) -> Vec<String> {
        self.link.addresses().iter().map(ToString::to_string).collect()
    }

    /// Sends one group request and reads its reply.
    pub(crate) async fn ask_group(
        &self,
        to: NodeId,
        request: GroupRequest,
        timeout: Duration,
    ) -> Result<GroupReply, Unanswered> {
        let body = wire::encode(&request);
        let reply = self.link.request(to, Protocol::Group, body, timeout).await?;
        let reply: GroupReply =
            wire::decode(&reply, MAX_GROUP_REPLY).map_err(|_| Unanswered::Unreadable)?;
        // A refusal of what could not be read cannot repeat its id.
        let fits = reply.id() == request.id()
            || matches!(reply, GroupReply::Refused { refusal: GroupRefusal::BadRequest, .. });
        if fits { Ok(reply) } else { Err(Unanswered::Unreadable) }
    }

    /// As [`Node::sync_with`], unless that is under way or was done within `gap`. For jobs.
    pub(crate) async fn sync_now_and_then(&self, id: GroupId, with: NodeId, gap: Duration) {
        let key = (id, with);
        if !self.pulls().begin(key, Instant::now(), gap.max(SHORTEST_GAP)) {
            return;
        }
        if let Err(error) = self.sync_with(id, with).await {
            tracing::debug!(group = %id.0.short(), with = %with.short(), %error, "no sync");
        }
        self.pulls().end(key);
    }

    /// Makes this node's log of a group and another member's equal.
    pub(crate) async fn sync_with(&self, id: GroupId, with: NodeId) -> Result<(), SyncError> {
        let mut pull = self.groups.view(id, Pull::new).ok_or(ChangeError::Unknown)?;
        for _ in 0..MAX_PAGES {
            let request = GroupRequest::Sync {
                id: self.request_id(),
                group: id,
                head: pull.head(),
                addresses: self.own_hints(),
            };
            let next = match self.ask_group(with, request, GROUP_TIMEOUT).await? {
                GroupReply::Entries { entries, head, hints, .. } => {
                    self.take_hints(id, with, hints);
                    self.apply(id, |log| pull.take(log, entries, head).next)?
                }
                GroupReply::Refused { refusal: GroupRefusal::Forked, .. } => {
                    self.groups.view(id, |log| pull.forked(log)).ok_or(ChangeError::Unknown)?
                }
                GroupReply::Frozen { evidence, .. } => Next::Frozen(evidence),
                GroupReply::Refused { refusal, .. } => return Err(SyncError::Refused(refusal)),
                GroupReply::Joined { .. } | GroupReply::Accepted { .. } => {
                    return Err(SyncError::Bad);
                }
            };
            match next {
                Next::AskAgain => {}
                Next::Done => return Ok(()),
                Next::Push(entries) => {
                    self.push(id, with, entries).await?;
                    return Ok(());
                }
                Next::Frozen(evidence) => {
                    self.convict(id, *evidence);
                    return Ok(());
                }
                Next::Bad(_) => return Err(SyncError::Bad),
            }
        }
        Err(SyncError::Bad)
    }

    /// Tells every member (and `also`, who may be one no more) what is new, all at once, and
    /// returns when they have heard or cannot be reached.
    pub(crate) async fn announce(&self, id: GroupId, also: Option<NodeId>) {
        let me = self.id();
        let Some((mut to, entries)) = self.groups.view(id, |log| {
            let to: Vec<NodeId> =
                log.members().keys().copied().filter(|node| *node != me).collect();
            (to, newest(log))
        }) else {
            return;
        };
        to.extend(also);
        let pushes = to.into_iter().map(|node| {
            let entries = entries.clone();
            async move {
                if let Err(error) = self.push(id, node, entries).await {
                    tracing::debug!(to = %node.short(), %error, "a member did not hear of a change");
                }
            }
        });
        futures::stream::iter(pushes).buffer_unordered(ANNOUNCE_AT_ONCE).collect::<()>().await;
    }

    /// As [`Node::announce`], but does not keep a person waiting for long.
    pub(crate) async fn announce_briefly(&self, id: GroupId, also: Option<NodeId>) {
        if tokio::time::timeout(ANNOUNCE_PATIENCE, self.announce(id, also)).await.is_err() {
            tracing::debug!("not everybody heard of a change in time; they will when they sync");
        }
    }

    /// Shows the proof that froze a group to every member.
    pub(crate) async fn spread_evidence(&self, id: GroupId) {
        let me = self.id();
        let Some((to, Some(evidence))) = self.groups.view(id, |log| {
            let to: Vec<NodeId> =
                log.members().keys().copied().filter(|node| *node != me).collect();
            (to, log.evidence().cloned())
        }) else {
            return;
        };
        let tell = to.into_iter().map(|node| {
            let evidence = Box::new(evidence.clone());
            let request = GroupRequest::Evidence { id: self.request_id(), group: id, evidence };
            async move { drop(self.ask_group(node, request, GROUP_TIMEOUT).await) }
        });
        futures::stream::iter(tell).buffer_unordered(ANNOUNCE_AT_ONCE).collect::<()>().await;
    }

    /// After a restore: asks all members what came after the backup. One that is behind, or lies,
    /// would have this node sign a second history; any other that can be reached prevents it.
    pub(crate) async fn confirm_if_restored(&self, id: GroupId) {
        if !self.groups.is_unconfirmed(id) {
            return;
        }
        let me = self.id();
        let members = self.groups.view(id, |log| log.members().keys().copied().collect::<Vec<_>>());
        let others = members.unwrap_or_default().into_iter().filter(|node| *node != me);
        let asked = others.map(|node| async move { self.sync_with(id, node).await.is_ok() });
        let heard = futures::stream::iter(asked).buffer_unordered(ANNOUNCE_AT_ONCE);
        if heard.filter(|heard| std::future::ready(*heard)).count().await > 0 {
            self.groups.confirm(id);
        }
    }

    /// Lets `work` change a group's log, durably, and does what follows from a change.
    pub(crate) fn apply<T>(
        &self,
        id: GroupId,
        work: impl FnOnce(&mut Log) -> T,
    ) -> Result<T, ChangeError> {
        let state = |log: &Log| (log.head(), log.is_frozen());
        let before = self.groups.view(id, state);
        let result = self.groups.change(id, work)?;
        let after = self.groups.view(id, state);
        if before != after {
            self.group_changed(id);
        }
        if let (Some((_, false)), Some((_, true))) = (before, after) {
            tracing::error!(group = %id.0.short(), "the owner signed two histories; the group is frozen");
            self.schedule(Job::Spread(id));
        }
        Ok(result)
    }

    /// Freezes a group, if `evidence` is proof.
    pub(crate) fn convict(&self, id: GroupId, evidence: Equivocation) -> bool {
        matches!(self.apply(id, |log| log.convict(evidence)), Ok(Ok(())))
    }

    /// What follows from a group's new state: whom the link serves, and that a group which this
    /// node is no longer in sees nothing.
    pub(crate) fn group_changed(&self, id: GroupId) {
        self.members_changed();
        let me = self.id();
        let is_out = self.groups.view(id, |log| log.role_of(me).is_none()).unwrap_or(true);
        if is_out && let Err(error) = self.shares.remove(|group, _| group == id) {
            // Nobody of that group is answered either way.
            tracing::error!(%error, "cannot remove the shares of a group that this node is no longer in");
        }
    }

    /// Takes hints about where members are; hints about anybody else are nobody's business.
    pub(crate) fn take_hints(&self, id: GroupId, from: NodeId, hints: Vec<Hint>) {
        for Hint { node, addresses } in hints {
            let said_by = if node == from { SaidBy::Itself } else { SaidBy::Others };
            let is_member = self.groups.view(id, |log| log.role_of(node).is_some());
            if node != self.id() && is_member == Some(true) {
                self.learn(node, &addresses, said_by);
            }
        }
    }

    /// Remembers where a member can be reached.
    pub(crate) fn learn(&self, node: NodeId, addresses: &[String], said_by: SaidBy) {
        if let Some(known) = self.addresses.learn(node, addresses, said_by) {
            self.link.learn(node, &known);
        }
    }

    async fn push(&self, id: GroupId, to: NodeId, entries: Vec<Entry>) -> Result<(), SyncError> {
        let head = self.groups.view(id, Log::head).ok_or(ChangeError::Unknown)?;
        let request = GroupRequest::Push { id: self.request_id(), group: id, entries, head };
        match self.ask_group(to, request, GROUP_TIMEOUT).await? {
            GroupReply::Accepted { head: theirs, .. } => {
                if theirs.epoch > head.epoch {
                    self.schedule(Job::Sync { group: id, with: to, gap: Duration::ZERO });
                }
                Ok(())
            }
            GroupReply::Frozen { evidence, .. } => {
                self.convict(id, *evidence);
                Ok(())
            }
            GroupReply::Refused { refusal, .. } => Err(SyncError::Refused(refusal)),
            GroupReply::Joined { .. } | GroupReply::Entries { .. } => Err(SyncError::Bad),
        }
    }
}

/// The last entries of a log, as many as one push takes.
fn newest(log: &Log) -> Vec<Entry> {
    let page = MAX_ENTRIES_PER_PUSH as u64;
    match log.head().epoch.0.checked_sub(page) {
        Some(before) => log.entries_after(Epoch(before), MAX_ENTRIES_PER_PUSH),
        None => log.entries_from_start(MAX_ENTRIES_PER_PUSH),
    }
}
