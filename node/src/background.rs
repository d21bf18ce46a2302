//! Threads for work that nobody waits for.

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use crate::api::{ApiError, ErrorCode};
use crate::env::Env;

/// How much nicer than others the threads are; the most there is.
const NICE: i32 = 19;

/// Threads of the lowest priority, one for each processor. Whoever asks for parallel work on one of them gets it from all of them.
pub(crate) fn threads() -> Result<ThreadPool, ThreadPoolBuildError> {
    ThreadPoolBuilder::new().start_handler(|_| be_nice()).build()
}

/// Does `work` on such threads, where blocking is fine.
pub(crate) async fn quietly<T: Send + 'static>(
    env: &Env,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let inline = env.stands_still();
    env.compute(move || {
        if inline {
            return work();
        }
        let threads = threads().map_err(|error| {
            let message = format!("cannot start threads to compute on: {error}");
            ApiError::new(ErrorCode::Internal, message)
        })?;
        threads.install(work)
    })
    .await
}

/// Lets every other thread go first. Linux counts this by thread; elsewhere nothing is lost.
fn be_nice() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}
