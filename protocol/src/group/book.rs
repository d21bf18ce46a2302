//! What an issuer remembers of its invites.

use std::collections::BTreeMap;

use rand_core::Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{InviteId, InviteRefusal, InviteSecret};
use crate::ids::{GroupId, NodeId, UnixMillis};
use crate::limits::{MAX_INVITE_LIFE_MS, MAX_INVITES, MAX_OPEN_INVITES};
use crate::wire::bounded;

/// The invites that this node issued, for all its groups. Of a secret it keeps only the digest.
///
/// Write it to disk before a reply leaves: a binding that is forgotten could be given twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InviteBook {
    invites: BTreeMap<InviteId, Record>,
}

/// An invite as its issuer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteSummary {
    /// Its name.
    pub invite: InviteId,
    /// The group that it leads into.
    pub group: GroupId,
    /// When it ends, unless used.
    pub expires: UnixMillis,
    /// What became of it.
    pub state: InviteState,
}

/// What became of an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InviteState {
    /// Nobody used it yet.
    Open,
    /// This node used it; it is nobody else's now.
    BoundTo(NodeId),
    /// Taken back.
    Revoked,
}

/// Why no invite is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// Too many are open.
    #[error(
        "there are {MAX_OPEN_INVITES} open invites already: revoke some, or wait until they expire"
    )]
    TooManyOpen,
    /// A life of nothing, or of more than thirty days.
    #[error("an invite can live up to 30 days, and longer than no time at all")]
    BadLife,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    group: GroupId,
    expires: UnixMillis,
    state: InviteState,
}

impl InviteBook {
    /// Issues an invite that lives for `life_ms`. The secret goes into the code and nowhere else.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(
        &mut self,
        group: GroupId,
        now: UnixMillis,
        life_ms: u64,
        rng: &mut impl Rng,
    ) -> Result<(InviteSecret, UnixMillis), IssueError> {
        if !(1..=MAX_INVITE_LIFE_MS).contains(&life_ms) {
            return Err(IssueError::BadLife);
        }
        let open = |record: &&Record| record.state == InviteState::Open && now <= record.expires;
        if self.invites.values().filter(open).count() >= MAX_OPEN_INVITES {
            return Err(IssueError::TooManyOpen);
        }
        self.make_room(now);
        let secret = InviteSecret::draw(rng);
        let expires = now.plus(life_ms);
        let record = Record { group, expires, state: InviteState::Open };
        self.invites.insert(secret.invite(), record);
        Ok((secret, expires))
    }

    /// What redeeming an invite would come to, without binding it.
    ///
    /// # Errors
    /// [`InviteRefusal`].
    pub fn check(
        &self,
        group: GroupId,
        node: NodeId,
        secret: &InviteSecret,
        now: UnixMillis,
    ) -> Result<InviteId, InviteRefusal> {
        let invite = secret.invite();
        let record = self.invites.get(&invite).filter(|record| record.group == group);
        let record = record.ok_or(InviteRefusal::UnknownOrForged)?;
        match record.state {
            InviteState::Revoked => Err(InviteRefusal::Revoked),
            InviteState::BoundTo(first) if first == node => Ok(invite),
            InviteState::BoundTo(_) => Err(InviteRefusal::AlreadyUsed),
            InviteState::Open if now > record.expires => Err(InviteRefusal::Expired),
            InviteState::Open => Ok(invite),
        }
    }

    /// Binds an invite to the first node that shows its secret. The same node showing it again
    /// gets the same answer, whatever the time, so that a lost reply does no harm.
    ///
    /// # Errors
    /// [`InviteRefusal`].
    pub fn redeem(
        &mut self,
        group: GroupId,
        node: NodeId,
        secret: &InviteSecret,
        now: UnixMillis,
    ) -> Result<InviteId, InviteRefusal> {
        let invite = self.check(group, node, secret, now)?;
        if let Some(record) = self.invites.get_mut(&invite) {
            record.state = InviteState::BoundTo(node);
        }
        Ok(invite)
    }

    /// Takes an invite back. False if there is none, or it has been used.
    pub fn revoke(&mut self, invite: &InviteId) -> bool {
        match self.invites.get_mut(invite) {
            Some(record) if record.state == InviteState::Open => {
                record.state = InviteState::Revoked;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Forgets a group that this node left.
    pub fn forget(&mut self, group: GroupId) {
        self.invites.retain(|_, record| record.group != group);
    }

    /// All invites remembered, those that end first first.
    pub fn list(&self) -> Vec<InviteSummary> {
        let mut all: Vec<_> = self.invites.iter().map(summary).collect();
        all.sort_by_key(|summary| (summary.expires, summary.invite));
        all
    }

    /// Drops the oldest finished invites while the book is full.
    fn make_room(&mut self, now: UnixMillis) {
        while self.invites.len() >= MAX_INVITES {
            let finished = self
                .invites
                .iter()
                .filter(|(_, record)| record.state != InviteState::Open || now > record.expires)
                .min_by_key(|(invite, record)| (record.expires, **invite))
                .map(|(invite, _)| *invite);
            match finished {
                Some(invite) => self.invites.remove(&invite),
                None => return,
            };
        }
    }
}

fn summary((invite, record): (&InviteId, &Record)) -> InviteSummary {
    let Record { group, expires, state } = *record;
    InviteSummary { invite: *invite, group, expires, state }
}

impl Serialize for InviteBook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.invites.iter().map(summary))
    }
}

