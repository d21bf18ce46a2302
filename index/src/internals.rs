//! What fuzz targets and micro-benches reach of this crate's inside; behind the feature `internals`, and no
//! part of its interface.

pub mod bench;
pub mod fuzzing;
