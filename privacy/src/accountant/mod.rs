//! Accountants: from noise, rounds and sampling to epsilon at a delta, never below the true value.
//!
//! | accountant | for | is |
//! | --- | --- | --- |
//! | [`Mu`] | Gaussian noise, everybody in every round (q = 1) | exact |
//! | [`zcdp`] | what the ledger adds up | an upper bound, some 8% above exact |
//! | [`rdp`] | Poisson sampling | an upper bound, quick |
//! | [`pld`] | Poisson sampling | an upper bound, within a few parts in ten thousand |
//!
//! Start from [`Mu::epsilon`] for joined rounds and [`pld::epsilon`] where sampling is truly Poisson.
//! Formulas and rounding rules: docs/spec/privacy.md.

mod calibrate;
mod gaussian;
mod normal;
pub mod pld;
pub mod rdp;
mod search;
pub mod zcdp;

use serde::{Deserialize, Serialize};

use crate::encode::LayoutError;
use crate::types::checked;
use crate::{NoiseMultiplier, OutOfRange};

pub use calibrate::{calibrate, calibrate_sampled};
pub use gaussian::Mu;

/// Most rounds an accountant is asked about.
pub const MAX_ROUNDS: u32 = 100_000_000;

/// How many rounds: 1 to [`MAX_ROUNDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Rounds(u32);

impl Rounds {
    /// A single round.
    pub const ONE: Self = Self(1);

    /// Checks `rounds`.
    ///
    /// # Errors
    /// [`OutOfRange`] unless it is from 1 to [`MAX_ROUNDS`].
    pub fn new(rounds: u32) -> Result<Self, OutOfRange> {
        if (1..=MAX_ROUNDS).contains(&rounds) {
            Ok(Self(rounds))
        } else {
            let range = "from 1 to 100,000,000";
            Err(OutOfRange { what: "the number of rounds", value: rounds.into(), range })
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Rounds {
    type Error = OutOfRange;

    fn try_from(rounds: u32) -> Result<Self, OutOfRange> {
        Self::new(rounds)
    }
}

impl From<Rounds> for u32 {
    fn from(rounds: Rounds) -> Self {
        rounds.0
    }
}

checked! {
    /// The chance with which each unit enters a round, drawn anew and independently for each unit and each round.
    ///
    /// Only that is Poisson sampling. A cohort of fixed size, one drawn by shuffling, or whoever happens to be
    /// online, is not, and the bounds that take a `PoissonRate` are wrong for it.
    PoissonRate, "the sampling rate", "above 0 and at most 1", |value| value > 0.0 && value <= 1.0
}

/// Rounds of Gaussian noise over a Poisson sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledRounds {
    /// The chance to be in a round.
    pub rate: PoissonRate,
    /// Noise on the sum, as a multiple of one unit's largest contribution.
    pub noise: NoiseMultiplier,
    /// How many.
    pub rounds: Rounds,
}

/// A cost that an accountant cannot state.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AccountingError {
    /// The loss is beyond what a double holds, or no bound was found.
    #[error(
        "there is no finite bound on epsilon for {0}; use more noise, fewer rounds or a larger delta"
    )]
    Unbounded(&'static str),
    /// Nothing to account for, or too many different kinds of rounds.
    #[error("between 1 and {max} kinds of rounds can be accounted for together, not {count}")]
    Kinds {
        /// How many were given.
        count: usize,
        /// How many may be.
        max: usize,
    },
    /// A search for noise that found none.
    #[error(
        "no noise multiplier up to {largest:e} keeps that epsilon; raise epsilon or delta, or plan fewer rounds"
    )]
    NoNoise {
        /// The largest tried.
        largest: f64,
    },
    /// Updates that no sum can hold, with whatever noise.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}
