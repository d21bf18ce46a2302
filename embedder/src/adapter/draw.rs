//! Numbers drawn from a seed, the same on every machine.

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

/// A stream of numbers; each of a seed's streams is independent of the others.
pub(crate) struct Draws(ChaCha12Rng);

/// Stream `stream` of `seed`.
pub(crate) fn seeded(seed: u64, stream: u64) -> Draws {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    Draws(rng)
}

impl Draws {
    /// Numbers spread evenly between `-bound` and `bound`, by whole numbers of 24 bits.
    pub(crate) fn even(mut self, bound: f32) -> impl Iterator<Item = f32> {
        const HALF: f32 = (1 << 23) as f32;
        std::iter::from_fn(move || {
            let drawn = (self.0.next_u32() >> 8) as f32;
            Some((drawn - HALF) / HALF * bound)
        })
    }

    /// Puts `items` into an order that is as likely as any other (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }

    /// A number below `bound`, without bias.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = self.0.next_u64();
            if drawn < limit {
                return drawn % bound;
            }
        }
    }
}
