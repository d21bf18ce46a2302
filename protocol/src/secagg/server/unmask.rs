//! Phase 7: shares are opened, secrets recovered, masks taken off.

use std::collections::BTreeMap;

use covey_crypto::shamir::Recovery;
use covey_crypto::{MaskStream, RoundPublic, RoundSecret, Secret32, Share};
use rayon::prelude::*;

use super::share::Dealers;
use crate::ids::NodeId;
use crate::secagg::client::Sign;
use crate::secagg::fault::{Check, Culprit, Fault};
use crate::secagg::keys::{Kind, commitment, share_digest};
use crate::secagg::{Seat, SeatSet};
use crate::wire::v1::secagg::{Agreements, OpenedShare, Opening};

/// Entries that one task takes the masks off.
const PIECE: usize = 16 * 1024;

/// A server that gathers opened shares.
#[derive(Debug)]
pub struct Unmasking {
    round: Dealers,
    sum: Vec<u32>,
    survivors: SeatSet,
    agreements: Agreements,
    /// Opened shares of each dealer, by the shareholder's place.
    opened: BTreeMap<Seat, BTreeMap<u32, Share>>,
    answered: SeatSet,
}

/// What a round comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summed {
    /// The sum of the survivors' vectors modulo 2^32.
    pub sum: Vec<u32>,
    /// The survivors, in the order of their ids.
    pub survivors: Vec<NodeId>,
}

impl Unmasking {
    pub(super) fn new(
        round: Dealers,
        sum: Vec<u32>,
        survivors: SeatSet,
        agreements: Agreements,
    ) -> Self {
        let answered = SeatSet::new(survivors.seats());
        Self { round, sum, survivors, agreements, opened: BTreeMap::new(), answered }
    }

    /// The agreements that every survivor asks for before it opens anything.
    pub fn agreements(&self) -> &Agreements {
        &self.agreements
    }

    /// Takes the shares that `from` opened; all of them, or none if one is bad.
    ///
    /// # Errors
    /// A14, A20 or A26.
    pub fn open(&mut self, from: &NodeId, opening: Opening) -> Result<(), Fault> {
        let seat = self.round.seat(from)?;
        if !self.survivors.contains(seat) {
            return Err(Fault::client(*from, Check::OutOfTurn));
        }
        if self.answered.contains(seat) {
            return Ok(());
        }
        let shares = opening.shares;
        let held = self.round.graph.dealers.get(&seat);
        let expected = |share: &OpenedShare| {
            held.is_some_and(|held| held.contains(&share.dealer))
                && self.round.dealers.contains(share.dealer)
        };
        let rising = shares.is_sorted_by(|a, b| a.dealer < b.dealer);
        if !rising || !shares.iter().all(expected) {
            return Err(Fault::client(*from, Check::Opening));
        }
        if !shares.iter().all(|share| self.committed(seat, share)) {
            return Err(Fault::client(*from, Check::Commitment));
        }
        for OpenedShare { dealer, share, .. } in shares {
            self.opened.entry(dealer).or_default().insert(seat.place(), share);
        }
        self.answered.insert(seat);
        Ok(())
    }

    /// Whether this client survived.
    pub fn takes(&self, client: &NodeId) -> bool {
        self.round.seat(client).is_ok_and(|seat| self.survivors.contains(seat))
    }

    /// How many have opened shares.
    pub fn answered(&self) -> u32 {
        self.answered.len()
    }

    /// Which survivors have opened nothing.
    pub fn silent(&self) -> Vec<NodeId> {
        let silent = self.survivors.iter().filter(|seat| !self.answered.contains(*seat));
        silent.map(|seat| self.round.cohort.client(seat)).collect()
    }

    /// Whether enough shares of every dealer are open.
    pub fn is_ready(&self) -> bool {
        let threshold = self.round.cohort.thresholds.threshold as usize;
        let enough = |dealer| self.opened.get(&dealer).is_some_and(|open| open.len() >= threshold);
        self.round.dealers.iter().all(enough)
    }

    /// Recovers one secret of every dealer and takes the masks off.
    ///
    /// # Errors
    /// A28 if shares are missing, A29 where a dealer's shareholders answered without them, A27 against a dealer whose shares give another secret.
    pub fn finish(self) -> Result<Summed, Fault> {
        let secrets = self.secrets()?;
        let tasks: Vec<(Sign, Secret32)> = secrets
            .into_par_iter()
            .flat_map_iter(|(dealer, secret)| self.masks(dealer, &secret))
            .collect();
        let Self { round, mut sum, survivors, .. } = self;
        sum.par_chunks_mut(PIECE).enumerate().for_each(|(at, piece)| {
            for (sign, seed) in &tasks {
                let mut stream = MaskStream::new(seed);
                stream.seek((at * PIECE) as u64);
                sign.apply(&mut stream, piece);
            }
        });
        let survivors = survivors.iter().map(|seat| round.cohort.client(seat)).collect();
        Ok(Summed { sum, survivors })
    }

