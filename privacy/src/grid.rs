//! The integer grid that updates are rounded to: its scale, and the sensitivity of what is on it.

use serde::{Deserialize, Serialize};

use crate::types::{ClipNorm, Shown};

/// Sums are taken modulo 2^32 and read as signed: what they hold lies under this.
pub const SIGNED_LIMIT: f64 = (1_u32 << 31) as f64;
/// Room kept for noise, in standard deviations: one entry in 10^15 goes beyond, and wraps around.
pub const NOISE_ROOM: f64 = 8.0;
/// The finest scale is 2^22.
pub const FINEST: i8 = 22;
/// The coarsest is 2^-64.
pub const COARSEST: i8 = -64;

/// Grid points a unit of the update is cut into: a power of two, so that multiplying by it is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i8", into = "i8")]
pub struct Scale(i8);

/// Why there is no scale.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ScaleError {
    /// The exponent is not one of a scale.
    #[error("2^{0} is no scale: the exponent must be from {COARSEST} to {FINEST}")]
    Exponent(i8),
    /// N6: clients and noise fill the 32 bits before one update has a single grid point.
    #[error(
        "{clients} contributions with clip norm {} and noise of standard deviation {} leave no room in \
         32 bits; take fewer or less noise", Shown(*.clip), Shown(*.sigma)
    )]
    NoRoom {
        /// Contributions in the sum: its clients, or all units of theirs.
        clients: u64,
        /// The clip norm.
        clip: f64,
        /// The noise's standard deviation, if every client adds its share.
        sigma: f64,
    },
    /// N6: no scale holds such updates, whatever the noise.
    #[error(
        "a clip norm of {} is too {} for the sum of {clients} contributions in 32 bits: it must be at least {} and less than about {}",
        Shown(*.clip), if *.clip < 1.0 { "small" } else { "large" }, Shown(*.least), Shown(*.most)
    )]
    Clip {
        /// Contributions in the sum: its clients, or all units of theirs.
        clients: u64,
        /// The clip norm.
        clip: f64,
        /// One grid point on the finest scale.
        least: f64,
        /// What is beyond 32 bits on the coarsest one.
        most: f64,
    },
}

impl Scale {
    /// The scale 2^`exponent`.
    ///
    /// # Errors
    /// [`ScaleError::Exponent`] outside of [`COARSEST`] to [`FINEST`].
    pub fn from_exponent(exponent: i8) -> Result<Self, ScaleError> {
        if (COARSEST..=FINEST).contains(&exponent) {
            Ok(Self(exponent))
        } else {
            Err(ScaleError::Exponent(exponent))
        }
    }

    /// The finest scale at which `clients` contributions of norm `clip` and noise of standard deviation
    /// `sigma` (of the whole sum, in the update's units) stay within 32 bits: (n clip + 8 sigma)
    /// scale < 2^31, and still so when every entry is rounded up.
    ///
    /// # Errors
    /// [`ScaleError::Clip`] if the clip norm fits no scale, [`ScaleError::NoRoom`] if with this noise a clipped update would be
    /// shorter than one grid point.
    pub fn finest(clients: u64, clip: ClipNorm, sigma: f64) -> Result<Self, ScaleError> {
        let fits = |scale: &Self| {
            let entry = (clip.get() * scale.get()).ceil();
            let noise = (NOISE_ROOM * sigma * scale.get()).ceil();
            clients as f64 * entry + noise < SIGNED_LIMIT
        };
        (COARSEST..=FINEST)
            .rev()
            .map(Self)
            .find(fits)
            .filter(|scale| clip.get() * scale.get() >= 1.0)
            .ok_or_else(|| {
                let clip = clip.get();
                let least = Self(FINEST).get().recip();
                let most = SIGNED_LIMIT / clients as f64 / Self(COARSEST).get();
                if (least..most).contains(&clip) {
                    ScaleError::NoRoom { clients, clip, sigma }
                } else {
                    ScaleError::Clip { clients, clip, least, most }
                }
            })
    }

    /// The exponent of two.
    pub const fn exponent(self) -> i8 {
        self.0
    }

    /// Grid points a unit.
    pub fn get(self) -> f64 {
        f64::from(self.0).exp2()
    }
}

impl TryFrom<i8> for Scale {
    type Error = ScaleError;

