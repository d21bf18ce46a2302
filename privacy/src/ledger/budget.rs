//! Budgets and what stands against them.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::accountant::zcdp;
use crate::{Delta, Epsilon, Rho};

use super::{Charge, CollectionKey, Refusal, Time};

/// Most charges of an account that are told apart in time.
const MAX_CHARGES: usize = 1024;

/// Whose presence a release hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Everything one peer holds.
    Peer,
    /// All training pairs of one document.
    Document,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Peer => "peer",
            Self::Document => "document",
        })
    }
}

/// What a budget is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// Everything this peer holds: every peer-level round is charged to it once, whatever it trains on. Peer-level
    /// statements come from here, as rounds on different collections add up for the peer.
    Peer,
    /// One collection.
    Collection {
        /// The unit in force: the presence of the whole collection, or of one of its documents.
        unit: Unit,
        /// Which.
        collection: CollectionKey,
    },
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer => f.write_str("this peer (all collections together)"),
            Self::Collection { unit, collection } => {
                write!(f, "collection {collection} ({unit} level)")
            }
        }
    }
}

/// A bound on how fast a budget may be spent. It only ever delays: the budget itself never grows back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// The most within any `millis`.
    pub limit: Charge,
    /// How long that stretch is; at least one.
    pub millis: u64,
}

/// The promise that an account's releases keep, all together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// Epsilon.
    pub epsilon: Epsilon,
    /// Delta.
    pub delta: Delta,
    limit: Charge,
    pace: Option<Pace>,
}

impl Budget {
    /// The largest limit on rho that keeps (`epsilon`, `delta`), rounded down.
    pub fn new(epsilon: Epsilon, delta: Delta) -> Self {
        let limit = Charge::within(zcdp::budget(epsilon, delta));
        Self { epsilon, delta, limit, pace: None }
    }

    /// The same, spent no faster than `most` within any `millis` (at least one is taken).
    #[must_use]
    pub fn paced(self, most: Rho, millis: u64) -> Self {
        let pace = Pace { limit: Charge::within(most), millis: millis.max(1) };
        Self { pace: Some(pace), ..self }
    }

    /// As an entry holds it: the limit was computed when it was written.
    pub(super) const fn stored(
        epsilon: Epsilon,
        delta: Delta,
        limit: Charge,
        pace: Option<Pace>,
    ) -> Self {
        Self { epsilon, delta, limit, pace }
    }

    /// The most that may be spent.
    pub const fn limit(&self) -> Charge {
        self.limit
    }

    /// How fast, if that is bounded.
    pub const fn pace(&self) -> Option<Pace> {
        self.pace
    }
}

/// What an account has spent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Standing {
    pub budget: Option<Budget>,
    pub spent: Charge,
    /// Charges with their times, oldest first, for the pace.
    charges: VecDeque<(Time, Charge)>,
}

impl Standing {
    /// Adds a charge that is on disk.
    pub fn charge(&mut self, charge: Charge, time: Time) {
        self.spent = self.spent.and(charge);
        self.charges.push_back((time, charge));
        // The oldest count as if they were younger: that can only delay.
        if self.charges.len() > MAX_CHARGES
            && let Some((_, oldest)) = self.charges.pop_front()
            && let Some((_, next)) = self.charges.front_mut()
        {
            *next = next.and(oldest);
        }
    }

    /// Whether `charge` fits at `now`.
    pub fn admits(&self, account: Account, charge: Charge, now: Time) -> Result<(), Refusal> {
        let budget = self.budget.ok_or(Refusal::NoBudget { account })?;
        let after = self.spent.and(charge);
        if charge == Charge::EVERYTHING {
            return Err(Refusal::WithoutNoise { account });
        }
        if after > budget.limit {
            let bounded = |it: &Charge| *it != Charge::EVERYTHING;
            let at =
                |it: Charge| zcdp::epsilon(it.rho(), budget.delta).ok().filter(|_| bounded(&it));
            let (epsilon, delta) = (budget.epsilon, budget.delta);
            let (spent, after) = (at(self.spent), at(after));
            return Err(Refusal::Budget { account, epsilon, delta, spent, after });
        }
        let Some(pace) = budget.pace else { return Ok(()) };
        if charge > pace.limit {
            return Err(Refusal::AbovePace { account });
        }
        match self.wait(pace, charge, now) {
            Some(until) => Err(Refusal::NotBefore { account, until }),
            None => Ok(()),
        }
    }

    /// When enough of what was spent is `pace.millis` old; none if `charge` fits now.
    fn wait(&self, pace: Pace, charge: Charge, now: Time) -> Option<Time> {
        let mut recent = charge;
        for (time, earlier) in self.charges.iter().rev() {
            let free = time.after(pace.millis);
            if free <= now {
                return None;
            }
            recent = recent.and(*earlier);
            if recent > pace.limit {
                return Some(free);
            }
        }
        None
    }
}
