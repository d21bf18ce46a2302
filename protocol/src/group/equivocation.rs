//! Proof that an owner signed two histories.

use serde::{Deserialize, Serialize};

use super::Entry;

/// Two different entries with one parent, both signed by the owner of that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equivocation {
    /// One successor.
    pub first: Entry,
    /// The other.
    pub second: Entry,
}
