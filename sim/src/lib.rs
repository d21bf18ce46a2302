//! Many Covey nodes in one process: the node's own code, unchanged, over an in-memory link.
//!
//! [`run_scenario`] is the thing to start from for a whole scenario, and [`World`] for nodes alone: it makes them, carries their calls, and breaks
//! their network. On a current-thread runtime with its clock paused ([`run`]) an hour of their time passes
//! in seconds, and the same seed gives the same messages. This crate has no copy of any logic of a
//! node: what happens here is what happens between daemons.
#![forbid(unsafe_code)]

mod attack;
mod corpus;
pub mod crooked;
pub mod data;
mod draw;
mod hour;
pub mod learner;
pub mod metrics;
pub mod report;
mod run;
pub mod run_folder;
pub mod scenario;
pub mod searching;
pub mod seed;
mod spill;
mod surroundings;
pub mod sweep;
pub mod training;
mod usage;
mod world;

use std::future::Future;

pub use corpus::{Topic, document};
pub use hour::{Hour, HourReport};
pub use run::{Begin, Happened, run_scenario};
pub use usage::usage;
pub use world::{Peer, SimError, World};

/// Runs `work` on one thread in virtual time: while everybody waits, the clock jumps ahead.
///
/// # Errors
/// If the runtime cannot be made.
pub fn run<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(work))
}
