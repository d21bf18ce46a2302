//! Masks for vectors modulo 2^32: the key stream of AES-256 in counter mode, four bytes an entry.
//!
//! Each seed is used for one stream of at most 2^28 blocks, so the birthday bound on a 128-bit
//! block stays below 2^-73. AES runs on the processor's instructions where it has them, and
//! bit-sliced in constant time where it does not.

use aes::Aes256;
use ctr::Ctr64LE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

use crate::Secret32;

/// Entries that are expanded at once: 16 KiB, which stays in the first cache.
const BLOCK: usize = 4096;

/// A stream of mask entries. It does not print, is not `Clone`, and its key is wiped when dropped.
pub struct MaskStream(Ctr64LE<Aes256>);

impl MaskStream {
    /// The stream of `seed`, from its first entry.
    pub fn new(seed: &Secret32) -> Self {
        Self(Ctr64LE::<Aes256>::new(seed.expose().into(), &[0; 16].into()))
    }

    /// Goes to the entry with index `entry`.
    pub fn seek(&mut self, entry: u64) {
        self.0.seek(u128::from(entry) * 4);
    }

    /// Adds the next entries of the stream to `vector`, modulo 2^32.
    pub fn add_to(&mut self, vector: &mut [u32]) {
        self.each(vector, u32::wrapping_add);
    }

    /// Takes the next entries of the stream from `vector`, modulo 2^32.
    pub fn subtract_from(&mut self, vector: &mut [u32]) {
        self.each(vector, u32::wrapping_sub);
    }

    fn each(&mut self, vector: &mut [u32], change: impl Fn(u32, u32) -> u32) {
        let mut bytes = [0_u8; 4 * BLOCK];
        for block in vector.chunks_mut(BLOCK) {
            let stream = &mut bytes[..4 * block.len()];
            stream.fill(0);
            self.0.apply_keystream(stream);
            for (entry, mask) in block.iter_mut().zip(stream.as_chunks::<4>().0) {
                *entry = change(*entry, u32::from_le_bytes(*mask));
            }
        }
        zeroize::Zeroize::zeroize(&mut bytes[..]);
    }
}

impl std::fmt::Debug for MaskStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskStream(..)")
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    use super::*;

    /// NIST's AESAVS, KeySbox for 256 bits, the first: the counter's first block is all zeros too.
    #[test]
    fn the_first_block_is_aes_of_the_counter() {
        let key = "c47b0294dbbbee0fec4757f22ffeee3587ca4730c3d33b691df38bab076bc558";
        let key = HEXLOWER.decode(key.as_bytes()).expect("hex").try_into().expect("32 bytes");
        let mut entries = [0_u32; 4];
        MaskStream::new(&Secret32::from_bytes(key)).add_to(&mut entries);
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        assert_eq!(HEXLOWER.encode(&bytes), "46f2fb342d6f0ab477476fc501242c5f");
    }

    proptest! {
        #[test]
        fn in_pieces_and_backwards_it_is_the_same_stream(
            key: [u8; 32], vector in prop::collection::vec(any::<u32>(), 1..9000), cut: prop::sample::Index,
        ) {
            let seed = Secret32::from_bytes(key);
            let cut = cut.index(vector.len());
            let mut whole = vector.clone();
            MaskStream::new(&seed).add_to(&mut whole);
            let mut pieces = vector.clone();
            let mut stream = MaskStream::new(&seed);
            let (first, second) = pieces.split_at_mut(cut);
            stream.seek(cut as u64);
            stream.add_to(second);
            stream.seek(0);
            stream.add_to(first);
            prop_assert_eq!(&pieces, &whole);
            stream.seek(0);
            stream.subtract_from(&mut pieces);
            prop_assert_eq!(&pieces, &vector);
        }
    }
}
