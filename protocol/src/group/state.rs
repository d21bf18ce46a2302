//! Who is in the group after an entry, and whether the next change is allowed.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::Digest;

use super::entry::Verified;
use super::{Change, CurrentRelease, EntryBody, InviteId, Rejection, Role, SignedRequest};
use crate::ids::{Epoch, GroupId, Name, NodeId, UnixMillis};
use crate::limits::{MAX_LOG_ENTRIES, MAX_MEMBERS, MAX_REQUEST_AGE_MS};

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name it is shown under, unique in the group.
    pub name: Name,
    /// What it may do.
    pub role: Role,
    /// The epoch in which it came in.
    pub since: Epoch,
    /// Who invited it; nobody invited the founder.
    pub inviter: Option<NodeId>,
}

/// Everything that the checks look at, after the last accepted entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) group: GroupId,
    pub(super) name: Name,
    pub(super) owner: NodeId,
    pub(super) last_at: UnixMillis,
    pub(super) members: BTreeMap<NodeId, Member>,
    /// Nodes that were members and are not, with the epoch of their (last) removal.
    pub(super) removed: BTreeMap<NodeId, Epoch>,
    pub(super) coordinator: Option<NodeId>,
    /// The current release and the one before it.
    pub(super) releases: [Option<CurrentRelease>; 2],
    /// Fewest evaluations of a release.
    pub(super) quorum: u32,
    used_requests: BTreeSet<Digest>,
    used_invites: BTreeSet<InviteId>,
}

impl State {
    /// The state after a group's first entry.
    pub(super) fn first(verified: &Verified) -> Result<Self, Rejection> {
        let body = verified.body();
        let Change::Create { name, owner, owner_name, .. } = &body.change else {
            return Err(Rejection::BadFirst);
        };
        let founder = Member {
            name: owner_name.clone(),
            role: Role::Owner,
            since: body.epoch,
            inviter: None,
        };
        Ok(Self {
            group: GroupId(verified.head().digest),
            name: name.clone(),
            owner: *owner,
            last_at: body.at,
            members: BTreeMap::from([(*owner, founder)]),
            removed: BTreeMap::new(),
            coordinator: None,
            releases: [None; 2],
            quorum: 0,
            used_requests: BTreeSet::new(),
            used_invites: BTreeSet::new(),
        })
    }

    /// Checks everything about the next entry but its place in the chain and its signatures.
    pub(super) fn check(&self, body: &EntryBody) -> Result<(), Rejection> {
        if body.epoch.0 >= MAX_LOG_ENTRIES {
            return Err(Rejection::LogFull);
        }
        if body.at < self.last_at {
            return Err(Rejection::TimeWentBack);
        }
        if let Some(request) = &body.request {
            self.check_request(request, body)?;
        }
        let author = body.request.as_ref().map_or(self.owner, |request| request.body.author);
        self.check_change(author, &body.change)
    }

    /// Takes a checked entry.
    pub(super) fn advance(&mut self, body: &EntryBody) {
        self.last_at = body.at;
        if let Some(request) = &body.request {
            self.used_requests.insert(request.digest());
        }
        match &body.change {
            Change::Create { .. } => {}
            Change::Add { node, name, role, inviter, invite } => {
                let member = Member {
                    name: name.clone(),
                    role: *role,
                    since: body.epoch,
                    inviter: Some(*inviter),
                };
                self.members.insert(*node, member);
                self.removed.remove(node);
                self.used_invites.insert(*invite);
            }
            Change::SetRole { node, role } => self.set_role(*node, *role),
            Change::Transfer { to } => {
                self.set_role(self.owner, Role::Admin);
                self.set_role(*to, Role::Owner);
                self.owner = *to;
            }
            Change::Remove { node } => {
                self.members.remove(node);
                self.removed.insert(*node, body.epoch);
                self.coordinator = self.coordinator.filter(|coordinator| coordinator != node);
            }
            Change::Coordinator { node } => self.coordinator = *node,
            Change::Release(release) => {
                let (release, at, quorum) = (*release, body.at, self.quorum);
                let current = CurrentRelease { release, at, quorum };
                self.releases = [Some(current), self.releases[0]];
            }
            Change::Policy { quorum } => self.quorum = *quorum,
        }
    }

