//! Messages of secure aggregation (docs/spec/secagg.md), in the order they are sent.

use covey_crypto::{Digest, RoundPublic, SEAL_OVERHEAD, Share, Signature};
use serde::{Deserialize, Serialize};

use crate::ids::NodeId;
use crate::limits::{MAX_COHORT, MAX_COMPLETE_COHORT, MAX_NEIGHBOURS, MAX_PROOF, MAX_SHAREHOLDERS};
use crate::secagg::{Seat, SeatSet};
use crate::wire::bounded;

/// Most shares one client deals: as many as it chooses, or, on a complete graph, to everybody.
const MAX_DEALT: usize = MAX_SHAREHOLDERS;
/// Most shares one client gets or opens.
const MAX_HELD: usize = MAX_NEIGHBOURS;
const _: () = assert!(MAX_COMPLETE_COHORT as usize <= MAX_DEALT && MAX_DEALT <= MAX_HELD);
/// Bytes of two sealed shares.
pub const SEALED_SHARES: usize = 64 + SEAL_OVERHEAD;

/// Client to server: keys for this round, signed by the client's identity for its terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advertisement {
    /// Whose keys.
    pub client: NodeId,
    /// What shares for it are sealed to.
    pub seal: RoundPublic,
    /// What masks of pairs come from.
    pub mask: RoundPublic,
    /// Under `covey/secagg/v1/keys`.
    pub signature: Signature,
}

/// Server to all: the cohort in one digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterHead {
    /// Which members take part.
    pub cohort: SeatSet,
    /// Merkle root over all members' advertisements by seat, with zeros for those who do not.
    pub root: Digest,
    /// The coordinator's, under `covey/secagg/v1/roster`.
    pub signature: Signature,
}

/// Server to all, on a complete graph: the cohort in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roster {
    /// What the list comes to.
    pub head: RosterHead,
    /// The cohort's keys in the order of their seats.
    #[serde(deserialize_with = "bounded::list::<{ MAX_COMPLETE_COHORT as usize }, _, _>")]
    pub keys: Vec<Advertisement>,
}

/// Server to one client, on a sparse graph: where it sits under the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What all clients get.
    pub head: RosterHead,
    /// What proves that its own keys are there.
    #[serde(deserialize_with = "bounded::list::<MAX_PROOF, _, _>")]
    pub proof: Vec<Digest>,
}

/// Client to server, on a sparse graph: the neighbours it drew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// In rising order.
    #[serde(deserialize_with = "bounded::list::<MAX_SHAREHOLDERS, _, _>")]
    pub neighbours: Vec<Seat>,
}

/// Server to one client, on a sparse graph: the keys of its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbours {
    /// Those it chose and those who chose it, in rising order.
    #[serde(deserialize_with = "bounded::list::<MAX_NEIGHBOURS, _, _>")]
    pub keys: Vec<(Seat, Advertisement)>,
    /// What proves that all of them are under the root: fewer siblings than the tree has leaves.
    #[serde(deserialize_with = "bounded::list::<{ MAX_COHORT as usize }, _, _>")]
    pub proof: Vec<Digest>,
    /// Those who chose it, in rising order.
    #[serde(deserialize_with = "bounded::list::<MAX_NEIGHBOURS, _, _>")]
    pub choosing: Vec<Seat>,
}

/// Client to server: shares for its shareholders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dealing {
    /// The public half of the secret behind the mask that it has alone.
    pub self_key: RoundPublic,
    /// One for each shareholder, in rising order.
    #[serde(deserialize_with = "bounded::list::<MAX_DEALT, _, _>")]
    pub shares: Vec<SealedShares>,
    /// Under `covey/secagg/v1/dealing`, over self key, commitments and sealed shares.
    pub signature: Signature,
}

/// A share of each of a dealer's two secrets, sealed to one shareholder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedShares {
    /// For whom (from the dealer), or from whom (to the shareholder).
    pub seat: Seat,
    /// What the dealer commits to.
    pub commitment: Digest,
    /// [`SEALED_SHARES`] bytes; none for the dealer itself, whose shares stay at home.
    #[serde(
        serialize_with = "bounded::as_bytes",
        deserialize_with = "bounded::bytes::<SEALED_SHARES, _>"
    )]
    pub sealed: Vec<u8>,
}

/// Server to one client: who dealt, and what was dealt to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbox {
    /// Everybody who dealt shares; nobody else takes part from here on.
    pub dealers: SeatSet,
    /// What they sealed to this client, in rising order of dealers.
    #[serde(deserialize_with = "bounded::list::<MAX_HELD, _, _>")]
    pub shares: Vec<Delivery>,
}

/// One dealer's shares on their way to a shareholder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// The dealer's [`Dealing::self_key`].
    pub self_key: RoundPublic,
    /// The shares, with the dealer's seat.
    pub shares: SealedShares,
}

/// Client to server: what the masked vector that goes with it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Digest of the vector's bytes, four an entry, lowest first.
    pub digest: Digest,
    /// Under `covey/secagg/v1/vector`.
    pub signature: Signature,
}

/// Server to all: whose vectors are in the sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivors {
    /// The set.
    pub set: SeatSet,
    /// The coordinator's, under `covey/secagg/v1/survivors`.
    pub signature: Signature,
}

/// Client to server: it has seen this set of survivors, and will hear of no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// Under `covey/secagg/v1/agreement`.
    pub signature: Signature,
}

/// Server to all: which witnesses agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreements {
    /// In rising order of seats.
    #[serde(deserialize_with = "bounded::list::<{ MAX_COMPLETE_COHORT as usize }, _, _>")]
    pub signatures: Vec<(Seat, Signature)>,
}

/// Client to server: one share of each dealer, of the kind that the survivors call for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Opening {
    /// In rising order of dealers.
    #[serde(deserialize_with = "bounded::list::<MAX_HELD, _, _>")]
    pub shares: Vec<OpenedShare>,
}

/// One opened share.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenedShare {
    /// Whose secret it is of.
    pub dealer: Seat,
    /// The share.
    pub share: Share,
    /// Digest of the share of the other kind, which stays closed.
    pub other: Digest,
}
