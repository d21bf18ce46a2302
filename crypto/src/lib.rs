//! Hashing, signing and secret types for Covey.
//!
//! This crate does no IO, reads no clock and draws no ambient randomness: whoever calls it hands
//! in the seed. Start from [`SecretKey`] (a node's Ed25519 identity) and [`Digest`] (SHA-256 with a
//! domain and framed parts, so that no two meanings share a preimage).
#![forbid(unsafe_code)]

mod digest;
mod secret;
mod sign;

pub use digest::{Digest, ParseDigestError};
pub use secret::Secret32;
pub use sign::{InvalidKey, InvalidSignature, PublicKey, SecretKey, Signature};
