//! How far a chain in an append-only log goes, noted in the key-value store, so that one that lost its end shows.

use covey_crypto::Digest;

use super::{Kv, StoreError, Table, Write};

/// Notes that the chain has `records` records, for all of which `digest` stands: 8 and 32 bytes.
pub fn note(key: &[u8], records: u64, digest: &Digest) -> Write {
    let value = [&records.to_le_bytes()[..], digest.as_bytes()].concat();
    Write::Put(Table::Meta, key.to_vec(), value)
}

/// What was noted, if anything was; an inner `None` if it is damaged.
///
/// # Errors
/// If the database fails.
pub fn noted(kv: &dyn Kv, key: &[u8]) -> Result<Option<Option<(u64, Digest)>>, StoreError> {
    let Some(value) = kv.get(Table::Meta, key)? else { return Ok(None) };
    let parts = value.split_first_chunk().zip(value.last_chunk().filter(|_| value.len() == 40));
    let parts = parts
        .map(|((records, _), digest)| (u64::from_le_bytes(*records), Digest::from_bytes(*digest)));
    Ok(Some(parts))
}
