//! End-to-end tests: real `covey` processes with homes of their own, talking over loopback.
//!
//! A [`Person`] is a home; [`Person::run`] types a command, [`Person::daemon`] keeps a node running.
//! Nothing here sleeps for a fixed time: [`wait_until`] polls a condition up to a deadline. The tests are
//! in `tests/`, one file for each part of the story.
#![forbid(unsafe_code)]

mod binary;
mod crooked;
mod daemon;
pub mod learn;
mod memory;
mod person;
mod puppet;
mod raw;
mod script;

use std::time::{Duration, Instant};

pub use binary::covey;
pub use crooked::{Crooked, Lie, Saw};
pub use daemon::Daemon;
pub use memory::Needles;
pub use person::{Failure, Person, Run};
pub use puppet::{Before, Facts, Part, Puppet, oracle, until};
pub use raw::RawPeer;
pub use script::Lab;

/// How long anything may take before a test gives it up.
pub const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// Waits until `condition` gives something, and returns it.
///
/// # Panics
/// If that takes longer than [`PATIENCE`]; `what` says what was waited for.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(POLL);
    }
}

/// Waits until `condition` holds.
///
/// # Panics
/// If that takes longer than [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    wait_for(what, || condition().then_some(()));
}
