//! Phase 1: keys for one round.

use std::collections::BTreeMap;

use covey_crypto::{
    Digest, MerkleTree, RoundPublic, RoundSecret, SecretKey, are_leaves, verify_all,
};
use rand_core::CryptoRng;

use super::choose::Choosing;
use super::enrol::{Enrolled, Own, Peer};
use crate::ids::NodeId;
use crate::secagg::fault::{Check, Fault};
use crate::secagg::keys::{KEYS, ROSTER, Transcript};
use crate::secagg::{Demands, Members, Parameters, Seat, SeatSet, Terms, Thresholds, Topology};
use crate::wire::v1::secagg::{Advertisement, Choice, Place, Roster, RosterHead};

/// The secrets behind a client's two keys of a round: what it draws first.
#[derive(Debug)]
pub struct Drawn {
    /// What shares for it are opened with.
    pub seal: RoundSecret,
    /// What masks of pairs come from.
    pub mask: RoundSecret,
}

impl Drawn {
    /// Draws them. The same generator gives the same ones, which is how one who simulates a client knows them, too.
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        Self { seal: RoundSecret::draw(rng), mask: RoundSecret::draw(rng) }
    }
}

/// A client that has made its keys and waits for the cohort.
#[derive(Debug)]
pub struct Joining {
    terms: Digest,
    members: Members,
    seat: Seat,
    coordinator: NodeId,
    parameters: Parameters,
    demands: Demands,
    pub(super) seal: RoundSecret,
    pub(super) mask: RoundSecret,
    advertisement: Advertisement,
}

impl Joining {
    /// Makes keys for a round on `terms`, if they meet `demands` and are for `members`, this client
    /// among them. The advertisement goes to the server.
    ///
    /// # Errors
    /// A1, A2 or A8.
    pub fn start(
        terms: &Terms,
        members: &Members,
        demands: Demands,
        identity: &SecretKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Advertisement), Fault> {
        terms.parameters.check()?;
        demands.check(&terms.parameters)?;
        let seat = members.seat(&NodeId::new(identity.public()));
        let seat = seat.filter(|_| members.digest() == terms.members);
        let seat = seat.ok_or(Fault::coordinator(Check::Eligible))?;
        let digest = terms.digest();
        let Drawn { seal, mask } = Drawn::draw(rng);
        let advertisement = Advertisement::sign(&digest, identity, &seal, &mask);
        let joining = Self {
            terms: digest,
            members: members.clone(),
            seat,
            coordinator: terms.coordinator,
            parameters: terms.parameters,
            demands,
            seal,
            mask,
            advertisement,
        };
        Ok((joining, advertisement))
    }

    /// Complete graph: takes the cohort in full.
    ///
    /// # Errors
    /// A2 to A8.
    pub fn roster(self, roster: &Roster) -> Result<Enrolled, Fault> {
        let refuse = |check| Err(Fault::coordinator(check));
        let (transcript, thresholds) = self.head(&roster.head, Topology::Complete)?;
        let Roster { head, keys } = roster;
        let seats: Vec<Seat> = head.cohort.iter().collect();
        if keys.len() != seats.len()
            || Advertisement::tree(&self.members, &seats, keys).root() != head.root
        {
            return refuse(Check::RosterShape);
        }
        let (own, others): (Vec<_>, Vec<_>) =
            seats.into_iter().zip(keys).partition(|(seat, _)| *seat == self.seat);
        if own.iter().any(|(_, keys)| **keys != self.advertisement) {
            return refuse(Check::OwnKeys);
        }
        let peers = Advertisement::check(&others, &self.terms, &self.members)?;
        let own = self.own(transcript, thresholds, &head.cohort);
        Ok(Enrolled::complete(own, peers))
    }

    /// Sparse graph: takes the cohort's root and draws neighbours, whose choice goes to the server.
    ///
    /// # Errors
    /// A2 to A6.
    pub fn place(
        self,
        place: &Place,
        rng: &mut impl CryptoRng,
    ) -> Result<(Choosing, Choice), Fault> {
        let Place { head, proof } = place;
        let (transcript, thresholds) = self.head(head, Topology::Sparse)?;
        let leaf = [(self.seat.index(), self.advertisement.digest())];
        if !are_leaves(&head.root, self.members.len() as usize, &leaf, proof) {
            return Err(Fault::coordinator(Check::OwnKeys));
        }
        let (terms, members) = (self.terms, self.members.clone());
        let own = self.own(transcript, thresholds, &head.cohort);
        Ok(Choosing::draw(own, terms, members, head, rng))
    }

