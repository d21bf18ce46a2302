//! Computing for many nodes of one process on virtual time: what they ask for at one instant is done on all processors, and what comes of it
//! is handed out in the order of asking, so that nothing depends on which processor was faster.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use tokio::sync::{Notify, oneshot};

/// Work of many that is done together. Somebody has to [`Together::run`] it.
#[derive(Default)]
pub struct Together {
    waiting: Mutex<Vec<Job>>,
    woken: Notify,
}

/// Computes, and gives what hands the result out.
type Job = Box<dyn FnOnce() -> HandOut + Send>;
type HandOut = Box<dyn FnOnce() + Send>;

impl Together {
    /// Nothing to do yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does what is asked for, for as long as it is polled. The thread is held meanwhile, so that a paused clock stands still.
    pub async fn run(&self) {
        loop {
            self.woken.notified().await;
            let jobs = std::mem::take(&mut *self.lock());
            let done: Vec<HandOut> = jobs.into_par_iter().map(|job| job()).collect();
            done.into_iter().for_each(|hand_out| hand_out());
        }
    }

    /// Asks for `work`. A panic in it is passed on.
    pub(crate) async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, result) = oneshot::channel();
        let job = move || -> HandOut {
            let value = catch_unwind(AssertUnwindSafe(work));
            // Nobody waits for it any more, if it cannot be sent.
            Box::new(move || drop(sender.send(value)))
        };
        self.lock().push(Box::new(job));
        self.woken.notify_one();
        match result.await {
            Ok(Ok(value)) => value,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => std::future::pending().await,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_come_in_the_order_of_asking_and_no_time_passes() {
        let (together, order) = (Arc::new(Together::new()), Arc::new(Mutex::new(Vec::new())));
        let running = together.clone();
        tokio::spawn(async move { running.run().await });
        let begun = Instant::now();
        let tasks = (0..50_u64).map(|number| {
            let (together, order) = (together.clone(), order.clone());
            tokio::spawn(async move {
                sleep(Duration::from_millis(number / 10)).await;
                // The first of each ten takes longest.
                let length = 10 - number % 10;
                let found = together
                    .compute(move || {
                        std::thread::sleep(Duration::from_millis(length));
                        number
                    })
                    .await;
                order.lock().expect("nobody panicked").push(found);
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("it ends");
        }
        assert_eq!(*order.lock().expect("nobody panicked"), (0..50).collect::<Vec<_>>());
        assert_eq!(begun.elapsed(), Duration::from_millis(4));
    }
}
