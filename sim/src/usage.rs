//! What this process has taken of its machine.

/// CPU seconds so far, children not counted, and the most memory at once, in MiB; zeros where the system does not say.
pub fn usage() -> (f64, f64) {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let status = text("/proc/self/status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|it| it.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    let stat = text("/proc/self/stat");
    // Behind the name in parentheses, which may hold anything, come fields 3 and on; 14 and 15 are ticks.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or(&stat[..], |(_, rest)| rest).split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|it| it.parse::<f64>().ok());
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    let cpu = ticks(14).zip(ticks(15)).map_or(0.0, |(user, system)| (user + system) / per_second);
    (cpu, peak.unwrap_or(0.0) / 1_024.0)
}
