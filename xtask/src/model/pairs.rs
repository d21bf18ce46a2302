//! Groups of pairs, and the draws that choose among what a source could give.

use std::collections::BTreeSet;

use covey_embedder::TextPair;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Pairs of one kind and field.
pub struct Group {
    /// What they are, for people.
    pub name: String,
    /// The pairs.
    pub pairs: Vec<TextPair>,
}

/// Leaves out pairs with an empty side, and those that were there before, in any group.
pub fn distinct(groups: &mut [Group]) {
    let mut seen = BTreeSet::new();
    for group in groups {
        group.pairs.retain(|pair| {
            pair.iter().all(|text| !text.trim().is_empty()) && seen.insert(pair.clone())
        });
    }
}

/// A stream of numbers from a seed.
pub struct Draws(ChaCha12Rng);

impl Draws {
    /// The same numbers for the same seed, on every machine.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A number below `bound`, which is not 0. As `bound` is small beside what is drawn, the bias is nothing.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    /// Puts `items` into an order that is as likely as any other.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_and_empty_sides_are_left_out() {
        let pair = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let group = |pairs: &[TextPair]| Group { name: String::new(), pairs: pairs.to_vec() };
        let mut groups = [
            group(&[pair("a", "b"), pair("a", " "), pair("b", "a")]),
            group(&[pair("a", "b"), pair("a", "c")]),
        ];
        distinct(&mut groups);
        assert_eq!(groups[0].pairs, [pair("a", "b"), pair("b", "a")]);
        assert_eq!(groups[1].pairs, [pair("a", "c")]);
    }
}
