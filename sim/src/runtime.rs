//! The runtime on which virtual time passes.

use std::future::Future;

/// Runs `scenario` on a single-threaded runtime with its clock paused: time passes only while
/// everything waits, and then at once.
///
/// # Panics
/// If the runtime cannot be built, which needs no resource but memory.
pub fn virtual_time<T>(scenario: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without IO needs nothing from the system")
        .block_on(scenario)
}
