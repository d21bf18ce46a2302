//! Keys that were found valid lately. Decoding one takes a square root, and the log of a group names the same few again and again.
//!
//! Keys are public, so what time tells of them is no secret; and who makes up keys that share a place makes others decode theirs again, no more.

use std::sync::{Mutex, PoisonError};

use ed25519_dalek::VerifyingKey;

/// Parts of the table, each behind a lock of its own.
const PARTS: usize = 16;
/// Places of a part: all of them take a megabyte and a half.
const PLACES: usize = 512;

type Part = Mutex<Vec<Option<VerifyingKey>>>;

static RECENT: [Part; PARTS] = [const { Mutex::new(Vec::new()) }; PARTS];

/// The key that `bytes` are, if they decode to a point of the curve that is not of small order.
pub(super) fn valid(bytes: &[u8; 32]) -> Option<VerifyingKey> {
    let place = usize::from(u16::from_le_bytes([bytes[0], bytes[1]])) % (PARTS * PLACES);
    let mut part = RECENT[place % PARTS].lock().unwrap_or_else(PoisonError::into_inner);
    if part.is_empty() {
        part.resize(PLACES, None);
    }
    let slot = &mut part[place / PARTS];
    if let Some(key) = slot.filter(|key| key.as_bytes() == bytes) {
        return Some(key);
    }
    let key = VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak())?;
    *slot = Some(key);
    Some(key)
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_asked_for() {
        // More keys than places, so that many are put in the place of others.
        let keys: Vec<[u8; 32]> = (0..(PARTS * PLACES) as u32 + 500)
            .map(|number| {
                let mut seed = [0; 32];
                seed[..4].copy_from_slice(&number.to_le_bytes());
                SigningKey::from_bytes(&seed).verifying_key().to_bytes()
            })
            .collect();
        for _ in 0..2 {
            assert!(keys.iter().all(|key| valid(key).is_some_and(|it| it.as_bytes() == key)));
        }
        // No point of the curve, and one of small order, in a place where a key is.
        for bad in [[2; 32], [0; 32]] {
            assert_eq!((valid(&bad), valid(&bad)), (None, None));
        }
    }
}
