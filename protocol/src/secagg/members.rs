//! The eligible members, which a cohort is a part of.

use std::sync::Arc;

use covey_crypto::Digest;

use super::seats::Seat;
use crate::ids::NodeId;
use crate::limits::MAX_COHORT;

/// Everybody who may take part in a round, in the order of their ids: each has one seat, its place
/// in this list, whether it takes part or not. A coordinator that could hand out seats as it likes
/// could seat one colluder many times, and clients on a sparse graph would not see it.
///
/// Cheap to clone: clones share the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    list: Arc<[NodeId]>,
    digest: Digest,
}

/// More members than a cohort may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} members where at most {MAX_COHORT} may take part in one round")]
pub struct TooManyMembers(usize);

impl Members {
    /// The list of these members, in whatever order they come.
    ///
    /// # Errors
    /// [`TooManyMembers`] if there are more than [`MAX_COHORT`].
    pub fn new(members: impl IntoIterator<Item = NodeId>) -> Result<Self, TooManyMembers> {
        let mut list: Vec<NodeId> = members.into_iter().collect();
        list.sort_unstable();
        list.dedup();
        if list.len() > MAX_COHORT as usize {
            return Err(TooManyMembers(list.len()));
        }
        let mut digest = Digest::stream("covey/secagg/v1/members");
        list.iter().for_each(|member| digest.update(member.as_bytes()));
        Ok(Self { list: list.into(), digest: digest.finish() })
    }

    /// What the terms of a round name the list by.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        self.list.len() as u32
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Everybody, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &NodeId> {
        self.list.iter()
    }

    /// Where a member sits; `None` for anybody else.
    pub fn seat(&self, member: &NodeId) -> Option<Seat> {
        self.list.binary_search(member).ok().map(|at| Seat(at as u32))
    }

    /// Who sits there.
    pub fn at(&self, seat: Seat) -> Option<&NodeId> {
        self.list.get(seat.index())
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    #[test]
    fn a_member_has_one_seat_however_the_list_came() {
        let ids: Vec<NodeId> =
            (1..9).map(|n| NodeId::new(SecretKey::from_seed(&[n; 32]).public())).collect();
        let members = Members::new(ids.iter().rev().chain(&ids).copied()).expect("few");
        assert_eq!(members, Members::new(ids.clone()).expect("few"));
        assert_eq!(members.len(), 8);
        for id in &ids {
            let seat = members.seat(id).expect("a member");
            assert_eq!(members.at(seat), Some(id));
        }
        assert!(members.at(Seat(8)).is_none());
        let fewer = Members::new(ids[1..].iter().copied()).expect("few");
        assert_ne!(fewer.digest(), members.digest());
        assert!(fewer.seat(&ids[0]).is_none());
    }
}
