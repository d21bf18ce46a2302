//! What this process has used so far, as Linux tells it.

use std::fs;
use std::time::{Duration, Instant};

use super::rows::Build;

/// Clock ticks a second in /proc, the same on every Linux that Rust runs on.
const TICKS: u64 = 100;

/// CPU time of all threads, those that ended too, in steps of 10 ms.
pub fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold anything, spaces too.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// CPU time of the threads that are alive, to the nanosecond.
pub fn cpu_of_threads() -> Duration {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Resident memory and its peak, MiB.
pub fn memory() -> (f64, f64) {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        kib.unwrap_or_default() / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// The machine's load over the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

/// Measures one build.
pub struct Meter {
    start: Instant,
    cpu: Duration,
    before_mb: f64,
}

impl Meter {
    pub fn start() -> Self {
        Self { start: Instant::now(), cpu: cpu(), before_mb: memory().0 }
    }

    /// What it took, without the wall and CPU time that are `left_out`.
    pub fn stop(self, threads: u32, left_out: (Duration, Duration)) -> Build {
        Build {
            threads,
            wall_s: self.start.elapsed().saturating_sub(left_out.0).as_secs_f64(),
            cpu_s: cpu().saturating_sub(self.cpu).saturating_sub(left_out.1).as_secs_f64(),
            peak_mb: memory().1,
            before_mb: self.before_mb,
            load: load(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_memory() {
        let (coarse, fine) = (cpu(), cpu_of_threads());
        let kept: Vec<u64> = (0..4 << 20).collect();
        let mut sum = 0u64;
        while cpu() < coarse + Duration::from_millis(50) {
            sum = kept.iter().fold(sum, |sum, x| sum.wrapping_mul(31).wrapping_add(*x));
        }
        assert!(cpu_of_threads() > fine, "{sum}");
        let (now, peak) = memory();
        assert!(now >= 32.0 && peak >= now, "{now} {peak}");
    }
}
