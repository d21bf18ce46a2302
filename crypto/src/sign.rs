//! Ed25519 signing (RFC 8032) with a domain, and strict verification.

mod recent;

use std::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Digest;

/// An Ed25519 secret key: a node's identity. Wiped when dropped; never printed; not `Clone`.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Derives the key from a 32-byte seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for storing the identity and for handing it to the transport.
    pub fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `message` under `domain`; a signature made for one purpose verifies for no other.
    pub fn sign(&self, domain: &str, message: &[u8]) -> Signature {
        let digest = Digest::of(domain, &[message]);
        Signature(self.0.sign(digest.as_bytes()).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(public: {:?})", self.public())
    }
}

/// A valid Ed25519 public key (a decodable curve point).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// Bytes that are no Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a valid Ed25519 public key")]
pub struct InvalidKey;

/// A signature that does not verify.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct InvalidSignature;

impl PublicKey {
    /// Checks that `bytes` decode to a curve point that is not of small order.
    ///
    /// # Errors
    /// [`InvalidKey`] otherwise.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, InvalidKey> {
        recent::valid(&bytes).map(|_| Self(bytes)).ok_or(InvalidKey)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Verifies strictly (no malleable signatures, no small-order keys).
    ///
    /// # Errors
    /// [`InvalidSignature`] if it was not made by this key for this domain and message.
    pub fn verify(
        &self,
        domain: &str,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), InvalidSignature> {
        let digest = Digest::of(domain, &[message]);
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        let key = recent::valid(&self.0).ok_or(InvalidSignature)?;
        key.verify_strict(digest.as_bytes(), &signature).map_err(|_| InvalidSignature)
    }
}

/// Signatures in one batch at least: below that one at a time is as fast.
const BATCH: usize = 4;

/// Verifies many signatures under one domain, each by its key over its message, in less than half of the time
/// that it takes one at a time.
///
/// It passes whatever passes [`PublicKey::verify`]. Beyond that it may pass what a key's owner bent itself
/// by a point of small order, now and not another time, but nothing that somebody without the secret made
/// (each signature counts with 128 bits drawn from all of the batch). So it serves where nobody is
/// blamed for a signature that others passed, and not where all must come to one verdict, as in a log. If it
/// does not pass, one at a time decides.
///
/// # Errors
/// [`InvalidSignature`] if one of them does not verify.
pub fn verify_all<'a, M: AsRef<[u8]> + 'a>(
    domain: &str,
    signed: impl IntoIterator<Item = (&'a PublicKey, M, &'a Signature)>,
) -> Result<(), InvalidSignature> {
    let signed: Vec<(&PublicKey, M, &Signature)> = signed.into_iter().collect();
    if signed.len() >= BATCH && batch(domain, &signed).is_some() {
        return Ok(());
    }
    signed.iter().try_for_each(|(key, message, it)| key.verify(domain, message.as_ref(), it))
}

fn batch<M: AsRef<[u8]>>(domain: &str, signed: &[(&PublicKey, M, &Signature)]) -> Option<()> {
    let digest = |(_, message, _): &(_, M, _)| Digest::of(domain, &[message.as_ref()]);
    let digests: Vec<Digest> = signed.iter().map(digest).collect();
    let digests: Vec<&[u8]> = digests.iter().map(|it| &it.as_bytes()[..]).collect();
    let signature = |(.., it): &(_, M, &Signature)| ed25519_dalek::Signature::from_bytes(&it.0);
    let signatures: Vec<ed25519_dalek::Signature> = signed.iter().map(signature).collect();
    let keys = signed.iter().map(|(key, ..)| recent::valid(&key.0));
    let keys: Vec<VerifyingKey> = keys.collect::<Option<_>>()?;
    ed25519_dalek::verify_batch(&digests, &signatures, &keys).ok()
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", Digest::from_bytes(self.0).short())
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Digest::from_bytes(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = Digest::deserialize(deserializer)?;
        Self::from_bytes(*bytes.as_bytes()).map_err(de::Error::custom)
    }
}

/// An Ed25519 signature, 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Wraps received bytes; [`PublicKey::verify`] decides what they are worth.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (low, high) = self.0.split_at(32);
        (
            <[u8; 32]>::try_from(low).unwrap_or_default(),
            <[u8; 32]>::try_from(high).unwrap_or_default(),
        )
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (low, high) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&low);
        bytes[32..].copy_from_slice(&high);
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_domain_and_message_only() {
        let key = SecretKey::from_seed(&[1; 32]);
        let other = SecretKey::from_seed(&[2; 32]);
        let signature = key.sign("a", b"m");
        let cases: [(&SecretKey, &str, &[u8], bool); 4] = [
            (&key, "a", b"m", true),
            (&key, "b", b"m", false),
            (&key, "a", b"n", false),
            (&other, "a", b"m", false),
        ];
        for (by, domain, message, valid) in cases {
            assert_eq!(by.public().verify(domain, message, &signature).is_ok(), valid);
        }
        let mut bent = *signature.as_bytes();
        bent[63] ^= 1;
        assert!(key.public().verify("a", b"m", &Signature::from_bytes(bent)).is_err());
    }

    /// Whichever of them is bent, and however, the batch is refused as it is one at a time; and the same again.
    #[test]
    fn a_batch_passes_what_passes_alone() {
        for count in [0, 1, BATCH - 1, BATCH, 40] {
            let keys: Vec<SecretKey> =
                (0..count).map(|n| SecretKey::from_seed(&[n as u8 + 1; 32])).collect();
            let public: Vec<PublicKey> = keys.iter().map(SecretKey::public).collect();
            let message = |n: usize| [n as u8; 7];
            let signatures: Vec<Signature> =
                keys.iter().enumerate().map(|(n, key)| key.sign("a", &message(n))).collect();
            let verify = |domain: &str, signatures: &[Signature]| {
                let all = public.iter().zip(signatures).enumerate();
                verify_all(domain, all.map(|(n, (key, it))| (key, message(n), it)))
            };
            assert_eq!(verify("a", &signatures), Ok(()));
            assert_eq!(verify("b", &signatures).is_ok(), count == 0);
            for at in [0, count / 2, count.saturating_sub(1)].into_iter().filter(|at| *at < count) {
                for byte in [0, 31, 32, 63] {
                    let mut bent = signatures.clone();
                    bent[at].0[byte] ^= 1;
                    assert_eq!(verify("a", &bent), Err(InvalidSignature), "{at} {byte}");
                }
                let mut other = signatures.clone();
                other[at] = keys[at].sign("a", b"another");
                assert_eq!(verify("a", &other), Err(InvalidSignature));
            }
            // Two wrong ones that make up for one another without the factors.
            if count >= 2 {
                let mut swapped = signatures.clone();
                swapped.swap(0, 1);
                assert_eq!(verify("a", &swapped), Err(InvalidSignature));
            }
        }
    }

    #[test]
    fn weak_and_undecodable_keys_are_refused() {
        assert_eq!(PublicKey::from_bytes([0; 32]), Err(InvalidKey));
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(PublicKey::from_bytes(one), Err(InvalidKey));
    }

    #[test]
    fn seed_round_trips_and_debug_hides_it() {
        let key = SecretKey::from_seed(&[3; 32]);
        assert_eq!(SecretKey::from_seed(&key.seed()).public(), key.public());
        assert!(!format!("{key:?}").contains("0303"));
    }
}
