//! What the person asks of a group: create, list, invite, change, leave.

use covey_net::Link;
use covey_protocol::group::{Change, Log, Member, Rejection, Role, Wish};
use covey_protocol::ids::{Epoch, GroupId, Name, NodeId, UnixMillis};
use covey_protocol::limits::MAX_INVITE_LIFE_MS;
use covey_protocol::wire::v1::group::{GroupRefusal, GroupReply, GroupRequest};

use super::errors;
use crate::api::{ApiError, ErrorCode, MemberInfo, Reply};
use crate::node::Node;
use crate::reach::why_failed;
use crate::sync::{GROUP_TIMEOUT, Unanswered};

/// Life of an invite, unless the person says otherwise: a day.
const INVITE_LIFE_S: u64 = 24 * 3_600;

impl<L: Link> Node<L> {
    pub(crate) fn group_create(
        &self,
        group: Name,
        member: Option<Name>,
    ) -> Result<Reply, ApiError> {
        let member = member.unwrap_or_else(|| self.settings.name.clone());
        let id = self.groups.create(group, member)?;
        self.group_reply(id)
    }

    pub(crate) fn group_members(&self, group: &Name) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        let online: Vec<NodeId> = self.link.peers().into_iter().map(|peer| peer.node).collect();
        let members = self.groups.view(id, |log| members(log, self.id(), &online));
        let group = self.group_info(id).ok_or_else(errors::gone)?;
        Ok(Reply::Members { group, members: members.unwrap_or_default() })
    }

    pub(crate) fn invite(&self, group: &Name, expires_s: Option<u64>) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        let addresses: Vec<String> =
            self.link.addresses().iter().map(ToString::to_string).collect();
        if addresses.is_empty() {
            let message = "this node listens nowhere, so nobody could redeem an invite";
            return Err(ApiError::new(ErrorCode::Unreachable, message)
                .hint("start `covey daemon` and invite again"));
        }
        let life_ms = expires_s.unwrap_or(INVITE_LIFE_S).saturating_mul(1_000);
        if life_ms == 0 || life_ms > MAX_INVITE_LIFE_MS {
            let message = "an invite lives between one second and 30 days";
            return Err(ApiError::new(ErrorCode::Usage, message));
        }
        let (code, expires) = self.groups.invite(id, life_ms, addresses)?;
        Ok(Reply::Invite { code, expires })
    }

    pub(crate) async fn group_remove(&self, group: &Name, member: &str) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        let node = self.member(id, group, member)?;
        if node == self.id() {
            return Err(ApiError::new(ErrorCode::Usage, "that is this node itself")
                .hint(format!("to leave, use `covey group leave {group}`")));
        }
        self.wish(id, Wish::Remove { node }).await?;
        self.group_reply(id)
    }

    pub(crate) async fn group_transfer(
        &self,
        group: &Name,
        member: &str,
    ) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        let to = self.member(id, group, member)?;
        self.decree(id, Change::Transfer { to }).await?;
        self.group_reply(id)
    }

    pub(crate) async fn group_role(
        &self,
        group: &Name,
        member: &str,
        admin: bool,
    ) -> Result<Reply, ApiError> {
        let id = self.groups.find(group)?;
        let node = self.member(id, group, member)?;
        let role = if admin { Role::Admin } else { Role::Member };
        self.decree(id, Change::SetRole { node, role }).await?;
        self.group_reply(id)
    }

    /// Leaves: takes this node off the list, with the owner's help, and forgets the group. Where
    /// there is nothing to be taken off (removed, alone, frozen) it is only forgotten.
    pub(crate) async fn group_leave(&self, group: &Name) -> Result<Reply, ApiError> {
        let id = match self.groups.find(group) {
            Err(error) if error.code == ErrorCode::Corrupt => {
                // Nothing can be done with a damaged log but to make room for a new invite.
                let id = self.groups.find_damaged(group).ok_or(error)?;
                self.forget(id).await?;
                return Ok(Reply::Ok);
            }
            found => found?,
        };
        let me = self.id();
        let (role, others, frozen) = self
            .groups
            .view(id, |log| (log.role_of(me), log.members().len() - 1, log.is_frozen()))
            .ok_or_else(errors::gone)?;
        match role {
            Some(Role::Owner) if others > 0 && !frozen => {
                let message = format!("the owner of {group} cannot leave while others are in it");
                return Err(ApiError::new(ErrorCode::Forbidden, message).hint(format!(
                    "hand it over with `covey group transfer {group} MEMBER`, then leave"
                )));
            }
            Some(Role::Admin | Role::Member) if !frozen => {
                self.wish(id, Wish::Remove { node: me }).await?;
            }
            Some(_) | None => {}
        }
        self.forget(id).await?;
        Ok(Reply::Ok)
    }

    /// Makes a change that only the owner may make, and tells the members.
    pub(crate) async fn decree(&self, id: GroupId, change: Change) -> Result<(), ApiError> {
        let owner = self.groups.view(id, Log::owner).ok_or_else(errors::gone)?;
        if owner != self.id() {
            let name = self.member_name(id, owner);
            let message = format!("only the owner of this group, {name}, can do this");
            return Err(ApiError::new(ErrorCode::Forbidden, message).hint(format!("ask {name}")));
        }
        self.confirm_if_restored(id).await;
        self.groups.sequence(id, change)?;
        self.group_changed(id);
        self.announce_briefly(id, None).await;
        Ok(())
    }

    /// Gets a wish of this node into the log: by itself as the owner, else through the owner.
    pub(crate) async fn wish(&self, id: GroupId, wish: Wish) -> Result<(), ApiError> {
        let owner = self.groups.view(id, Log::owner).ok_or_else(errors::gone)?;
        if owner == self.id() {
            let removed = removed_by(&wish);
            self.confirm_if_restored(id).await;
            self.groups.sequence(id, wish.change(owner))?;
            self.group_changed(id);
            self.announce_briefly(id, removed).await;
            return Ok(());
        }
        match self.submit(id, owner, wish.clone()).await {
            Err(Submission::NotTheOwner(owner)) if owner != self.id() => {
                // It was handed over meanwhile: hear about it, and ask the new one.
                let _ = self.sync_with(id, owner).await;
                self.submit(id, owner, wish).await.map_err(Submission::into_api)
            }
            other => other.map_err(Submission::into_api),
        }
    }

    /// Submits a wish to the owner and fetches the entry that grants it.
    async fn submit(&self, id: GroupId, owner: NodeId, wish: Wish) -> Result<(), Submission> {
        let request =
            self.groups.wish(id, wish).map_err(|error| Submission::Failed(error.into()))?;
        let message = GroupRequest::Submit { id: self.request_id(), group: id, request };
        match self.ask_group(owner, message, GROUP_TIMEOUT).await {
            Ok(GroupReply::Accepted { .. })
            | Ok(GroupReply::Refused {
                refusal: GroupRefusal::Rejected(Rejection::RequestReused),
                ..
            }) => {
                // What the owner has done stands, whether or not it can be fetched right now.
                let _ = self.sync_with(id, owner).await;
                Ok(())
            }
            Ok(GroupReply::Refused { refusal: GroupRefusal::NotTheOwner { owner }, .. }) => {
                Err(Submission::NotTheOwner(owner))
            }
            Ok(GroupReply::Refused { refusal, .. }) => {
                Err(Submission::Failed(errors::refused(refusal)))
            }
            Ok(GroupReply::Frozen { evidence, .. }) => {
                self.convict(id, *evidence);
                let name =
                    self.groups.name_of(id).ok_or_else(|| Submission::Failed(errors::gone()))?;
                Err(Submission::Failed(errors::frozen(&name)))
            }
            Ok(GroupReply::Joined { .. } | GroupReply::Entries { .. }) => {
                Err(Submission::Failed(unreadable()))
            }
            Err(Unanswered::Unreadable) => Err(Submission::Failed(unreadable())),
            Err(Unanswered::Link(error)) => {
                let name = self.member_name(id, owner);
                let message = format!(
                    "the group's owner, {name}, confirms every change and cannot be reached: {}",
                    why_failed(&error)
                );
                Err(Submission::Failed(ApiError::new(ErrorCode::Unreachable, message).hint(format!(
                    "try again when {name} is online; `covey unshare` works at once and without anybody"
                ))))
            }
        }
    }

    /// The member of `group` that a person means by `text`: its name, its id, or a unique start of it.
    pub(crate) fn member(&self, id: GroupId, group: &Name, text: &str) -> Result<NodeId, ApiError> {
        let found = self.groups.view(id, |log| find_member(log, text)).ok_or_else(errors::gone)?;
        match found[..] {
            [node] => Ok(node),
            [] => Err(ApiError::new(
                ErrorCode::NotFound,
                format!("there is no member called {text} in {group}"),
            )
            .hint(format!("`covey group members {group}` lists them"))),
            _ => Err(ApiError::new(
                ErrorCode::Usage,
                format!("{text} fits {} members of {group}", found.len()),
            )
            .hint("give more of the node id")),
        }
    }

    /// What `node` is called in a group.
    pub(crate) fn member_name(&self, id: GroupId, node: NodeId) -> String {
        let name = |log: &Log| log.members().get(&node).map(|member| member.name.to_string());
        self.groups.view(id, name).flatten().unwrap_or_else(|| node.short())
    }

    pub(crate) fn group_reply(&self, id: GroupId) -> Result<Reply, ApiError> {
        self.group_info(id).map(Reply::Group).ok_or_else(errors::gone)
    }

    async fn forget(&self, id: GroupId) -> Result<(), ApiError> {
        self.forget_learning(id).await?;
        self.shares.remove(|group, _| group == id)?;
        self.groups.forget(id)?;
        self.members_changed();
        let members = self.groups.fellow_members();
        self.addresses.retain(|node| members.contains(&node));
        Ok(())
    }
}