    fn head(
        &self,
        head: &RosterHead,
        topology: Topology,
    ) -> Result<(Transcript, Thresholds), Fault> {
        if self.parameters.topology != topology || head.cohort.seats() != self.members.len() {
            return Err(Fault::coordinator(Check::RosterShape));
        }
        if !head.cohort.contains(self.seat) {
            return Err(Fault::coordinator(Check::OwnKeys));
        }
        let thresholds = self.parameters.thresholds(head.cohort.len())?;
        self.demands.check_cohort(&thresholds)?;
        let transcript = Transcript::new(&self.terms, &head.cohort, &head.root);
        self.coordinator
            .key()
            .verify(ROSTER, transcript.as_bytes(), &head.signature)
            .map_err(|_| Fault::coordinator(Check::RosterSignature))?;
        Ok((transcript, thresholds))
    }

    fn own(self, transcript: Transcript, thresholds: Thresholds, cohort: &SeatSet) -> Own {
        let witnesses = transcript.witnesses(cohort, thresholds.witnesses);
        let client_of = |seat: &Seat| Some((*seat, *self.members.at(*seat)?));
        Own {
            transcript,
            thresholds,
            entries: self.parameters.entries,
            coordinator: self.coordinator,
            witnesses: witnesses.iter().filter_map(client_of).collect(),
            cohort: cohort.clone(),
            seat: self.seat,
            seal: self.seal,
            mask: self.mask,
        }
    }
}

impl Advertisement {
    fn sign(terms: &Digest, identity: &SecretKey, seal: &RoundSecret, mask: &RoundSecret) -> Self {
        let client = NodeId::new(identity.public());
        let (seal, mask) = (seal.public(), mask.public());
        let signature = identity.sign(KEYS, &Self::signed(terms, &seal, &mask));
        Self { client, seal, mask, signature }
    }

    fn signed(terms: &Digest, seal: &RoundPublic, mask: &RoundPublic) -> [u8; 96] {
        let mut bytes = [0; 96];
        bytes[..32].copy_from_slice(terms.as_bytes());
        bytes[32..64].copy_from_slice(seal.as_bytes());
        bytes[64..].copy_from_slice(mask.as_bytes());
        bytes
    }

    /// Whether the keys are signed by their client for these terms (A7).
    pub(in crate::secagg) fn check_signature(&self, terms: &Digest) -> Result<(), Fault> {
        self.client
            .key()
            .verify(KEYS, &Self::signed(terms, &self.seal, &self.mask), &self.signature)
            .map_err(|_| Fault::client(self.client, Check::KeySignature))
    }

    /// Whether these are of the members with those seats (A8), and signed by them (A7).
    pub(super) fn check(
        listed: &[(Seat, &Self)],
        terms: &Digest,
        members: &Members,
    ) -> Result<BTreeMap<Seat, Peer>, Fault> {
        if listed.iter().any(|(seat, keys)| members.at(*seat) != Some(&keys.client)) {
            return Err(Fault::coordinator(Check::Eligible));
        }
        let signed = |(_, keys): &(Seat, &Self)| Self::signed(terms, &keys.seal, &keys.mask);
        let signed = listed.iter().map(|it| (it.1.client.key(), signed(it), &it.1.signature));
        // A coordinator checks this before it lists anybody.
        verify_all(KEYS, signed).map_err(|_| Fault::coordinator(Check::KeySignature))?;
        Ok(listed.iter().map(|(seat, keys)| (*seat, Peer::of(keys))).collect())
    }

    /// The tree over all members' keys, of whom those at `seats` have any.
    pub(in crate::secagg) fn tree(members: &Members, seats: &[Seat], keys: &[Self]) -> MerkleTree {
        let mut leaves = vec![Digest::ZERO; members.len() as usize];
        for (seat, keys) in seats.iter().zip(keys) {
            if let Some(leaf) = leaves.get_mut(seat.index()) {
                *leaf = keys.digest();
            }
        }
        MerkleTree::new(leaves)
    }

    /// The leaf of the cohort's tree.
    pub(in crate::secagg) fn digest(&self) -> Digest {
        let parts: [&[u8]; 4] = [
            self.client.as_bytes(),
            self.seal.as_bytes(),
            self.mask.as_bytes(),
            self.signature.as_bytes(),
        ];
        Digest::of("covey/secagg/v1/advertisement", &parts)
    }
}
