//! Phases 6 and 7: one set of survivors, and one kind of share for each.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::{SecretKey, verify_all};
use serde::{Deserialize, Serialize};

use super::deal::Held;
use crate::ids::NodeId;
use crate::secagg::fault::{Check, Fault};
use crate::secagg::keys::{AGREEMENT, SURVIVORS, Transcript};
use crate::secagg::{Seat, SeatSet, Thresholds};
use crate::wire::v1::secagg::{Agreement, Agreements, OpenedShare, Opening, Survivors};

/// A client that has masked its vector and holds the others' shares. This is its record on disk:
/// secret, and written before the masked vector is sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Masked {
    pub(super) transcript: Transcript,
    pub(super) thresholds: Thresholds,
    pub(super) coordinator: NodeId,
    pub(super) seat: Seat,
    pub(super) witnesses: BTreeMap<Seat, NodeId>,
    pub(super) dealers: SeatSet,
    pub(super) held: Vec<Held>,
}

impl Masked {
    /// Takes the set of survivors and agrees to it. Write the record down durably before the
    /// agreement leaves.
    ///
    /// # Errors
    /// A15 or A16. The client opens nothing then, and its part in the round is over.
    pub fn survivors(
        self,
        survivors: &Survivors,
        identity: &SecretKey,
    ) -> Result<(Agreed, Agreement), Fault> {
        let set = &survivors.set;
        self.coordinator
            .key()
            .verify(SURVIVORS, &self.transcript.survivors(set), &survivors.signature)
            .map_err(|_| Fault::coordinator(Check::SurvivorsSignature))?;
        let fits = set.is_subset(&self.dealers)
            && set.contains(self.seat)
            && set.len() >= self.thresholds.survivors;
        if !fits {
            return Err(Fault::coordinator(Check::Survivors));
        }
        let Self { transcript, thresholds, witnesses, held, .. } = self;
        let shares = held.into_iter().map(|held| held.keep(set)).collect();
        let agreed = Agreed { transcript, thresholds, witnesses, survivors: set.clone(), shares };
        let agreement = agreed.agreement(identity);
        Ok((agreed, agreement))
    }
}

impl Held {
    /// The share that these survivors call for; the other one is wiped.
    fn keep(self, survivors: &SeatSet) -> OpenedShare {
        let (self_digest, pair_digest) = self.digests();
        let Self { dealer, self_share, pair_share } = self;
        if survivors.contains(dealer) {
            OpenedShare { dealer, share: self_share, other: pair_digest }
        } else {
            OpenedShare { dealer, share: pair_share, other: self_digest }
        }
    }
}

/// A client that has agreed to a set of survivors. This is its record on disk from then on, in place
/// of the one before: of each dealer's shares it has the one that may be opened.
#[derive(Debug, Serialize, Deserialize)]
pub struct Agreed {
    transcript: Transcript,
    thresholds: Thresholds,
    witnesses: BTreeMap<Seat, NodeId>,
    survivors: SeatSet,
    shares: Vec<OpenedShare>,
}

impl Agreed {
    /// The agreement, again.
    pub fn agreement(&self, identity: &SecretKey) -> Agreement {
        let signed = self.transcript.survivors(&self.survivors);
        Agreement { signature: identity.sign(AGREEMENT, &signed) }
    }

    /// The survivors once more, after a lost connection: the same agreement for the same set.
    ///
    /// # Errors
    /// A17 for any other set.
    pub fn survivors(
        &self,
        survivors: &Survivors,
        identity: &SecretKey,
    ) -> Result<Agreement, Fault> {
        if survivors.set == self.survivors {
            Ok(self.agreement(identity))
        } else {
            Err(Fault::coordinator(Check::SecondSurvivors))
        }
    }

    /// Takes the witnesses' agreements and opens one share of each dealer: of its own
    /// mask's secret if the dealer survived, of its pairs' masks' if it dropped out.
    ///
    /// # Errors
    /// A18 or A19. Nothing is opened then, ever.
    pub fn agreements(self, agreements: &Agreements) -> Result<Opening, Fault> {
        self.check(agreements)?;
        Ok(Opening { shares: self.shares })
    }

    fn check(&self, agreements: &Agreements) -> Result<(), Fault> {
        let Self { transcript, thresholds, witnesses, .. } = self;
        let needed = thresholds.agreements as usize;
        let signed = transcript.survivors(&self.survivors);
        let (mut agreed, mut counted) = (BTreeSet::new(), Vec::new());
        for (from, signature) in &agreements.signatures {
            let Some(client) = witnesses.get(from).filter(|_| agreed.len() < needed) else {
                continue;
            };
            counted.push((client.key(), signed, signature));
            agreed.insert(*from);
        }
        verify_all(AGREEMENT, counted)
            .map_err(|_| Fault::coordinator(Check::AgreementSignature))?;
        if agreed.len() >= needed { Ok(()) } else { Err(Fault::nobody(Check::TooFewAgreements)) }
    }
}
