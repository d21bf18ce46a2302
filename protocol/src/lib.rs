//! Covey's protocols as pure state machines, and the types they put on the wire.
//!
//! Nothing here does IO, reads a clock or draws ambient randomness: a machine takes an input, the
//! time and, where it needs one, a generator, and returns effects. The async shells that carry
//! those effects out live in `covey-node`.
//!
//! Start from [`group::Log`] (the signed membership log, docs/spec/group.md), [`search`] (the
//! federated query, docs/spec/search.md), [`round`] (learning together, docs/spec/round.md) or [`secagg`] (the sums of
//! vectors that nobody sees which a round is made of, docs/spec/secagg.md; `examples/secure_sum.rs` is one from its start to its end,
//! with noise); [`wire`] has the encoding.
#![forbid(unsafe_code)]

mod checks;
pub mod group;
pub mod ids;
pub mod limits;
pub mod round;
pub mod search;
pub mod secagg;
pub mod wire;
