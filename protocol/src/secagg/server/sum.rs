//! Phase 5: masked vectors are added up as they come, so memory does not grow with the cohort.

use covey_crypto::SecretKey;

use super::share::Dealers;
use super::survive::Surviving;
use crate::ids::NodeId;
use crate::secagg::SeatSet;
use crate::secagg::client::digest_of;
use crate::secagg::fault::{Check, Fault};
use crate::secagg::keys::{SURVIVORS, VECTOR};
use crate::wire::v1::secagg::{Delivery, Inbox, SealedShares, Survivors, Upload};

/// A server that passes shares on and takes masked vectors.
#[derive(Debug)]
pub struct Summing {
    round: Dealers,
    sum: Vec<u32>,
    received: SeatSet,
}

impl Summing {
    pub(super) fn new(round: Dealers) -> Self {
        let sum = vec![0; round.cohort.entries as usize];
        let received = round.cohort.nobody();
        Self { round, sum, received }
    }

    /// Who dealt, and what was dealt to this client; `None` for whoever did not deal.
    pub fn inbox(&self, client: &NodeId) -> Option<Inbox> {
        let seat = self.round.seat(client).ok()?;
        let deliver = |dealer: &crate::secagg::Seat| {
            let dealing = self.round.dealings.get(dealer)?;
            let at = dealing.shares.binary_search_by_key(&seat, |shares| shares.seat).ok()?;
            let SealedShares { commitment, sealed, .. } = dealing.shares[at].clone();
            let shares = SealedShares { seat: *dealer, commitment, sealed };
            Some(Delivery { self_key: dealing.self_key, shares })
        };
        let dealers = self.round.graph.dealers.get(&seat);
        let others = dealers.into_iter().flatten().filter(|dealer| **dealer != seat);
        let shares = others.filter_map(deliver).collect();
        Some(Inbox { dealers: self.round.dealers.clone(), shares })
    }

    /// Adds the whole masked vector of `from`: all of it, or nothing if any check fails. A vector
    /// that is in the sum already is not added twice.
    ///
    /// # Errors
    /// A20, A24 or A25.
    pub fn accept(&mut self, from: &NodeId, upload: &Upload, bytes: &[u8]) -> Result<(), Fault> {
        let seat = self.round.seat(from)?;
        if self.received.contains(seat) {
            return Ok(());
        }
        if bytes.len() != 4 * self.sum.len() {
            return Err(Fault::client(*from, Check::VectorLength));
        }
        let signed = self.round.transcript.with(&upload.digest);
        let verified = from.key().verify(VECTOR, &signed, &upload.signature).is_ok();
        if !verified || digest_of(bytes) != upload.digest {
            return Err(Fault::client(*from, Check::VectorSignature));
        }
        for (sum, entry) in self.sum.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *sum = sum.wrapping_add(u32::from_le_bytes(*entry));
        }
        self.received.insert(seat);
        Ok(())
    }

    /// Whether this client may send a vector.
    pub fn takes(&self, client: &NodeId) -> bool {
        self.round.seat(client).is_ok()
    }

    /// How many vectors are in the sum.
    pub fn received(&self) -> u32 {
        self.received.len()
    }

    /// Whose vectors are not in the sum.
    pub fn silent(&self) -> Vec<NodeId> {
        let silent = self.round.dealers.iter().filter(|seat| !self.received.contains(*seat));
        silent.map(|seat| self.round.cohort.client(seat)).collect()
    }

    /// Fixes the survivors: those whose vectors are in the sum.
    ///
    /// # Errors
    /// A28 if they are too few.
    pub fn close(self, identity: &SecretKey) -> Result<Surviving, Fault> {
        let Self { round, sum, received } = self;
        let needed = round.cohort.thresholds.survivors;
        if received.len() < needed {
            return Err(Fault::too_few(received.len() as usize, needed as usize));
        }
        let signature = identity.sign(SURVIVORS, &round.transcript.survivors(&received));
        Ok(Surviving::new(round, sum, Survivors { set: received, signature }))
    }
}
