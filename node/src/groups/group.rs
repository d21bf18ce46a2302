//! One group on this node: its verified log, and the file that outlives power loss.

use covey_protocol::group::{Entry, Equivocation, InvalidLog, Log, Outcome, Rejection};
use covey_protocol::ids::{GroupId, Name};
use covey_protocol::wire::{self, WireError};
use serde::{Deserialize, Serialize};

use crate::store::{AppendLog, MAX_RECORD, StoreError, Stores};

/// One record of a group's file.
#[derive(Serialize, Deserialize)]
enum Stored {
    /// The next entry of the log.
    Entry(Entry),
    /// The proof that froze it.
    Evidence(Box<Equivocation>),
}

/// A group that this node is, or was, a member of.
pub(super) struct Group {
    /// Its name on this node.
    pub(super) name: Name,
    log: Log,
    file: Box<dyn AppendLog>,
    /// The log comes from a backup: somebody may have seen later entries of it, so that nothing may
    /// be sequenced before another member was asked.
    pub(super) unconfirmed: bool,
}

/// A group's file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a record is damaged: {0}")]
    Record(#[from] WireError),
    #[error(transparent)]
    Log(#[from] InvalidLog),
    #[error("it holds no log")]
    Empty,
}

/// The name of a group's append-only file.
pub(super) fn file_name(id: GroupId) -> String {
    format!("group-{id}")
}

impl Group {
    /// Writes down a new group, all of `log` included.
    pub(super) fn begin(stores: &dyn Stores, name: Name, log: Log) -> Result<Self, StoreError> {
        let file_name = file_name(log.group());
        // Nothing names this file yet: what a crash may have left of an earlier try is worthless.
        stores.remove_log(&file_name)?;
        let mut file = stores.log(&file_name)?;
        for entry in log.entries_from_start(usize::MAX) {
            file.append(&wire::encode(&Stored::Entry(entry)))?;
        }
        Ok(Self { name, log, file, unconfirmed: false })
    }

    /// Reads a group back and verifies it from the first entry.
    pub(super) fn load(
        stores: &dyn Stores,
        id: GroupId,
        name: Name,
        unconfirmed: bool,
    ) -> Result<Self, LoadError> {
        let file = stores.log(&file_name(id))?;
        let mut log: Option<Log> = None;
        for (position, record) in file.read()?.into_iter().enumerate() {
            let invalid = |rejection| LoadError::Log(InvalidLog { position, rejection });
            match (wire::decode(&record, MAX_RECORD)?, &mut log) {
                (Stored::Entry(entry), none @ None) => {
                    let first = Log::open(entry).map_err(invalid)?;
                    if first.group() != id {
                        return Err(invalid(Rejection::WrongGroup));
                    }
                    *none = Some(first);
                }
                (Stored::Entry(entry), Some(log)) => match log.apply(entry) {
                    // An append that failed half-way may have been repeated.
                    Outcome::Applied | Outcome::AlreadyKnown => {}
                    Outcome::Rejected(rejection) => return Err(invalid(rejection)),
                    Outcome::Gap => return Err(invalid(Rejection::Malformed)),
                    Outcome::Equivocation(_) => return Err(invalid(Rejection::Frozen)),
                },
                (Stored::Evidence(_), None) => return Err(LoadError::Empty),
                (Stored::Evidence(evidence), Some(log)) => {
                    log.convict(*evidence).map_err(|_| invalid(Rejection::Malformed))?;
                }
            }
        }
        let log = log.ok_or(LoadError::Empty)?;
        Ok(Self { name, log, file, unconfirmed })
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Lets `work` change the log. What it added is durable when this returns, and not there at all
    /// if writing it down fails.
    pub(super) fn change<T>(&mut self, work: impl FnOnce(&mut Log) -> T) -> Result<T, StoreError> {
        let mut next = self.log.clone();
        let result = work(&mut next);
        for entry in next.entries_after(self.log.head().epoch, usize::MAX) {
            self.file.append(&wire::encode(&Stored::Entry(entry)))?;
        }
        if let (None, Some(evidence)) = (self.log.evidence(), next.evidence()) {
            let evidence = Box::new(evidence.clone());
            self.file.append(&wire::encode(&Stored::Evidence(evidence)))?;
        }
        self.log = next;
        Ok(result)
    }
}
