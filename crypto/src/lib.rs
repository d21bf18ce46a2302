//! Hashing, signing, agreement, secret sharing, masks and secret types for Covey.
//!
//! This crate does no IO, reads no clock and draws no ambient randomness: whoever calls it hands
//! in the seed or the generator. Start from [`SecretKey`] (a node's Ed25519 identity), [`Digest`]
//! (SHA-256 with a domain and framed parts, so that no two meanings share a preimage) and, for
//! secure aggregation (docs/spec/secagg.md), [`RoundSecret`].
#![forbid(unsafe_code)]

mod digest;
mod kdf;
mod mask;
mod merkle;
mod round_key;
mod seal;
mod secret;
pub mod shamir;
mod sign;

pub use digest::{Digest, DigestStream, ParseDigestError};
pub use kdf::derive_key;
pub use mask::MaskStream;
pub use merkle::{MerkleTree, are_leaves};
pub use round_key::{InvalidRoundKey, RoundPublic, RoundSecret};
pub use seal::{SEAL_OVERHEAD, Unopened, open, seal};
pub use secret::Secret32;
pub use shamir::Share;
pub use sign::{InvalidKey, InvalidSignature, PublicKey, SecretKey, Signature, verify_all};
