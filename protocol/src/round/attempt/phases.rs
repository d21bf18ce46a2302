//! The phases of an attempt: what each takes, and what it gives to those who wait.

use covey_crypto::SecretKey;
use serde::{Deserialize, Serialize};

use super::uploads::Uploads;
use super::{Effect, Taken, out_of_turn};
use crate::ids::NodeId;
use crate::secagg::server::{Gathering, Seated, Sharing, Summed, Summing, Surviving, Unmasking};
use crate::secagg::{Fault, Members, Terms, Topology};
use crate::wire::v1::round::{Awaited, ClientMessage, Over, ServerMessage};
use crate::wire::v1::secagg::{Roster, Survivors};

/// Where an attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Participants check in.
    Gathering,
    /// They choose neighbours (on a sparse graph only).
    Neighbours,
    /// They deal shares.
    Shares,
    /// They send masked vectors.
    Uploads,
    /// They agree to who survived.
    Survivors,
    /// They open shares.
    Opening,
    /// It is over.
    Over,
}

impl Phase {
    /// What it is called, in messages and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gathering => "gathering",
            Self::Neighbours => "neighbours",
            Self::Shares => "shares",
            Self::Uploads => "uploads",
            Self::Survivors => "survivors",
            Self::Opening => "opening",
            Self::Over => "over",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[derive(Debug)]
pub(super) enum State {
    Gathering(Gathering, Topology),
    Neighbours(Seated),
    /// With the cohort, which on a complete graph everybody may still ask for, and how many may deal.
    Shares(Sharing, Option<Roster>, usize),
    /// With how many may send.
    Uploads(Summing, Uploads, usize),
    Survivors(Surviving),
    Opening(Unmasking, Survivors),
    Over(Over),
}

impl State {
    pub(super) fn open(terms: &Terms, members: &Members) -> Result<Self, Fault> {
        let gathering = Gathering::open(terms, members)?;
        Ok(Self::Gathering(gathering, terms.parameters.topology))
    }

    pub(super) const fn phase(&self) -> Phase {
        match self {
            Self::Gathering(..) => Phase::Gathering,
            Self::Neighbours(_) => Phase::Neighbours,
            Self::Shares(..) => Phase::Shares,
            Self::Uploads(..) => Phase::Uploads,
            Self::Survivors(_) => Phase::Survivors,
            Self::Opening(..) => Phase::Opening,
            Self::Over(_) => Phase::Over,
        }
    }

    /// How many take part, and how many of them are done with the phase.
    pub(super) fn progress(&self, most: usize) -> (usize, usize) {
        match self {
            Self::Gathering(gathering, _) => (most, gathering.len()),
            Self::Neighbours(seated) => (seated.thresholds().cohort as usize, seated.chosen()),
            Self::Shares(sharing, _, dealers) => (*dealers, sharing.dealt()),
            Self::Uploads(summing, _, dealers) => (*dealers, summing.received() as usize),
            Self::Survivors(surviving) => {
                (surviving.survivors().set.len() as usize, surviving.agreed())
            }
            Self::Opening(opening, survivors) => {
                (survivors.set.len() as usize, opening.answered() as usize)
            }
            Self::Over(_) => (0, 0),
        }
    }

    /// Who takes part and has not done what the phase asks for.
    pub(super) fn silent(&self) -> Vec<NodeId> {
        match self {
            // Nobody takes part yet, or any more.
            Self::Gathering(..) | Self::Over(_) => Vec::new(),
            Self::Neighbours(seated) => seated.silent(),
            Self::Shares(sharing, ..) => sharing.silent(),
            Self::Uploads(summing, ..) => summing.silent(),
            Self::Survivors(surviving) => surviving.silent(),
            Self::Opening(opening, _) => opening.silent(),
        }
    }

    /// Whether there is nobody left to wait for.
    pub(super) fn is_complete(&self, most: usize) -> bool {
        let (all, done) = self.progress(most);
        match self {
            Self::Gathering(..) | Self::Neighbours(_) | Self::Shares(..) | Self::Uploads(..) => {
                done >= all
            }
            Self::Survivors(surviving) => surviving.is_agreed(),
            Self::Opening(opening, _) => opening.is_ready() || done >= all,
            Self::Over(_) => false,
        }
    }

    /// Takes a message: what its sender waits for then, and whether anything has changed. One that belongs to an earlier
    /// phase comes from somebody whose connection was lost, and changes nothing.
    pub(super) fn take(
        &mut self,
        from: &NodeId,
        message: ClientMessage,
        entries: usize,
        effects: &mut Vec<Effect>,
    ) -> Result<(Taken, bool), Fault> {
        let waits = |awaited, changed| Ok((Taken::Waits(awaited), changed));
        let before = self.done();
        match message {
            ClientMessage::Keys(keys) => {
                if let Self::Gathering(gathering, _) = self {
                    gathering.advertise(from, keys)?;
                }
                waits(Awaited::Cohort, self.done() != before)
            }
            ClientMessage::Choice(choice) => {
                if let Self::Neighbours(seated) = self {
                    seated.choose(from, choice)?;
                }
                waits(Awaited::Neighbours, self.done() != before)
            }
            ClientMessage::Dealing(dealing) => {
                if let Self::Shares(sharing, ..) = self {
                    sharing.deal(from, dealing)?;
                }
                waits(Awaited::Inbox, self.done() != before)
            }
            ClientMessage::Upload(upload) => {
                let Self::Uploads(summing, uploads, _) = self else {
                    return waits(Awaited::Survivors, false);
                };
                if !summing.takes(from) {
                    return Err(out_of_turn(from));
                }
                let new = uploads.announced(from).is_none();
                uploads.announce(from, upload).map(|taken| (taken, new))
            }
            ClientMessage::Piece { offset, bytes } => {
                let Self::Uploads(_, uploads, _) = self else {
                    return waits(Awaited::Survivors, false);
                };
                let taken = uploads.piece(from, (offset, bytes), entries, effects)?;
                Ok((taken, false))
            }
            ClientMessage::Agreement(agreement) => {
                if let Self::Survivors(surviving) = self {
                    surviving.agree(from, agreement)?;
                }
                waits(Awaited::Agreements, self.done() != before)
            }
            ClientMessage::Opening(shares) => {
                if let Self::Opening(opening, _) = self {
                    opening.open(from, shares)?;
                }
                waits(Awaited::End, self.done() != before)
            }
            ClientMessage::Waits(awaited) => waits(awaited, false),
        }
    }

