//! Phase 1: keys for one round.

use covey_crypto::{Digest, MerkleTree, RoundPublic, RoundSecret, SecretKey, are_leaves};
use rand_core::CryptoRng;

use super::choose::Choosing;
use super::enrol::{Enrolled, Own};
use crate::ids::NodeId;
use crate::secagg::fault::{Check, Fault};
use crate::secagg::keys::{KEYS, ROSTER, Transcript};
use crate::secagg::{Demands, Parameters, Seat, Terms, Thresholds, Topology};
use crate::wire::v1::secagg::{Advertisement, Choice, Place, Roster, RosterHead};

/// A client that has made its keys and waits for the cohort.
#[derive(Debug)]
pub struct Joining {
    terms: Digest,
    coordinator: NodeId,
    parameters: Parameters,
    demands: Demands,
    pub(super) seal: RoundSecret,
    pub(super) mask: RoundSecret,
    advertisement: Advertisement,
}

impl Joining {
    /// Makes keys for a round on `terms`, if they meet `demands`. The advertisement goes to the server.
    ///
    /// # Errors
    /// A1 or A2.
    pub fn start(
        terms: &Terms,
        demands: Demands,
        identity: &SecretKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(Self, Advertisement), Fault> {
        terms.parameters.check()?;
        demands.check(&terms.parameters)?;
        let digest = terms.digest();
        let (seal, mask) = (RoundSecret::draw(rng), RoundSecret::draw(rng));
        let advertisement = Advertisement::sign(&digest, identity, &seal, &mask);
        let joining = Self {
            terms: digest,
            coordinator: terms.coordinator,
            parameters: terms.parameters,
            demands,
            seal,
            mask,
            advertisement,
        };
        Ok((joining, advertisement))
    }

    /// Complete graph: takes the cohort in full. `eligible` says who may be in it.
    ///
    /// # Errors
    /// A2 to A8.
    pub fn roster(
        self,
        roster: &Roster,
        eligible: impl Fn(&NodeId) -> bool,
    ) -> Result<Enrolled, Fault> {
        let refuse = |check| Err(Fault::coordinator(check));
        let (transcript, thresholds) = self.head(&roster.head, Topology::Complete)?;
        let cohort = &roster.cohort;
        let sorted = cohort.is_sorted_by(|a, b| a.client < b.client);
        let tree = MerkleTree::new(cohort.iter().map(Advertisement::digest));
        if !sorted || cohort.len() != roster.head.cohort as usize || tree.root() != roster.head.root
        {
            return refuse(Check::RosterShape);
        }
        for advertisement in cohort {
            advertisement.check(&self.terms, &eligible)?;
        }
        let own = cohort.iter().position(|listed| *listed == self.advertisement);
        let Some(seat) = own.map(|at| Seat(at as u32)) else { return refuse(Check::OwnKeys) };
        let own = self.own(transcript, thresholds, seat);
        Ok(Enrolled::complete(own, cohort))
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
        let (transcript, thresholds) = self.head(&place.head, Topology::Sparse)?;
        let leaf = [(place.seat.index(), self.advertisement.digest())];
        if !are_leaves(&place.head.root, place.head.cohort as usize, &leaf, &place.proof) {
            return Err(Fault::coordinator(Check::OwnKeys));
        }
        let terms = self.terms;
        let own = self.own(transcript, thresholds, place.seat);
        Ok(Choosing::draw(own, terms, place.head, rng))
    }

    fn head(
        &self,
        head: &RosterHead,
        topology: Topology,
    ) -> Result<(Transcript, Thresholds), Fault> {
        if self.parameters.topology != topology {
            return Err(Fault::coordinator(Check::RosterShape));
        }
        let thresholds = self.parameters.thresholds(head.cohort)?;
        self.demands.check_cohort(&thresholds)?;
        let transcript = Transcript::new(&self.terms, head.cohort, &head.root);
        self.coordinator
            .key()
            .verify(ROSTER, transcript.as_bytes(), &head.signature)
            .map_err(|_| Fault::coordinator(Check::RosterSignature))?;
        Ok((transcript, thresholds))
    }

    fn own(self, transcript: Transcript, thresholds: Thresholds, seat: Seat) -> Own {
        Own {
            transcript,
            thresholds,
            entries: self.parameters.entries,
            coordinator: self.coordinator,
            seat,
            client: self.advertisement.client,
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

    /// A7 and A8, for a client that looks at another.
    pub(super) fn check(
        &self,
        terms: &Digest,
        eligible: impl Fn(&NodeId) -> bool,
    ) -> Result<(), Fault> {
        if !eligible(&self.client) {
            return Err(Fault::client(self.client, Check::Eligible));
        }
        self.check_signature(terms)
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
