//! Phase 3: the cohort is known, and with it who holds whose shares.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::shamir::{self, Share};
use covey_crypto::{Digest, RoundPublic, RoundSecret, SecretKey, seal};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::deal::{Dealt, Held};
use crate::ids::NodeId;
use crate::secagg::keys::{DEALING, Kind, Transcript, commitment, share_digest};
use crate::secagg::{Seat, SeatSet, Thresholds};
use crate::wire::v1::secagg::{Advertisement, Dealing, SealedShares};

/// The client's own part of a round.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) transcript: Transcript,
    pub(super) thresholds: Thresholds,
    pub(super) entries: u32,
    pub(super) coordinator: NodeId,
    pub(super) cohort: SeatSet,
    /// Whose agreement decides on the survivors.
    pub(super) witnesses: BTreeMap<Seat, NodeId>,
    pub(super) seat: Seat,
    pub(super) seal: RoundSecret,
    pub(super) mask: RoundSecret,
}

/// Another client's keys, checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    pub(super) client: NodeId,
    pub(super) seal: RoundPublic,
    pub(super) mask: RoundPublic,
}

impl Peer {
    pub(super) fn of(advertisement: &Advertisement) -> Self {
        let Advertisement { client, seal, mask, .. } = *advertisement;
        Self { client, seal, mask }
    }
}

/// A client that knows its neighbours and has dealt nothing yet.
#[derive(Debug)]
pub struct Enrolled {
    pub(super) own: Own,
    /// Who holds this client's shares.
    pub(super) shareholders: BTreeSet<Seat>,
    /// Whose shares this client holds.
    pub(super) dealers: BTreeSet<Seat>,
    /// Everybody but the client itself whom it deals to, holds for or shares a mask with.
    pub(super) peers: BTreeMap<Seat, Peer>,
}

impl Enrolled {
    pub(super) fn complete(own: Own, peers: BTreeMap<Seat, Peer>) -> Self {
        let everybody: BTreeSet<Seat> = own.cohort.iter().collect();
        Self { own, shareholders: everybody.clone(), dealers: everybody, peers }
    }

    /// The client's seat.
    pub fn seat(&self) -> Seat {
        self.own.seat
    }

    /// Draws the secret of the client's own mask and deals shares of both secrets to the
    /// shareholders. The dealing goes to the server.
    pub fn deal(self, identity: &SecretKey, rng: &mut impl CryptoRng) -> (Dealt, Dealing) {
        let Self { own, shareholders, dealers, peers } = self;
        let self_secret = RoundSecret::draw(rng);
        let self_key = self_secret.public();
        let places: Vec<u32> = shareholders.iter().map(|seat| seat.place()).collect();
        let threshold = own.thresholds.threshold as usize;
        let mut shares = |secret| {
            shamir::deal(secret, threshold, &places, rng)
                .expect("thresholds fit the shareholders, and seats are distinct places from 1")
        };
        let both = shares(&self_secret).into_iter().zip(shares(&own.mask));

        let mut dealt = Vec::with_capacity(places.len());
        let mut agreed = BTreeMap::new();
        let mut kept = None;
        for (&seat, (self_share, pair_share)) in shareholders.iter().zip(both) {
            let committed = commit(&self_share, &pair_share);
            let sealed = match peers.get(&seat) {
                Some(peer) => {
                    let shared = own.seal.agree(&peer.seal);
                    let key = own.transcript.share_key(&shared, own.seat, seat);
                    let context =
                        own.transcript.share_context((own.seat, seat), &self_key, &committed);
                    agreed.insert(seat, shared);
                    seal(key, context.as_bytes(), &join(&self_share, &pair_share)[..])
                }
                None => {
                    kept = Some(Held { dealer: seat, self_share, pair_share });
                    Vec::new()
                }
            };
            dealt.push(SealedShares { seat, commitment: committed, sealed });
        }
        let signature = identity.sign(DEALING, &signed(&own.transcript, &self_key, &dealt));
        let dealing = Dealing { self_key, shares: dealt, signature };
        (Dealt { own, self_secret, shareholders, dealers, peers, agreed, kept }, dealing)
    }
}

fn commit(self_share: &Share, pair_share: &Share) -> Digest {
    commitment(
        &share_digest(Kind::SelfMask, &self_share.expose()),
        &share_digest(Kind::PairMask, &pair_share.expose()),
    )
}

fn join(self_share: &Share, pair_share: &Share) -> Zeroizing<[u8; 64]> {
    let mut bytes = Zeroizing::new([0; 64]);
    bytes[..32].copy_from_slice(&self_share.expose()[..]);
    bytes[32..].copy_from_slice(&pair_share.expose()[..]);
    bytes
}

/// What a dealer signs: its self key, and what it sealed to whom and committed to.
pub(in crate::secagg) fn signed(
    transcript: &Transcript,
    self_key: &RoundPublic,
    shares: &[SealedShares],
) -> [u8; 64] {
    let mut digest = Digest::stream("covey/secagg/v1/dealt");
    digest.update(self_key.as_bytes());
    for share in shares {
        digest.update(&share.seat.0.to_le_bytes());
        digest.update(share.commitment.as_bytes());
        digest.update(&share.sealed);
    }
    transcript.with(&digest.finish())
}
