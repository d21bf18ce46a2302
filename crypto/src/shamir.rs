//! Shamir's secret sharing (1979) over the scalar field of ristretto255.
//!
//! The place of a share (its x) is a number from 1 that the holder has anyway, so a share is one
//! field element of 32 bytes. Coefficients are uniform, so fewer shares than the threshold are
//! independent of the secret. Nothing here depends on secrets in its timing: the places are public.

use std::collections::BTreeSet;
use std::fmt;

use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::RoundSecret;

/// One share: a field element. It does not print, is not `Clone`, and is wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Share(Scalar);

impl Share {
    /// Reads a share from its canonical encoding; `None` if the number is not reduced.
    pub fn from_bytes(bytes: [u8; 32]) -> Option<Self> {
        Option::from(Scalar::from_canonical_bytes(bytes)).map(Self)
    }

    /// The 32 bytes, for sealing or revealing it.
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share(..)")
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_bytes().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Zeroizing::new(<[u8; 32]>::deserialize(deserializer)?);
        Self::from_bytes(*bytes).ok_or_else(|| de::Error::custom("not a reduced scalar"))
    }
}

/// Why shares cannot be dealt or put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShamirError {
    /// A threshold of none, or of more shares than there are.
    #[error("a threshold of {threshold} does not fit {shares} shares")]
    Threshold {
        /// The threshold asked for.
        threshold: usize,
        /// How many shares there are.
        shares: usize,
    },
    /// A place is zero (where the secret is) or given twice.
    #[error("place {0} is zero or given twice")]
    Place(u32),
}

/// Deals shares of `secret` at the given `places`, so that any `threshold` of them recover it.
///
/// # Errors
/// [`ShamirError`] if threshold or places are unusable.
pub fn deal(
    secret: &RoundSecret,
    threshold: usize,
    places: &[u32],
    rng: &mut impl CryptoRng,
) -> Result<Vec<Share>, ShamirError> {
    if threshold == 0 || threshold > places.len() {
        return Err(ShamirError::Threshold { threshold, shares: places.len() });
    }
    check(places)?;
    let mut coefficients = Zeroizing::new(vec![secret.0]);
    coefficients.extend((1..threshold).map(|_| random_scalar(rng)));
    Ok(places
        .iter()
        .map(|&place| {
            let x = Scalar::from(place);
            let horner = |sum, coefficient: &Scalar| sum * x + coefficient;
            Share(coefficients.iter().rev().fold(Scalar::ZERO, horner))
        })
        .collect())
}

/// Lagrange's coefficients at zero for one set of places: computed once, used for every secret of
/// which the same holders' shares are at hand.
#[derive(Debug, Clone)]
pub struct Recovery {
    coefficients: Vec<Scalar>,
}

impl Recovery {
    /// For shares at `places`; as many as the threshold are enough.
    ///
    /// # Errors
    /// [`ShamirError`] if there is none, or a place is zero or given twice.
    pub fn at(places: &[u32]) -> Result<Self, ShamirError> {
        if places.is_empty() {
            return Err(ShamirError::Threshold { threshold: 0, shares: 0 });
        }
        check(places)?;
        let xs: Vec<Scalar> = places.iter().map(|&place| Scalar::from(place)).collect();
        let mut below: Vec<Scalar> = xs
            .iter()
            .enumerate()
            .map(|(i, x)| {
                let others = xs.iter().enumerate().filter(|(j, _)| *j != i);
                others.fold(Scalar::ONE, |product, (_, other)| product * (other - x))
            })
            .collect();
        Scalar::invert_batch_alloc(&mut below);
        let above = xs.iter().fold(Scalar::ONE, |product, x| product * x);
        let mut inverses = xs;
        Scalar::invert_batch_alloc(&mut inverses);
        let coefficients =
            below.iter().zip(&inverses).map(|(below, inverse)| above * inverse * below).collect();
        Ok(Self { coefficients })
    }

