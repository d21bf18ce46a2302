//! What this process has used so far, as Linux tells it.

use std::fs;
use std::time::{Duration, Instant};

use super::rows::Build;

/// CPU time of all threads, those that ended too.
pub fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
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
        let before = cpu();
        let kept: Vec<u64> = (0..4 << 20).collect();
        let mut sum = 0u64;
        while cpu() < before + Duration::from_millis(50) {
            sum = kept.iter().fold(sum, |sum, x| sum.wrapping_mul(31).wrapping_add(*x));
        }
        let (now, peak) = memory();
        assert!(now >= 32.0 && peak >= now, "{now} {peak} {sum}");
    }
}
