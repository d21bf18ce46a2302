//! The verified log: what a node believes about a group.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::Digest;

use super::entry::{Decoded, Verified};
use super::state::State;
use super::{
    Change, CurrentRelease, Entry, Equivocation, Head, InviteId, Member, NotProof, Rejection, Role,
};
use crate::ids::{Epoch, GroupId, Name, NodeId, UnixMillis};

/// A group's membership log, every entry of it verified.
///
/// Entries come from anybody through [`Log::apply`]; what it holds is never taken back. Once two
/// successors of one entry are seen ([`Outcome::Equivocation`], [`Log::convict`]) it is frozen for
/// good: the caller keeps the proof beside the entries and convicts again after a restart.
#[derive(Debug, Clone)]
pub struct Log {
    chain: Vec<Link>,
    /// Owners, each with the epoch whose entry made it one. It signs from the next epoch on.
    owners: Vec<(Epoch, NodeId)>,
    pub(super) state: State,
    evidence: Option<Box<Equivocation>>,
}

#[derive(Debug, Clone)]
struct Link {
    entry: Entry,
    digest: Digest,
}

/// What [`Log::apply`] made of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// New and valid: the log is one epoch further.
    Applied,
    /// Already there.
    AlreadyKnown,
    /// Its parent is not there: sync first.
    Gap,
    /// The owner signed this entry and another one after the same parent. The log is now frozen;
    /// keep and spread the proof.
    Equivocation(Box<Equivocation>),
    /// It fails a check.
    Rejected(Rejection),
}

/// An entry of a stored or received log that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("entry {position} of the membership log is not valid: {rejection}")]
pub struct InvalidLog {
    /// Its position, from 0.
    pub position: usize,
    /// What is wrong with it.
    pub rejection: Rejection,
}

/// What a node is to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In it, in this role.
    Member(Role),
    /// Out of it since this epoch.
    Removed(Epoch),
    /// Never seen.
    Stranger,
}

impl Log {
    /// Starts a log from a group's first entry.
    ///
    /// # Errors
    /// The check that the entry fails.
    pub fn open(first: Entry) -> Result<Self, Rejection> {
        let decoded = first.decode()?;
        let body = decoded.body();
        let Change::Create { owner, .. } = body.change else {
            return Err(Rejection::BadFirst);
        };
        let is_first = body.epoch == Epoch(0)
            && body.parent == Digest::ZERO
            && body.group == GroupId(Digest::ZERO)
            && body.request.is_none();
        if !is_first {
            return Err(Rejection::BadFirst);
        }
        let verified = decoded.verify(&owner)?;
        let state = State::first(&verified)?;
        let owners = vec![(Epoch(0), owner)];
        let digest = verified.head().digest;
        let chain = vec![Link { digest, entry: verified.into_entry() }];
        Ok(Self { chain, owners, state, evidence: None })
    }

    /// Verifies the entries of `group`, from the first.
    ///
    /// # Errors
    /// The first entry that fails, and why. Entries after a gap fail as [`Rejection::Malformed`].
    pub fn verify(
        group: GroupId,
        entries: impl IntoIterator<Item = Entry>,
    ) -> Result<Self, InvalidLog> {
        let invalid = |position, rejection| InvalidLog { position, rejection };
        let mut entries = entries.into_iter();
        let first = entries.next().ok_or(invalid(0, Rejection::BadFirst))?;
        let mut log = Self::open(first).map_err(|rejection| invalid(0, rejection))?;
        if log.group() != group {
            return Err(invalid(0, Rejection::WrongGroup));
        }
        for (position, entry) in (1..).zip(entries) {
            match log.apply(entry) {
                Outcome::Applied => {}
                Outcome::AlreadyKnown | Outcome::Gap => {
                    return Err(invalid(position, Rejection::Malformed));
                }
                Outcome::Equivocation(_) => return Err(invalid(position, Rejection::Frozen)),
                Outcome::Rejected(rejection) => return Err(invalid(position, rejection)),
            }
        }
        Ok(log)
    }

