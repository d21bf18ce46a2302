//! From a request to a release, each step once.

use covey_crypto::Digest;

use super::entry::{self, Body, Entry};
use super::{Account, Budget, Charge, Ledger, Request, Time};

/// An entry that is not on disk yet. While it lives nothing else can be added.
#[derive(Debug)]
struct Draft<'a> {
    ledger: &'a mut Ledger,
    entry: Entry,
    bytes: Vec<u8>,
}

impl<'a> Draft<'a> {
    fn new(ledger: &'a mut Ledger, entry: Entry) -> Self {
        let bytes = entry::encode(ledger.head, &entry);
        Self { ledger, entry, bytes }
    }

    fn recorded(self) -> u64 {
        let place = self.ledger.head.entries;
        self.ledger.apply(self.entry, &self.bytes);
        place
    }
}

/// A reservation that is not on disk yet. Dropped before anything was appended, it never was. After an append or a sync that
/// failed nobody knows: the bytes may be on disk and come back. Then drop the [`Ledger`] too, and [replay](super::Replay) it
/// from the file before anything else is asked for.
#[derive(Debug)]
#[must_use = "append its bytes, sync, and call `recorded`"]
pub struct Pending<'a> {
    draft: Draft<'a>,
    request: Request,
}

impl<'a> Pending<'a> {
    pub(super) fn new(ledger: &'a mut Ledger, request: &Request, time: Time) -> Self {
        let entry = Entry { time, body: Body::Reservation(request.clone()) };
        Self { draft: Draft::new(ledger, entry), request: request.clone() }
    }

    /// The entry, for the append-only log.
    pub fn bytes(&self) -> &[u8] {
        &self.draft.bytes
    }

    /// The bytes were appended and synced: charges the accounts and makes the receipt.
    pub fn recorded(self) -> Receipt {
        Receipt { place: self.draft.recorded(), request: self.request }
    }
}

/// A budget that is not on disk yet; for an append that failed see [`Pending`].
#[derive(Debug)]
#[must_use = "append its bytes, sync, and call `recorded`"]
pub struct PendingBudget<'a>(Draft<'a>);

impl<'a> PendingBudget<'a> {
    pub(super) fn new(
        ledger: &'a mut Ledger,
        account: Account,
        budget: Budget,
        time: Time,
    ) -> Self {
        let entry = Entry { time, body: Body::Budget { account, budget } };
        Self(Draft::new(ledger, entry))
    }

    /// The entry, for the append-only log.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The bytes were appended and synced: the budget is in force.
    pub fn recorded(self) {
        self.0.recorded();
    }
}

/// Proof that one release is paid for. It cannot be copied, and only one release takes it.
#[derive(Debug, PartialEq)]
#[must_use = "the round is charged whether or not it is released"]
pub struct Receipt {
    place: u64,
    request: Request,
}

impl Receipt {
    /// Its entry's place in the ledger.
    pub const fn place(&self) -> u64 {
        self.place
    }

    /// What was paid.
    pub const fn charge(&self) -> Charge {
        self.request.charge()
    }

    /// Spends it on what is about to be released under `terms` at a cost of `cost`.
    ///
    /// # Errors
    /// If it was paid for other terms, or is too small. It is gone either way; reserve again.
    pub fn release(self, terms: &Digest, cost: Charge) -> Result<Spent, WrongRound> {
        if self.request.terms() != terms {
            return Err(WrongRound::Terms {
                paid: self.request.terms().short(),
                asked: terms.short(),
            });
        }
        if cost > self.request.charge() {
            return Err(WrongRound::Cost {
                paid: self.request.charge().units(),
                asked: cost.units(),
            });
        }
        Ok(Spent { place: self.place, terms: *terms })
    }
}

/// A spent receipt, for the record.
#[derive(Debug, PartialEq, Eq)]
pub struct Spent {
    /// The entry's place in the ledger.
    pub place: u64,
    /// The terms of the attempt.
    pub terms: Digest,
}

/// A receipt held up for what it was not paid for: a fault of the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongRound {
    /// Another round, or another attempt at it.
    #[error("the receipt is for terms {paid}, not {asked} (P12); reserve this attempt first")]
    Terms {
        /// The terms it was paid for.
        paid: String,
        /// The terms it was held up for.
        asked: String,
    },
    /// Too little.
    #[error(
        "the receipt covers {paid} units of rho (2^-40 each), and the release costs {asked} (P12); reserve its whole cost first"
    )]
    Cost {
        /// What was paid.
        paid: u64,
        /// What it costs.
        asked: u64,
    },
}
