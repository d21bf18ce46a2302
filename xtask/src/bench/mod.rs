//! Benchmarks: each writes docs/benchmarks/NAME.json and a table or plot in NAME.md.

mod beir;
mod cache;
pub mod federated;
mod kmeans;
mod report;
