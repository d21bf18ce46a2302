//! Flower, deployed: a SuperLink, a SuperNode for each client, and the app in xtask/peers/flower_rounds, all in processes of their own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use super::cost::{BATCH, RANK, RATE, median};
use super::processes::Watch;
use super::proxy::Counted;
use super::rows::{Cost, RoundCost};
use crate::venv;

const STARTING: Duration = Duration::from_secs(180);
const LONGEST: Duration = Duration::from_secs(3_600);
const POLL: Duration = Duration::from_millis(200);

/// An environment with Flower and PyTorch in it.
pub struct Flower {
    /// Its programs.
    bin: PathBuf,
    version: String,
}

/// A process and all that it starts, which end with this.
struct Service(Child);

impl Service {
    fn start(command: &mut Command, log: &Path) -> Result<Self> {
        let (out, errors) = (File::create(log)?, File::options().append(true).open(log)?);
        // A group of its own, as it starts others.
        let child =
            command.stdin(Stdio::null()).stdout(out).stderr(errors).process_group(0).spawn();
        Ok(Self(child.with_context(|| format!("{command:?} does not start"))?))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.0);
        let _ = kill_process_group(group, Signal::TERM);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.0.try_wait(), Ok(None)) {
            sleep(POLL);
        }
        let _ = kill_process_group(group, Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Flower {
    /// Installs it.
    pub fn prepare(root: &Path) -> Result<Self> {
        let requirements = root.join("xtask/peers/requirements-rounds.txt");
        let python = venv::prepare(root, "rounds", &requirements)?.whole()?;
        let asked = "from importlib.metadata import version; print(version('flwr'))";
        let said = Command::new(&python).args(["-c", asked]).output()?;
        let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        ensure!(!version.is_empty(), "the environment has no flwr");
        let bin = python.parent().context("python lies in a folder")?.to_owned();
        Ok(Self { bin: std::path::absolute(bin)?, version })
    }

    /// Rounds with one client for each of `files`.
    pub fn run(
        &self,
        root: &Path,
        model: &Path,
        files: &[PathBuf],
        steps: u32,
        rounds: u32,
        secure: bool,
    ) -> Result<Cost> {
        let folder = std::path::absolute(root.join("target/bench-rounds"))?;
        fs::create_dir_all(&folder)?;
        let folder = tempfile::Builder::new().prefix("flower-").tempdir_in(folder)?;
        let log = folder.path().join("log");
        fs::create_dir_all(&log)?;
        let link = free()?;
        let at = link.to_string();
        fs::write(
            folder.path().join("config.toml"),
            format!(
                "[superlink]\ndefault = \"here\"\n[superlink.here]\naddress = \"{at}\"\ninsecure = true\n"
            ),
        )?;
        let mut command = self.command("flower-superlink", folder.path());
        command.args(["--insecure", "--disable-runtime-dependency-installation"]);
        command.args(["--port", &link.port().to_string()]);
        let server = Service::start(&mut command, &folder.path().join("server.txt"))?;
        answering(link)?;
        let (mut clients, mut relays) = (Vec::new(), Vec::new());
        for (number, file) in files.iter().enumerate() {
            let (relay, port) = (Counted::start(link)?, free()?.port());
            let mut command = self.command("flower-supernode", folder.path());
            command.args(["--insecure", "--superlink", &relay.address.to_string()]);
            command.args(["--port", &port.to_string()]);
            command.arg("--node-config").arg(format!("pairs=\"{}\"", file.display()));
            let name = folder.path().join(format!("client-{number}.txt"));
            clients.push(Service::start(&mut command, &name)?);
            relays.push(relay);
        }
        let mut processes = vec![server.0.id()];
        processes.extend(clients.iter().map(|client| client.0.id()));
        let watch = Watch::start(processes);
        let config = format!(
            "secure={secure} rounds={rounds} clients={} steps={steps} batch={BATCH} rank={RANK} rate={RATE} model='{}' log='{}'",
            files.len(),
            model.display(),
            log.display()
        );
        let app = root.join("xtask/peers/flower_rounds");
        let mut command = self.command("flwr", folder.path());
        command.arg("run").arg(&app).args(["here", "--run-config", &config]);
        let output = command.stdin(Stdio::null()).output()?;
        ensure!(
            output.status.success(),
            "flwr run failed: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        let measured = measured(&log, rounds, &watch, &relays)?;
        drop((clients, server));
        let Measured { rounds: each, cpu_s, training_cpu_s, moved, peaks } = measured;
        Ok(Cost {
            engine: "flower".to_owned(),
            version: self.version.clone(),
            sum: if secure { "SecAgg+" } else { "plain sum" }.to_owned(),
            clients: files.len(),
            steps,
            rounds: each,
            cpu_s,
            training_cpu_s,
            up_bytes: Some(moved.0 / f64::from(rounds) / files.len() as f64),
            down_bytes: Some(moved.1 / f64::from(rounds) / files.len() as f64),
            client_mb: median(&peaks[1..]),
            server_mb: peaks[0],
        })
    }

    fn command(&self, program: &str, home: &Path) -> Command {
        let mut command = Command::new(self.bin.join(program));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(self.bin.clone()).chain(std::env::split_paths(&path));
        if let Ok(paths) = std::env::join_paths(paths) {
            command.env("PATH", paths);
        }
        command.env("FLWR_HOME", home).env("FLWR_TELEMETRY_ENABLED", "0");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("OMP_NUM_THREADS", "1");
        command.current_dir(home);
        command
    }
}

/// What a run of Flower came to.
struct Measured {
    rounds: Vec<RoundCost>,
    cpu_s: f64,
    training_cpu_s: f64,
    moved: (f64, f64),
    peaks: Vec<f64>,
}

/// Waits for the run's end, which the app writes to `log`. CPU time and bytes count from the beginning of the first round on.
fn measured(log: &Path, rounds: u32, watch: &Watch, relays: &[Counted]) -> Result<Measured> {
    let begun = Instant::now();
    let moved = || {
        let each = relays.iter().map(Counted::bytes);
        each.fold((0.0, 0.0), |sum, (up, down)| (sum.0 + up as f64, sum.1 + down as f64))
    };
    let mut before = None;
    loop {
        let notes = notes(log)?;
        let of =
            |kind: &str| notes.iter().filter(move |note| note["kind"] == *kind).collect::<Vec<_>>();
        if before.is_none() && !of("begin").is_empty() {
            before = Some((watch.cpu_s(), moved()));
        }
        let ended = of("round");
        if let Some(failed) = ended.iter().find(|it| it["clients"] != relays.len()) {
            bail!("a round of Flower's failed: {failed}");
        }
        if let Some((cpu, bytes)) = before.as_ref().filter(|_| ended.len() >= rounds as usize) {
            let (cpu_after, bytes_after) = (watch.cpu_s(), moved());
            let time = |note: &Value| note["at"].as_f64().context("a note has a time");
            let mut last = time(of("begin")[0])?;
            let mut each = Vec::new();
            let trained = of("trained");
            for end in &ended {
                let mine = trained.iter().filter(|it| it["round"] == end["round"]);
                let training_s = mine.filter_map(|it| it["seconds"].as_f64()).fold(0.0, f64::max);
                each.push(RoundCost { wall_s: time(end)? - last, training_s });
                last = time(end)?;
            }
            return Ok(Measured {
                rounds: each,
                cpu_s: cpu_after - cpu,
                training_cpu_s: trained.iter().filter_map(|it| it["cpu_s"].as_f64()).sum(),
                moved: (bytes_after.0 - bytes.0, bytes_after.1 - bytes.1),
                peaks: watch.peaks_mb(),
            });
        }
        ensure!(
            begun.elapsed() < LONGEST,
            "Flower's rounds do not end; see the logs in {}",
            log.display()
        );
        sleep(POLL);
    }
}

/// What the app's processes have noted so far, in order.
fn notes(log: &Path) -> Result<Vec<Value>> {
    let mut notes = Vec::new();
    for entry in fs::read_dir(log)? {
        let text = fs::read_to_string(entry?.path())?;
        // A line that is being written comes with the next look.
        notes.extend(text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()));
    }
    let time = |note: &Value| note["at"].as_f64().unwrap_or_default();
    notes.sort_by(|a, b| time(a).total_cmp(&time(b)));
    Ok(notes)
}

fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn answering(address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(begun.elapsed() < STARTING, "Flower's SuperLink does not answer");
        sleep(POLL);
    }
    Ok(())
}
