//! What other nodes ask about groups. Membership is checked on every request.

use std::time::Duration;

use covey_net::Link;
use covey_protocol::group::sync::{Answer, Next, Pull, answer};
use covey_protocol::group::{
    Admission, Entry, Equivocation, Head, InviteRefusal, InviteSecret, Log, NotProof,
    SignedRequest, Standing, Wish,
};
use covey_protocol::ids::{GroupId, Name, NodeId, RequestId};
use covey_protocol::limits::{MAX_ENTRIES_PER_REPLY, MAX_GROUP_REQUEST, MAX_HINTS};
use covey_protocol::wire;
use covey_protocol::wire::v1::group::{GroupRefusal, GroupReply, GroupRequest, Hint};

use super::errors;
use crate::addresses::SaidBy;
use crate::api::ErrorCode;
use crate::node::{Job, Node};

impl<L: Link> Node<L> {
    /// Answers one request of `from`. Whatever the bytes are, there is a reply.
    pub(crate) async fn serve_group(&self, from: NodeId, body: &[u8]) -> Vec<u8> {
        let Ok(request) = wire::decode::<GroupRequest>(body, MAX_GROUP_REQUEST) else {
            let refusal = GroupRefusal::BadRequest;
            return wire::encode(&GroupReply::Refused { id: RequestId(0), refusal });
        };
        let id = request.id();
        let reply = match request {
            GroupRequest::Redeem { group, secret, name, addresses, .. } => {
                self.on_redeem(id, group, from, &secret, &name, &addresses).await
            }
            GroupRequest::Sync { group, head, addresses, .. } => {
                self.on_sync(id, group, from, head, &addresses)
            }
            GroupRequest::Push { group, entries, head, .. } => {
                self.on_push(id, group, from, entries, head)
            }
            GroupRequest::Submit { group, request, .. } => {
                self.on_submit(id, group, from, request).await
            }
            GroupRequest::Evidence { group, evidence, .. } => {
                self.on_evidence(id, group, from, *evidence)
            }
        };
        wire::encode(&reply.unwrap_or_else(|refusal| GroupReply::Refused { id, refusal }))
    }

    async fn on_redeem(
        &self,
        id: RequestId,
        group: GroupId,
        node: NodeId,
        secret: &InviteSecret,
        name: &Name,
        addresses: &[String],
    ) -> Result<GroupReply, GroupRefusal> {
        let admission = self
            .groups
            .admit(group, node, secret, name)
            .map_err(|error| errors::refusal(error.into()))?
            // As for a forged secret: who does not know one is not told which groups are here.
            .ok_or(GroupRefusal::Invite(InviteRefusal::UnknownOrForged))??;
        match admission {
            Admission::AlreadyIn => {}
            Admission::Add(wish) => self.let_in(group, wish).await?,
        }
        self.learn(node, addresses, SaidBy::Itself);
        let page = |log: &Log| (log.entries_from_start(MAX_ENTRIES_PER_REPLY), log.head());
        let (entries, head) = self.groups.view(group, page).ok_or(GroupRefusal::NotAMember)?;
        Ok(GroupReply::Joined { id, entries, head, hints: self.hints(group, node) })
    }

    /// Gets the entry of a new member made, by this node or by the owner.
    async fn let_in(&self, group: GroupId, wish: Wish) -> Result<(), GroupRefusal> {
        let owner = self.groups.view(group, Log::owner).ok_or(GroupRefusal::NotAMember)?;
        if owner == self.id() {
            self.confirm_if_restored(group).await;
            self.groups.sequence(group, wish.change(owner)).map_err(errors::refusal)?;
            self.group_changed(group);
            self.schedule(Job::Announce { group, also: None });
            return Ok(());
        }
        let granted = self.wish(group, wish).await;
        granted.map_err(|error| match error.code {
            ErrorCode::Unreachable | ErrorCode::Timeout => GroupRefusal::OwnerOffline,
            code => {
                tracing::warn!(?code, %error, "the owner did not confirm an invite");
                GroupRefusal::Internal
            }
        })
    }

    fn on_sync(
        &self,
        id: RequestId,
        group: GroupId,
        from: NodeId,
        head: Head,
        addresses: &[String],
    ) -> Result<GroupReply, GroupRefusal> {
        let answer = self.groups.view(group, |log| answer(log, from, head));
        match answer.ok_or(GroupRefusal::NotAMember)? {
            Answer::NotAMember => Err(GroupRefusal::NotAMember),
            Answer::Frozen(evidence) => Ok(GroupReply::Frozen { id, evidence }),
            Answer::Forked => {
                self.schedule(Job::Sync { group, with: from, gap: Duration::ZERO });
                Err(GroupRefusal::Forked)
            }
            Answer::Entries { entries, head, peer_is_ahead } => {
                let is_member = self.is_member(group, from);
                if is_member {
                    self.learn(from, addresses, SaidBy::Itself);
                }
                if peer_is_ahead {
                    self.schedule(Job::Sync { group, with: from, gap: Duration::ZERO });
                }
                let hints = if is_member { self.hints(group, from) } else { Vec::new() };
                Ok(GroupReply::Entries { id, entries, head, hints })
            }
        }
    }

