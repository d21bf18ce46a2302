//! Whether training may go on now, and how long it rests between two steps. The short secure sum knows nothing of this.

use std::fmt;
use std::time::{Duration, Instant};

use crate::api::{Condition, Hours, Schedule};
use crate::env::Env;
use crate::machine::{Power, Surroundings};

/// Above this share of the processors in work of normal priority, the machine is not idle.
const IDLE_BELOW: f64 = 0.2;
/// The longest sleep between two looks at whether training is over.
const NAP: Duration = Duration::from_millis(50);
/// How long training waits before it looks at the machine again.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why training does not go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Waits {
    /// It is not the time of day; this part of it comes next.
    Hours(Hours),
    /// Nobody can tell the time of day.
    Clock,
    /// The machine is on battery.
    Battery,
    /// Nobody can tell whether it is on mains power.
    Power,
    /// This share of the processors is taken.
    Busy(f64),
    /// How busy the machine is, is not known.
    Load,
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hours(next) => write!(f, "waiting for {}", next.beginning()),
            Self::Clock => f.write_str("waiting: the local time of day cannot be told"),
            Self::Battery => f.write_str("waiting for mains power"),
            Self::Power => f.write_str(
                "waiting for mains power: whether there is any cannot be told on this machine (`covey train limits --when any`)",
            ),
            Self::Busy(share) => write!(
                f,
                "waiting for the machine to be idle: {:.0}% of it is in use",
                100.0 * share
            ),
            Self::Load => f.write_str("waiting for the machine to be idle: how busy it is, is not known yet"),
        }
    }
}

/// Whether `schedule` lets a machine that is like this train now. What cannot be told forbids it.
pub(super) fn allows(schedule: &Schedule, now: &Surroundings) -> Result<(), Waits> {
    in_hours(&schedule.hours, now.minute)?;
    for condition in &schedule.when {
        match (condition, now.power, now.busy) {
            (Condition::Mains, Power::Mains, _) => {}
            (Condition::Mains, Power::Battery, _) => return Err(Waits::Battery),
            (Condition::Mains, Power::Unknown, _) => return Err(Waits::Power),
            (Condition::Idle, _, Some(busy)) if busy <= IDLE_BELOW => {}
            (Condition::Idle, _, Some(busy)) => return Err(Waits::Busy(busy)),
            (Condition::Idle, _, None) => return Err(Waits::Load),
        }
    }
    Ok(())
}

fn in_hours(hours: &[Hours], minute: Option<u16>) -> Result<(), Waits> {
    if hours.is_empty() {
        return Ok(());
    }
    let minute = minute.ok_or(Waits::Clock)?;
    if hours.iter().any(|hours| hours.contains(minute)) {
        return Ok(());
    }
    let next = hours.iter().min_by_key(|hours| hours.begins_in(minute));
    next.map_or(Ok(()), |next| Err(Waits::Hours(*next)))
}

/// How long to rest after work of that length, so that it takes `share` of the time.
pub(super) fn rest(worked: Duration, share: f64) -> Duration {
    let times = (1.0 - share) / share;
    if times.is_finite() && times > 0.0 { worked.mul_f64(times) } else { Duration::ZERO }
}

/// Keeps training at a schedule, on the thread that trains.
pub(super) struct Pace<'a> {
    env: &'a Env,
    /// The person may change it at any time.
    schedule: &'a dyn Fn() -> Schedule,
    /// When work went on after the last rest.
    since: Instant,
}

impl<'a> Pace<'a> {
    /// Work begins now.
    pub(super) fn new(env: &'a Env, schedule: &'a dyn Fn() -> Schedule) -> Self {
        Self { env, schedule, since: Instant::now() }
    }

    /// How long work has gone on since the last rest.
    pub(super) fn worked(&self) -> Duration {
        self.since.elapsed()
    }

    /// Between two steps: rests from so much work, and waits for as long as the schedule forbids training, but not once it
    /// is `over`. `tell` hears why it waits, and nothing once it goes on.
    pub(super) fn rest(
        &mut self,
        worked: Duration,
        over: &dyn Fn() -> bool,
        tell: &dyn Fn(Option<Waits>),
    ) {
        // Virtual time stands still while somebody computes.
        if self.env.stands_still() {
            return;
        }
        nap(rest(worked, (self.schedule)().cpu_share), over);
        let mut waited = false;
        while !over() {
            match allows(&(self.schedule)(), &self.env.surroundings()) {
                Ok(()) => break,
                Err(waits) => tell(Some(waits)),
            }
            waited = true;
            nap(LOOK_EVERY, over);
        }
        if waited {
            tell(None);
        }
        self.since = Instant::now();
    }
}

