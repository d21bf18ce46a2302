//! Trials as tasks of a Ray cluster, by a small Python program that comes with Covey.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::{Progress, State, SweepError, SweepFolder, Trial};
use crate::run_folder::{self, io};

/// The program.
const SCRIPT: &str = include_str!("../../ray/covey_sweep.py");
/// How often it is looked whether to end.
const LOOK: Duration = Duration::from_millis(100);
/// How long an interrupted program may take to end its tasks.
const GRACE: Duration = Duration::from_secs(30);
/// Longest line that the program is heard out for.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// How trials run on a cluster.
pub struct Cluster<'a> {
    /// Where they are kept, on this machine.
    pub folder: &'a SweepFolder,
    /// A Python with Ray.
    pub python: &'a Path,
    /// Where the cluster is; without, that of this machine, or one for the occasion.
    pub address: Option<&'a str>,
    /// CPUs of a trial.
    pub cpus: f64,
    /// How often a trial starts anew whose worker, machine or process is lost.
    pub retries: u32,
    /// The executable that is sent to workers.
    pub binary: &'a Path,
    /// Texts that are sent along, by name.
    pub files: BTreeMap<String, String>,
    /// The command of a trial. In it `{binary}`, `{files}` and `{out}` stand for where the worker has the executable, the texts, and the folder to write.
    pub command: &'a dyn Fn(&Trial) -> Vec<String>,
    /// Whether to end it all.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

#[derive(Serialize)]
struct Plan<'a> {
    sweep: &'a Path,
    trials: Vec<Task<'a>>,
    binary: &'a Path,
    files: &'a BTreeMap<String, String>,
    address: Option<&'a str>,
    cpus: f64,
    retries: u32,
}

#[derive(Serialize)]
struct Task<'a> {
    name: &'a str,
    command: Vec<String>,
}

/// What the program tells of a trial.
#[derive(Deserialize)]
struct Told {
    trial: String,
    state: ToldState,
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ToldState {
    Started,
    Done,
    Failed,
}

/// Runs all trials that have not come to their end yet, and says what became of each, in their order.
///
/// # Errors
/// If the program cannot be run or ends early, as without Ray. Trials that fail are no error.
pub fn run(
    cluster: &Cluster<'_>,
    trials: &[Trial],
    progress: &mut dyn FnMut(&Trial, Progress),
) -> Result<Vec<State>, SweepError> {
    let mut states = super::gather::states(cluster.folder, trials);
    let open = |state: &State| *state == State::Open;
    for (trial, _) in trials.iter().zip(&states).filter(|(_, state)| !open(state)) {
        progress(trial, Progress::Skipped);
    }
    let todo: Vec<&Trial> =
        trials.iter().zip(&states).filter(|(_, state)| open(state)).map(|(of, _)| of).collect();
    if todo.is_empty() {
        return Ok(states);
    }
    let places: BTreeMap<&str, usize> =
        trials.iter().enumerate().map(|(place, of)| (of.name.as_str(), place)).collect();
    let mut child = start(cluster, &todo)?;
    let lines = listen(child.0.stdout.take());
    let mut interrupted = None;
    loop {
        match interrupted {
            None if (cluster.is_cancelled)() => {
                interrupted = Some(Instant::now());
                interrupt(&child.0);
            }
            Some(at) if at.elapsed() > GRACE => return Ok(states),
            None | Some(_) => {}
        }
        let line = match lines.recv_timeout(LOOK) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // Libraries may say things too.
        let Ok(told) = serde_json::from_str::<Told>(&line) else { continue };
        let Some(place) = places.get(told.trial.as_str()).copied() else { continue };
        let said = match told.state {
            ToldState::Started => Progress::Started,
            ToldState::Done => Progress::Done,
            ToldState::Failed => Progress::Failed(told.why.unwrap_or_default()),
        };
        match &said {
            Progress::Done => states[place] = State::Done,
            Progress::Failed(why) => states[place] = State::Failed(why.clone()),
            Progress::Started | Progress::Skipped | Progress::Retried(_) => {}
        }
        progress(&trials[place], said);
    }
    let status = child.0.wait().map_err(|source| process(cluster, source))?;
    if !status.success() && interrupted.is_none() {
        let log = log(cluster.folder);
        let said = run_folder::text(&log).ok().flatten().unwrap_or_default();
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let why = format!(
            "the driver of Ray ended with {status}: {} (all of it is in {})",
            last.trim(),
            log.display()
        );
        return Err(SweepError::Ray(why));
    }
    Ok(states)
}

/// The program, which does not outlive whoever waits for it.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

fn start(cluster: &Cluster<'_>, trials: &[&Trial]) -> Result<Program, SweepError> {
    let folder = cluster.folder.path();
    let sweep = &folder.canonicalize().map_err(io("find", folder))?;
    let trials = trials.iter().map(|of| Task { name: &of.name, command: (cluster.command)(of) });
    let plan = Plan {
        sweep,
        trials: trials.collect(),
        binary: cluster.binary,
        files: &cluster.files,
        address: cluster.address,
        cpus: cluster.cpus,
        retries: cluster.retries,
    };
    let (script, plan_path) = (sweep.join("covey_sweep.py"), sweep.join("plan.json"));
    run_folder::write(&script, SCRIPT.as_bytes())?;
    run_folder::write_json(&plan_path, &plan)?;
    let log = log(cluster.folder);
    let errors = File::create(&log).map_err(io("create", &log))?;
    let child = Command::new(cluster.python)
        .args([&script, &plan_path])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|source| process(cluster, source))?;
    Ok(Program(child))
}

fn process(cluster: &Cluster<'_>, source: std::io::Error) -> SweepError {
    SweepError::Process { what: cluster.python.display().to_string(), source }
}

fn log(folder: &SweepFolder) -> std::path::PathBuf {
    folder.path().join("logs").join("ray.log")
}

/// Lines that the program says, until it has no more to say.
fn listen(out: Option<ChildStdout>) -> Receiver<String> {
    let (send, lines) = sync_channel(64);
    std::thread::spawn(move || {
        let Some(out) = out else { return };
        let mut out = BufReader::new(out);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut out).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    lines
}

fn interrupt(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // One that has just ended cannot be told.
        let _ = kill_process(pid, Signal::INT);
    }
}