    /// Takes entries from anybody, as their signatures speak for them; whoever is then neither in
    /// the group nor was learns nothing.
    fn on_push(
        &self,
        id: RequestId,
        group: GroupId,
        from: NodeId,
        entries: Vec<Entry>,
        theirs: Head,
    ) -> Result<GroupReply, GroupRefusal> {
        let next = self
            .apply(group, |log| Pull::new(log).take(log, entries, theirs).next)
            .map_err(errors::refusal)?;
        let (head, evidence) = self.for_member(group, from, Log::head)?;
        if let Some(evidence) = evidence {
            return Ok(GroupReply::Frozen { id, evidence: Box::new(evidence) });
        }
        match next {
            Next::AskAgain | Next::Bad(_) => {
                self.schedule(Job::Sync { group, with: from, gap: Duration::ZERO });
            }
            Next::Done | Next::Push(_) | Next::Frozen(_) => {}
        }
        Ok(GroupReply::Accepted { id, head })
    }

    async fn on_submit(
        &self,
        id: RequestId,
        group: GroupId,
        from: NodeId,
        request: SignedRequest,
    ) -> Result<GroupReply, GroupRefusal> {
        let (owner, evidence) = self.for_member(group, from, Log::owner)?;
        if let Some(evidence) = evidence {
            return Ok(GroupReply::Frozen { id, evidence: Box::new(evidence) });
        }
        if owner != self.id() {
            return Err(GroupRefusal::NotTheOwner { owner });
        }
        let removed = match &request.body.wish {
            Wish::Remove { node } => Some(*node),
            Wish::Add { .. } | Wish::Release(_) => None,
        };
        self.confirm_if_restored(group).await;
        self.groups.sequence_request(group, request).map_err(errors::refusal)?;
        self.group_changed(group);
        self.schedule(Job::Announce { group, also: removed });
        let head = self.groups.view(group, Log::head).ok_or(GroupRefusal::NotAMember)?;
        Ok(GroupReply::Accepted { id, head })
    }

    /// What `look` sees of a group, and the proof if it is frozen, for a member; others are refused.
    fn for_member<T>(
        &self,
        group: GroupId,
        from: NodeId,
        look: impl FnOnce(&Log) -> T,
    ) -> Result<(T, Option<Equivocation>), GroupRefusal> {
        let (standing, seen, evidence) = self
            .groups
            .view(group, |log| (log.standing(from), look(log), log.evidence().cloned()))
            .ok_or(GroupRefusal::NotAMember)?;
        match standing {
            Standing::Stranger => Err(GroupRefusal::NotAMember),
            Standing::Removed(_) => Err(GroupRefusal::Removed),
            Standing::Member(_) => Ok((seen, evidence)),
        }
    }

    fn on_evidence(
        &self,
        id: RequestId,
        group: GroupId,
        from: NodeId,
        evidence: Equivocation,
    ) -> Result<GroupReply, GroupRefusal> {
        let standing = self.groups.view(group, |log| log.standing(from));
        if matches!(standing, None | Some(Standing::Stranger)) {
            return Err(GroupRefusal::NotAMember);
        }
        match self.apply(group, |log| log.convict(evidence)) {
            Ok(Ok(())) => {
                let head = self.groups.view(group, Log::head).ok_or(GroupRefusal::NotAMember)?;
                Ok(GroupReply::Accepted { id, head })
            }
            Ok(Err(NotProof::UnknownParent)) => {
                self.schedule(Job::Sync { group, with: from, gap: Duration::ZERO });
                Err(GroupRefusal::Forked)
            }
            Ok(Err(NotProof::Invalid)) => Err(GroupRefusal::BadRequest),
            Err(error) => Err(errors::refusal(error)),
        }
    }

    fn is_member(&self, group: GroupId, node: NodeId) -> bool {
        self.groups.view(group, |log| log.role_of(node).is_some()) == Some(true)
    }

    /// Where members can be reached, for `reader`: this node first, then others in the order of ids.
    fn hints(&self, group: GroupId, reader: NodeId) -> Vec<Hint> {
        let me = self.id();
        let members =
            self.groups.view(group, |log| log.members().keys().copied().collect::<Vec<_>>());
        let others =
            members.unwrap_or_default().into_iter().filter(|node| *node != me && *node != reader);
        let others = others.map(|node| {
            let addresses = self.addresses.of(node).iter().map(ToString::to_string).collect();
            Hint { node, addresses }
        });
        let own = Hint { node: me, addresses: self.own_hints() };
        let useful = |hint: &Hint| !hint.addresses.is_empty();
        std::iter::once(own).chain(others).filter(useful).take(MAX_HINTS).collect()
    }
}
