//! What a node's schedule asks of the machine: the time of day, power, and how busy it is.
//!
//! It comes through [`crate::env::Env`], so that a simulator and tests hand in their own.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use chrono::{Local, TimeZone, Timelike};
use covey_protocol::ids::UnixMillis;

/// Minutes of a day.
const DAY: u64 = 24 * 60;
/// How busy the machine is, is told of at least so long, in milliseconds.
const SPAN_MS: u64 = 10_000;
/// What was measured longer ago than this says nothing of now.
const STALE_MS: u64 = 120_000;
/// Largest file of the kernel's that is read.
const MAX_FILE: u64 = 64 * 1024;
/// Most power supplies that are looked at.
const MAX_SUPPLIES: usize = 64;

/// How the machine is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// By mains, or it has no battery.
    Mains,
    /// By its battery.
    Battery,
    /// Nobody can tell.
    Unknown,
}

/// The machine as it is now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surroundings {
    /// The minute of the day, in local time.
    pub minute: Option<u16>,
    /// How it is fed.
    pub power: Power,
    /// The share of all processors that work of normal priority takes, from 0 to 1. Not known at first.
    pub busy: Option<f64>,
}

/// The machine that a node is on.
pub trait Machine: Send + Sync {
    /// Looks at it; `now` is the time.
    fn look(&self, now: UnixMillis) -> Surroundings;
}

/// A machine in UTC that is always on mains power and idle: a simulator's, and that of whoever does not say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Steady;

impl Machine for Steady {
    fn look(&self, now: UnixMillis) -> Surroundings {
        let minute = u16::try_from(now.0 / 60_000 % DAY).ok();
        Surroundings { minute, power: Power::Mains, busy: Some(0.0) }
    }
}

/// The machine that this process runs on, as its kernel tells. What only Linux tells is unknown elsewhere.
#[derive(Debug, Default)]
pub struct ThisMachine {
    /// Samples of what the processors did, the older one first.
    samples: Mutex<Option<(Sample, Sample)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    at: UnixMillis,
    times: Times,
}

/// What all processors did since the machine started, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    /// Work of normal priority, and the kernel's.
    busy: u64,
    all: u64,
}

impl Machine for ThisMachine {
    fn look(&self, now: UnixMillis) -> Surroundings {
        let linux = cfg!(target_os = "linux");
        let power =
            if linux { power(Path::new("/sys/class/power_supply")) } else { Power::Unknown };
        let times = linux.then(|| times(&read(Path::new("/proc/stat"))?)).flatten();
        Surroundings { minute: local_minute(now), power, busy: self.busy(now, times) }
    }
}

impl ThisMachine {
    /// The share of normal work over at least the last [`SPAN_MS`].
    fn busy(&self, now: UnixMillis, times: Option<Times>) -> Option<f64> {
        let newest = Sample { at: now, times: times? };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |it: &Sample| now.0.checked_sub(it.at.0);
        let fresh = |it: &Sample| age(it).is_some_and(|age| age <= STALE_MS);
        let Some((older, newer)) = samples.filter(|(older, newer)| fresh(older) && fresh(newer))
        else {
            *samples = Some((newest, newest));
            return None;
        };
        let of_age = |it: &Sample| age(it).is_some_and(|age| age >= SPAN_MS);
        let base = if of_age(&newer) { newer } else { older };
        if of_age(&newer) {
            *samples = Some((newer, newest));
        }
        if !of_age(&base) {
            return None;
        }
        let all = newest.times.all.checked_sub(base.times.all).filter(|all| *all > 0)?;
        let busy = newest.times.busy.saturating_sub(base.times.busy);
        Some((busy as f64 / all as f64).min(1.0))
    }
}

fn local_minute(now: UnixMillis) -> Option<u16> {
    let time = Local.timestamp_millis_opt(i64::try_from(now.0).ok()?).single()?;
    u16::try_from(60 * time.hour() + time.minute()).ok()
}

/// Reads the first line of `/proc/stat`. Work of low priority (`nice`), training among it, and waiting count as idle.
fn times(stat: &str) -> Option<Times> {
    let mut fields = stat.lines().next()?.split_ascii_whitespace();
    if fields.next() != Some("cpu") {
        return None;
    }
    let ticks: Vec<u64> = fields.map(str::parse).collect::<Result<_, _>>().ok()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; a guest's time is in user already.
    let [user, nice, system, idle, rest @ ..] = ticks.as_slice() else { return None };
    let [iowait, irq, softirq, steal] =
        std::array::from_fn(|at| rest.get(at).copied().unwrap_or(0));
    let sum = |parts: &[u64]| parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
    let busy = sum(&[*user, *system, irq, softirq, steal])?;
    Some(Times { busy, all: sum(&[busy, *nice, *idle, iowait])? })
}

