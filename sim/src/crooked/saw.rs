//! What a coordinator sees of its members, and what it could open of that.

use std::collections::{BTreeMap, BTreeSet};

use covey_crypto::{Digest, RoundSecret};
use covey_protocol::ids::NodeId;
use covey_protocol::secagg::client::Drawn;
use covey_protocol::secagg::{Members, Parameters, Pool};
use covey_protocol::wire::v1::round::{ClientMessage, ServerMessage};

/// Most attempts of which all that passes is kept.
const MAX_POOLS: usize = 64;

/// What came from the members since the lie began.
#[derive(Debug, Clone, Default)]
pub struct Saw {
    /// Times that each asked what is going on.
    pub asked: BTreeMap<NodeId, u32>,
    /// Who checked in.
    pub keys: BTreeSet<NodeId>,
    /// Who dealt shares.
    pub dealt: BTreeSet<NodeId>,
    /// Who sent something of a masked vector.
    pub sent: BTreeSet<NodeId>,
    /// Who agreed to survivors.
    pub agreed: BTreeSet<NodeId>,
    /// Who opened shares.
    pub opened: BTreeSet<NodeId>,
}

impl Saw {
    pub(super) fn look_at(&mut self, from: &NodeId, message: &ClientMessage) {
        let seen = match message {
            ClientMessage::Keys(_) => &mut self.keys,
            ClientMessage::Dealing(_) => &mut self.dealt,
            ClientMessage::Upload(_) | ClientMessage::Piece { .. } => &mut self.sent,
            ClientMessage::Agreement(_) => &mut self.agreed,
            ClientMessage::Opening(_) => &mut self.opened,
            ClientMessage::Choice(_) | ClientMessage::Waits(_) => return,
        };
        seen.insert(*from);
    }
}

/// All that passed, by the terms of attempts.
pub(super) struct Pools {
    members: Members,
    pools: BTreeMap<Digest, Pool>,
}

impl Pools {
    pub(super) fn new(members: Members) -> Self {
        Self { members, pools: BTreeMap::new() }
    }

    pub(super) fn has(&self, terms: &Digest) -> bool {
        self.pools.contains_key(terms)
    }

    /// From now on what passes in the attempt with these terms is kept.
    pub(super) fn begin(&mut self, terms: Digest, parameters: Parameters) {
        if self.pools.len() < MAX_POOLS {
            self.pools.entry(terms).or_insert_with(|| Pool::new(parameters));
        }
    }

    pub(super) fn forget(&mut self) {
        self.pools.clear();
    }

    /// What a colluder drew for an attempt.
    pub(super) fn colludes(&mut self, terms: &Digest, drawn: Drawn) {
        if let Some(pool) = self.pools.get_mut(terms) {
            pool.knows(drawn.seal);
            pool.knows(drawn.mask);
        }
    }

    /// What the coordinator drew itself, in somebody's place.
    pub(super) fn knows(&mut self, terms: &Digest, secret: RoundSecret) {
        if let Some(pool) = self.pools.get_mut(terms) {
            pool.knows(secret);
        }
    }

    pub(super) fn hears(&mut self, terms: &Digest, from: &NodeId, message: &ClientMessage) {
        let place = self.pools.get_mut(terms).zip(self.members.seat(from));
        let Some((pool, seat)) = place else { return };
        match message {
            ClientMessage::Keys(keys) => pool.checked_in(seat, *keys),
            ClientMessage::Dealing(dealing) => pool.dealt(seat, dealing.clone()),
            ClientMessage::Piece { offset, bytes } => pool.sent(seat, *offset, bytes),
            ClientMessage::Opening(opening) => pool.opened(seat, opening),
            ClientMessage::Choice(_)
            | ClientMessage::Upload(_)
            | ClientMessage::Agreement(_)
            | ClientMessage::Waits(_) => {}
        }
    }

    pub(super) fn says(&mut self, terms: &Digest, to: &NodeId, message: &ServerMessage) {
        let place = self.pools.get_mut(terms).zip(self.members.seat(to));
        let Some((pool, seat)) = place else { return };
        match message {
            ServerMessage::Roster(roster) => {
                pool.shown(seat, terms, &roster.head);
                pool.shown_keys(seat, roster.head.cohort.iter().zip(roster.keys.iter().copied()));
            }
            ServerMessage::Place(place) => pool.shown(seat, terms, &place.head),
            ServerMessage::Neighbours(neighbours) => {
                pool.shown_keys(seat, neighbours.keys.iter().copied());
            }
            ServerMessage::Inbox(inbox) => pool.told(seat, &inbox.dealers),
            ServerMessage::Later { .. }
            | ServerMessage::Have(_)
            | ServerMessage::Summed
            | ServerMessage::Survivors(_)
            | ServerMessage::Agreements(_)
            | ServerMessage::Over(_) => {}
        }
    }

    /// Whose vectors open, colluders' own among them.
    pub(super) fn open(&self) -> BTreeSet<NodeId> {
        let mut open = BTreeSet::new();
        for pool in self.pools.values() {
            let recovered = pool.recover();
            let seats = self.members.iter().filter_map(|id| Some((id, self.members.seat(id)?)));
            open.extend(seats.filter(|(_, seat)| recovered.open(*seat).is_ok()).map(|(id, _)| *id));
        }
        open
    }
}
