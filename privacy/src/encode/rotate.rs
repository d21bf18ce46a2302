//! A random rotation: signs from a seed, then the Walsh-Hadamard transform (its own inverse).
//!
//! It spreads an update's few large entries over all, so that rounding and wrapping hurt each
//! alike. Lengths are those of [`padded`]: powers of two.

use covey_crypto::Digest;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::Layout;

/// Entries of an update as it travels. One that is empty stays so.
pub fn padded(layout: &Layout) -> usize {
    match layout.rotation {
        Some(_) if layout.dimension > 0 => layout.dimension.next_power_of_two(),
        Some(_) | None => layout.dimension,
    }
}

/// Rotates `entries`.
pub fn forward(seed: &[u8; 32], entries: &mut [f64]) {
    flip(seed, entries);
    hadamard(entries);
}

/// Undoes [`forward`].
pub fn inverse(seed: &[u8; 32], entries: &mut [f64]) {
    hadamard(entries);
    flip(seed, entries);
}

fn flip(seed: &[u8; 32], entries: &mut [f64]) {
    let key = *Digest::of("covey rotation v1", &[seed]).as_bytes();
    let mut rng = ChaCha20Rng::from_seed(key);
    for part in entries.chunks_mut(64) {
        let mut signs = rng.next_u64();
        for entry in part {
            if signs & 1 == 1 {
                *entry = -*entry;
            }
            signs >>= 1;
        }
    }
}

/// The transform, normalised to keep lengths.
fn hadamard(entries: &mut [f64]) {
    let mut half = 1;
    while half < entries.len() {
        for pair in entries.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let norm = (entries.len() as f64).sqrt().recip();
    for entry in entries {
        *entry *= norm;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back_at_the_same_length(
            mut entries in prop::collection::vec(-1e3_f64..1e3, 1..300), seed in any::<[u8; 32]>(),
        ) {
            entries.resize(entries.len().next_power_of_two(), 0.0);
            let length = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let mut turned = entries.clone();
            forward(&seed, &mut turned);
            prop_assert!((length(&turned) - length(&entries)).abs() < 1e-9);
            inverse(&seed, &mut turned);
            for (a, b) in entries.iter().zip(&turned) {
                prop_assert!((a - b).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn one_large_entry_becomes_many_small_ones() {
        let mut entries = vec![0.0; 1024];
        entries[77] = 32.0;
        forward(&[1; 32], &mut entries);
        assert!(entries.iter().all(|x| (x.abs() - 1.0).abs() < 1e-12));
        assert!(entries.iter().any(|x| *x > 0.0) && entries.iter().any(|x| *x < 0.0));
    }
}
