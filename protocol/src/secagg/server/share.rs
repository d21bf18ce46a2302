//! Phases 3 and 4: shares are dealt and passed on.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::MerkleTree;

use super::gather::{Cohort, same};
use super::sum::Summing;
use crate::ids::NodeId;
use crate::secagg::client::signed;
use crate::secagg::fault::{Check, Fault};
use crate::secagg::keys::{DEALING, Transcript};
use crate::secagg::{Seat, SeatSet, Topology};
use crate::wire::v1::secagg::{Dealing, Neighbours, SEALED_SHARES};

/// A server with a fixed graph, to which shares are dealt.
#[derive(Debug)]
pub struct Sharing {
    cohort: Cohort,
    tree: MerkleTree,
    graph: Graph,
    dealings: BTreeMap<Seat, Dealing>,
}

/// Who holds whose shares.
#[derive(Debug)]
pub(super) struct Graph {
    /// The shareholders of each client that has any, in rising order.
    pub(super) shareholders: BTreeMap<Seat, Vec<Seat>>,
    /// For each client, whose shares it holds, in rising order.
    pub(super) dealers: BTreeMap<Seat, BTreeSet<Seat>>,
}

impl Graph {
    fn new(shareholders: BTreeMap<Seat, Vec<Seat>>) -> Self {
        let mut dealers: BTreeMap<Seat, BTreeSet<Seat>> = BTreeMap::new();
        for (dealer, holders) in &shareholders {
            for holder in holders {
                dealers.entry(*holder).or_default().insert(*dealer);
            }
        }
        Self { shareholders, dealers }
    }

    /// Everybody with whom a seat has a mask in common: its shareholders and its dealers.
    pub(super) fn partners(&self, seat: Seat) -> BTreeSet<Seat> {
        let holders = self.shareholders.get(&seat).into_iter().flatten();
        let dealers = self.dealers.get(&seat).into_iter().flatten();
        holders.chain(dealers).copied().filter(|partner| *partner != seat).collect()
    }
}

impl Sharing {
    pub(super) fn new(
        cohort: Cohort,
        tree: MerkleTree,
        shareholders: BTreeMap<Seat, Vec<Seat>>,
    ) -> Self {
        Self { cohort, tree, graph: Graph::new(shareholders), dealings: BTreeMap::new() }
    }

    /// Sparse graph: the keys of a client's neighbours; `None` for whoever has no part in it.
    pub fn neighbours(&self, client: &NodeId) -> Option<Neighbours> {
        let seat = self.cohort.seat(client).ok()?;
        if self.cohort.topology == Topology::Complete {
            return None;
        }
        let chosen = self.graph.shareholders.get(&seat)?;
        let choosing: Vec<Seat> =
            self.graph.dealers.get(&seat).into_iter().flatten().copied().collect();
        let all: BTreeSet<Seat> = chosen.iter().chain(&choosing).copied().collect();
        let indices: Vec<usize> = all.iter().map(|seat| seat.index()).collect();
        let keys = all.iter().map(|seat| (*seat, *self.cohort.keys_of(*seat))).collect();
        Some(Neighbours { keys, proof: self.tree.proof(&indices)?, choosing })
    }

    /// Takes the shares that `from` dealt.
    ///
    /// # Errors
    /// A20, A21 or A23.
    pub fn deal(&mut self, from: &NodeId, dealing: Dealing) -> Result<(), Fault> {
        let seat = self.cohort.seat(from)?;
        let holders = self.graph.shareholders.get(&seat);
        let holders = holders.ok_or(Fault::client(*from, Check::OutOfTurn))?;
        if let Some(known) = self.dealings.get(&seat) {
            return same(known == &dealing, from);
        }
        let to_holders =
            dealing.shares.iter().map(|shares| shares.seat).eq(holders.iter().copied());
        let sized = dealing.shares.iter().all(|shares| {
            shares.sealed.len() == if shares.seat == seat { 0 } else { SEALED_SHARES }
        });
        let signed = signed(&self.cohort.transcript, &dealing.self_key, &dealing.shares);
        let verified = from.key().verify(DEALING, &signed, &dealing.signature).is_ok();
        if !(to_holders && sized && verified) {
            return Err(Fault::client(*from, Check::Dealing));
        }
        self.dealings.insert(seat, dealing);
        Ok(())
    }

    /// Whether this client may deal shares.
    pub fn takes(&self, client: &NodeId) -> bool {
        self.cohort.seat(client).is_ok_and(|seat| self.graph.shareholders.contains_key(&seat))
    }

    /// How many have dealt.
    pub fn dealt(&self) -> usize {
        self.dealings.len()
    }

    /// Who may deal and has not.
    pub fn silent(&self) -> Vec<NodeId> {
        let dealers = self.graph.shareholders.keys();
        let silent = dealers.filter(|seat| !self.dealings.contains_key(seat));
        silent.map(|seat| self.cohort.client(*seat)).collect()
    }

    /// Fixes who dealt: nobody else takes part from here on.
    ///
    /// # Errors
    /// A28 if they are too few.
    pub fn close(self) -> Result<Summing, Fault> {
        let Self { cohort, graph, dealings, .. } = self;
        let needed = cohort.thresholds.survivors as usize;
        if dealings.len() < needed {
            return Err(Fault::too_few(dealings.len(), needed));
        }
        let mut dealers = cohort.nobody();
        dealers.extend(dealings.keys().copied());
        let transcript = cohort.transcript.dealt(&dealers);
        Ok(Summing::new(Dealers { cohort, graph, dealings, dealers, transcript }))
    }
}

/// What later phases know: the cohort, the graph, and who dealt what.
#[derive(Debug)]
pub(super) struct Dealers {
    pub(super) cohort: Cohort,
    pub(super) graph: Graph,
    pub(super) dealings: BTreeMap<Seat, Dealing>,
    pub(super) dealers: SeatSet,
    /// The cohort's, with the dealers.
    pub(super) transcript: Transcript,
}

impl Dealers {
    /// The seat of a client that dealt; A20 against anybody else.
    pub(super) fn seat(&self, client: &NodeId) -> Result<Seat, Fault> {
        let seat = self.cohort.seat(client)?;
        if self.dealers.contains(seat) {
            Ok(seat)
        } else {
            Err(Fault::client(*client, Check::OutOfTurn))
        }
    }
}
