//! Phases 1 and 2: keys are gathered, the cohort is fixed, and on a sparse graph neighbours chosen.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::{Digest, MerkleTree, SecretKey, Signature};

use super::share::Sharing;
use crate::ids::NodeId;
use crate::secagg::fault::{Check, Fault};
use crate::secagg::keys::{ROSTER, Transcript};
use crate::secagg::{Members, Parameters, Seat, SeatSet, Terms, Thresholds, Topology};
use crate::wire::v1::secagg::{Advertisement, Choice, Place, Roster, RosterHead};

/// A server that gathers keys.
#[derive(Debug)]
pub struct Gathering {
    terms: Digest,
    members: Members,
    parameters: Parameters,
    advertised: BTreeMap<Seat, Advertisement>,
}

impl Gathering {
    /// Opens a round of `members`.
    ///
    /// # Errors
    /// A1 if the parameters are none a round may have, A8 if the terms name other members.
    pub fn open(terms: &Terms, members: &Members) -> Result<Self, Fault> {
        terms.parameters.check()?;
        if terms.members != members.digest() {
            return Err(Fault::coordinator(Check::Eligible));
        }
        let (terms, parameters) = (terms.digest(), terms.parameters);
        Ok(Self { terms, members: members.clone(), parameters, advertised: BTreeMap::new() })
    }

    /// Takes the keys of `from`.
    ///
    /// # Errors
    /// A8 if it is no member, A7 if it did not sign them, A21 if it sent others before, A3 if the cohort is full.
    pub fn advertise(&mut self, from: &NodeId, keys: Advertisement) -> Result<(), Fault> {
        if keys.client != *from {
            return Err(Fault::client(*from, Check::KeySignature));
        }
        let seat = self.members.seat(from).ok_or(Fault::client(*from, Check::Eligible))?;
        if let Some(known) = self.advertised.get(&seat) {
            return same(known == &keys, from);
        }
        if self.advertised.len() >= self.parameters.max_cohort as usize {
            return Err(Fault::nobody(Check::CohortSize));
        }
        keys.check_signature(&self.terms)?;
        self.advertised.insert(seat, keys);
        Ok(())
    }

    /// How many have advertised.
    pub fn len(&self) -> usize {
        self.advertised.len()
    }

    /// Whether nobody has.
    pub fn is_empty(&self) -> bool {
        self.advertised.is_empty()
    }

    /// Fixes the cohort: everybody who has advertised.
    ///
    /// # Errors
    /// A28 if they are too few, A1 if no graph of so many keeps the bounds.
    pub fn close(self, identity: &SecretKey) -> Result<Seated, Fault> {
        let Self { terms, members, parameters, advertised } = self;
        let count = advertised.len() as u32;
        if count < parameters.min_cohort {
            return Err(Fault::too_few(advertised.len(), parameters.min_cohort as usize));
        }
        let thresholds = parameters.thresholds(count)?;
        let (seats, keys): (Vec<Seat>, Vec<Advertisement>) =
            advertised.iter().map(|(seat, keys)| (*seat, *keys)).unzip();
        let tree = Advertisement::tree(&members, &seats, &keys);
        let root = tree.root();
        let mut seated = SeatSet::new(members.len());
        seated.extend(seats);
        let transcript = Transcript::new(&terms, &seated, &root);
        let signature = identity.sign(ROSTER, transcript.as_bytes());
        let Parameters { topology, entries, .. } = parameters;
        let keys = advertised;
        let cohort = Cohort { transcript, thresholds, topology, entries, members, seated, keys };
        Ok(Seated { cohort, tree, root, signature, choices: BTreeMap::new() })
    }
}

/// What every later phase knows of the cohort.
#[derive(Debug)]
pub(super) struct Cohort {
    pub(super) transcript: Transcript,
    pub(super) thresholds: Thresholds,
    pub(super) topology: Topology,
    pub(super) entries: u32,
    members: Members,
    seated: SeatSet,
    pub(super) keys: BTreeMap<Seat, Advertisement>,
}

impl Cohort {
    /// The seat of a client that takes part; A20 against anybody else.
    pub(super) fn seat(&self, client: &NodeId) -> Result<Seat, Fault> {
        let seat = self.members.seat(client).filter(|seat| self.keys.contains_key(seat));
        seat.ok_or(Fault::client(*client, Check::OutOfTurn))
    }

    /// The keys of a client that takes part.
    pub(super) fn keys_of(&self, seat: Seat) -> &Advertisement {
        self.keys.get(&seat).expect("seats of later phases are the cohort's")
    }

    pub(super) fn client(&self, seat: Seat) -> NodeId {
        self.keys_of(seat).client
    }

