//! Proof that an owner signed two histories.

use serde::{Deserialize, Serialize};

use super::{Entry, Log};
use crate::ids::Epoch;

/// Two different entries with one parent, both signed by the owner of that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equivocation {
    /// One successor.
    pub first: Entry,
    /// The other.
    pub second: Entry,
}

/// Why two entries prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotProof {
    /// They are one entry, or not rivals, or not both signed by the owner.
    #[error("the two entries do not show that the owner signed two histories")]
    Invalid,
    /// Their parent is not in this log: sync, then look again.
    #[error("the two entries follow an entry that this log does not hold yet")]
    UnknownParent,
}

impl Equivocation {
    /// Checks the proof against a log that holds the parent (E1 to E4 in the specification). What
    /// the two entries would change does not matter: signing both is the offence.
    ///
    /// # Errors
    /// [`NotProof`].
    pub fn verify(&self, log: &Log) -> Result<(), NotProof> {
        let decode = |entry: &Entry| entry.clone().decode().map_err(|_| NotProof::Invalid);
        let (first, second) = (decode(&self.first)?, decode(&self.second)?);
        let (a, b) = (first.body(), second.body());
        let rivals = first.head().digest != second.head().digest
            && a.group == log.group()
            && (a.group, a.epoch, a.parent) == (b.group, b.epoch, b.parent);
        let before = a.epoch.0.checked_sub(1).map(Epoch).ok_or(NotProof::Invalid)?;
        if !rivals {
            return Err(NotProof::Invalid);
        }
        if log.head_at(before).is_none_or(|parent| parent.digest != a.parent) {
            return Err(NotProof::UnknownParent);
        }
        let owner = log.owner_after(before);
        if self.first.is_signed_by(&owner) && self.second.is_signed_by(&owner) {
            Ok(())
        } else {
            Err(NotProof::Invalid)
        }
    }

    /// The epoch of the two entries' parent, as they claim it.
    pub fn parent_epoch(&self) -> Option<Epoch> {
        let body = self.first.clone().decode().ok()?;
        body.body().epoch.0.checked_sub(1).map(Epoch)
    }
}
