//! Phase 4: the others' shares arrive.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::{Digest, MaskStream, RoundPublic, RoundSecret, Share, open};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::agree::Masked;
use super::enrol::{Own, Peer};
use super::mask::{Masking, Sign};
use crate::ids::NodeId;
use crate::secagg::Seat;
use crate::secagg::fault::{Check, Culprit, Fault};
use crate::secagg::keys::{Kind, Transcript, commitment, share_digest};
use crate::wire::v1::secagg::{Delivery, Inbox, SealedShares};

/// A dealer's two shares that this client holds. Only one of them is ever opened.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::secagg) struct Held {
    pub(in crate::secagg) dealer: Seat,
    pub(in crate::secagg) self_share: Share,
    pub(in crate::secagg) pair_share: Share,
}

impl Held {
    pub(super) fn digests(&self) -> (Digest, Digest) {
        (
            share_digest(Kind::SelfMask, &self.self_share.expose()),
            share_digest(Kind::PairMask, &self.pair_share.expose()),
        )
    }
}

/// A client that has dealt its shares and waits for the others'.
#[derive(Debug)]
pub struct Dealt {
    pub(super) own: Own,
    pub(super) self_secret: RoundSecret,
    pub(super) shareholders: BTreeSet<Seat>,
    pub(super) dealers: BTreeSet<Seat>,
    pub(super) peers: BTreeMap<Seat, Peer>,
    /// What it agreed on with those it dealt to, for opening what they dealt.
    pub(super) agreed: BTreeMap<Seat, Zeroizing<[u8; 32]>>,
    /// Its own shares, where it is its own shareholder.
    pub(super) kept: Option<Held>,
}

impl Dealt {
    /// Takes who dealt, and the shares dealt to this client. Shares that are missing or bad are
    /// reported and done without: their dealer's secrets can be recovered from the others', and a
    /// dealer could otherwise throw clients out of the round.
    ///
    /// # Errors
    /// A11 or A12, the coordinator's fault, or A28. The round ends for this client.
    pub fn inbox(self, inbox: &Inbox) -> Result<(Masking, Vec<Fault>), Fault> {
        self.check(inbox)?;
        let mut held = Vec::with_capacity(inbox.shares.len() + 1);
        let mut faults = Vec::new();
        for delivery in &inbox.shares {
            match self.open(delivery) {
                Ok(shares) => held.push(shares),
                Err(fault) => faults.push(fault),
            }
        }
        let Self { own, self_secret, peers, kept, .. } = self;
        held.extend(kept);
        held.sort_by_key(|held| held.dealer);

        let transcript = own.transcript.dealt(&inbox.dealers);
        let seed = transcript.self_seed(own.seat, &self_secret);
        let mut masks = vec![(Sign::Plus, MaskStream::new(&seed))];
        for (&seat, peer) in peers.iter().filter(|(seat, _)| inbox.dealers.contains(**seat)) {
            let seed = transcript.pair_seed((own.seat, &own.mask), (seat, &peer.mask));
            masks.push((Sign::between(own.seat, seat), MaskStream::new(&seed)));
        }
        let masked = Masked {
            transcript,
            thresholds: own.thresholds,
            coordinator: own.coordinator,
            seat: own.seat,
            witnesses: own.witnesses,
            dealers: inbox.dealers.clone(),
            held,
        };
        Ok((Masking::new(own.entries, masks, masked), faults))
    }

    fn check(&self, inbox: &Inbox) -> Result<(), Fault> {
        let Own { thresholds, seat, cohort, .. } = &self.own;
        let dealers = &inbox.dealers;
        let shareholders =
            self.shareholders.iter().filter(|holder| dealers.contains(**holder)).count();
        if !dealers.is_subset(cohort) || !dealers.contains(*seat) {
            return Err(Fault::coordinator(Check::Dealers));
        }
        let enough = [
            (dealers.len() as usize, thresholds.survivors as usize),
            (shareholders, thresholds.threshold as usize),
        ];
        if let Some((left, needed)) = enough.into_iter().find(|(left, needed)| left < needed) {
            return Err(Fault::too_few(left, needed));
        }
        let expected = |delivery: &Delivery| {
            let from = delivery.shares.seat;
            from != *seat && dealers.contains(from) && self.dealers.contains(&from)
        };
        let rising = inbox.shares.is_sorted_by(|a, b| a.shares.seat < b.shares.seat);
        if rising && inbox.shares.iter().all(expected) {
            Ok(())
        } else {
            Err(Fault::coordinator(Check::Delivery))
        }
    }

    /// A13, which may be the coordinator's doing, and A14, against the dealer: what it committed to
    /// is sealed in.
    fn open(&self, delivery: &Delivery) -> Result<Held, Fault> {
        let Own { transcript, seat, seal, .. } = &self.own;
        let from = delivery.shares.seat;
        let peer = self.peers.get(&from).ok_or(Fault::coordinator(Check::Delivery))?;
        let shared = match self.agreed.get(&from) {
            Some(shared) => shared.clone(),
            None => seal.agree(&peer.seal),
        };
        let route = (from, *seat);
        unseal(transcript, &shared, route, peer.client, (&delivery.self_key, &delivery.shares))
    }
}

/// The shares that `client`, at the first seat, sealed to the second one, by what the two agreed on; its self key and what it committed to are sealed in.
pub(in crate::secagg) fn unseal(
    transcript: &Transcript,
    shared: &[u8; 32],
    (from, to): (Seat, Seat),
    client: NodeId,
    (self_key, shares): (&RoundPublic, &SealedShares),
) -> Result<Held, Fault> {
    let SealedShares { commitment: committed, sealed, .. } = shares;
    let unopened = Fault::new(Check::SealedShare, Culprit::Either(client));
    let key = transcript.share_key(shared, from, to);
    let context = transcript.share_context((from, to), self_key, committed);
    let both = open(&key, context.as_bytes(), sealed).map_err(|_| unopened)?;
    let shares = both.split_first_chunk::<32>().and_then(|(self_share, rest)| {
        let pair_share = <[u8; 32]>::try_from(rest).ok()?;
        Some((Share::from_bytes(*self_share)?, Share::from_bytes(pair_share)?))
    });
    let (self_share, pair_share) = shares.ok_or(Fault::client(client, Check::SealedShare))?;
    let held = Held { dealer: from, self_share, pair_share };
    let (self_digest, pair_digest) = held.digests();
    if commitment(&self_digest, &pair_digest) == *committed {
        Ok(held)
    } else {
        Err(Fault::client(client, Check::Commitment))
    }
}
