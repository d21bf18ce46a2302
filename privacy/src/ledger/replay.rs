//! Restoring a ledger from its log.

use super::entry;
use super::{Head, Ledger, LedgerError, MAX_ACCOUNTS, MAX_ENTRIES};

/// A ledger being read, entry by entry from the first to the last. After an entry that failed a check there is
/// no way on: what was read before would be a ledger that lacks charges.
///
/// An append that a crash cut short never gets here: the append-only log drops it, and it was not acknowledged.
#[derive(Debug)]
pub struct Replay {
    ledger: Ledger,
    noted: Option<Head>,
    /// Whether the chain has passed through the noted head.
    passed: bool,
    failed: Option<LedgerError>,
}

impl Replay {
    /// Starts the chain of the node with the public key `owner`, which must pass through `noted` if that is given.
    pub fn new(owner: &[u8; 32], noted: Option<Head>) -> Self {
        let ledger = Ledger::new(owner);
        let passed = noted.is_none_or(|noted| noted == ledger.head);
        Self { ledger, noted, passed, failed: None }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`LedgerError`], with the number of the check that failed, now or for an entry before.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        let taken = match self.failed.take() {
            Some(error) => Err(error),
            None => self.take(bytes),
        };
        self.failed = taken.clone().err();
        taken
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        let ledger = &mut self.ledger;
        let entry = entry::decode(bytes, ledger.head, ledger.newest)?;
        ledger.apply(entry, bytes);
        let place = ledger.head.entries;
        // The bounds are kept by whoever writes; a longer ledger is not this program's.
        if place > MAX_ENTRIES || ledger.accounts.len() > 2 * MAX_ACCOUNTS + 1 {
            let what = "the ledger is longer than one can be";
            return Err(LedgerError::Unreadable { place, check: "P11", what });
        }
        let Some(noted) = self.noted.filter(|noted| noted.entries == place) else { return Ok(()) };
        self.passed = noted == ledger.head;
        if self.passed { Ok(()) } else { Err(LedgerError::Head { noted: place }) }
    }

    /// The ledger, after its last entry.
    ///
    /// # Errors
    /// If an entry failed a check, or the chain does not pass through the noted head (P10).
    pub fn finish(self) -> Result<Ledger, LedgerError> {
        match (self.failed, self.noted) {
            (Some(error), _) => Err(error),
            (None, Some(noted)) if !self.passed => Err(LedgerError::Head { noted: noted.entries }),
            (None, _) => Ok(self.ledger),
        }
    }
}