    /// Who coordinates the group's rounds of learning, if anybody does.
    pub fn coordinator(&self) -> Option<NodeId> {
        self.state.coordinator
    }

    /// The current release of the shared model and the one before it, as far as there are any.
    pub fn releases(&self) -> [Option<CurrentRelease>; 2] {
        self.state.releases
    }

    /// The fewest members that have to evaluate a release before it becomes current; 0 if nobody is asked.
    pub fn quorum(&self) -> u32 {
        self.state.quorum
    }

    /// Who was a member after the entry of `epoch`, in the order of ids; `None` if there is no such entry yet.
    pub fn members_at(&self, epoch: Epoch) -> Option<BTreeSet<NodeId>> {
        let count = usize::try_from(epoch.0).ok()?.checked_add(1)?;
        let mut members = BTreeSet::new();
        for link in self.chain.get(..count)? {
            let decoded = link.entry.clone().decode().expect("verified before it was kept");
            match decoded.body().change {
                Change::Create { owner: node, .. } | Change::Add { node, .. } => {
                    members.insert(node);
                }
                Change::Remove { node } => {
                    members.remove(&node);
                }
                Change::SetRole { .. }
                | Change::Transfer { .. }
                | Change::Coordinator { .. }
                | Change::Release(_)
                | Change::Policy { .. } => {}
            }
        }
        Some(members)
    }

    /// When a member came in, by the log's times; `None` for anybody else.
    pub fn since(&self, node: NodeId) -> Option<UnixMillis> {
        let epoch = self.state.members.get(&node)?.since;
        let link = self.chain.get(usize::try_from(epoch.0).ok()?)?;
        let decoded = link.entry.clone().decode().expect("verified before it was kept");
        Some(decoded.body().at)
    }

    /// Takes an entry from anybody, if it is valid and next.
    pub fn apply(&mut self, entry: Entry) -> Outcome {
        match entry.decode() {
            Ok(decoded) => self.apply_decoded(decoded),
            Err(rejection) => Outcome::Rejected(rejection),
        }
    }

    /// Freezes the log if `evidence` proves that its owner signed two histories.
    ///
    /// # Errors
    /// [`NotProof`] if it proves nothing, or nothing that this log can check yet.
    pub fn convict(&mut self, evidence: Equivocation) -> Result<(), NotProof> {
        evidence.verify(self)?;
        self.evidence.get_or_insert_with(|| Box::new(evidence));
        Ok(())
    }

    /// The group's id.
    pub fn group(&self) -> GroupId {
        self.state.group
    }

    /// The group's name.
    pub fn name(&self) -> &Name {
        &self.state.name
    }

    /// The last entry.
    pub fn head(&self) -> Head {
        let last = self.chain.len() - 1;
        Head { epoch: Epoch(last as u64), digest: self.chain[last].digest }
    }

    /// The time of the last entry, by its owner's clock.
    pub fn last_at(&self) -> UnixMillis {
        self.state.last_at
    }

    /// Who sequences the next entry.
    pub fn owner(&self) -> NodeId {
        self.state.owner
    }

