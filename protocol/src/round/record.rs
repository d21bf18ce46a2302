//! What a participant keeps on disk while an attempt is under way.

use covey_crypto::Digest;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::secagg::client::{Agreed, Masked};
use crate::wire::v1::secagg::Upload;
use crate::wire::{self, WireError};

/// Largest record, in bytes: two shares for each of the most neighbours, and the witnesses.
pub const MAX_RECORD: usize = 1024 * 1024;
const VERSION: u8 = 1;

/// A participant's record: secret, fsynced before what it stands for leaves, deleted when the attempt is over, and in
/// no backup (docs/spec/secagg.md, "What must be durable"). The masked vector lies beside it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    version: u8,
    /// The attempt.
    pub terms: Digest,
    pub(super) at: At,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum At {
    Masked(Masked, Upload),
    Agreed(Agreed),
}

/// The same by reference, for writing.
#[derive(Serialize)]
pub(super) enum AtRef<'a> {
    Masked(&'a Masked, &'a Upload),
    Agreed(&'a Agreed),
}

impl Record {
    pub(super) fn encode(terms: &Digest, at: &AtRef<'_>) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(wire::encode(&(VERSION, terms, at)))
    }

    /// Reads one that was written.
    ///
    /// # Errors
    /// If it is damaged: then the attempt is over for this participant, and nothing else is lost.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let record: Self = wire::decode(bytes, MAX_RECORD)?;
        if record.version == VERSION { Ok(record) } else { Err(WireError::Malformed) }
    }
}
