//! The coordinator's side: the unmasked sum, its norm against the cap, and the mean.

use super::{Encoding, rotate};
use crate::noise::NoiseMode;
use crate::rng::Randomness;

/// The sum's norm may exceed its mean by so many standard deviations of one entry: a sum of honest
/// clients does so once in 10^13 rounds (e^(-32); Hsu, Kakade and Zhang 2012).
const NORM_ROOM: f64 = 8.0;

/// The unmasked sum of what the survivors sent.
#[derive(Debug)]
pub struct Sum<'a> {
    encoding: &'a Encoding,
    words: Vec<u32>,
    survivors: u32,
    /// Whether it carries all noise that the round promised.
    complete: bool,
}

/// Why a sum is refused.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// N11: not as many words as agreed.
    #[error("the sum has {found} words, and the plan says {expected}")]
    Length {
        /// Words agreed on.
        expected: usize,
        /// Words given.
        found: usize,
    },
    /// N11: more survivors than clients, or fewer than the noise was made for.
    #[error("{found} survivors: the plan allows from {least} to {most}")]
    Survivors {
        /// The fewest survivors.
        least: u32,
        /// The most.
        most: u32,
        /// Survivors given.
        found: u32,
    },
    /// N12: the coordinator's noise was not added yet.
    #[error("the plan promises central noise, and the sum carries none; add it before decoding")]
    NoNoise,
    /// N13: longer than honest clients can make it.
    #[error(
        "the sum has norm {norm:.3}, above the cap of {cap:.3}: somebody sent more than the \
         clip norm allows; the round is rejected (masking hides who it was)"
    )]
    AboveCap {
        /// The sum's norm, in the update's units.
        norm: f64,
        /// The largest allowed.
        cap: f64,
    },
}

/// What a round publishes. Its cost has been paid; whatever is done with it is free.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The mean update: of the survivors, or of as many units as they may have, however many there were.
    pub mean: Vec<f32>,
    /// The mean of each extra entry, in its own units. Noise may carry it beyond its bound.
    pub extras: Vec<f64>,
    /// The noise's standard deviation on each entry of `mean`, at least.
    pub deviation: f64,
}

impl<'a> Sum<'a> {
    /// Takes the sum, modulo 2^32, of the words of `survivors` clients.
    ///
    /// # Errors
    /// [`DecodeError::Length`] or [`DecodeError::Survivors`].
    pub fn new(
        encoding: &'a Encoding,
        words: Vec<u32>,
        survivors: u32,
    ) -> Result<Self, DecodeError> {
        let (expected, found) = (encoding.words(), words.len());
        if expected != found {
            return Err(DecodeError::Length { expected, found });
        }
        let (least, complete) = match encoding.mode() {
            Some(NoiseMode::Distributed(sharers)) => (sharers.survivors(), true),
            Some(NoiseMode::Central) => (1, false),
            None => (1, true),
        };
        let most = encoding.layout.clients;
        if !(least..=most).contains(&survivors) {
            return Err(DecodeError::Survivors { least, most, found: survivors });
        }
        Ok(Self { encoding, words, survivors, complete })
    }

    /// Adds the coordinator's noise where the round promises it, once; otherwise nothing.
    #[must_use]
    pub fn noised<R: Randomness>(mut self, rng: &mut R) -> Self {
        if let (Some(sampler), false) = (&self.encoding.sampler, self.complete) {
            sampler.add_to(&mut self.words, rng);
            self.complete = true;
        }
        self
    }

    /// Checks the norm against the cap, and gives the mean.
    ///
    /// # Errors
    /// [`DecodeError::NoNoise`], or [`DecodeError::AboveCap`] with the norm and the cap.
    pub fn decode(self) -> Result<Decoded, DecodeError> {
        if !self.complete {
            return Err(DecodeError::NoNoise);
        }
        let encoding = self.encoding;
        let scale = encoding.scale.get();
        let squared: u128 =
            self.words.iter().map(|&word| u128::from((word as i32).unsigned_abs()).pow(2)).sum();
        let (norm, cap) = ((squared as f64).sqrt(), self.cap());
        if norm > cap {
            return Err(DecodeError::AboveCap { norm: norm / scale, cap: cap / scale });
        }
        let survivors = f64::from(self.survivors);
        let (update, extras) = self.words.split_at(encoding.words() - encoding.caps.len());
        let unit = 1.0 / scale / (survivors * f64::from(encoding.layout.units));
        let mut mean: Vec<f32>;
        if let Some(seed) = &encoding.layout.rotation {
            let mut turned: Vec<f64> = update.iter().map(|&word| f64::from(word as i32)).collect();
            rotate::inverse(seed, &mut turned);
            mean = turned.iter().map(|entry| (entry * unit) as f32).collect();
            mean.truncate(encoding.layout.dimension);
        } else {
            mean = update.iter().map(|&word| (f64::from(word as i32) * unit) as f32).collect();
        }
        let extras = extras.iter().zip(&encoding.layout.extras).zip(&encoding.caps);
        let extras = extras
            .map(|((&word, extra), &cap)| {
                f64::from(word as i32) / f64::from(cap) * extra.bound / survivors
            })
            .collect();
        Ok(Decoded { mean, extras, deviation: self.deviation() * unit })
    }

    /// Standard deviation of the noise of all survivors, in grid points.
    fn deviation(&self) -> f64 {
        self.encoding.noise.map_or(0.0, |noise| noise.deviation(self.survivors))
    }

    /// The longest that honest survivors make the sum, in grid points.
    fn cap(&self) -> f64 {
        let unit = (self.encoding.sensitivity.squared_l2 as f64).sqrt();
        let one = unit * f64::from(self.encoding.layout.units);
        let noise = self.deviation() * ((self.words.len() as f64).sqrt() + NORM_ROOM);
        (f64::from(self.survivors) * one + noise) * (1.0 + 1e-9)
    }
}
