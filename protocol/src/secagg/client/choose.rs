//! Phase 2, on a sparse graph only: neighbours that the client draws after the cohort is fixed.
//!
//! The server commits to all keys by a root before anybody draws, and nobody but the client draws
//! its shareholders, so the server cannot surround a client with colluders (Bell et al. 2020,
//! section 4).

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::{Digest, is_leaf};
use rand_core::{CryptoRng, Rng};

use super::enrol::{Enrolled, Own, Peer};
use crate::ids::NodeId;
use crate::limits::MAX_NEIGHBOURS;
use crate::secagg::Seat;
use crate::secagg::fault::{Check, Fault};
use crate::wire::v1::secagg::{Choice, Listing, Neighbours, RosterHead};

/// A client that has drawn its neighbours and waits for their keys.
#[derive(Debug)]
pub struct Choosing {
    own: Own,
    terms: Digest,
    head: RosterHead,
    chosen: BTreeSet<Seat>,
}

impl Choosing {
    pub(super) fn draw(
        own: Own,
        terms: Digest,
        head: RosterHead,
        rng: &mut impl CryptoRng,
    ) -> (Self, Choice) {
        let mut chosen = BTreeSet::new();
        while chosen.len() < own.thresholds.shareholders as usize {
            let seat = Seat(below(head.cohort, rng));
            if seat != own.seat {
                chosen.insert(seat);
            }
        }
        let choice = Choice { neighbours: chosen.iter().copied().collect() };
        (Self { own, terms, head, chosen }, choice)
    }

    /// Takes the keys of those it chose and of those who chose it.
    ///
    /// # Errors
    /// A7 to A10.
    pub fn neighbours(
        self,
        neighbours: &Neighbours,
        eligible: impl Fn(&NodeId) -> bool,
    ) -> Result<Enrolled, Fault> {
        let Neighbours { chosen, choosing, mutual } = neighbours;
        let drew = chosen.iter().map(|listing| listing.seat).eq(self.chosen.iter().copied());
        let rising =
            choosing.is_sorted_by(|a, b| a.seat < b.seat) && mutual.is_sorted_by(|a, b| a < b);
        let strangers = choosing
            .iter()
            .all(|listing| listing.seat != self.own.seat && !self.chosen.contains(&listing.seat));
        let known = mutual.iter().all(|seat| self.chosen.contains(seat));
        let count = chosen.len() + choosing.len();
        if !(drew && rising && strangers && known && count <= self.most()) {
            return Err(Fault::coordinator(Check::Neighbours));
        }
        let mut peers = BTreeMap::new();
        for listing in chosen.iter().chain(choosing) {
            listing.check(&self.head)?;
            listing.advertisement.check(&self.terms, &eligible)?;
            peers.insert(listing.seat, Peer::of(&listing.advertisement));
        }
        let dealers = choosing.iter().map(|listing| listing.seat).chain(mutual.iter().copied());
        let dealers = dealers.collect();
        Ok(Enrolled { own: self.own, shareholders: self.chosen, dealers, peers })
    }

    /// Most neighbours of both kinds: five times what is expected to choose a client is more than
    /// ever happens, and bounds what a server can make a client compute.
    fn most(&self) -> usize {
        (6 * self.own.thresholds.shareholders as usize).min(MAX_NEIGHBOURS)
    }
}

impl Listing {
    /// Whether this is under the root that was signed (A9).
    pub(super) fn check(&self, head: &RosterHead) -> Result<(), Fault> {
        let (count, index) = (head.cohort as usize, self.seat.index());
        if is_leaf(&head.root, count, index, self.advertisement.digest(), &self.proof) {
            Ok(())
        } else {
            Err(Fault::coordinator(Check::Proof))
        }
    }
}

/// A uniform number below `bound`, by rejection.
fn below(bound: u32, rng: &mut impl Rng) -> u32 {
    let zone = u32::MAX - u32::MAX % bound;
    loop {
        let drawn = rng.next_u32();
        if drawn < zone {
            return drawn % bound;
        }
    }
}
