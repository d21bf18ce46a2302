//! Threads to measure on, and clocks.

use std::time::{Duration, Instant};

use crate::EmbedError;

/// A run that is timed lasts at least this, so that reading the clock is no part of it worth mentioning.
const RUN: Duration = Duration::from_millis(5);
/// Runs at least.
const RUNS: u32 = 3;
/// Long enough for a thread to leave the processor, which is when the system writes down what it has used.
const PAUSE: Duration = Duration::from_micros(20);

/// Threads that models run on while they are measured, and no others.
pub struct Threads {
    pool: rayon::ThreadPool,
    /// Whether they work themselves; else they wait for a device, and only the clock tells how long.
    working: bool,
}

impl Threads {
    /// `count` threads.
    ///
    /// # Errors
    ///
    /// When the system gives none.
    pub fn new(count: usize) -> Result<Self, EmbedError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
        let pool = pool.map_err(|error| EmbedError::Backend(error.to_string()))?;
        Ok(Self { pool, working: true })
    }

    /// One thread, whose time is wall time.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn waiting() -> Result<Self, EmbedError> {
        Ok(Self { working: false, ..Self::new(1)? })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs `run` on them and returns the time it took: CPU time of the thread if there is only one and the
    /// system tells, else wall time.
    ///
    /// # Errors
    ///
    /// What `run` returns.
    pub fn time(
        &self,
        run: impl FnOnce() -> Result<(), EmbedError> + Send,
    ) -> Result<Duration, EmbedError> {
        let alone = self.working && self.count() == 1;
        self.pool.install(|| {
            let before = if alone { cpu() } else { None };
            let start = Instant::now();
            run()?;
            let wall = start.elapsed();
            Ok(match before {
                Some(before) => cpu().map_or(wall, |now| now.saturating_sub(before)),
                None => wall,
            })
        })
    }
}

/// The least seconds that a call of `run` takes on `threads`, of as many as fit `time` and three at the least. Calls
/// too short to be timed alone are timed together.
///
/// # Errors
///
/// What `run` returns.
pub fn least(
    threads: &Threads,
    time: Duration,
    run: impl Fn() -> Result<(), EmbedError> + Sync,
) -> Result<f64, EmbedError> {
    let start = Instant::now();
    let mut calls: u32 = 1;
    let timed = |calls: u32| threads.time(|| (0..calls).try_for_each(|_| run()));
    // The first is slower, as it reads what later ones find in the cache.
    let mut took = timed(calls)?;
    while took < RUN && calls < u32::MAX / 8 {
        calls = if took < RUN / 8 { calls * 8 } else { calls * 2 };
        took = timed(calls)?;
    }
    let mut least = took;
    let mut runs = 1;
    while runs < RUNS || start.elapsed() < time {
        least = least.min(timed(calls)?);
        runs += 1;
    }
    Ok(least.as_secs_f64() / f64::from(calls))
}

/// CPU time of this thread, where Linux tells.
fn cpu() -> Option<Duration> {
    std::thread::sleep(PAUSE);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_sleeps_uses_no_time_and_one_that_works_does() {
        let one = Threads::new(1).unwrap();
        if one.pool.install(cpu).is_none() {
            return;
        }
        let slept = one.time(|| {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        });
        assert!(slept.unwrap() < Duration::from_millis(50));
        let waited = Threads::waiting().unwrap().time(|| {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        });
        assert!(waited.unwrap() >= Duration::from_millis(100));
        let worked = one.time(|| {
            let start = one_ms_of_cpu();
            while cpu().is_some_and(|now| now < start) {}
            Ok(())
        });
        assert!(worked.unwrap() >= Duration::from_millis(1));
    }

    /// The CPU time of this thread a millisecond of work from now.
    fn one_ms_of_cpu() -> Duration {
        cpu().unwrap_or_default() + Duration::from_millis(1)
    }

    #[test]
    fn the_time_of_a_call_is_that_of_many_divided() {
        let two = Threads::new(2).unwrap();
        let nap = Duration::from_millis(1);
        let run = || {
            std::thread::sleep(nap);
            Ok(())
        };
        let seconds = least(&two, Duration::from_millis(30), run).unwrap();
        assert!(seconds >= nap.as_secs_f64(), "{seconds}");
    }

    #[test]
    fn what_fails_is_told() {
        let one = Threads::new(1).unwrap();
        let fails = || Err(EmbedError::Backend("on purpose".to_owned()));
        assert!(least(&one, RUN, fails).is_err());
    }
}
