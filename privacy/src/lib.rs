//! Differential privacy for Covey: units, mechanisms, accountants and the ledger's rules.
//!
//! This crate does no IO, reads no clock and draws no ambient randomness: whoever calls it hands in
//! the generator. Nothing here is sampled from floating point numbers, and every figure that is
//! reported to somebody as a privacy cost is rounded up.
//!
//! Start from [`types`] (epsilon, delta and their relatives as checked numbers), and for an update's way into a sum
//! from [`encode`] (docs/spec/noise.md). What it costs: [`accountant`]; who may spend it: [`ledger`]; before anybody joins:
//! [`plan`] (docs/spec/privacy.md).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod accountant;
pub mod audit;
pub mod clip;
pub mod encode;
pub mod grid;
pub mod ledger;
pub mod noise;
pub mod plan;
pub mod rng;
pub mod sample;
pub mod sharers;
pub mod statement;
#[cfg(test)]
mod testing;
pub mod types;

pub use sharers::Sharers;
pub use types::{ClipNorm, Delta, Epsilon, NoiseMultiplier, OutOfRange, Rho, Shown};