    fn done(&self) -> usize {
        self.progress(0).1
    }

    pub(super) fn found(&mut self, entries: usize, on_disk: impl Fn(&NodeId) -> usize) {
        if let Self::Uploads(_, uploads, _) = self {
            uploads.found(entries, on_disk);
        }
    }

    /// Adds a whole masked vector.
    pub(super) fn add(&mut self, from: &NodeId, bytes: &[u8]) -> Result<(), Fault> {
        let Self::Uploads(summing, uploads, _) = self else { return Err(out_of_turn(from)) };
        let upload = *uploads.announced(from).ok_or_else(|| out_of_turn(from))?;
        let accepted = summing.accept(from, &upload, bytes);
        uploads.taken(from, accepted.is_ok());
        accepted
    }

    /// The phase after this one, and the sum where that is the end.
    pub(super) fn next(self, key: &SecretKey) -> Result<(Self, Option<Summed>), Fault> {
        Ok(match self {
            Self::Gathering(gathering, topology) => {
                let seated = gathering.close(key)?;
                match topology {
                    Topology::Sparse => (Self::Neighbours(seated), None),
                    Topology::Complete => {
                        let (roster, dealers) = (seated.roster(), seated.thresholds().cohort);
                        (Self::Shares(seated.close()?, Some(roster), dealers as usize), None)
                    }
                }
            }
            Self::Neighbours(seated) => {
                let dealers = seated.chosen();
                (Self::Shares(seated.close()?, None, dealers), None)
            }
            Self::Shares(sharing, _, _) => {
                let dealers = sharing.dealt();
                (Self::Uploads(sharing.close()?, Uploads::default(), dealers), None)
            }
            Self::Uploads(summing, _, _) => (Self::Survivors(summing.close(key)?), None),
            Self::Survivors(surviving) => {
                let survivors = surviving.survivors().clone();
                (Self::Opening(surviving.close()?, survivors), None)
            }
            Self::Opening(opening, _) => (Self::Over(Over::Done), Some(opening.finish()?)),
            Self::Over(over) => (Self::Over(over), None),
        })
    }

    /// What somebody who waits for `awaited` gets; nothing while it is to be waited for.
    pub(super) fn serve(&self, from: &NodeId, awaited: Awaited) -> Option<ServerMessage> {
        let without = Some(ServerMessage::Over(Over::Without));
        match (self, awaited) {
            (Self::Over(over), _) => Some(ServerMessage::Over(*over)),
            (Self::Gathering(..), Awaited::Cohort) => None,
            (Self::Neighbours(seated), Awaited::Cohort) => {
                seated.place(from).map(ServerMessage::Place).or(without)
            }
            (Self::Shares(sharing, Some(roster), _), Awaited::Cohort) if sharing.takes(from) => {
                Some(ServerMessage::Roster(roster.clone()))
            }
            (Self::Neighbours(seated), Awaited::Neighbours) if seated.takes(from) => None,
            (Self::Shares(sharing, ..), Awaited::Neighbours) => {
                sharing.neighbours(from).map(ServerMessage::Neighbours).or(without)
            }
            (Self::Shares(sharing, ..), Awaited::Inbox) if sharing.takes(from) => None,
            (Self::Uploads(summing, ..), Awaited::Inbox) => {
                summing.inbox(from).map(ServerMessage::Inbox).or(without)
            }
            (Self::Uploads(summing, ..), Awaited::Survivors) if summing.takes(from) => None,
            (Self::Survivors(surviving), Awaited::Survivors) if surviving.takes(from) => {
                Some(ServerMessage::Survivors(surviving.survivors().clone()))
            }
            (Self::Opening(opening, survivors), Awaited::Survivors) if opening.takes(from) => {
                Some(ServerMessage::Survivors(survivors.clone()))
            }
            (Self::Survivors(surviving), Awaited::Agreements) if surviving.takes(from) => None,
            (Self::Opening(opening, _), Awaited::Agreements) if opening.takes(from) => {
                Some(ServerMessage::Agreements(opening.agreements().clone()))
            }
            (Self::Opening(opening, _), Awaited::End) if opening.takes(from) => None,
            (
                Self::Gathering(..)
                | Self::Neighbours(_)
                | Self::Shares(..)
                | Self::Uploads(..)
                | Self::Survivors(_)
                | Self::Opening(..),
                _,
            ) => without,
        }
    }
}