    fn kind(&self, dealer: Seat) -> Kind {
        if self.survivors.contains(dealer) { Kind::SelfMask } else { Kind::PairMask }
    }

    /// Whether this is the share that its dealer committed to for this shareholder.
    fn committed(&self, holder: Seat, opened: &OpenedShare) -> bool {
        let kind = self.kind(opened.dealer);
        let own = share_digest(kind, &opened.share.expose());
        let both = match kind {
            Kind::SelfMask => commitment(&own, &opened.other),
            Kind::PairMask => commitment(&opened.other, &own),
        };
        let dealing = self.round.dealings.get(&opened.dealer);
        dealing.is_some_and(|dealing| {
            let shares = &dealing.shares;
            let at = shares.binary_search_by_key(&holder, |shares| shares.seat);
            at.is_ok_and(|at| shares[at].commitment == both)
        })
    }

    /// One secret of every dealer, checked against its public half.
    fn secrets(&self) -> Result<Vec<(Seat, RoundSecret)>, Fault> {
        let threshold = self.round.cohort.thresholds.threshold as usize;
        let mut recoveries: BTreeMap<Vec<u32>, Recovery> = BTreeMap::new();
        let none = BTreeMap::new();
        let mut secrets = Vec::new();
        for dealer in self.round.dealers.iter() {
            let open = self.opened.get(&dealer).unwrap_or(&none);
            if open.len() < threshold {
                return Err(self.missing(dealer, threshold));
            }
            let (places, shares): (Vec<u32>, Vec<&Share>) = open.iter().take(threshold).unzip();
            let recovery = match recoveries.get(&places) {
                Some(recovery) => recovery,
                None => {
                    let recovery = Recovery::at(&places).expect("places are distinct and from 1");
                    recoveries.entry(places).or_insert(recovery)
                }
            };
            let secret = recovery.secret(&shares).expect("as many shares as places");
            if secret.public() != self.public(dealer) {
                let culprit = Culprit::Client(self.round.cohort.client(dealer));
                return Err(Fault::new(Check::Recovered, culprit));
            }
            secrets.push((dealer, secret));
        }
        Ok(secrets)
    }

    /// Why there are too few shares of a dealer: too few of its shareholders answered, or it dealt
    /// them shares that do not open, or they say so. Fewer than 2t - k of an honest dealer's k shareholders
    /// collude, and no more than all colluders, so if more say so, it dealt badly.
    fn missing(&self, dealer: Seat, threshold: usize) -> Fault {
        let holders = self.round.graph.shareholders.get(&dealer).map_or(&[][..], Vec::as_slice);
        let answered = holders.iter().filter(|holder| self.answered.contains(**holder)).count();
        if answered < threshold {
            return Fault::too_few(answered, threshold);
        }
        let silent = answered - self.opened.get(&dealer).map_or(0, BTreeMap::len);
        let client = self.round.cohort.client(dealer);
        let colluders = self.round.cohort.thresholds.colluders as usize;
        let culprit = if silent >= (2 * threshold - holders.len()).min(colluders + 1) {
            Culprit::Client(client)
        } else {
            Culprit::Disputed(client)
        };
        Fault::new(Check::Withheld, culprit)
    }

    fn public(&self, dealer: Seat) -> RoundPublic {
        match self.kind(dealer) {
            Kind::SelfMask => self.round.dealings[&dealer].self_key,
            Kind::PairMask => self.round.cohort.keys_of(dealer).mask,
        }
    }

    /// What takes off the masks that a dealer's secret is behind: its own, or, of one that dropped
    /// out, those it has in common with survivors, which stand in their vectors.
    fn masks(&self, dealer: Seat, secret: &RoundSecret) -> Vec<(Sign, Secret32)> {
        let transcript = &self.round.transcript;
        match self.kind(dealer) {
            Kind::SelfMask => vec![(Sign::Minus, transcript.self_seed(dealer, secret))],
            Kind::PairMask => {
                let partners = self.round.graph.partners(dealer);
                let survived = partners.into_iter().filter(|seat| self.survivors.contains(*seat));
                survived
                    .map(|partner| {
                        let key = &self.round.cohort.keys_of(partner).mask;
                        let seed = transcript.pair_seed((dealer, secret), (partner, key));
                        (Sign::between(partner, dealer).opposite(), seed)
                    })
                    .collect()
            }
        }
    }
}