    /// Those whose agreement decides on the survivors.
    pub(super) fn witnesses(&self) -> BTreeSet<Seat> {
        self.transcript.witnesses(&self.seated, self.thresholds.witnesses)
    }

    /// An empty set of members.
    pub(super) fn nobody(&self) -> SeatSet {
        SeatSet::new(self.members.len())
    }
}

/// A server with a fixed cohort.
#[derive(Debug)]
pub struct Seated {
    cohort: Cohort,
    tree: MerkleTree,
    root: Digest,
    signature: Signature,
    choices: BTreeMap<Seat, Vec<Seat>>,
}

impl Seated {
    /// Neighbours, threshold and fewest survivors of this cohort.
    pub fn thresholds(&self) -> &Thresholds {
        &self.cohort.thresholds
    }

    /// Whether this client is in the cohort.
    pub fn takes(&self, client: &NodeId) -> bool {
        self.cohort.seat(client).is_ok()
    }

    fn head(&self) -> RosterHead {
        let (root, signature) = (self.root, self.signature);
        RosterHead { cohort: self.cohort.seated.clone(), root, signature }
    }

    /// Complete graph: the cohort, for everybody in it.
    pub fn roster(&self) -> Roster {
        Roster { head: self.head(), keys: self.cohort.keys.values().copied().collect() }
    }

    /// Sparse graph: a client's place under the root; `None` for anybody else.
    pub fn place(&self, client: &NodeId) -> Option<Place> {
        let seat = self.cohort.seat(client).ok()?;
        Some(Place { head: self.head(), proof: self.tree.proof(&[seat.index()])? })
    }

    /// Sparse graph: takes the neighbours that `from` drew.
    ///
    /// # Errors
    /// A20, A21 or A22.
    pub fn choose(&mut self, from: &NodeId, choice: Choice) -> Result<(), Fault> {
        let seat = self.cohort.seat(from)?;
        let shareholders = self.cohort.thresholds.shareholders;
        let chosen = &choice.neighbours;
        let fits = self.cohort.topology == Topology::Sparse
            && chosen.len() == shareholders as usize
            && chosen.is_sorted_by(|a, b| a < b)
            && chosen
                .iter()
                .all(|neighbour| self.cohort.seated.contains(*neighbour) && *neighbour != seat);
        if !fits {
            return Err(Fault::client(*from, Check::Choice));
        }
        match self.choices.get(&seat) {
            Some(known) => same(known == chosen, from),
            None => {
                self.choices.insert(seat, choice.neighbours);
                Ok(())
            }
        }
    }

    /// How many have chosen neighbours.
    pub fn chosen(&self) -> usize {
        self.choices.len()
    }

    /// Who has not chosen yet.
    pub fn silent(&self) -> Vec<NodeId> {
        let silent = self.cohort.keys.keys().filter(|seat| !self.choices.contains_key(seat));
        silent.map(|seat| self.cohort.client(*seat)).collect()
    }

    /// Fixes the graph. On a sparse one, who has not chosen drops out, and so does who was chosen by more
    /// than a client bears (A10).
    ///
    /// # Errors
    /// A28 if those who are left are too few.
    pub fn close(self) -> Result<Sharing, Fault> {
        let Self { cohort, tree, choices, .. } = self;
        let everybody: Vec<Seat> = cohort.keys.keys().copied().collect();
        let shareholders = match cohort.topology {
            Topology::Complete => everybody.iter().map(|seat| (*seat, everybody.clone())).collect(),
            Topology::Sparse => bearable(choices, cohort.thresholds.most_neighbours()),
        };
        let needed = cohort.thresholds.survivors as usize;
        if shareholders.len() < needed {
            return Err(Fault::too_few(shareholders.len(), needed));
        }
        Ok(Sharing::new(cohort, tree, shareholders))
    }
}

/// The choices of those who have no more than `most` neighbours by them, chosen or choosing.
fn bearable(choices: BTreeMap<Seat, Vec<Seat>>, most: usize) -> BTreeMap<Seat, Vec<Seat>> {
    let mut neighbours: BTreeMap<Seat, usize> = BTreeMap::new();
    for (seat, chosen) in &choices {
        *neighbours.entry(*seat).or_default() += chosen.len();
        for other in chosen {
            let mutual = choices.get(other).is_some_and(|it| it.binary_search(seat).is_ok());
            *neighbours.entry(*other).or_default() += usize::from(!mutual);
        }
    }
    choices.into_iter().filter(|(seat, _)| neighbours[seat] <= most).collect()
}

/// A message that came before: fine if it is the same, else A21.
pub(super) fn same(same: bool, from: &NodeId) -> Result<(), Fault> {
    if same { Ok(()) } else { Err(Fault::client(*from, Check::Repeated)) }
}
