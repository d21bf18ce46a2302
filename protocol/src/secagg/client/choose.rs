//! Phase 2, on a sparse graph only: neighbours that the client draws after the cohort is fixed.
//!
//! The server commits to all keys by a root before anybody draws, and nobody but the client draws
//! its shareholders, so the server cannot surround a client with colluders (Bell et al. 2020,
//! section 4).

use std::collections::BTreeSet;

use covey_crypto::{Digest, are_leaves};
use rand_core::{CryptoRng, Rng};

use super::enrol::{Enrolled, Own};
use crate::secagg::fault::{Check, Fault};
use crate::secagg::{Members, Seat};
use crate::wire::v1::secagg::{Advertisement, Choice, Neighbours, RosterHead};

/// A client that has drawn its neighbours and waits for their keys.
#[derive(Debug)]
pub struct Choosing {
    own: Own,
    terms: Digest,
    members: Members,
    root: Digest,
    chosen: BTreeSet<Seat>,
}

impl Choosing {
    pub(super) fn draw(
        own: Own,
        terms: Digest,
        members: Members,
        head: &RosterHead,
        rng: &mut impl CryptoRng,
    ) -> (Self, Choice) {
        let others: Vec<Seat> = head.cohort.iter().filter(|seat| *seat != own.seat).collect();
        let mut chosen = BTreeSet::new();
        while chosen.len() < (own.thresholds.shareholders as usize).min(others.len()) {
            chosen.insert(others[below(others.len() as u32, rng) as usize]);
        }
        let choice = Choice { neighbours: chosen.iter().copied().collect() };
        (Self { own, terms, members, root: head.root, chosen }, choice)
    }

    /// Takes the keys of those it chose and of those who chose it.
    ///
    /// # Errors
    /// A7 to A10.
    pub fn neighbours(self, neighbours: &Neighbours) -> Result<Enrolled, Fault> {
        let Neighbours { keys, proof, choosing } = neighbours;
        let dealers: BTreeSet<Seat> = choosing.iter().copied().collect();
        let expected: BTreeSet<Seat> = self.chosen.union(&dealers).copied().collect();
        let right = keys.iter().map(|(seat, _)| *seat).eq(expected)
            && choosing.is_sorted_by(|a, b| a < b)
            && dealers.iter().all(|seat| *seat != self.own.seat && self.own.cohort.contains(*seat))
            && keys.len() <= self.own.thresholds.most_neighbours();
        if !right {
            return Err(Fault::coordinator(Check::Neighbours));
        }
        let leaves: Vec<(usize, Digest)> =
            keys.iter().map(|(seat, keys)| (seat.index(), keys.digest())).collect();
        if !are_leaves(&self.root, self.members.len() as usize, &leaves, proof) {
            return Err(Fault::coordinator(Check::Proof));
        }
        let listed: Vec<(Seat, &Advertisement)> =
            keys.iter().map(|(seat, keys)| (*seat, keys)).collect();
        let peers = Advertisement::check(&listed, &self.terms, &self.members)?;
        Ok(Enrolled { own: self.own, shareholders: self.chosen, dealers, peers })
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
