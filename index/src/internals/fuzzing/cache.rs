//! The cache file: whatever is in it, it never hinders, and never gives what is no vector.

use std::path::Path;

use sha2::{Digest, Sha256};

use super::DIM;
use crate::cache::{Cache, NAME};
use crate::encoder::EncoderId;
use crate::fixture::WordEncoder;

const LIMIT: u64 = 16 << 10;
const CHUNKS: usize = 40;
/// Of the file, and of a set: bytes before what they hold.
const HEAD: usize = 64;
const SET_HEAD: usize = 8;
/// In the head: what its checksum covers, and with it.
const SUMMED: usize = 36;
const CHECKSUM: usize = 16;
/// A slot's use count, which no checksum covers, and all of a slot.
const USES: usize = 4;
const SLOT: usize = USES + 32 + 4 + DIM * 12 / 8 + CHECKSUM;
const WAYS: usize = 8;
const ID: EncoderId = EncoderId { base: [7; 32], release: [1; 32] };

/// A cache as it is once some vectors were kept, made in this folder.
pub fn cache_seed(folder: &Path) -> Vec<u8> {
    let path = folder.join(NAME);
    let _ = std::fs::remove_file(&path);
    cache(folder, true).put(&[0, 1, 2, 3, 4, 5].map(entry));
    std::fs::read(path).expect("the folder can be read")
}

/// Puts `bytes`, with checksums that are right, in the place of a cache in this folder; reads it, and writes to it.
pub fn cache_file(folder: &Path, bytes: &[u8]) {
    let path = folder.join(NAME);
    std::fs::write(&path, seal(bytes)).expect("the folder can be written to");
    for writable in [false, true] {
        let cache = cache(folder, writable);
        let _ = cache.count();
        for i in 0..8 {
            check(cache.get(&entry(i).0));
        }
    }
    let cache = cache(folder, true);
    for i in 4..8 {
        let (key, row) = entry(i);
        cache.put(&[(key, row.clone())]);
        let kept = cache.get(&key).expect("what was just kept is there");
        assert!(kept.iter().zip(&row).all(|(x, y)| (x - y).abs() < 1e-3));
    }
    assert!(cache.count() > 0);
    let length = std::fs::metadata(path).expect("it is there").len();
    assert!(length <= LIMIT, "{length} bytes");
}

fn cache(folder: &Path, writable: bool) -> Cache {
    Cache::new(folder, ID, DIM, LIMIT, CHUNKS, writable).expect("that is enough for some")
}

fn check(row: Option<Vec<f32>>) {
    assert!(row.is_none_or(|row| row.len() == DIM && row.iter().all(|x| x.is_finite())));
}

fn entry(i: u8) -> ([u8; 32], Vec<f32>) {
    ([i; 32], WordEncoder::new(DIM).one(&format!("text {i}")))
}

/// `bytes` with the checksums of the head and of every slot that holds something.
fn seal(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some((head, sets)) = bytes.split_at_mut_checked(HEAD) else { return bytes };
    let sum = Sha256::digest(&head[..SUMMED]);
    head[SUMMED..][..CHECKSUM].copy_from_slice(&sum[..CHECKSUM]);
    for set in sets.chunks_mut(SET_HEAD + WAYS * SLOT) {
        for slot in set.get_mut(SET_HEAD..).unwrap_or_default().chunks_exact_mut(SLOT) {
            let (summed, checksum) = slot.split_at_mut(SLOT - CHECKSUM);
            if summed[USES..].iter().any(|byte| *byte != 0) {
                checksum.copy_from_slice(&Sha256::digest(&summed[USES..])[..CHECKSUM]);
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sound_cache_stays_as_it_is_when_sealed_and_damage_does_no_harm() {
        let temp = tempfile::tempdir().expect("a folder");
        let seed = cache_seed(temp.path());
        assert_eq!(seal(&seed), seed);
        for at in 0..seed.len() {
            let mut bytes = seed.clone();
            bytes[at] ^= 0x55;
            if at % 7 == 0 {
                bytes.truncate(at);
            }
            if at < HEAD || at % 61 == 0 {
                cache_file(temp.path(), &bytes);
            }
        }
    }
}
