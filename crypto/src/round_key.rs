//! Ephemeral keys over ristretto255 (RFC 9496): for agreement, and for secrets that are shared.
//!
//! One type serves both, as a share of the secret is then an element of the same field as the
//! secret, and whoever puts shares together can check the outcome against the public key.

use std::fmt;

use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use rand_core::CryptoRng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::shamir::random_scalar;

/// The secret half: a scalar. It does not print, is not `Clone`, and is wiped when dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct RoundSecret(pub(crate) Scalar);

impl RoundSecret {
    /// Draws a secret uniformly from the field.
    pub fn draw(rng: &mut impl CryptoRng) -> Self {
        Self(random_scalar(rng))
    }

    /// The public half.
    pub fn public(&self) -> RoundPublic {
        let point = &self.0 * RISTRETTO_BASEPOINT_TABLE;
        RoundPublic { bytes: point.compress().to_bytes(), point }
    }

    /// What the holders of the two secrets, and nobody else, can compute: the shared point's
    /// encoding. It is no key yet: derive one from it ([`crate::derive_key`]).
    pub fn agree(&self, other: &RoundPublic) -> Zeroizing<[u8; 32]> {
        Zeroizing::new((other.point * self.0).compress().to_bytes())
    }

    /// The scalar's 32 bytes, for deriving a key from it or keeping it.
    pub fn expose(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }
}

impl fmt::Debug for RoundSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RoundSecret(..)")
    }
}

/// The public half: the canonical encoding of a group element that is not the identity, and the
/// element, which takes a square root to find.
#[derive(Clone, Copy)]
pub struct RoundPublic {
    bytes: [u8; 32],
    point: RistrettoPoint,
}

impl PartialEq for RoundPublic {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for RoundPublic {}

/// Bytes that encode no element of ristretto255, or the identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid ristretto255 public key")]
pub struct InvalidRoundKey;

impl RoundPublic {
    /// Checks that `bytes` are the canonical encoding of an element other than the identity.
    ///
    /// # Errors
    /// [`InvalidRoundKey`] otherwise.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidRoundKey> {
        let point = CompressedRistretto(bytes).decompress().ok_or(InvalidRoundKey)?;
        if point.is_identity() { Err(InvalidRoundKey) } else { Ok(Self { bytes, point }) }
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl fmt::Debug for RoundPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoundPublic({})", crate::Digest::from_bytes(self.bytes).short())
    }
}

impl Serialize for RoundPublic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::Digest::from_bytes(self.bytes).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RoundPublic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = crate::Digest::deserialize(deserializer)?;
        Self::from_bytes(*bytes.as_bytes()).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// RFC 9496, A.1: the encodings of the multiples 0 to 3 of the generator.
    #[test]
    fn multiples_of_the_generator_agree_with_the_published_vectors() {
        let expected = [
            "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
            "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
            "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
        ];
        for (n, expected) in (1_u64..).zip(expected) {
            let public = RoundSecret(Scalar::from(n)).public();
            assert_eq!(HEXLOWER.encode(public.as_bytes()), expected);
        }
        assert_eq!(RoundPublic::from_bytes([0; 32]), Err(InvalidRoundKey), "the identity");
    }

    /// RFC 9496, A.2: encodings that must be refused (one of each kind).
    #[test]
    fn encodings_that_are_none_are_refused() {
        let bad = [
            "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
            "47cfc5497c53dc8e61c91d17fd626ffb1c49e2bca94eed052281b510b1117a24",
        ];
        for text in bad {
            let bytes = HEXLOWER.decode(text.as_bytes()).expect("hex");
            let bytes = bytes.try_into().expect("32 bytes");
            assert_eq!(RoundPublic::from_bytes(bytes), Err(InvalidRoundKey), "{text}");
        }
    }

    #[test]
    fn two_agree_and_a_third_does_not() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let [a, b, c] = [(); 3].map(|()| RoundSecret::draw(&mut rng));
        assert_eq!(a.agree(&b.public()), b.agree(&a.public()));
        assert_ne!(a.agree(&b.public()), a.agree(&c.public()));
        assert_eq!(format!("{a:?}"), "RoundSecret(..)");
    }
}