    /// Everybody in the group.
    pub fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.state.members
    }

    /// A member's role.
    pub fn role_of(&self, node: NodeId) -> Option<Role> {
        self.state.role_of(node)
    }

    /// The epoch that took `node` out, if it was in and is not now.
    pub fn was_removed(&self, node: NodeId) -> Option<Epoch> {
        self.state.removed.get(&node).copied()
    }

    /// What `node` is to this group.
    pub fn standing(&self, node: NodeId) -> Standing {
        match (self.role_of(node), self.was_removed(node)) {
            (Some(role), _) => Standing::Member(role),
            (None, Some(epoch)) => Standing::Removed(epoch),
            (None, None) => Standing::Stranger,
        }
    }

    /// Whether this invite has let somebody in.
    pub fn invite_used(&self, invite: &InviteId) -> bool {
        self.state.invite_used(invite)
    }

    /// Whether the owner was caught signing two histories.
    pub fn is_frozen(&self) -> bool {
        self.evidence.is_some()
    }

    /// The proof that froze the log.
    pub fn evidence(&self) -> Option<&Equivocation> {
        self.evidence.as_deref()
    }

    /// The entry of `epoch`, as epoch and digest.
    pub fn head_at(&self, epoch: Epoch) -> Option<Head> {
        let link = self.chain.get(usize::try_from(epoch.0).ok()?)?;
        Some(Head { epoch, digest: link.digest })
    }

    /// Up to `page` entries that come after `epoch`.
    pub fn entries_after(&self, epoch: Epoch, page: usize) -> Vec<Entry> {
        self.entries_from(epoch.0.saturating_add(1), page)
    }

    /// Up to `page` entries from the first.
    pub fn entries_from_start(&self, page: usize) -> Vec<Entry> {
        self.entries_from(0, page)
    }

    /// `name`, or `name-2`, `name-3`, ... : the first that no member has.
    pub fn free_name(&self, name: &Name) -> Name {
        let numbered = |n: usize| {
            let suffix = format!("-{n}");
            let room = crate::limits::MAX_NAME - suffix.len();
            let stem = name.as_str();
            let stem = stem[..stem.floor_char_boundary(room)].trim_end();
            format!("{stem}{suffix}").parse().ok()
        };
        let tries = (2..=self.state.members.len() + 2).filter_map(numbered);
        let mut names = std::iter::once(name.clone()).chain(tries);
        names.find(|name| !self.state.name_taken(name)).unwrap_or_else(|| name.clone())
    }

    /// Who signs the entry that follows `epoch`.
    pub(super) fn owner_after(&self, epoch: Epoch) -> NodeId {
        let later = self.owners.partition_point(|(since, _)| *since <= epoch);
        self.owners[later.saturating_sub(1)].1
    }

    fn entries_from(&self, from: u64, page: usize) -> Vec<Entry> {
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        self.chain.iter().skip(skip).take(page).map(|link| link.entry.clone()).collect()
    }

    fn apply_decoded(&mut self, decoded: Decoded) -> Outcome {
        let Head { epoch, digest } = decoded.head();
        if self.head_at(epoch).is_some_and(|known| known.digest == digest) {
            return Outcome::AlreadyKnown;
        }
        if decoded.body().group != self.group() {
            return Outcome::Rejected(Rejection::WrongGroup);
        }
        let Some(before) = epoch.0.checked_sub(1).map(Epoch) else {
            return Outcome::Rejected(Rejection::BadFirst);
        };
        if self.head_at(before).is_none_or(|parent| parent.digest != decoded.body().parent) {
            return Outcome::Gap;
        }
        let verified = match decoded.verify(&self.owner_after(before)) {
            Ok(verified) => verified,
            Err(rejection) => return Outcome::Rejected(rejection),
        };
        match self.chain.get(usize::try_from(epoch.0).unwrap_or(usize::MAX)) {
            Some(rival) => {
                let first = rival.entry.clone();
                self.freeze(Equivocation { first, second: verified.into_entry() })
            }
            None => self.append(verified),
        }
    }

    fn append(&mut self, verified: Verified) -> Outcome {
        if self.is_frozen() {
            return Outcome::Rejected(Rejection::Frozen);
        }
        if let Err(rejection) = self.state.check(verified.body()) {
            return Outcome::Rejected(rejection);
        }
        self.state.advance(verified.body());
        let Head { epoch, digest } = verified.head();
        if self.state.owner != self.owner_after(epoch) {
            self.owners.push((epoch, self.state.owner));
        }
        self.chain.push(Link { digest, entry: verified.into_entry() });
        Outcome::Applied
    }

    fn freeze(&mut self, evidence: Equivocation) -> Outcome {
        let evidence = Box::new(evidence);
        self.evidence.get_or_insert_with(|| evidence.clone());
        Outcome::Equivocation(evidence)
    }
}