impl<'de> Deserialize<'de> for InviteBook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = bounded::list::<MAX_INVITES, InviteSummary, D>(deserializer)?;
        let record = |InviteSummary { invite, group, expires, state }| {
            (invite, Record { group, expires, state })
        };
        Ok(Self { invites: list.into_iter().map(record).collect() })
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::{Digest, SecretKey};
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);
    const HOUR: u64 = 3_600_000;

    fn node(n: u8) -> NodeId {
        NodeId::new(SecretKey::from_seed(&[n; 32]).public())
    }

    fn group() -> GroupId {
        GroupId(Digest::sha256(b"group"))
    }

    fn issued() -> (InviteBook, InviteSecret) {
        let mut book = InviteBook::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (secret, expires) = book.issue(group(), NOW, HOUR, &mut rng).expect("issued");
        assert_eq!(expires, NOW.plus(HOUR));
        (book, secret)
    }

    #[test]
    fn i1_a_forged_secret_or_another_group_is_unknown() {
        let (mut book, secret) = issued();
        let forged = InviteSecret::draw(&mut ChaCha8Rng::seed_from_u64(2));
        let other = GroupId(Digest::sha256(b"other"));
        let unknown = Err(InviteRefusal::UnknownOrForged);
        assert_eq!(book.redeem(group(), node(1), &forged, NOW), unknown);
        assert_eq!(book.redeem(other, node(1), &secret, NOW), unknown);
    }

    #[test]
    fn i2_to_i4_expired_used_and_revoked_invites_say_so() {
        let (mut book, secret) = issued();
        let late = NOW.plus(HOUR + 1);
        assert_eq!(book.redeem(group(), node(1), &secret, late), Err(InviteRefusal::Expired));
        assert_eq!(book.redeem(group(), node(1), &secret, NOW), Ok(secret.invite()));
        assert_eq!(book.redeem(group(), node(1), &secret, late), Ok(secret.invite()), "a retry");
        assert_eq!(book.redeem(group(), node(2), &secret, NOW), Err(InviteRefusal::AlreadyUsed));
        assert!(!book.revoke(&secret.invite()), "it is too late to take it back");

        let (mut book, secret) = issued();
        assert!(book.revoke(&secret.invite()));
        assert_eq!(book.redeem(group(), node(1), &secret, NOW), Err(InviteRefusal::Revoked));
    }

    #[test]
    fn the_book_survives_a_restart_and_holds_no_secret() {
        let (mut book, secret) = issued();
        book.redeem(group(), node(1), &secret, NOW).expect("redeemed");
        let bytes = crate::wire::encode(&book);
        let InviteId(digest) = secret.invite();
        assert!(bytes.windows(32).any(|window| window == digest.as_bytes()));
        let secret_bytes = crate::wire::encode(&secret);
        assert!(!bytes.windows(32).any(|window| window == secret_bytes));
        let mut again: InviteBook = crate::wire::decode(&bytes, 1 << 20).expect("decodes");
        assert_eq!(again, book);
        assert_eq!(again.redeem(group(), node(2), &secret, NOW), Err(InviteRefusal::AlreadyUsed));
    }

    #[test]
    fn the_number_of_invites_is_bounded() {
        let mut book = InviteBook::default();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut now = NOW;
        for _ in 0..MAX_INVITES + 10 {
            let issue = book.issue(group(), now, HOUR, &mut rng);
            if issue == Err(IssueError::TooManyOpen) {
                now = now.plus(HOUR + 1);
            }
        }
        assert!(book.list().len() <= MAX_INVITES);
        assert_eq!(book.issue(group(), now, 0, &mut rng), Err(IssueError::BadLife));
        book.forget(group());
        assert!(book.list().is_empty());
    }
}
