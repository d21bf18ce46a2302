//! Whose noise a sum certainly carries: the one place where that number is made.

use serde::{Deserialize, Serialize};

use crate::noise::{MAX_CLIENTS, NoiseError};

/// The fewest clients that a round may finish with, and how many of those count for nothing: they may
/// reveal their share of noise, add none, or be left out of the sum. The others are at least one.
///
/// For a secure sum both follow from its parameters ([`Sharers::of_sum`]), and a plan that counts on more is
/// refused ([`Sharers::within`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Counts", into = "Counts")]
pub struct Sharers {
    survivors: u32,
    colluders: u32,
}

#[derive(Serialize, Deserialize)]
struct Counts {
    survivors: u32,
    colluders: u32,
}

impl Sharers {
    /// `survivors` at least, `colluders` of whom count for nothing.
    ///
    /// # Errors
    /// N2 if nobody is left, N4 if they are more than [`MAX_CLIENTS`].
    pub const fn new(survivors: u32, colluders: u32) -> Result<Self, NoiseError> {
        if survivors > MAX_CLIENTS {
            return Err(NoiseError::TooMany(survivors));
        }
        if survivors <= colluders {
            return Err(NoiseError::NobodyHonest { survivors, colluders });
        }
        Ok(Self { survivors, colluders })
    }

    /// Those of a secure sum that is of at least `survivors` clients, `honest` of them honest and never apart:
    /// `Parameters::sharers` of `covey_protocol::secagg` has them, for every cohort that the round may have.
    ///
    /// # Errors
    /// N2, N4, or N14 if more are honest than survive.
    pub const fn of_sum(survivors: u32, honest: u32) -> Result<Self, NoiseError> {
        match survivors.checked_sub(honest) {
            Some(colluders) => Self::new(survivors, colluders),
            None => Err(NoiseError::CountsOnMore { counted: honest, certain: survivors }),
        }
    }

    /// The fewest survivors.
    pub const fn survivors(self) -> u32 {
        self.survivors
    }

    /// How many certainly add their share, and keep it to themselves.
    pub const fn honest(self) -> u32 {
        self.survivors - self.colluders
    }

    /// Whether a plan that counts on these may: `certain` are those of the secure sum that it runs on.
    ///
    /// # Errors
    /// N14 if it counts on more honest ones, or on more survivors.
    pub const fn within(self, certain: Self) -> Result<(), NoiseError> {
        let (counted, certain) = if self.survivors > certain.survivors {
            (self.survivors, certain.survivors)
        } else {
            (self.honest(), certain.honest())
        };
        if counted <= certain { Ok(()) } else { Err(NoiseError::CountsOnMore { counted, certain }) }
    }
}

impl TryFrom<Counts> for Sharers {
    type Error = NoiseError;

    fn try_from(Counts { survivors, colluders }: Counts) -> Result<Self, NoiseError> {
        Self::new(survivors, colluders)
    }
}

impl From<Sharers> for Counts {
    fn from(Sharers { survivors, colluders }: Sharers) -> Self {
        Self { survivors, colluders }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N2, N4, N14.
    #[test]
    fn somebody_is_left_whoever_makes_them() {
        let of = |survivors, honest| Sharers::of_sum(survivors, honest);
        assert_eq!(of(9, 7), Sharers::new(9, 2));
        assert_eq!(of(9, 7).unwrap().honest(), 7);
        assert_eq!(of(9, 0), Err(NoiseError::NobodyHonest { survivors: 9, colluders: 9 }));
        assert_eq!(of(9, 10), Err(NoiseError::CountsOnMore { counted: 10, certain: 9 }));
        assert_eq!(of(u32::MAX, 1), Err(NoiseError::TooMany(u32::MAX)));
        let json = serde_json::to_string(&of(9, 7).unwrap()).unwrap();
        assert_eq!(json, r#"{"survivors":9,"colluders":2}"#);
        assert_eq!(serde_json::from_str::<Sharers>(&json).unwrap(), of(9, 7).unwrap());
        assert!(serde_json::from_str::<Sharers>(r#"{"survivors":2,"colluders":3}"#).is_err());
    }

    /// N14.
    #[test]
    fn a_plan_counts_on_no_more_than_are_certain() {
        let certain = Sharers::of_sum(9, 7).unwrap();
        for (survivors, colluders, counted) in
            [(9, 2, None), (8, 1, None), (8, 4, None), (9, 1, Some(8)), (10, 3, Some(10))]
        {
            let refused = Sharers::new(survivors, colluders).unwrap().within(certain).err();
            let expected = counted.map(|counted| NoiseError::CountsOnMore {
                counted,
                certain: if counted == 10 { 9 } else { 7 },
            });
            assert_eq!(refused, expected, "{survivors} {colluders}");
        }
    }
}
