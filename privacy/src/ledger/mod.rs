//! The privacy ledger: how much each collection has given away, and when to stop.
//!
//! A budget is a filter: a round that does not fit is refused before anything of it leaves. What is added up is rho of
//! zero-concentrated DP, in whole 2^-40ths, for each unit and collection, and for the peer, over all groups. Nothing is ever refunded or reset:
//! a crashed or retried round stays charged. A round without noise costs everything ([`Charge::EVERYTHING`]), which fits no budget and is never
//! forgotten; and so does a round that protects single documents, for the peer and its collections as a whole. Adopting a release reads what others released and costs nothing.
//!
//! The order is kept by types. [`Ledger::reserve`] gives a [`Pending`] whose bytes are to be appended and synced; only
//! [`Pending::recorded`] makes the [`Receipt`], and the gate to the network takes that by value. So whatever happens in between, what is
//! released was on disk before. Entries are hash-chained; [`Replay`] restores the state and refuses a broken chain.
//!
//! Checks P1 to P12: docs/spec/privacy.md. This module does no IO and reads no clock.

mod budget;
mod charge;
mod entry;
mod error;
mod receipt;
mod replay;
mod time;

use std::collections::BTreeMap;

use covey_crypto::Digest;

use crate::accountant::zcdp;
use crate::{Epsilon, Rho};

pub use budget::{Account, Budget, Pace, Unit};
pub use charge::Charge;
pub use entry::{CollectionKey, GroupKey, MAX_COLLECTIONS, MAX_ENTRY, Request, RequestError};
pub(crate) use error::Up;
pub use error::{LedgerError, Refusal};
pub use receipt::{Pending, PendingBudget, Receipt, Spent, WrongRound};
pub use replay::Replay;
pub use time::Time;

use budget::Standing;
use entry::{Body, Entry};

/// Most entries of a ledger: a round an hour for thirty years.
pub const MAX_ENTRIES: u64 = 1 << 18;
/// Most accounts of a ledger.
pub const MAX_ACCOUNTS: usize = 4096;

/// How far a chain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How many entries it has.
    pub entries: u64,
    /// The digest that the next one names.
    pub digest: Digest,
}

/// One node's ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    head: Head,
    newest: Time,
    accounts: BTreeMap<Account, Standing>,
    /// The place of the first reservation for each attempt, by its terms.
    attempts: BTreeMap<Digest, u64>,
}

impl Ledger {
    /// An empty ledger of the node with the public key `owner`.
    pub fn new(owner: &[u8; 32]) -> Self {
        let digest = Digest::of("covey privacy ledger 1", &[owner]);
        Self {
            head: Head { entries: 0, digest },
            newest: Time::START,
            accounts: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// Asks for a round's cost. Nothing is charged until the bytes of what this returns are appended, synced and
    /// [recorded](Pending::recorded). Dropping it takes the request back, as long as nothing was appended: see [`Pending`] for
    /// an append that failed.
    ///
    /// # Errors
    /// A [`Refusal`] that says which account, and the budget or the date.
    pub fn reserve(&mut self, request: &Request, now: Time) -> Result<Pending<'_>, Refusal> {
        let now = self.room(now)?;
        let bounded = |account: &Account| {
            self.accounts.get(account).filter(|standing| standing.budget.is_some())
        };
        for (account, charge) in request.charges() {
            match bounded(&account) {
                Some(standing) => standing.admits(account, charge, now)?,
                // There is no bound to keep, and there never will be.
                None if charge == Charge::EVERYTHING => {}
                None => return Err(Refusal::NoBudget { account }),
            }
        }
        for (account, charge) in request.implied() {
            // Without a budget of its own it is only counted, for when it gets one.
            if let Some(standing) = bounded(&account) {
                if request.unit() == Unit::Document {
                    return Err(Refusal::DocumentsAlone { account });
                }
                standing.admits(account, charge, now)?;
            }
        }
        Ok(Pending::new(self, request, now))
    }

    /// Whether all who would pay have no bound any more, so that this adds nothing to what was spent.
    pub fn adds_nothing(&self, request: &Request) -> bool {
        let mut accounts = request.charges().chain(request.implied());
        accounts.all(|(account, _)| self.standing(account).0 == Charge::EVERYTHING)
    }

    /// Sets an account's budget; what was spent stays spent. Takes effect once appended, synced and
    /// [recorded](PendingBudget::recorded).
    ///
    /// # Errors
    /// If the ledger is full.
    pub fn set_budget(
        &mut self,
        account: Account,
        budget: Budget,
        now: Time,
    ) -> Result<PendingBudget<'_>, Refusal> {
        let now = self.room(now)?;
        if self.accounts.len() >= MAX_ACCOUNTS && !self.accounts.contains_key(&account) {
            return Err(Refusal::TooManyAccounts);
        }
        Ok(PendingBudget::new(self, account, budget, now))
    }

    /// How far the chain has come; to be noted elsewhere, so that a shortened ledger shows.
    pub const fn head(&self) -> Head {
        self.head
    }

    /// Whether the attempt with these terms was charged, and at which place: only then may its masked bytes be sent. The very
    /// same bytes may be sent again for nothing; what is masked or noised anew needs terms and a charge of its own.
    pub fn charged(&self, terms: &Digest) -> Option<u64> {
        self.attempts.get(terms).copied()
    }

    /// The accounts, in order.
    pub fn accounts(&self) -> impl Iterator<Item = Account> {
        self.accounts.keys().copied()
    }

    /// What an account has spent over all groups, and its budget if it has one.
    pub fn standing(&self, account: Account) -> (Charge, Option<Budget>) {
        self.accounts.get(&account).map_or((Charge::NONE, None), |it| (it.spent, it.budget))
    }

    /// The epsilon that an account has spent at its budget's delta, rounded up; none without a budget or a finite bound.
    pub fn spent_epsilon(&self, account: Account) -> Option<Epsilon> {
        let (spent, budget) = self.standing(account);
        let bounded = spent != Charge::EVERYTHING;
        zcdp::epsilon(spent.rho(), budget?.delta).ok().filter(|_| bounded)
    }

    /// What is left of an account's budget.
    pub fn left(&self, account: Account) -> Rho {
        let (spent, budget) = self.standing(account);
        budget.map_or(Rho::ZERO, |budget| budget.limit().less(spent).rho())
    }

    /// The time of the next entry: never before the newest, so that a clock set back opens no pace.
    fn room(&self, now: Time) -> Result<Time, Refusal> {
        if self.head.entries >= MAX_ENTRIES { Err(Refusal::Full) } else { Ok(now.max(self.newest)) }
    }

    /// Adds an entry that is on disk, whose bytes are `bytes`.
    fn apply(&mut self, entry: Entry, bytes: &[u8]) {
        let place = self.head.entries;
        self.head = Head { entries: place + 1, digest: entry::digest(bytes) };
        self.newest = entry.time;
        match entry.body {
            Body::Budget { account, budget } => {
                self.accounts.entry(account).or_default().budget = Some(budget);
            }
            Body::Reservation(request) => {
                for (account, charge) in request.charges().chain(request.implied()) {
                    self.accounts.entry(account).or_default().charge(charge, entry.time);
                }
                self.attempts.entry(*request.terms()).or_insert(place);
            }
        }
    }
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
