//! The messages of protocol version 1. The stream protocol's name carries the version; every
//! request carries an id that its reply repeats; an enum's tag is the position of its variant, so
//! new variants are added at the end only.

pub mod group;
pub mod round;
pub mod search;
pub mod secagg;
