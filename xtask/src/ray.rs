//! What the guide promises of sweeps on Ray: on a cluster of two workers on this machine, one of which is killed, trials come to the same as without.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bench::simulator::ours;
use crate::venv;

/// Trials, each of some seconds.
const VARY: &str = "seed=1,2,3,4,5,6,7,8";
const TRIALS: usize = 8;
const SET: [&str; 2] = ["peers=30", "training.rounds=30"];
const PORT: u16 = 6397;
/// Until a first trial is done, Ray's own beginning included.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// Runs a sweep here and on the cluster, and compares what was measured.
pub fn run(root: &Path) -> Result<()> {
    let covey = ours::build(root)?;
    let requirements = root.join("xtask/peers/requirements-simulator.txt");
    let python = venv::prepare(root, "simulator", &requirements)?.whole()?;
    let folder = tempfile::tempdir()?;
    let (alone, lost) = (folder.path().join("alone"), folder.path().join("lost"));
    let status = sweep(&covey, &alone).status()?;
    ensure!(status.success(), "the sweep fails on this machine alone");

    let cluster = Cluster::start(&python, folder.path())?;
    let address = format!("127.0.0.1:{PORT}");
    let mut command = sweep(&covey, &lost);
    command.args(["--engine", "ray", "--address", &address]).arg("--python").arg(&python);
    let mut running = Ended(command.spawn()?);
    let begun = Instant::now();
    let done = loop {
        let done = measured(&lost)?.len();
        let ended = running.0.try_wait()?;
        ensure!(ended.is_none(), "the sweep was over before a worker was killed: {ended:?}");
        if done > 0 {
            break done;
        }
        ensure!(begun.elapsed() < PATIENCE, "no trial was done in {PATIENCE:?}");
        std::thread::sleep(LOOK);
    };
    // More trials are left than there are workers, so this one has one.
    ensure!(done + 2 < TRIALS, "too much was done before a worker was killed");
    cluster.kill_second()?;
    eprintln!("killed a worker when {done} of {TRIALS} trials were done");
    let status = running.0.wait()?;
    ensure!(status.success(), "the sweep failed: {status}");

    let (expected, found) = (measured(&alone)?, measured(&lost)?);
    ensure!(expected.len() == TRIALS, "{} trials were done without Ray", expected.len());
    ensure!(expected == found, "trials came to something else on the cluster");
    println!("all {TRIALS} trials came to the same as on this machine alone");
    Ok(())
}

fn sweep(covey: &Path, out: &Path) -> Command {
    let mut command = Command::new(covey);
    command.args(["sim", "sweep", "quick", "--vary", VARY]).arg("--out").arg(out);
    for set in SET {
        command.args(["--set", set]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// What the trials that are done measured, by their names.
fn measured(sweep: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut all = BTreeMap::new();
    let Ok(trials) = fs::read_dir(sweep.join("trials")) else { return Ok(all) };
    for trial in trials {
        let trial = trial?;
        let name = trial.file_name().to_string_lossy().into_owned();
        // Folders of trials that are brought back appear whole.
        if !name.ends_with('~') && trial.path().join("summary.json").exists() {
            all.insert(name, fs::read(trial.path().join("metrics.jsonl"))?);
        }
    }
    Ok(all)
}

/// A process that does not outlive whoever waits for it.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two workers of one CPU each, whose processes all name a folder of theirs.
struct Cluster {
    folder: String,
}

impl Cluster {
    fn start(python: &Path, folder: &Path) -> Result<Self> {
        let ray = python.with_file_name("ray");
        let start = |more: &[&str]| -> Result<()> {
            let mut command = Command::new(&ray);
            command.args(["start", "--num-cpus", "1", "--disable-usage-stats"]).args(more);
            let said = command.stdin(Stdio::null()).output().context("no `ray` to run")?;
            let errors = String::from_utf8_lossy(&said.stderr);
            ensure!(said.status.success(), "ray does not start: {errors}");
            Ok(())
        };
        let port = PORT.to_string();
        // Sockets have short names only.
        let cluster = Self { folder: folder.join("r").display().to_string() };
        let head = ["--head", "--include-dashboard=false", "--port", &port, "--temp-dir"];
        start(&[head.as_slice(), &[&cluster.folder]].concat())?;
        start(&["--address", &format!("127.0.0.1:{PORT}")])?;
        Ok(cluster)
    }

    /// Kills the worker that was started last.
    fn kill_second(&self) -> Result<()> {
        let raylet = format!("^[^ ]*raylet .*{}", self.folder);
        let status = Command::new("pkill").args(["-9", "-n", "-f", &raylet]).status()?;
        ensure!(status.success(), "there is no second worker to kill");
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // `ray stop` would end everybody's clusters.
        let _ = Command::new("pkill").args(["-9", "-f", &self.folder]).status();
    }
}