    /// The secret that `shares`, in the order of the places, lie around. It is right only if they
    /// are: compare its public half with the one that was published.
    ///
    /// # Errors
    /// [`ShamirError::Threshold`] if there are not as many shares as places.
    pub fn secret(&self, shares: &[&Share]) -> Result<RoundSecret, ShamirError> {
        if shares.len() != self.coefficients.len() {
            let threshold = self.coefficients.len();
            return Err(ShamirError::Threshold { threshold, shares: shares.len() });
        }
        let terms = self.coefficients.iter().zip(shares);
        Ok(RoundSecret(terms.map(|(coefficient, share)| coefficient * share.0).sum()))
    }
}

/// A uniform field element, from 64 bytes so that the bias is below 2^-252.
pub(crate) fn random_scalar(rng: &mut impl CryptoRng) -> Scalar {
    let mut wide = Zeroizing::new([0; 64]);
    rng.fill_bytes(wide.as_mut());
    Scalar::from_bytes_mod_order_wide(&wide)
}

fn check(places: &[u32]) -> Result<(), ShamirError> {
    let mut seen = BTreeSet::new();
    match places.iter().find(|place| **place == 0 || !seen.insert(**place)) {
        Some(place) => Err(ShamirError::Place(*place)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    fn chosen(shares: &[Share], at: &[usize]) -> RoundSecret {
        let places: Vec<u32> = at.iter().map(|&i| i as u32 + 1).collect();
        let shares: Vec<&Share> = at.iter().map(|&i| &shares[i]).collect();
        Recovery::at(&places).expect("places").secret(&shares).expect("as many")
    }

    proptest! {
        #[test]
        fn any_threshold_of_shares_recovers_and_one_less_does_not(
            seed: u64, n in 2_usize..20, threshold in 2_usize..20,
            order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let threshold = threshold.min(n);
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let secret = RoundSecret::draw(&mut rng);
            let places: Vec<u32> = (1..=n as u32).collect();
            let shares = deal(&secret, threshold, &places, &mut rng).expect("deals");
            let at: Vec<usize> = order.into_iter().filter(|i| *i < n).collect();
            prop_assert_eq!(chosen(&shares, &at[..threshold]).public(), secret.public());
            prop_assert_eq!(chosen(&shares, &at).public(), secret.public());
            prop_assert_ne!(chosen(&shares, &at[..threshold - 1]).public(), secret.public());
        }
    }

    /// Worked by hand: f(x) = 1234 + 166 x + 94 x^2, the usual textbook polynomial.
    #[test]
    fn a_polynomial_worked_by_hand() {
        let shares = [(1_u32, 1494_u64), (2, 1942), (3, 2578)];
        let shares = shares.map(|(place, y)| (place, Share(Scalar::from(y))));
        let places = shares.each_ref().map(|(place, _)| *place);
        let values = shares.each_ref().map(|(_, share)| share);
        let secret = Recovery::at(&places).expect("places").secret(&values).expect("as many");
        assert_eq!(secret.0, Scalar::from(1234_u64));
    }

    #[test]
    fn what_cannot_be_shared_is_refused() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let secret = RoundSecret::draw(&mut rng);
        let mut refused = |threshold, places: &[u32]| {
            deal(&secret, threshold, places, &mut rng).expect_err("refused")
        };
        assert_eq!(refused(0, &[1]), ShamirError::Threshold { threshold: 0, shares: 1 });
        assert_eq!(refused(3, &[1, 2]), ShamirError::Threshold { threshold: 3, shares: 2 });
        assert_eq!(refused(1, &[1, 0]), ShamirError::Place(0));
        assert_eq!(refused(1, &[4, 4]), ShamirError::Place(4));
        assert!(Recovery::at(&[]).is_err() && Recovery::at(&[2, 2]).is_err());
        assert!(Recovery::at(&[1]).expect("one").secret(&[]).is_err());
        assert!(Share::from_bytes([0xff; 32]).is_none(), "not reduced");
    }
}
