//! Making entries: what the owner's node does, and how others ask for it.

use covey_crypto::{Digest, SecretKey};
use rand_core::Rng;

use super::entry::ENTRY_VERSION;
use super::{
    Change, Entry, EntryBody, Log, Nonce, Outcome, Rejection, RequestBody, SignedRequest, Wish,
};
use crate::ids::{Epoch, GroupId, Name, NodeId, UnixMillis};

impl Log {
    /// Makes a new group, with the holder of `key` its owner and only member.
    pub fn create(
        name: Name,
        owner_name: Name,
        key: &SecretKey,
        now: UnixMillis,
        rng: &mut impl Rng,
    ) -> Self {
        let owner = NodeId::new(key.public());
        let body = EntryBody {
            version: ENTRY_VERSION,
            group: GroupId(Digest::ZERO),
            epoch: Epoch(0),
            parent: Digest::ZERO,
            at: now,
            change: Change::Create { name, owner, owner_name, nonce: Nonce::draw(rng) },
            request: None,
        };
        Self::open(Entry::sign(&body, key)).expect("a first entry made here passes its checks")
    }

    /// As the owner: makes the next entry, for a change of one's own. The entry is applied to this
    /// log; write it to disk before it leaves the node, and never sequence from an older copy of
    /// the log, or the group freezes.
    ///
    /// # Errors
    /// The check that the change fails; [`Rejection::NotAllowed`] if `key` is not the owner's.
    pub fn sequence(
        &mut self,
        change: Change,
        key: &SecretKey,
        now: UnixMillis,
    ) -> Result<Entry, Rejection> {
        self.sequence_body(change, None, key, now)
    }

    /// As the owner: makes the next entry for somebody's signed wish. As [`Log::sequence`].
    ///
    /// # Errors
    /// The check that the request fails; [`Rejection::NotAllowed`] if `key` is not the owner's.
    pub fn sequence_request(
        &mut self,
        request: SignedRequest,
        key: &SecretKey,
        now: UnixMillis,
    ) -> Result<Entry, Rejection> {
        let change = request.body.wish.change(request.body.author);
        self.sequence_body(change, Some(request), key, now)
    }

    /// As any other member: signs a wish for the owner to sequence.
    ///
    /// # Errors
    /// The check that the wish would fail as things stand.
    pub fn wish(
        &self,
        wish: Wish,
        key: &SecretKey,
        now: UnixMillis,
        rng: &mut impl Rng,
    ) -> Result<SignedRequest, Rejection> {
        if self.is_frozen() {
            return Err(Rejection::Frozen);
        }
        let author = NodeId::new(key.public());
        self.state.check_change(author, &wish.change(author))?;
        let at = now.max(self.last_at());
        let body = RequestBody { group: self.group(), author, at, nonce: Nonce::draw(rng), wish };
        Ok(SignedRequest::sign(body, key))
    }

    fn sequence_body(
        &mut self,
        change: Change,
        request: Option<SignedRequest>,
        key: &SecretKey,
        now: UnixMillis,
    ) -> Result<Entry, Rejection> {
        if NodeId::new(key.public()) != self.owner() {
            return Err(Rejection::NotAllowed);
        }
        let head = self.head();
        let body = EntryBody {
            version: ENTRY_VERSION,
            group: self.group(),
            epoch: Epoch(head.epoch.0 + 1),
            parent: head.digest,
            at: now.max(self.last_at()),
            change,
            request,
        };
        let entry = Entry::sign(&body, key);
        match self.apply(entry.clone()) {
            Outcome::Applied => Ok(entry),
            Outcome::Rejected(rejection) => Err(rejection),
            Outcome::AlreadyKnown | Outcome::Gap | Outcome::Equivocation(_) => {
                unreachable!("an entry made for the head's next epoch follows the head")
            }
        }
    }
}
