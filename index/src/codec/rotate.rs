//! A pseudo-random rotation that costs `d log d` and stores nothing but its seed.
//!
//! Signs and Hadamard transforms in turn, over the first and then the last power of two that fits
//! (the Kac-walk construction used with RaBitQ). It spreads a vector's energy evenly over its
//! coordinates, which is what makes one grid fit them all.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Rounds of signs and transforms; four mix coordinates of any length well.
const ROUNDS: usize = 4;

/// A rotation of vectors of one length.
pub(super) struct Rotation {
    signs: Vec<Vec<f32>>,
}

impl Rotation {
    pub(super) fn new(dim: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut sign = || if rng.next_u32() & 1 == 0 { 1.0 } else { -1.0 };
        Self { signs: (0..ROUNDS).map(|_| (0..dim).map(|_| sign()).collect()).collect() }
    }

    /// Rotates in place; lengths and angles stay.
    pub(super) fn apply(&self, vector: &mut [f32]) {
        if vector.len() < 2 {
            return;
        }
        let whole = 1usize << vector.len().ilog2();
        for (round, signs) in self.signs.iter().enumerate() {
            vector.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
            let start = if round % 2 == 0 { 0 } else { vector.len() - whole };
            hadamard(&mut vector[start..start + whole]);
        }
    }

    /// Rotates back.
    pub(super) fn undo(&self, vector: &mut [f32]) {
        if vector.len() < 2 {
            return;
        }
        let whole = 1usize << vector.len().ilog2();
        for (round, signs) in self.signs.iter().enumerate().rev() {
            let start = if round % 2 == 0 { 0 } else { vector.len() - whole };
            // The transform is its own inverse, as are signs.
            hadamard(&mut vector[start..start + whole]);
            vector.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
        }
    }
}

/// The orthonormal Walsh-Hadamard transform of a power of two of numbers.
fn hadamard(x: &mut [f32]) {
    let mut half = 1;
    while half < x.len() {
        for pair in x.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let norm = 1.0 / (x.len() as f32).sqrt();
    x.iter_mut().for_each(|x| *x *= norm);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::dot;

    #[test]
    fn lengths_and_angles_stay_and_energy_spreads() {
        for dim in [1, 2, 7, 8, 56, 64, 200, 384] {
            let rotation = Rotation::new(dim, 9);
            let mut spike = vec![0.0; dim];
            spike[dim / 2] = 1.0;
            let mut ramp: Vec<f32> = (0..dim).map(|i| i as f32 / dim as f32).collect();
            let (before, product) = (dot(&ramp, &ramp), dot(&spike, &ramp));
            rotation.apply(&mut spike);
            rotation.apply(&mut ramp);
            let mut back = ramp.clone();
            rotation.undo(&mut back);
            let straight = (0..dim).map(|i| i as f32 / dim as f32);
            assert!(back.iter().zip(straight).all(|(a, b)| (a - b).abs() < 1e-4), "{dim}");
            assert!((dot(&spike, &spike) - 1.0).abs() < 1e-4, "{dim}");
            assert!((dot(&ramp, &ramp) - before).abs() < 1e-3 * before.max(1.0), "{dim}");
            assert!((dot(&spike, &ramp) - product).abs() < 1e-3, "{dim}");
            let largest = spike.iter().fold(0f32, |max, x| max.max(x.abs()));
            assert!(dim < 50 || largest < 0.6, "{dim}: {largest}");
        }
    }
}