    /// Whether `author` may make this change now (G11 to G19, G22, G23).
    pub(super) fn check_change(&self, author: NodeId, change: &Change) -> Result<(), Rejection> {
        let role = self.role_of(author).ok_or(Rejection::NotAllowed)?;
        match change {
            Change::Create { .. } => Err(Rejection::BadFirst),
            Change::Add { node, name, role: given, inviter, invite } => {
                if role < Role::Admin || *inviter != author {
                    return Err(Rejection::NotAllowed);
                }
                if *given == Role::Owner {
                    return Err(Rejection::OnlyByTransfer);
                }
                self.check_add(node, name, invite)
            }
            Change::SetRole { node, role: given } => {
                if role != Role::Owner {
                    return Err(Rejection::NotAllowed);
                }
                let old = self.role_of(*node).ok_or(Rejection::NoSuchMember)?;
                match (old, *given) {
                    (Role::Owner, _) => Err(Rejection::OwnerStays),
                    (_, Role::Owner) => Err(Rejection::OnlyByTransfer),
                    (old, given) if old == given => Err(Rejection::NoChange),
                    (Role::Admin | Role::Member, Role::Admin | Role::Member) => Ok(()),
                }
            }
            Change::Transfer { to } => {
                if role != Role::Owner {
                    return Err(Rejection::NotAllowed);
                }
                match self.role_of(*to) {
                    None => Err(Rejection::NoSuchMember),
                    Some(Role::Owner) => Err(Rejection::NoChange),
                    Some(Role::Admin | Role::Member) => Ok(()),
                }
            }
            Change::Remove { node } => {
                let target = self.role_of(*node).ok_or(Rejection::NoSuchMember)?;
                match (role, target) {
                    (_, Role::Owner) => Err(Rejection::OwnerStays),
                    (Role::Owner, _) | (Role::Admin, Role::Member) => Ok(()),
                    (Role::Admin | Role::Member, _) if author == *node => Ok(()),
                    (Role::Admin | Role::Member, _) => Err(Rejection::NotAllowed),
                }
            }
            Change::Coordinator { node } => {
                if role != Role::Owner {
                    return Err(Rejection::NotAllowed);
                }
                if node.is_some_and(|node| self.role_of(node).is_none()) {
                    return Err(Rejection::NoSuchMember);
                }
                if *node == self.coordinator { Err(Rejection::NoChange) } else { Ok(()) }
            }
            Change::Release(release) => {
                if role != Role::Owner && self.coordinator != Some(author) {
                    return Err(Rejection::NotAllowed);
                }
                let before = self.releases[0].map_or(0, |current| current.release.number);
                if Some(release.number) == before.checked_add(1) {
                    Ok(())
                } else {
                    Err(Rejection::WrongRelease)
                }
            }
            Change::Policy { quorum } => {
                if role != Role::Owner {
                    return Err(Rejection::NotAllowed);
                }
                if *quorum as usize > MAX_MEMBERS {
                    return Err(Rejection::BadPolicy);
                }
                if *quorum == self.quorum { Err(Rejection::NoChange) } else { Ok(()) }
            }
        }
    }

    pub(super) fn role_of(&self, node: NodeId) -> Option<Role> {
        self.members.get(&node).map(|member| member.role)
    }

    pub(super) fn invite_used(&self, invite: &InviteId) -> bool {
        self.used_invites.contains(invite)
    }

    /// Whether a member has this name. ASCII case does not count; anything cleverer would make a
    /// log's validity depend on a version of Unicode.
    pub(super) fn name_taken(&self, name: &Name) -> bool {
        self.members.values().any(|member| member.name.as_str().eq_ignore_ascii_case(name.as_str()))
    }

    fn check_request(&self, request: &SignedRequest, entry: &EntryBody) -> Result<(), Rejection> {
        let body = &request.body;
        if body.group != self.group || body.wish.change(body.author) != entry.change {
            return Err(Rejection::RequestMismatch);
        }
        if body.at.0.abs_diff(entry.at.0) > MAX_REQUEST_AGE_MS {
            return Err(Rejection::StaleRequest);
        }
        if self.used_requests.contains(&request.digest()) {
            return Err(Rejection::RequestReused);
        }
        Ok(())
    }

    fn check_add(&self, node: &NodeId, name: &Name, invite: &InviteId) -> Result<(), Rejection> {
        if self.members.contains_key(node) {
            return Err(Rejection::AlreadyMember);
        }
        if self.name_taken(name) {
            return Err(Rejection::NameTaken);
        }
        if self.invite_used(invite) {
            return Err(Rejection::InviteReused);
        }
        if self.members.len() >= MAX_MEMBERS {
            return Err(Rejection::GroupFull);
        }
        Ok(())
    }

    fn set_role(&mut self, node: NodeId, role: Role) {
        if let Some(member) = self.members.get_mut(&node) {
            member.role = role;
        }
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::group::{ENTRY_VERSION, Log};

    #[test]
    fn g20_a_log_has_a_largest_length() {
        let key = SecretKey::from_seed(&[1; 32]);
        let name = |text: &str| text.parse::<Name>().expect("a name");
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let log = Log::create(name("lab"), name("ann"), &key, UnixMillis(1), &mut rng);
        let body = |epoch: u64| EntryBody {
            version: ENTRY_VERSION,
            group: log.group(),
            epoch: Epoch(epoch),
            parent: Digest::ZERO,
            at: UnixMillis(1),
            change: Change::Add {
                node: NodeId::new(SecretKey::from_seed(&[2; 32]).public()),
                name: name("bob"),
                role: Role::Member,
                inviter: log.owner(),
                invite: InviteId(Digest::ZERO),
            },
            request: None,
        };
        assert_eq!(log.state.check(&body(MAX_LOG_ENTRIES - 1)), Ok(()));
        assert_eq!(log.state.check(&body(MAX_LOG_ENTRIES)), Err(Rejection::LogFull));
    }
}
