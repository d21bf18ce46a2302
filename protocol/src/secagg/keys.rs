//! What is derived from what: keys of pairs and of single clients, and the digests that are signed.

use std::collections::BTreeSet;

use covey_crypto::{Digest, RoundPublic, RoundSecret, Secret32, derive_key};

use super::seats::{Seat, SeatSet};
use crate::wire;

/// What clients sign their keys under.
pub(super) const KEYS: &str = "covey/secagg/v1/keys";
/// What the coordinator signs the cohort under.
pub(super) const ROSTER: &str = "covey/secagg/v1/roster";
/// What clients sign the shares they dealt under.
pub(super) const DEALING: &str = "covey/secagg/v1/dealing";
/// What clients sign masked vectors under.
pub(super) const VECTOR: &str = "covey/secagg/v1/vector";
/// What the bytes of masked vectors are hashed under.
pub(super) const MASKED: &str = "covey/secagg/v1/masked";
/// What the coordinator signs the survivors under.
pub(super) const SURVIVORS: &str = "covey/secagg/v1/survivors";
/// What clients agree to the survivors under.
pub(super) const AGREEMENT: &str = "covey/secagg/v1/agreement";

/// A cohort under its terms: what all later keys, signatures and shares are bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Transcript(Digest);

impl Transcript {
    pub(super) fn new(terms: &Digest, cohort: &SeatSet, root: &Digest) -> Self {
        let cohort = wire::encode(cohort);
        let parts: [&[u8]; 3] = [terms.as_bytes(), &cohort, root.as_bytes()];
        Self(Digest::of("covey/secagg/v1/transcript", &parts))
    }

    /// Those of the cohort whose agreement decides on a set of survivors: as many as asked for, in
    /// an order that follows from the transcript, so that everybody counts the same ones.
    pub(super) fn witnesses(&self, cohort: &SeatSet, count: u32) -> BTreeSet<Seat> {
        let rank = |seat: Seat| {
            let parts: [&[u8]; 2] = [self.as_bytes(), &seat.0.to_le_bytes()];
            (Digest::of("covey/secagg/v1/witness", &parts), seat)
        };
        let mut ranked: Vec<(Digest, Seat)> = cohort.iter().map(rank).collect();
        ranked.sort_unstable();
        ranked.into_iter().take(count as usize).map(|(_, seat)| seat).collect()
    }

    /// The transcript from the moment on when it is known who dealt shares. Masks come from it, so
    /// those of clients that were told of different dealers do not cancel.
    pub(super) fn dealt(&self, dealers: &SeatSet) -> Self {
        let dealers = wire::encode(dealers);
        let parts: [&[u8]; 2] = [self.as_bytes(), &dealers];
        Self(Digest::of("covey/secagg/v1/dealers", &parts))
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The seed of the mask that two seats have in common.
    pub(super) fn pair_seed(
        &self,
        own: (Seat, &RoundSecret),
        other: (Seat, &RoundPublic),
    ) -> Secret32 {
        let (low, high) = (own.0.min(other.0), own.0.max(other.0));
        let parts = [low.0.to_le_bytes(), high.0.to_le_bytes()];
        let shared = own.1.agree(other.1);
        derive_key(&shared[..], &self.0, "covey/secagg/v1/pair-mask", &[&parts[0], &parts[1]])
    }

    /// The seed of the mask that one seat has alone.
    pub(super) fn self_seed(&self, seat: Seat, secret: &RoundSecret) -> Secret32 {
        let purpose = "covey/secagg/v1/self-mask";
        derive_key(&secret.expose()[..], &self.0, purpose, &[&seat.0.to_le_bytes()])
    }

    /// The key that shares from one seat to another are sealed with, from what the two agreed on.
    pub(super) fn share_key(&self, shared: &[u8; 32], from: Seat, to: Seat) -> Secret32 {
        let parts = [from.0.to_le_bytes(), to.0.to_le_bytes()];
        derive_key(shared, &self.0, "covey/secagg/v1/share", &[&parts[0], &parts[1]])
    }

    /// What a sealed share is bound to beside its key.
    pub(super) fn share_context(
        &self,
        (from, to): (Seat, Seat),
        self_key: &RoundPublic,
        commitment: &Digest,
    ) -> Digest {
        Digest::of(
            "covey/secagg/v1/share-context",
            &[
                self.as_bytes(),
                &from.0.to_le_bytes(),
                &to.0.to_le_bytes(),
                self_key.as_bytes(),
                commitment.as_bytes(),
            ],
        )
    }

    /// What signatures on a set of survivors are made of.
    pub(super) fn survivors(&self, set: &SeatSet) -> [u8; 64] {
        self.with(&Digest::of("covey/secagg/v1/set", &[&wire::encode(set)]))
    }

    /// This transcript and a digest, to be signed.
    pub(super) fn with(&self, digest: &Digest) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(self.as_bytes());
        bytes[32..].copy_from_slice(digest.as_bytes());
        bytes
    }
}

/// Which of a client's two secrets a share is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// The secret behind the mask that it has alone: opened if it survived.
    SelfMask,
    /// The secret that it agrees on pairs' masks with: opened if it dropped out.
    PairMask,
}

/// The digest of one share of one kind. A share is uniform over 2^252 values, so its digest hides it.
pub(super) fn share_digest(kind: Kind, share: &[u8; 32]) -> Digest {
    let domain = match kind {
        Kind::SelfMask => "covey/secagg/v1/self-share",
        Kind::PairMask => "covey/secagg/v1/pair-share",
    };
    Digest::of(domain, &[share])
}

/// What a dealer commits to for one shareholder: either share can be opened without the other.
pub(super) fn commitment(self_share: &Digest, pair_share: &Digest) -> Digest {
    let parts: [&[u8]; 2] = [self_share.as_bytes(), pair_share.as_bytes()];
    Digest::of("covey/secagg/v1/commitment", &parts)
}
