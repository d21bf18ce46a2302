//! Rho as a whole number, so that sums are exact and the same everywhere.

use serde::{Deserialize, Serialize};

use crate::Rho;

/// 2^40 of these make a rho of one.
const UNIT: f64 = (1_u64 << 40) as f64;

/// A cost in 2^-40ths of rho.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Charge(u64);

impl Charge {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// More than any budget.
    pub const EVERYTHING: Self = Self(u64::MAX);

    /// What a release of `rho` costs, rounded up.
    pub fn of(rho: Rho) -> Self {
        Self((rho.get() * UNIT).ceil() as u64)
    }

    /// The most that a limit of `rho` lets through, rounded down; never everything.
    pub fn within(rho: Rho) -> Self {
        Self(((rho.get() * UNIT).floor() as u64).min(u64::MAX - 1))
    }

    /// From its number of 2^-40ths.
    pub const fn from_units(units: u64) -> Self {
        Self(units)
    }

    /// Its number of 2^-40ths.
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Both. A sum beyond the largest number stays everything.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// `count` times as much. A product beyond the largest number stays everything.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }

    /// What is left after `other`.
    #[must_use]
    pub const fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// As rho, rounded up.
    pub fn rho(self) -> Rho {
        let units = self.0 as f64;
        // Above 2^53 the conversion may have rounded down.
        let units = if self.0 > 1 << 53 { units.next_up() } else { units };
        Rho::new(units / UNIT).expect("a whole number over 2^40 is finite and not negative")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_against_the_spender() {
        let rho = |value| Rho::new(value).unwrap();
        for value in [0.0, 1e-300, 1e-13, 0.1, 0.125, 3.7, 8000.0] {
            assert!(Charge::of(rho(value)).rho() >= rho(value));
            assert!(Charge::within(rho(value)).rho().get() <= value);
        }
        assert_eq!(Charge::of(rho(1e-300)).units(), 1);
        assert_eq!(Charge::of(rho(1e300)), Charge::EVERYTHING);
        assert!(Charge::within(rho(1e300)) < Charge::EVERYTHING);
        assert_eq!(Charge::EVERYTHING.and(Charge::of(rho(1.0))), Charge::EVERYTHING);
        assert_eq!(Charge::from_units(3).times(4), Charge::from_units(12));
        assert_eq!(Charge::from_units((u64::MAX >> 2) + 1).times(4), Charge::EVERYTHING);
    }
}
