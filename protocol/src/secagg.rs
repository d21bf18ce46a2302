//! Secure aggregation: the sum of many clients' vectors modulo 2^32, and nothing else.
//!
//! Double masking with recovery (Bonawitz et al., CCS 2017) on a complete graph, and on a sparse
//! one whose neighbours each client draws itself (Bell et al., CCS 2020), with the protections
//! against a malicious coordinator in both. docs/spec/secagg.md has the protocol, its numbered
//! checks and what it does and does not hide.
//!
//! Each role is a chain of types, one a phase: a message moves a phase into the next, and what was
//! secret in it goes with it or is wiped.
//!
//! | phase | client | server |
//! | --- | --- | --- |
//! | keys | [`client::Joining`] | [`server::Gathering`] |
//! | graph (sparse only) | [`client::Choosing`] | [`server::Seated`] |
//! | shares | [`client::Enrolled`], [`client::Dealt`] | [`server::Sharing`] |
//! | masked vectors | [`client::Masking`] | [`server::Summing`] |
//! | survivors | [`client::Masked`] | [`server::Surviving`] |
//! | unmasking | [`client::Agreed`] | [`server::Unmasking`] |
//!
//! [`Pool`] is neither: it is what a coordinator and its colluders can open between them, for tests and simulations.
//!
//! Start from [`Terms`], which both roles are made of; `examples/secure_sum.rs` has a whole sum. What clients send has no noise but what they
//! added before: it has to be made for [`Parameters::sharers`] (N14 of docs/spec/noise.md), which [`round`](crate::round) sees to.

pub mod client;
mod fault;
mod keys;
mod members;
mod pool;
mod seats;
pub mod server;
mod tails;
mod terms;
mod thresholds;

pub use fault::{Check, Culprit, Fault, Reason};
pub use keys::Kind;
pub use members::{Members, TooManyMembers};
pub use pool::{Closed, Pool, Recovered};
pub use seats::{Seat, SeatSet};
pub use terms::{Bounds, Demands, Parameters, Terms, Topology};
pub use thresholds::{Thresholds, Unreachable};
