//! Trials as processes of this machine.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{SweepError, SweepFolder, Trial};
use crate::SimError;
use crate::run_folder::io;

/// How often processes are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long an interrupted trial may take to write down what it has.
const GRACE: Duration = Duration::from_secs(20);
/// What of the end of a log is looked at for the reason of a failure.
const TAIL_BYTES: u64 = 4 << 10;

/// How trials run.
pub struct Driver<'a> {
    /// Where they are kept.
    pub folder: &'a SweepFolder,
    /// How many at a time.
    pub at_once: usize,
    /// How many times a trial is started again whose process was killed: by the kernel for want of memory, say.
    pub retries: u32,
    /// The command of a trial, told how many times it has been started before. It has to end with 0 only once the trial's summary is complete.
    pub command: &'a dyn Fn(&Trial, u32) -> Command,
    /// Whether to end it all.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

/// What happens to a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It came to its end in an earlier go.
    Skipped,
    /// It has been started, or handed to a cluster.
    Started,
    /// Its process was killed, and it waits to be started again.
    Retried(String),
    /// It came to its end.
    Done,
    /// It did not, for this reason.
    Failed(String),
}

/// What became of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It came to its end.
    Done,
    /// It did not, for this reason.
    Failed(String),
    /// It was interrupted, or its turn never came.
    Open,
}

struct Running<'a> {
    trial: &'a Trial,
    attempt: u32,
    child: Child,
}

/// Has the system kill this process when the driver that started it is gone, however that ended: another one may go on with its folder.
///
/// # Errors
/// If the driver, which has this number, is gone already, or the system cannot be told.
pub fn end_with(driver: u32) -> Result<(), SimError> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| SimError::bad(&error))?;
    let parent = rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get());
    if parent.and_then(|parent| u32::try_from(parent).ok()) != Some(driver) {
        return Err(SimError::Cancelled);
    }
    Ok(())
}

/// No process outlives a driver that ends by itself.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Runs all trials that have not come to their end yet, and says what became of each, in their order.
///
/// # Errors
/// If processes cannot be started or logs cannot be written. Trials that fail are no error.
pub fn drive(
    driver: &Driver<'_>,
    trials: &[Trial],
    progress: &mut dyn FnMut(&Trial, Progress),
) -> Result<Vec<State>, SweepError> {
    let mut states = vec![State::Open; trials.len()];
    let mut waiting: VecDeque<(usize, u32)> = VecDeque::new();
    for (place, trial) in trials.iter().enumerate() {
        if driver.folder.is_done(trial) {
            states[place] = State::Done;
            progress(trial, Progress::Skipped);
        } else {
            waiting.push_back((place, 0));
        }
    }
    let mut running: Vec<(usize, Running<'_>)> = Vec::new();
    while !(waiting.is_empty() && running.is_empty()) {
        if (driver.is_cancelled)() {
            interrupt(running)?;
            break;
        }
        while running.len() < driver.at_once.max(1)
            && let Some((place, attempt)) = waiting.pop_front()
        {
            running.push((place, start(driver, &trials[place], attempt)?));
            progress(&trials[place], Progress::Started);
        }
        let mut still = Vec::new();
        for (place, mut one) in running {
            let Some(status) = look(&mut one)? else {
                still.push((place, one));
                continue;
            };
            let said = ended(driver, &one, status);
            match &said {
                Progress::Retried(_) => waiting.push_back((place, one.attempt + 1)),
                Progress::Failed(why) => states[place] = State::Failed(why.clone()),
                Progress::Done | Progress::Started | Progress::Skipped => {
                    states[place] = State::Done
                }
            }
            progress(one.trial, said);
        }
        running = still;
        std::thread::sleep(LOOK);
    }
    for (state, trial) in states.iter_mut().zip(trials) {
        // It may have come to its end just as it was interrupted.
        if *state == State::Open && driver.folder.is_done(trial) {
            *state = State::Done;
        }
    }
    Ok(states)
}

fn start<'a>(
    driver: &Driver<'_>,
    trial: &'a Trial,
    attempt: u32,
) -> Result<Running<'a>, SweepError> {
    let path = driver.folder.log(trial);
    let log = OpenOptions::new()
        .create(true)
        .write(true)
        .append(attempt > 0)
        .truncate(attempt == 0)
        .open(&path)
        .map_err(io("open", &path))?;
    let mut command = (driver.command)(trial, attempt);
    let errors = log.try_clone().map_err(io("open", &path))?;
    // A group of its own, as Ctrl-C in a terminal otherwise reaches it twice.
    command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
    let child = command.spawn().map_err(|source| SweepError::Process {
        what: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    Ok(Running { trial, attempt, child })
}

fn look(one: &mut Running<'_>) -> Result<Option<ExitStatus>, SweepError> {
    one.child
        .try_wait()
        .map_err(|source| SweepError::Process { what: one.trial.name.clone(), source })
}

fn ended(driver: &Driver<'_>, one: &Running<'_>, status: ExitStatus) -> Progress {
    if status.success() {
        return match driver.folder.is_done(one.trial) {
            true => Progress::Done,
            false => Progress::Failed("it ended without a complete summary".into()),
        };
    }
    match status.signal() {
        Some(signal) if one.attempt < driver.retries => {
            Progress::Retried(format!("its process was killed by signal {signal}"))
        }
        Some(signal) => Progress::Failed(format!(
            "its process was killed by signal {signal}, {} times",
            one.attempt + 1
        )),
        None => Progress::Failed(last_words(driver, one, status)),
    }
}

/// The last line that a process has said.
fn last_words(driver: &Driver<'_>, one: &Running<'_>, status: ExitStatus) -> String {
    let path = driver.folder.log(one.trial);
    let tail = File::open(&path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut tail)?;
        Ok(String::from_utf8_lossy(&tail).into_owned())
    });
    let tail = tail.unwrap_or_default();
    match tail.lines().rev().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{status}: {}", line.trim()),
        None => format!("{status}, and nothing in {}", path.display()),
    }
}

/// Has all processes end as by Ctrl-C, and kills those that do not.
fn interrupt(mut running: Vec<(usize, Running<'_>)>) -> Result<(), SweepError> {
    for (_, one) in &running {
        if let Some(pid) = i32::try_from(one.child.id()).ok().and_then(Pid::from_raw) {
            // One that has just ended cannot be told.
            let _ = kill_process(pid, Signal::INT);
        }
    }
    let until = Instant::now() + GRACE;
    while !running.is_empty() && Instant::now() < until {
        let mut still = Vec::new();
        for (place, mut one) in running {
            if look(&mut one)?.is_none() {
                still.push((place, one));
            }
        }
        running = still;
        std::thread::sleep(LOOK);
    }
    Ok(())
}