/// Why a submitted wish was not granted.
enum Submission {
    /// The one that was asked says that this node is the owner.
    NotTheOwner(NodeId),
    Failed(ApiError),
}

impl Submission {
    fn into_api(self) -> ApiError {
        match self {
            Self::NotTheOwner(owner) => {
                let message = format!("the group is being handed over to {}", owner.short());
                ApiError::new(ErrorCode::Unreachable, message).hint("try again in a moment")
            }
            Self::Failed(error) => error,
        }
    }
}

/// Who is no member any more once `wish` is granted, and should hear of it.
fn removed_by(wish: &Wish) -> Option<NodeId> {
    match wish {
        Wish::Remove { node } => Some(*node),
        Wish::Add { .. } | Wish::Release(_) => None,
    }
}

fn unreadable() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the group's owner sent a reply that makes no sense")
        .hint("both sides may need the same Covey version")
}

fn find_member(log: &Log, text: &str) -> Vec<NodeId> {
    // A member may be called as another's id begins: a whole id is that node, and what could be
    // either fits both.
    if let Some(node) = text.parse().ok().filter(|node| log.role_of(*node).is_some()) {
        return vec![node];
    }
    let start = text.to_ascii_lowercase();
    let fits = |(node, member): &(&NodeId, &Member)| {
        member.name.as_str().eq_ignore_ascii_case(text)
            || (start.len() >= 4 && node.to_string().starts_with(&start))
    };
    log.members().iter().filter(fits).map(|(node, _)| *node).collect()
}

/// When an entry was made, by its owner's clock.
fn time_of(log: &Log, epoch: Epoch) -> UnixMillis {
    let entries = match epoch.0.checked_sub(1) {
        Some(before) => log.entries_after(Epoch(before), 1),
        None => log.entries_from_start(1),
    };
    let decoded = entries.into_iter().next().and_then(|entry| entry.decode().ok());
    decoded.map(|decoded| decoded.body().at).unwrap_or_default()
}

/// The owner first, then by name.
fn members(log: &Log, me: NodeId, online: &[NodeId]) -> Vec<MemberInfo> {
    let info = |(node, member): (&NodeId, &Member)| MemberInfo {
        node: *node,
        name: member.name.clone(),
        role: member.role.to_string(),
        since: time_of(log, member.since),
        online: *node == me || online.contains(node),
        you: *node == me,
    };
    let mut members: Vec<_> = log.members().iter().map(info).collect();
    let owner = log.owner();
    members.sort_by(|a, b| (a.node != owner, &a.name).cmp(&(b.node != owner, &b.name)));
    members
}