    fn try_from(exponent: i8) -> Result<Self, ScaleError> {
        Self::from_exponent(exponent)
    }
}

impl From<Scale> for i8 {
    fn from(scale: Scale) -> i8 {
        scale.0
    }
}

/// How far one unit can move the integer sum, where its whole contribution may be replaced by zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sensitivity {
    /// The largest squared L2 norm of one contribution, in squared grid points.
    pub squared_l2: u128,
    /// Entries of a contribution.
    pub dimension: u64,
}

impl Sensitivity {
    /// The bound to which clipped updates are rounded: Kairouz, Liu and Steinke 2021, theorem 1,
    /// with beta = e^(-1/2).
    ///
    /// With c the clip norm in grid points and d the dimension it is the smaller of c^2 + d/4 + c +
    /// sqrt(d)/2 and (c + sqrt(d))^2, rounded down. Stochastic rounding exceeds it with a chance of
    /// at most beta, and is then done again, so the bound holds for certain. (Conditioning so
    /// changes an entry's mean by next to nothing.) Without entries nothing moves.
    pub fn of_rounding(clip: ClipNorm, scale: Scale, dimension: u64) -> Self {
        if dimension == 0 {
            return Self { squared_l2: 0, dimension };
        }
        let (c, d) = (clip.get() * scale.get(), dimension as f64);
        let usual = c * c + d / 4.0 + (c + d.sqrt() / 2.0);
        let worst = (c + d.sqrt()) * (c + d.sqrt());
        Self { squared_l2: usual.min(worst) as u128, dimension }
    }

    /// One more entry, of at most `cap` grid points either way.
    pub fn with_entry(self, cap: u32) -> Self {
        let squared = u128::from(cap) * u128::from(cap);
        Self { squared_l2: self.squared_l2 + squared, dimension: self.dimension + 1 }
    }

    /// The sensitivity where a contribution may be replaced by any other: twice as far.
    pub fn replace_one(self) -> Self {
        Self { squared_l2: self.squared_l2 * 4, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finest(clients: u64, clip: f64, sigma: f64) -> Result<i8, ScaleError> {
        Scale::finest(clients, ClipNorm::new(clip).unwrap(), sigma).map(Scale::exponent)
    }

    /// N6.
    #[test]
    fn the_finest_scale_that_fits() {
        for (clients, clip, sigma, exponent) in [
            (1_000, 1.0, 2.0, 21),
            (10_000, 1.0, 2.0, 17),
            (10, 1.0, 2.0, 22),
            (496, 1.0, 2.0, 21), // 496 + 16 = 2^9: not under 2^31 at 2^22
            (495, 1.0, 2.0, 22),
            (1_000, 1024.0, 2048.0, 11),
            (1_000, 1.0, 2e30, -79),
            (1_000, 1e30, 2e30, -80),
            (1_000, 1e-10, 0.0, -80),
        ] {
            let found = finest(clients, clip, sigma);
            if exponent == -79 {
                assert!(matches!(found, Err(ScaleError::NoRoom { .. })));
            } else if exponent < COARSEST {
                let error = found.unwrap_err();
                assert!(matches!(error, ScaleError::Clip { .. }), "{error}");
                let text = error.to_string();
                assert!(text.contains("a clip norm of 1e") && text.len() < 200, "{text}");
            } else {
                assert_eq!(found, Ok(exponent), "{clients} {clip} {sigma}");
            }
        }
        assert!(finest(1 << 32, 1.0, 0.0).is_err());
        assert!(finest(2, 1.0, f64::INFINITY).is_err() && finest(2, 1.0, f64::NAN).is_err());
        assert!(serde_json::from_str::<Scale>("23").is_err());
    }

    #[test]
    fn rounding_widens_the_norm_as_in_the_paper() {
        let squared = |clip: f64, exponent, d| {
            let clip = ClipNorm::new(clip).unwrap();
            let scale = Scale::from_exponent(exponent).unwrap();
            Sensitivity::of_rounding(clip, scale, d).squared_l2
        };
        assert_eq!(squared(1.0, 6, 75_000), 4096 + 18_750 + 64 + 136);
        assert_eq!(squared(1.0, 10, 4), (1 << 20) + 1 + 1024 + 1);
        assert_eq!(squared(1.0, 0, 1), 2, "1 + 1/4 + 1 + 1/2 is under (1 + 1)^2");
    }
}
