//! Restoring a ledger from its log.

use super::entry;
use super::{Head, Ledger, LedgerError, MAX_ACCOUNTS, MAX_ENTRIES};

/// A ledger being read, entry by entry from the first to the last.
///
/// An append that a crash cut short never gets here: the append-only log drops it, and it was not acknowledged.
#[derive(Debug)]
pub struct Replay {
    ledger: Ledger,
    noted: Option<Head>,
}

impl Replay {
    /// Starts the chain of the node with the public key `owner`, which must pass through `noted` if that is given.
    pub fn new(owner: &[u8; 32], noted: Option<Head>) -> Self {
        Self { ledger: Ledger::new(owner), noted }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`LedgerError`], with the number of the check that failed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LedgerError> {
        let ledger = &mut self.ledger;
        let entry = entry::decode(bytes, ledger.head, ledger.newest)?;
        ledger.apply(entry, bytes);
        let place = ledger.head.entries;
        // The bounds are kept by whoever writes; a longer ledger is not this program's.
        if place > MAX_ENTRIES || ledger.accounts.len() > 2 * MAX_ACCOUNTS + 1 {
            let what = "the ledger is longer than one can be";
            return Err(LedgerError::Unreadable { place, check: "P11", what });
        }
        match self.noted {
            Some(noted) if noted.entries == place && noted.digest != self.ledger.head.digest => {
                Err(LedgerError::Head { noted: noted.entries })
            }
            _ => Ok(()),
        }
    }

    /// The ledger, after its last entry.
    ///
    /// # Errors
    /// If the chain ends before the noted head (P10).
    pub fn finish(self) -> Result<Ledger, LedgerError> {
        match self.noted {
            Some(noted) if noted.entries > self.ledger.head.entries => {
                Err(LedgerError::Head { noted: noted.entries })
            }
            _ => Ok(self.ledger),
        }
    }
}
