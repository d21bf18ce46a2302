//! Phase 6: the survivors agree to who survived.

use std::collections::BTreeMap;

use covey_crypto::Signature;

use super::gather::same;
use super::share::Dealers;
use super::unmask::Unmasking;
use crate::ids::NodeId;
use crate::secagg::Seat;
use crate::secagg::fault::{Check, Fault};
use crate::secagg::keys::AGREEMENT;
use crate::wire::v1::secagg::{Agreement, Agreements, Survivors};

/// A server with a fixed set of survivors.
#[derive(Debug)]
pub struct Surviving {
    round: Dealers,
    sum: Vec<u32>,
    survivors: Survivors,
    agreements: BTreeMap<Seat, Signature>,
}

impl Surviving {
    pub(super) fn new(round: Dealers, sum: Vec<u32>, survivors: Survivors) -> Self {
        Self { round, sum, survivors, agreements: BTreeMap::new() }
    }

    /// The survivors, for each of them.
    pub fn survivors(&self) -> &Survivors {
        &self.survivors
    }

    /// Takes the agreement of `from`.
    ///
    /// # Errors
    /// A18, A20 or A21.
    pub fn agree(&mut self, from: &NodeId, agreement: Agreement) -> Result<(), Fault> {
        let seat = self.round.seat(from)?;
        if !self.survivors.set.contains(seat) {
            return Err(Fault::client(*from, Check::OutOfTurn));
        }
        if let Some(known) = self.agreements.get(&seat) {
            return same(*known == agreement.signature, from);
        }
        let signed = self.round.cohort.transcript.survivors(&self.survivors.set);
        from.key()
            .verify(AGREEMENT, &signed, &agreement.signature)
            .map_err(|_| Fault::client(*from, Check::AgreementSignature))?;
        self.agreements.insert(seat, agreement.signature);
        Ok(())
    }

    /// How many have agreed.
    pub fn agreed(&self) -> usize {
        self.agreements.len()
    }

    /// Ends the phase.
    ///
    /// # Errors
    /// A28 if fewer than the threshold agreed.
    pub fn close(self) -> Result<Unmasking, Fault> {
        let Self { round, sum, survivors, agreements } = self;
        if agreements.len() < round.cohort.thresholds.threshold as usize {
            return Err(Fault::too_few());
        }
        Ok(Unmasking::new(round, sum, survivors.set, agreements))
    }
}

/// The agreements of a client's shareholders, as many as it needs.
pub(super) fn agreements_for(
    round: &Dealers,
    agreements: &BTreeMap<Seat, Signature>,
    seat: Seat,
) -> Agreements {
    let holders = round.graph.shareholders.get(&seat).into_iter().flatten();
    let signatures = holders
        .filter(|holder| **holder != seat)
        .filter_map(|holder| Some((*holder, *agreements.get(holder)?)))
        .take(round.cohort.thresholds.threshold as usize)
        .collect();
    Agreements { signatures }
}
