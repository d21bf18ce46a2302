//! Randomness that follows from a seed and from what it is for, so that one draw more here changes nothing there.

use covey_crypto::Digest;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::draw;

/// The seed of one thing: what it is for, of whom, and which time.
pub fn derive(seed: u64, what: &str, number: u64, time: u64) -> [u8; 32] {
    let parts: [&[u8]; 4] =
        [&seed.to_le_bytes(), what.as_bytes(), &number.to_le_bytes(), &time.to_le_bytes()];
    *Digest::of("covey simulation seed", &parts).as_bytes()
}

/// The same as a number, for who takes seeds of that size.
pub fn derive_u64(seed: u64, what: &str, number: u64, time: u64) -> u64 {
    let seed = derive(seed, what, number, time);
    u64::from_le_bytes(seed[..8].try_into().expect("eight of 32 bytes"))
}

/// Draws that are the same on every machine.
pub struct Draw(ChaCha20Rng);

impl Draw {
    /// Draws for one thing ([`derive()`]).
    pub fn new(seed: u64, what: &str, number: u64, time: u64) -> Self {
        Self(ChaCha20Rng::from_seed(derive(seed, what, number, time)))
    }

    /// Any number.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// From 0 up to 1, without that.
    pub fn share(&mut self) -> f64 {
        draw::unit(&mut self.0)
    }

    /// Evenly between the two.
    pub fn between(&mut self, range: [f64; 2]) -> f64 {
        draw::between(&mut self.0, range)
    }

    /// From 0 up to `count`, without that.
    ///
    /// # Panics
    /// If `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        draw::below(&mut self.0, count)
    }

    /// Puts them in an order of their own.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        draw::shuffle(&mut self.0, items);
    }

    /// A whole number that is `expected` on average: the one below or the one above.
    pub fn about(&mut self, expected: f64) -> usize {
        expected as usize + usize::from(self.share() < expected.fract())
    }

    /// `count` different numbers below `all`, in the order of their size.
    pub fn some(&mut self, count: usize, all: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..all).collect();
        for place in 0..count.min(all) {
            let other = place + self.below(all - place);
            order.swap(place, other);
        }
        order.truncate(count);
        order.sort_unstable();
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_different_and_as_likely_as_others() {
        let mut counts = [0_u32; 10];
        for time in 0..2_000 {
            let some = Draw::new(1, "test", 0, time).some(3, 10);
            assert!(some.windows(2).all(|pair| pair[0] < pair[1]), "{some:?}");
            some.iter().for_each(|number| counts[*number] += 1);
        }
        // 600 expected each, with a deviation of 20; a seed is fixed, so this fails never or always.
        assert!(counts.iter().all(|count| (500..700).contains(count)), "{counts:?}");
    }
}
