//! Computing for many nodes of one process on virtual time: what they ask for at one instant is done on all processors while the process goes on with what
//! happens in the next [`TAKES`] of virtual time, and what comes of it is handed out then, in the order of asking, so that nothing depends on which
//! processor was faster.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use rayon::prelude::*;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

/// How long computing takes in virtual time, whatever it is.
pub const TAKES: Duration = Duration::from_millis(10);

/// Work of many that is done together. Somebody has to [`Together::run`] it.
#[derive(Default)]
pub struct Together {
    waiting: Mutex<Vec<Job>>,
    woken: Notify,
}

/// Computes, and gives what hands the result out.
type Job = Box<dyn FnOnce() -> HandOut + Send>;
type HandOut = Box<dyn FnOnce() + Send>;

/// Jobs that were begun at one instant, and when what comes of them is handed out.
struct Batch {
    due: Instant,
    done: mpsc::Receiver<Vec<HandOut>>,
}

impl Together {
    /// Nothing to do yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does what is asked for, for as long as it is polled.
    pub async fn run(&self) {
        let mut under_way: VecDeque<Batch> = VecDeque::new();
        loop {
            let due = under_way.front().map(|batch| batch.due);
            tokio::select! {
                biased;
                () = self.woken.notified() => {
                    under_way.push_back(Batch::begin(std::mem::take(&mut *self.lock())));
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let Some(batch) = under_way.pop_front() else { continue };
                    batch.hand_out();
                }
            }
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

impl Batch {
    fn begin(jobs: Vec<Job>) -> Self {
        let (sender, done) = mpsc::channel();
        rayon::spawn(move || {
            // Nobody waits for it any more, if it cannot be sent.
            drop(sender.send(jobs.into_par_iter().map(|job| job()).collect()));
        });
        Self { due: Instant::now() + TAKES, done }
    }

    /// Holds the thread until all is done, so that a paused clock stands still meanwhile.
    fn hand_out(self) {
        let done = self.done.recv().unwrap_or_default();
        done.into_iter().for_each(|hand_out| hand_out());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_come_in_the_order_of_asking_and_take_as_long_as_all_do() {
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
        assert_eq!(begun.elapsed(), Duration::from_millis(4) + TAKES);
    }
}
