//! Epsilon, delta and their relatives as numbers that were checked when they were made.

use std::fmt;

/// A number for people, as it is: with an exponent where it would have many zeros.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown(pub f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        if f.precision().is_none()
            && size != 0.0
            && size.is_finite()
            && !(1e-4..1e6).contains(&size)
        {
            return write!(f, "{:e}", self.0);
        }
        self.0.fmt(f)
    }
}

/// A number that is outside of what its type allows.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{what} is {}, and must be {range}", Shown(*.value))]
pub struct OutOfRange {
    /// Which quantity.
    pub what: &'static str,
    /// The number given.
    pub value: f64,
    /// What it may be, in words.
    pub range: &'static str,
}

/// A checked `f64` with `new`, `get`, serde and `Display`.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $what:literal, $range:literal, $holds:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Checks `value`.
            ///
            /// # Errors
            #[doc = concat!("[`OutOfRange`](crate::OutOfRange) unless it is ", $range, ".")]
            pub fn new(value: f64) -> Result<Self, $crate::OutOfRange> {
                let holds: fn(f64) -> bool = $holds;
                if holds(value) {
                    Ok(Self(value))
                } else {
                    Err($crate::OutOfRange { what: $what, value, range: $range })
                }
            }

            /// The number.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = $crate::OutOfRange;

            fn try_from(value: f64) -> Result<Self, $crate::OutOfRange> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                $crate::types::Shown(self.0).fmt(f)
            }
        }
    };
}

pub(crate) use checked;

checked! {
    /// Epsilon of (epsilon, delta)-differential privacy (Dwork and Roth 2014, definition 2.4).
    Epsilon, "epsilon", "finite and at least 0", |value| value.is_finite() && value >= 0.0
}
checked! {
    /// Delta of (epsilon, delta)-differential privacy.
    Delta, "delta", "above 0 and below 1", |value| value > 0.0 && value < 1.0
}
checked! {
    /// Rho of zero-concentrated differential privacy (Bun and Steinke 2016).
    Rho, "rho", "finite and at least 0", |value| value.is_finite() && value >= 0.0
}
checked! {
    /// Standard deviation of the noise on a sum, as a multiple of its sensitivity.
    NoiseMultiplier, "the noise multiplier", "finite and above 0",
    |value| value.is_finite() && value > 0.0
}
checked! {
    /// Largest L2 norm of one contribution, in the contribution's own units.
    ClipNorm, "the clip norm", "finite and above 0", |value| value.is_finite() && value > 0.0
}

impl Epsilon {
    /// Nothing learnt.
    pub const ZERO: Self = Self(0.0);
}

impl NoiseMultiplier {
    /// As much as the sensitivity.
    pub const ONE: Self = Self(1.0);
}

impl Rho {
    /// Nothing spent.
    pub const ZERO: Self = Self(0.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_without_many_zeros() {
        for (value, expected) in [
            (0.0, "0"),
            (8.0, "8"),
            (0.0001, "0.0001"),
            (1e-5, "1e-5"),
            (999_999.0, "999999"),
            (-2.5e300, "-2.5e300"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(Shown(value).to_string(), expected);
        }
        assert_eq!(Delta::new(1e-5).unwrap().to_string(), "1e-5");
        let error = ClipNorm::new(-1e300).unwrap_err().to_string();
        assert_eq!(error, "the clip norm is -1e300, and must be finite and above 0");
    }

    #[test]
    fn constructors_and_serde_refuse_the_same() {
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY, 1.0] {
            assert!(Delta::new(value).is_err(), "{value}");
        }
        assert!(serde_json::from_str::<Delta>("0.00001").is_ok());
        assert!(serde_json::from_str::<Delta>("1.5").is_err());
        assert!(serde_json::from_str::<Epsilon>("-0.5").is_err());
        assert!(Epsilon::new(0.0).is_ok() && Epsilon::new(f64::NAN).is_err());
        assert!(ClipNorm::new(0.0).is_err() && NoiseMultiplier::new(f64::INFINITY).is_err());
    }
}
