//! Phase 5: the vector is masked, piece by piece, once.

use covey_crypto::{Digest, DigestStream, MaskStream, SecretKey};

use super::agree::Masked;
use crate::secagg::Seat;
use crate::secagg::keys::{MASKED, VECTOR};
use crate::wire::v1::secagg::Upload;

/// Entries that are masked at once, so that a piece stays in the cache while all masks pass over it.
const BLOCK: usize = 4096;

/// Whether a mask is added or taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::secagg) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    /// The sign of the mask between two seats in the first one's vector: the lower seat adds.
    pub(in crate::secagg) fn between(own: Seat, other: Seat) -> Self {
        if own < other { Self::Plus } else { Self::Minus }
    }

    pub(in crate::secagg) const fn opposite(self) -> Self {
        match self {
            Self::Plus => Self::Minus,
            Self::Minus => Self::Plus,
        }
    }

    pub(in crate::secagg) fn apply(self, stream: &mut MaskStream, vector: &mut [u32]) {
        match self {
            Self::Plus => stream.add_to(vector),
            Self::Minus => stream.subtract_from(vector),
        }
    }
}

/// More or fewer entries than the round's vectors have: the caller's mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the vector has {entries} entries so far where the round's have {expected}")]
pub struct VectorLength {
    /// Entries handed over.
    pub entries: u64,
    /// Entries of the round's vectors.
    pub expected: u32,
}

/// A client that masks its vector. There is no way back and no way to mask a second vector: the
/// streams only go on.
#[derive(Debug)]
pub struct Masking {
    entries: u32,
    done: u64,
    masks: Vec<(Sign, MaskStream)>,
    digest: DigestStream,
    masked: Masked,
}

impl Masking {
    pub(super) fn new(entries: u32, masks: Vec<(Sign, MaskStream)>, masked: Masked) -> Self {
        let digest = Digest::stream(MASKED);
        Self { entries, done: 0, masks, digest, masked }
    }

    /// Masks the next entries of the vector and returns their bytes, four an entry, lowest first.
    ///
    /// # Errors
    /// [`VectorLength`] if that is more than the round's vectors have; nothing is masked then.
    pub fn next(&mut self, entries: &[u32]) -> Result<Vec<u8>, VectorLength> {
        let done = self.done + entries.len() as u64;
        if done > u64::from(self.entries) {
            return Err(VectorLength { entries: done, expected: self.entries });
        }
        self.done = done;
        let mut bytes = Vec::with_capacity(4 * entries.len());
        let mut block = Vec::with_capacity(BLOCK);
        for piece in entries.chunks(BLOCK) {
            block.clear();
            block.extend_from_slice(piece);
            for (sign, stream) in &mut self.masks {
                sign.apply(stream, &mut block);
            }
            bytes.extend(block.iter().flat_map(|entry| entry.to_le_bytes()));
        }
        self.digest.update(&bytes);
        Ok(bytes)
    }

    /// Ends the vector. Write the record down durably before the upload or any masked byte leaves.
    ///
    /// # Errors
    /// [`VectorLength`] if entries are missing; the masks are gone then.
    pub fn finish(self, identity: &SecretKey) -> Result<(Masked, Upload), VectorLength> {
        if self.done != u64::from(self.entries) {
            return Err(VectorLength { entries: self.done, expected: self.entries });
        }
        let digest = self.digest.finish();
        let signature = identity.sign(VECTOR, &self.masked.transcript.with(&digest));
        Ok((self.masked, Upload { digest, signature }))
    }
}

/// The digest that [`Upload`] signs, of the bytes of a whole masked vector.
pub(in crate::secagg) fn digest_of(bytes: &[u8]) -> Digest {
    let mut digest = Digest::stream(MASKED);
    digest.update(bytes);
    digest.finish()
}
