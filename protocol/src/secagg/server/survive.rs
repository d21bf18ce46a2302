//! Phase 6: the survivors agree to who survived.

use std::collections::{BTreeMap, BTreeSet};

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
    witnesses: BTreeSet<Seat>,
}

impl Surviving {
    pub(super) fn new(round: Dealers, sum: Vec<u32>, survivors: Survivors) -> Self {
        let witnesses = round.cohort.witnesses();
        Self { round, sum, survivors, agreements: BTreeMap::new(), witnesses }
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
        let signed = self.round.transcript.survivors(&self.survivors.set);
        from.key()
            .verify(AGREEMENT, &signed, &agreement.signature)
            .map_err(|_| Fault::client(*from, Check::AgreementSignature))?;
        self.agreements.insert(seat, agreement.signature);
        Ok(())
    }

    /// Whether this client survived.
    pub fn takes(&self, client: &NodeId) -> bool {
        self.round.seat(client).is_ok_and(|seat| self.survivors.set.contains(seat))
    }

    /// How many have agreed.
    pub fn agreed(&self) -> usize {
        self.agreements.len()
    }

    /// Which survivors have not agreed.
    pub fn silent(&self) -> Vec<NodeId> {
        let silent = self.survivors.set.iter().filter(|seat| !self.agreements.contains_key(seat));
        silent.map(|seat| self.round.cohort.client(seat)).collect()
    }

    /// Whether enough witnesses have agreed.
    pub fn is_agreed(&self) -> bool {
        self.witnessed().count() >= self.round.cohort.thresholds.agreements as usize
    }

    fn witnessed(&self) -> impl Iterator<Item = (Seat, Signature)> + '_ {
        let agreed = |seat: &Seat| Some((*seat, *self.agreements.get(seat)?));
        self.witnesses.iter().filter_map(agreed)
    }

    /// Ends the phase.
    ///
    /// # Errors
    /// A28 if too few witnesses agreed.
    pub fn close(self) -> Result<Unmasking, Fault> {
        let needed = self.round.cohort.thresholds.agreements as usize;
        let signatures: Vec<(Seat, Signature)> = self.witnessed().take(needed).collect();
        if signatures.len() < needed {
            return Err(Fault::too_few(signatures.len(), needed));
        }
        let Self { round, sum, survivors, .. } = self;
        Ok(Unmasking::new(round, sum, survivors.set, Agreements { signatures }))
    }
}
