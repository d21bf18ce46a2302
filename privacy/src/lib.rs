//! Differential privacy for Covey: units, mechanisms, accountants and the ledger's rules.
//!
//! This crate does no IO, reads no clock and draws no ambient randomness: whoever calls it hands in
//! the generator. Nothing here is sampled from floating point numbers, and every figure that is
//! reported to somebody as a privacy cost is rounded up.
//!
//! Start from [`types`] (epsilon, delta and their relatives as checked numbers).
#![forbid(unsafe_code)]

pub mod types;

pub use types::{ClipNorm, Delta, Epsilon, NoiseMultiplier, OutOfRange, Rho};
