//! Phases 6 and 7: one set of survivors, and one kind of share for each.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::SecretKey;
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
    pub(super) shareholders: BTreeMap<Seat, NodeId>,
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
        let agreed = Agreed { masked: self, survivors: set.clone() };
        let agreement = agreed.agreement(identity);
        Ok((agreed, agreement))
    }
}

/// A client that has agreed to a set of survivors. This is its record on disk from then on.
#[derive(Debug, Serialize, Deserialize)]
pub struct Agreed {
    masked: Masked,
    survivors: SeatSet,
}

impl Agreed {
    /// The agreement, again.
    pub fn agreement(&self, identity: &SecretKey) -> Agreement {
        let signed = self.masked.transcript.survivors(&self.survivors);
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

    /// Takes the agreements of its shareholders and opens one share of each dealer: of its own
    /// mask's secret if the dealer survived, of its pairs' masks' if it dropped out.
    ///
    /// # Errors
    /// A18 or A19. Nothing is opened then, ever.
    pub fn agreements(self, agreements: &Agreements) -> Result<Opening, Fault> {
        self.check(agreements)?;
        let Self { masked, survivors } = self;
        let shares = masked.held.into_iter().map(|held| {
            let (self_digest, pair_digest) = held.digests();
            let Held { dealer, self_share, pair_share } = held;
            if survivors.contains(dealer) {
                OpenedShare { dealer, share: self_share, other: pair_digest }
            } else {
                OpenedShare { dealer, share: pair_share, other: self_digest }
            }
        });
        Ok(Opening { shares: shares.collect() })
    }

    fn check(&self, agreements: &Agreements) -> Result<(), Fault> {
        let Masked { transcript, thresholds, seat, shareholders, .. } = &self.masked;
        let signed = transcript.survivors(&self.survivors);
        let mut agreed = BTreeSet::new();
        if shareholders.contains_key(seat) {
            agreed.insert(*seat);
        }
        for (from, signature) in &agreements.signatures {
            let counts = self.survivors.contains(*from) && !agreed.contains(from);
            let Some(client) = shareholders.get(from).filter(|_| counts) else { continue };
            if agreed.len() >= thresholds.threshold as usize {
                break;
            }
            client
                .key()
                .verify(AGREEMENT, &signed, signature)
                .map_err(|_| Fault::coordinator(Check::AgreementSignature))?;
            agreed.insert(*from);
        }
        if agreed.len() >= thresholds.threshold as usize {
            Ok(())
        } else {
            Err(Fault::coordinator(Check::TooFewAgreements))
        }
    }
}
