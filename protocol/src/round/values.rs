//! An adapter's values as bytes: four each, lowest first, on the wire and on disk.

use covey_crypto::Digest;
use serde::{Deserialize, Serialize};

/// Values that are hashed at a time.
const PIECE: usize = 1024;

/// The bytes of these values.
pub fn values_to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The values of these bytes. What is left of a value at the end is left out.
pub fn values_from_bytes(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// The adapter's values that a round starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// How many there are.
    pub values: u32,
    /// [`Start::digest`] of them.
    pub digest: Digest,
}

impl Start {
    /// Of these values.
    pub fn of(values: &[f32]) -> Self {
        Self { values: values.len() as u32, digest: Self::digest(values) }
    }

    /// Names values, by their bytes, lowest first.
    pub fn digest(values: &[f32]) -> Digest {
        let mut digest = Digest::stream("covey round values v1");
        values.chunks(PIECE).for_each(|piece| digest.update(&values_to_bytes(piece)));
        digest.finish()
    }
}
