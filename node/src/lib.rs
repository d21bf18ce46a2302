//! A Covey node: collections, groups, the federated query and the local API.
//!
//! [`Node`](node::Node) is the thing to start from. It is generic over a [`covey_net::Link`] and takes its
//! clock, its generator, its stores and its embedders from whoever builds it, so that the daemon
//! and the simulator run the same code; it never reads the wall clock, a global generator or a
//! socket itself. `daemon` builds one for real use, docs/ARCHITECTURE.md has the map.
#![forbid(unsafe_code)]

mod accept;
mod addresses;
pub mod api;
pub mod audit;
mod background;
pub mod backup;
pub mod cancel;
pub mod collections;
pub mod config;
pub mod daemon;
pub mod directory;
pub mod durable;
pub mod env;
mod errors;
mod groups;
mod held_out;
pub mod home;
pub mod identity;
mod learn;
pub mod machine;
pub mod metrics;
pub mod models;
pub mod node;
pub mod opened;
mod personal;
mod query;
mod reach;
pub mod rounds;
mod shares;
pub mod store;
mod sync;
pub mod together;
pub mod unit;