/// Reads the folder of the kernel's power supplies.
fn power(folder: &Path) -> Power {
    let Ok(entries) = fs::read_dir(folder) else {
        // A kernel that knows no supplies knows no battery.
        return Power::Mains;
    };
    let (mut batteries, mut discharging, mut unplugged, mut fed) = (0, false, false, false);
    for entry in entries.flatten().take(MAX_SUPPLIES) {
        let field = |name: &str| read(&entry.path().join(name)).map(|it| it.trim().to_owned());
        // The battery of a mouse feeds no machine.
        if field("scope").as_deref() == Some("Device") {
            continue;
        }
        if field("type").as_deref() == Some("Battery") {
            batteries += 1;
            match field("status").as_deref() {
                Some("Discharging") => discharging = true,
                Some("Charging" | "Full" | "Not charging") => fed = true,
                _ => {}
            }
        } else {
            match field("online").as_deref() {
                Some("0") => unplugged = true,
                Some(_) => return Power::Mains,
                None => {}
            }
        }
    }
    match (batteries, discharging || unplugged, fed) {
        (0, _, _) => Power::Mains,
        (_, true, _) => Power::Battery,
        (_, false, true) => Power::Mains,
        (_, false, false) => Power::Unknown,
    }
}

fn read(path: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(path).ok()?.take(MAX_FILE).read_to_string(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_is_read_from_what_feeds_the_machine() {
        type Supply<'a> = (&'a str, &'a [(&'a str, &'a str)]);
        let mains = |online| ("AC", vec![("type", "Mains"), ("online", online)]);
        let battery = |status| ("BAT0", vec![("type", "Battery"), ("status", status)]);
        let mouse =
            || ("mouse", vec![("type", "Battery"), ("scope", "Device"), ("status", "Discharging")]);
        let cases = [
            (vec![], Power::Mains),
            (vec![mains("0")], Power::Mains),
            (vec![mouse()], Power::Mains),
            (vec![mains("1"), battery("Discharging")], Power::Mains),
            (vec![mains("0"), battery("Discharging")], Power::Battery),
            (vec![mains("0"), battery("Unknown")], Power::Battery),
            (vec![battery("Discharging")], Power::Battery),
            (vec![battery("Charging")], Power::Mains),
            (vec![battery("Full")], Power::Mains),
            (vec![battery("Unknown")], Power::Unknown),
            (vec![("BAT1", vec![("type", "Battery")])], Power::Unknown),
        ];
        for (supplies, expected) in cases {
            let folder = tempfile::tempdir().expect("a folder");
            let supplies: Vec<Supply<'_>> =
                supplies.iter().map(|(name, fields)| (*name, fields.as_slice())).collect();
            for (name, fields) in &supplies {
                let place = folder.path().join(name);
                fs::create_dir(&place).expect("makes it");
                for (field, text) in *fields {
                    fs::write(place.join(field), format!("{text}\n")).expect("writes");
                }
            }
            assert_eq!(power(folder.path()), expected, "{supplies:?}");
        }
        assert_eq!(power(Path::new("/nonexistent/power")), Power::Mains);
    }

    #[test]
    fn work_of_low_priority_leaves_a_machine_idle() {
        let line = "cpu  100 900 50 2000 30 4 6 10 77 0\ncpu0 1 2 3 4\n";
        assert_eq!(times(line), Some(Times { busy: 170, all: 3_100 }));
        assert_eq!(times("cpu 1 2 3 4"), Some(Times { busy: 4, all: 10 }));
        for bad in
            ["", "cpu 1 2 3", "intr 1 2 3 4", "cpu a b c d", "cpu 18446744073709551615 1 1 1"]
        {
            assert_eq!(times(bad), None, "{bad}");
        }
    }

    #[test]
    fn how_busy_it_is_is_told_of_ten_seconds_and_more() {
        let machine = ThisMachine::default();
        // When it is looked, ticks of work by then, all ticks by then, and what is said.
        let looks = [
            (0, 0, 0, None),
            (9_999, 50, 100, None),
            (10_000, 50, 100, Some(0.5)),
            (15_000, 50, 150, Some(50.0 / 150.0)),
            (20_000, 50, 200, Some(0.0)),
            (30_000, 150, 300, Some(1.0)),
            // The machine slept.
            (300_000, 150, 300, None),
            (310_000, 160, 400, Some(0.1)),
            // The clock was set back.
            (1_000, 160, 400, None),
        ];
        for (at, busy, all, expected) in looks {
            let found = machine.busy(UnixMillis(at), Some(Times { busy, all }));
            assert_eq!(found, expected, "at {at}");
        }
        assert_eq!(machine.busy(UnixMillis(11_000), None), None);
    }

    #[test]
    fn this_machine_can_be_looked_at() {
        let seen = ThisMachine::default().look(UnixMillis(1_795_368_701_000));
        assert!(seen.minute.is_some_and(|minute| u64::from(minute) < DAY), "{seen:?}");
        assert_eq!(Steady.look(UnixMillis(3_600_000)).minute, Some(60));
    }
}