/// Sleeps, unless it is over.
fn nap(time: Duration, over: &dyn Fn() -> bool) {
    let started = Instant::now();
    while let Some(left) = time.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) {
        if over() {
            return;
        }
        std::thread::sleep(left.min(NAP));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::env::{Compute, TokioClock};
    use crate::machine::Machine;
    use covey_protocol::ids::UnixMillis;

    fn schedule(when: &[Condition], hours: &[&str]) -> Schedule {
        let hours = hours.iter().map(|text| text.parse().expect(text)).collect();
        Schedule { when: when.to_vec(), hours, cpu_share: 1.0 }
    }

    #[test]
    fn what_a_schedule_lets_pass() {
        use Condition::{Idle, Mains};
        let at = |minute, power, busy| Surroundings { minute, power, busy };
        let (noon, night) = (Some(12 * 60), Some(23 * 60));
        let next = |text: &str| Err(Waits::Hours(text.parse().expect(text)));
        let any = schedule(&[], &[]);
        let (mains, idle) = (schedule(&[Mains], &[]), schedule(&[Idle], &[]));
        let both = schedule(&[Idle, Mains], &["22:00-06:00"]);
        let lunch = schedule(&[], &["22:00-06:00", "12:30-13:00"]);
        let cases = [
            (&any, at(None, Power::Unknown, None), Ok(())),
            (&any, at(noon, Power::Battery, Some(1.0)), Ok(())),
            (&mains, at(None, Power::Mains, Some(1.0)), Ok(())),
            (&mains, at(noon, Power::Battery, Some(0.0)), Err(Waits::Battery)),
            (&mains, at(noon, Power::Unknown, Some(0.0)), Err(Waits::Power)),
            (&idle, at(None, Power::Battery, Some(0.2)), Ok(())),
            (&idle, at(None, Power::Mains, Some(0.21)), Err(Waits::Busy(0.21))),
            (&idle, at(None, Power::Mains, None), Err(Waits::Load)),
            (&both, at(night, Power::Mains, Some(0.0)), Ok(())),
            (&both, at(night, Power::Battery, Some(0.0)), Err(Waits::Battery)),
            (&both, at(night, Power::Mains, Some(0.5)), Err(Waits::Busy(0.5))),
            (&both, at(noon, Power::Mains, Some(0.0)), next("22:00-06:00")),
            (&both, at(None, Power::Mains, Some(0.0)), Err(Waits::Clock)),
            (&lunch, at(noon, Power::Mains, None), next("12:30-13:00")),
            (&lunch, at(Some(14 * 60), Power::Mains, None), next("22:00-06:00")),
            (&lunch, at(Some(12 * 60 + 45), Power::Mains, None), Ok(())),
            (&lunch, at(Some(5), Power::Mains, None), Ok(())),
        ];
        for (schedule, surroundings, expected) in cases {
            let found = allows(schedule, &surroundings);
            assert_eq!(found, expected, "{schedule:?} {surroundings:?}");
        }
    }

    #[test]
    fn rests_make_work_its_share_of_the_time() {
        for (worked_ms, share, rest_ms) in [
            (100, 1.0, 0),
            (100, 0.5, 100),
            (100, 0.25, 300),
            (40, 0.8, 10),
            (10, 0.01, 990),
            (0, 0.5, 0),
        ] {
            let found = rest(Duration::from_millis(worked_ms), share).as_secs_f64();
            assert!((found - f64::from(rest_ms) / 1_000.0).abs() < 1e-6, "{share}: {found}");
        }
    }

    #[test]
    fn work_that_rests_takes_its_share() {
        let clock = Arc::new(crate::env::WallClock);
        let env = Env::new(clock, [1; 32], Compute::Threads);
        let quarter = || Schedule { cpu_share: 0.25, ..Schedule::default() };
        let mut pace = Pace::new(&env, &quarter);
        let (started, mut worked) = (Instant::now(), Duration::ZERO);
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(4));
            let step = pace.worked();
            worked += step;
            pace.rest(step, &|| false, &|_| {});
        }
        assert!(started.elapsed() >= worked.mul_f64(4.0), "{worked:?} of {:?}", started.elapsed());
    }

    /// On mains power from the third look on.
    #[derive(Default)]
    struct Plugged(AtomicUsize);

    impl Machine for Plugged {
        fn look(&self, _: UnixMillis) -> Surroundings {
            let looks = self.0.fetch_add(1, Ordering::SeqCst);
            let power = if looks < 2 { Power::Battery } else { Power::Mains };
            Surroundings { minute: None, power, busy: None }
        }
    }

    #[tokio::test]
    async fn training_waits_for_power_and_says_so_and_not_once_it_is_over() {
        let clock = Arc::new(TokioClock::starting_at(UnixMillis(0)));
        let machine = Arc::new(Plugged::default());
        let env = Env::new(clock.clone(), [1; 32], Compute::Threads).on(machine.clone());
        let mains = || schedule(&[Condition::Mains], &[]);
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |waits: Option<Waits>| told.lock().expect("no panic").push(waits);
        Pace::new(&env, &mains).rest(Duration::ZERO, &|| true, &tell);
        assert_eq!(machine.0.load(Ordering::SeqCst), 0, "nobody looks once it is over");
        let started = Instant::now();
        Pace::new(&env, &mains).rest(Duration::ZERO, &|| false, &tell);
        assert!(started.elapsed() >= 2 * LOOK_EVERY);
        let waits = Some(Waits::Battery);
        assert_eq!(*told.lock().expect("no panic"), [waits, waits, None]);
        // A simulator's time does not pass while somebody computes.
        let still = Env::new(clock, [1; 32], Compute::Inline).on(Arc::new(Plugged::default()));
        Pace::new(&still, &mains).rest(Duration::ZERO, &|| false, &tell);
    }
}
