//! One record's bytes, and the digest the next one holds.

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;
use covey_protocol::search::AuditRecord;
use covey_protocol::wire;

use super::{AuditError, Head};
use crate::store::MAX_RECORD;

const VERSION: u8 = 1;
/// Version, place and digest of the record before.
const PREFIX: usize = 1 + 8 + 32;

/// A record in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the chain, from 0.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
    /// What was answered.
    pub record: AuditRecord,
}

/// What the first record of `node`'s chain follows.
pub(super) fn start(node: NodeId) -> Digest {
    Digest::of("covey audit chain 1", &[node.as_bytes()])
}

/// The digest of a record's bytes.
pub(super) fn digest(bytes: &[u8]) -> Digest {
    Digest::of("covey audit record 1", &[bytes])
}

/// The bytes of `record` at place `seq`, after the record with digest `previous`.
pub(super) fn encode(seq: u64, previous: Digest, record: &AuditRecord) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.extend_from_slice(previous.as_bytes());
    bytes.extend_from_slice(&wire::encode(record));
    bytes
}

/// Decodes the record that must follow `head`.
pub(super) fn decode(bytes: &[u8], head: Head) -> Result<Entry, AuditError> {
    let unreadable = |what: String| AuditError::Unreadable { seq: head.records, what };
    match bytes.first() {
        Some(&VERSION) => {}
        Some(other) => return Err(unreadable(format!("it has version {other}"))),
        None => return Err(unreadable("it is empty".to_owned())),
    }
    let Some((prefix, body)) = bytes.split_at_checked(PREFIX) else {
        return Err(unreadable("it is too short".to_owned()));
    };
    let (seq, previous) = prefix[1..].split_at(8);
    let found = seq.try_into().map(u64::from_le_bytes).unwrap_or_default();
    if found != head.records {
        return Err(AuditError::Place { expected: head.records, found });
    }
    if previous != head.digest.as_bytes() {
        return Err(AuditError::Chain { seq: found });
    }
    let record = wire::decode(body, MAX_RECORD).map_err(|error| unreadable(error.to_string()))?;
    Ok(Entry { seq: found, digest: digest(bytes), record })
}
