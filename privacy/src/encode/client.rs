//! A client's side: clip, rotate, round within the bound, add noise.

use std::fmt;
use std::marker::PhantomData;

use rand_core::Rng;
use zeroize::Zeroizing;

use super::{Encoding, rotate};
use crate::clip;
use crate::noise::NoiseMode;
use crate::rng::Randomness;

/// Stochastic rounding is tried so often. A try fails with a chance of at most 1 - e^(-1/2), so
/// that all do with one of at most 10^-25; then it is rounded towards zero.
const ROUNDINGS: u32 = 64;
/// Shortening before rounding towards zero: more than f64 can be off by, so that the bound holds.
const SHORTER: f64 = 1.0 - 1e-6;

/// Why an update cannot be encoded. Each is a mistake of the caller.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The update is not as long as agreed.
    #[error("the update has {found} entries, and the plan says {expected}")]
    Length {
        /// Entries agreed on.
        expected: usize,
        /// Entries given.
        found: usize,
    },
    /// Not as many extra entries as agreed.
    #[error("{found} extra entries, and the plan says {expected}")]
    Extras {
        /// Extra entries agreed on.
        expected: usize,
        /// Extra entries given.
        found: usize,
    },
    /// N8: an entry is NaN or infinite.
    #[error("entry {entry} of the update is {value}: training diverged; lower the learning rate")]
    NotFinite {
        /// Which entry, from 0.
        entry: usize,
        /// Its value.
        value: f32,
    },
    /// N8: an extra entry is NaN or infinite.
    #[error("extra entry {extra} is {value}, which is no measurement")]
    ExtraNotFinite {
        /// Which, from 0.
        extra: usize,
        /// Its value.
        value: f64,
    },
    /// More units than agreed.
    #[error("{found} units of one client, and the plan says {most} at most")]
    Units {
        /// Most units agreed on.
        most: u32,
        /// Units given.
        found: usize,
    },
    /// N9: the bound on the norm does not hold: a fault of this code, caught before anything leaves.
    #[error("the rounded update is longer than its bound; please report this")]
    AboveBound,
}

/// An update as integers modulo 2^32, without noise. Shows nothing of itself; wiped when dropped.
pub struct Encoded<'a> {
    encoding: &'a Encoding,
    words: Zeroizing<Vec<u32>>,
}

/// What may be masked and sent (N10): with the client's share of noise where the round has one, drawn
/// from `R`.
pub struct Noised<R> {
    words: Zeroizing<Vec<u32>>,
    source: PhantomData<fn() -> R>,
}

