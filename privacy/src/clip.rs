//! Clipping: how long one update may be, fixed or adapted to what the updates are (Andrew, Thakkar,
//! McMahan and Ramaswamy 2021).
//!
//! The adaptive rule moves the clip norm towards a quantile of the updates' norms. All it learns of
//! them is the mean of one bit a client ("mine was not longer"), which travels as one more masked,
//! noised, bounded entry, and is part of the sensitivity like any other.

use serde::{Deserialize, Serialize};

use crate::encode::{Extra, ExtraError};
use crate::types::{ClipNorm, OutOfRange};

/// The L2 norm of an update, in f64. Squares of finite f32 never overflow it.
pub fn l2_norm(update: &[f32]) -> f64 {
    // Sums of sums keep the rounding error to that of a few thousand additions.
    let squares = |part: &[f32]| part.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
    update.chunks(4096).map(squares).sum::<f64>().sqrt()
}

/// What to multiply an update of norm `norm` by: 1, or less where it is too long.
pub fn factor(norm: f64, clip: ClipNorm) -> f64 {
    if norm > clip.get() { clip.get() / norm } else { 1.0 }
}

/// A clip norm that follows a quantile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Settings", into = "Settings")]
pub struct AdaptiveClip(Settings);

/// The settings of an [`AdaptiveClip`], unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The clip norm of the next round.
    pub clip: ClipNorm,
    /// Which share of updates should not need clipping: above 0, below 1. One half is usual.
    pub quantile: f64,
    /// How fast to move: above 0, at most 1. 0.2 is usual.
    pub rate: f64,
    /// Never below this.
    pub least: ClipNorm,
    /// Never above this.
    pub most: ClipNorm,
}

impl AdaptiveClip {
    /// Checks `settings`.
    ///
    /// # Errors
    /// [`OutOfRange`] for a quantile, rate or clip norm outside of its range.
    pub fn new(settings: Settings) -> Result<Self, OutOfRange> {
        let Settings { clip, quantile, rate, least, most } = settings;
        if !(quantile > 0.0 && quantile < 1.0) {
            return Err(OutOfRange {
                what: "the quantile",
                value: quantile,
                range: "above 0 and below 1",
            });
        }
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(OutOfRange {
                what: "the clip's rate",
                value: rate,
                range: "above 0 and at most 1",
            });
        }
        if !(least <= clip && clip <= most) {
            let value = clip.get();
            return Err(OutOfRange {
                what: "the clip norm",
                value,
                range: "between its least and most",
            });
        }
        Ok(Self(settings))
    }

    /// The settings, with the clip norm as it is now.
    pub const fn settings(&self) -> Settings {
        self.0
    }

    /// The clip norm of the next round.
    pub const fn clip(&self) -> ClipNorm {
        self.0.clip
    }

    /// What a client whose update has norm `norm` reports: 1/2 if it needs no clipping, else -1/2.
    /// A centred bit has half the sensitivity of 0 or 1.
    pub fn bit(&self, norm: f64) -> f64 {
        if norm <= self.0.clip.get() { 0.5 } else { -0.5 }
    }

    /// How the bit travels: `weight` is its part of the sensitivity, as a fraction of the clip
    /// norm. 1/20 adds 1/400 to the cost.
    ///
    /// # Errors
    /// [`ExtraError`] for a weight outside of its range.
    pub fn extra(weight: f64) -> Result<Extra, ExtraError> {
        Extra::new(0.5, weight)
    }

    /// The rule after a round whose bits had the mean `mean` (noise included): the clip norm is
    /// multiplied by exp(-rate (share unclipped - quantile)), and kept within its limits. A mean
    /// that noise carried out of its range counts as the end of the range; one that is no number
    /// moves nothing.
    pub fn after(&self, mean: f64) -> Self {
        if mean.is_nan() {
            return *self;
        }
        let settings = self.0;
        let unclipped = (mean + 0.5).clamp(0.0, 1.0);
        let moved =
            settings.clip.get() * libm::exp(-settings.rate * (unclipped - settings.quantile));
        let clip = moved.clamp(settings.least.get(), settings.most.get());
        Self(Settings { clip: ClipNorm::new(clip).unwrap_or(settings.clip), ..settings })
    }
}

impl TryFrom<Settings> for AdaptiveClip {
    type Error = OutOfRange;

    fn try_from(settings: Settings) -> Result<Self, OutOfRange> {
        Self::new(settings)
    }
}

impl From<AdaptiveClip> for Settings {
    fn from(clip: AdaptiveClip) -> Self {
        clip.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(value: f64) -> ClipNorm {
        ClipNorm::new(value).unwrap()
    }

    fn settings() -> Settings {
        Settings { clip: norm(1.0), quantile: 0.5, rate: 0.2, least: norm(0.01), most: norm(100.0) }
    }

    #[test]
    fn norms_and_factors() {
        assert_eq!(l2_norm(&[3.0, -4.0]), 5.0);
        assert_eq!(l2_norm(&[]), 0.0);
        assert!(l2_norm(&[f32::MAX; 10_000]).is_finite());
        assert_eq!(factor(5.0, norm(1.0)), 0.2);
        assert_eq!(factor(0.0, norm(1.0)), 1.0);
    }

    #[test]
    fn the_clip_finds_the_quantile() {
        // Norms from 2 to 6: the median is 4.
        let norms: Vec<f64> = (0..=100).map(|i| 2.0 + f64::from(i) / 25.0).collect();
        let mut clip = AdaptiveClip::new(settings()).unwrap();
        for _ in 0..100 {
            let mean = norms.iter().map(|&norm| clip.bit(norm)).sum::<f64>() / 101.0;
            clip = clip.after(mean);
        }
        assert!((clip.clip().get() - 4.0).abs() < 0.1, "{:?}", clip.clip());
    }

    #[test]
    fn noise_moves_it_no_further_than_the_rate() {
        let clip = AdaptiveClip::new(settings()).unwrap();
        for (mean, expected) in [
            (1e9, (-0.1_f64).exp()),
            (f64::NEG_INFINITY, 0.1_f64.exp()),
            (f64::NAN, 1.0),
            (0.0, 1.0),
        ] {
            let after = clip.after(mean).clip().get();
            assert!((after - expected).abs() < 1e-12, "{mean}: {after}");
        }
        let tight = AdaptiveClip::new(Settings { most: norm(1.0), ..settings() }).unwrap();
        assert_eq!(tight.after(-0.5).clip(), norm(1.0));
    }

    #[test]
    fn settings_are_checked_in_serde_too() {
        for bad in [
            Settings { quantile: 1.0, ..settings() },
            Settings { rate: f64::NAN, ..settings() },
            Settings { least: norm(2.0), ..settings() },
        ] {
            assert!(AdaptiveClip::new(bad).is_err());
            let text = serde_json::to_string(&bad).unwrap();
            assert!(serde_json::from_str::<AdaptiveClip>(&text).is_err(), "{text}");
        }
    }
}
