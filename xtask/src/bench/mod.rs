//! Benchmarks: each writes docs/benchmarks/NAME.json and a table or plot in NAME.md.

pub mod adopt;
mod cache;
pub mod embedder;
pub mod experiments;
pub mod federated;
pub mod index;
pub mod privacy;
mod report;
pub mod rounds;
pub mod secagg;
pub mod simulator;
mod svg;