impl Encoding {
    /// Clips `update` to the clip norm, rounds it to the grid at random so that no entry's mean
    /// moves, and appends `extras`, each held to its bound.
    ///
    /// # Errors
    /// [`EncodeError`]: a wrong length, or a number that is NaN or infinite.
    pub fn encode<R: Randomness>(
        &self,
        update: &[f32],
        extras: &[f64],
        rng: &mut R,
    ) -> Result<Encoded<'_>, EncodeError> {
        self.check(update, extras)?;
        let factor = clip::factor(clip::l2_norm(update), self.layout.clip) * self.scale.get();
        let rounded = match &self.layout.rotation {
            None => self.round(update.len(), |i| f64::from(update[i]) * factor, rng)?,
            Some(seed) => {
                let clipped = update.iter().map(|&x| f64::from(x) * factor);
                let padded = rotate::padded(&self.layout);
                // All at once: growing would leave a copy behind that is not wiped.
                let mut turned = Zeroizing::new(Vec::with_capacity(padded));
                turned.extend(clipped);
                turned.resize(padded, 0.0);
                rotate::forward(seed, &mut turned);
                self.round(turned.len(), |i| turned[i], rng)?
            }
        };
        let mut encoded = Encoded { encoding: self, words: rounded };
        for ((value, extra), &cap) in extras.iter().zip(&self.layout.extras).zip(&self.caps) {
            let share = (value / extra.bound).clamp(-1.0, 1.0);
            encoded.words.push(stochastic(share * f64::from(cap), rng) as u32);
        }
        Ok(encoded)
    }

    /// Sums what each of a client's units adds, clipped and rounded by itself, so that taking one away moves the words by at most the
    /// [sensitivity](Self::sensitivity), exactly. One with a number that is NaN or infinite adds nothing, as it must not decide about the others.
    /// No units come to zeros.
    ///
    /// # Errors
    /// [`EncodeError`]: more units than agreed, a wrong length, or extra entries, which are not of a unit.
    pub fn encode_units<R: Randomness>(
        &self,
        units: &[Vec<f32>],
        rng: &mut R,
    ) -> Result<Encoded<'_>, EncodeError> {
        if units.len() > self.layout.units as usize {
            return Err(EncodeError::Units { most: self.layout.units, found: units.len() });
        }
        let mut words = Zeroizing::new(vec![0_u32; self.words()]);
        for unit in units {
            match self.encode(unit, &[], rng) {
                Ok(of_unit) => {
                    let both = words.iter_mut().zip(&*of_unit.words);
                    both.for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
                }
                Err(EncodeError::NotFinite { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        if self.caps.is_empty() {
            return Ok(Encoded { encoding: self, words });
        }
        Err(EncodeError::Extras { expected: self.caps.len(), found: 0 })
    }

    fn check(&self, update: &[f32], extras: &[f64]) -> Result<(), EncodeError> {
        let (expected, found) = (self.layout.dimension, update.len());
        if found != expected {
            return Err(EncodeError::Length { expected, found });
        }
        let (expected, found) = (self.layout.extras.len(), extras.len());
        if found != expected {
            return Err(EncodeError::Extras { expected, found });
        }
        if let Some(entry) = update.iter().position(|x| !x.is_finite()) {
            return Err(EncodeError::NotFinite { entry, value: update[entry] });
        }
        if let Some(extra) = extras.iter().position(|x| !x.is_finite()) {
            return Err(EncodeError::ExtraNotFinite { extra, value: extras[extra] });
        }
        Ok(())
    }

    /// Rounds until the integers are within the bound, which is checked in integers.
    fn round<R: Rng>(
        &self,
        length: usize,
        entry: impl Fn(usize) -> f64,
        rng: &mut R,
    ) -> Result<Zeroizing<Vec<u32>>, EncodeError> {
        let mut words = Zeroizing::new(vec![0; length]);
        words.reserve_exact(self.caps.len());
        for _ in 0..ROUNDINGS {
            if self.round_once(&mut words, |i| stochastic(entry(i), rng)) {
                return Ok(words);
            }
        }
        if self.round_once(&mut words, |i| (entry(i) * SHORTER) as i64) {
            return Ok(words);
        }
        Err(EncodeError::AboveBound)
    }

    /// Whether the integers that `round` gives are within the bounds: each entry's, and that of the
    /// squared norm.
    fn round_once(&self, words: &mut [u32], mut round: impl FnMut(usize) -> i64) -> bool {
        let (mut squared, mut largest) = (0_u128, 0);
        for (i, word) in words.iter_mut().enumerate() {
            let whole = round(i);
            let magnitude = whole.unsigned_abs();
            squared += u128::from(magnitude) * u128::from(magnitude);
            largest = largest.max(magnitude);
            *word = whole as u32;
        }
        squared <= self.update_bound && largest <= u64::from(self.largest_entry())
    }
}

/// `value` rounded up with the chance that makes its mean `value` (but for 2^-64), else down.
fn stochastic<R: Rng>(value: f64, rng: &mut R) -> i64 {
    let down = value.floor();
    let threshold = (value - down) * 2_f64.powi(64);
    down as i64 + i64::from(rng.next_u64() < threshold as u64)
}

impl<'a> Encoded<'a> {
    /// The L2 norm in the update's units, after clipping and rounding, without extra entries.
    pub fn norm(&self) -> f64 {
        let length = self.words.len() - self.encoding.caps.len();
        let squares = self.words[..length].iter().map(|&word| f64::from(word as i32).powi(2));
        squares.sum::<f64>().sqrt() / self.encoding.scale.get()
    }

    /// Adds this client's share of the round's noise. Where the round has none, or the coordinator
    /// adds it, this adds nothing: the words are then as private as the masks make them.
    pub fn noised<R: Randomness>(mut self, rng: &mut R) -> Noised<R> {
        let encoding = self.encoding;
        if let (Some(NoiseMode::Distributed(_)), Some(sampler)) =
            (encoding.mode(), &encoding.sampler)
        {
            sampler.add_to(&mut self.words, rng);
        }
        Noised { words: std::mem::take(&mut self.words), source: PhantomData }
    }

    #[cfg(test)]
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }
}

impl<R> Noised<R> {
    /// The words to mask.
    pub fn words(&self) -> &[u32] {
        &self.words
    }

    /// The words to mask, to be masked in place.
    pub fn into_words(mut self) -> Vec<u32> {
        std::mem::take(&mut *self.words)
    }
}

impl fmt::Debug for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encoded({} words)", self.words.len())
    }
}

impl<R> fmt::Debug for Noised<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Noised({} words)", self.words.len())
    }
}
