//! Real nodes on this machine: homes of their own, daemons on loopback, and one group.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use covey_node::api::Call;
use covey_protocol::ids::Name;
use serde_json::Value;
use tempfile::TempDir;

/// The group.
pub const GROUP: &str = "lab";
/// How long a daemon may take to answer at first.
const STARTING: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A node with a home of its own and a running daemon, which ends with this.
pub struct Member {
    home: PathBuf,
    binary: PathBuf,
    daemon: Child,
}

/// A group of members, the first of whom owns it and coordinates.
pub struct Lab {
    pub members: Vec<Member>,
    // After the members, as their daemons write into it.
    _folder: TempDir,
}

impl Lab {
    /// Founds it. Every node gets the model in `model`, if there is one.
    pub fn found(root: &Path, members: usize, model: Option<&Path>) -> Result<Self> {
        let binary = binary(root)?;
        let folder = root.join("target/bench-rounds");
        fs::create_dir_all(&folder)?;
        let folder = tempfile::Builder::new().prefix("lab-").tempdir_in(folder)?;
        let mut lab = Self { members: Vec::new(), _folder: folder };
        for number in 0..members {
            let home = lab._folder.path().join(format!("home-{number}"));
            let member = Member::start(&binary, home, &format!("member-{number}"), model)?;
            match lab.members.first() {
                None => {
                    member.json(&["group", "create", GROUP])?;
                }
                Some(owner) => {
                    let invite = owner.json(&["invite", GROUP])?;
                    let code = invite["code"].as_str().context("an invite has a code")?;
                    member.json(&["join", code])?;
                }
            }
            lab.members.push(member);
        }
        lab.coordinator().json(&["group", "coordinator", GROUP, "member-0"])?;
        lab.wait("all to hear who coordinates", STARTING, |member| {
            Ok(!member.learning()?["coordinator"].is_null())
        })?;
        Ok(lab)
    }

    /// Who coordinates.
    pub fn coordinator(&self) -> &Member {
        &self.members[0]
    }

    /// Waits until something holds for every member.
    fn wait(
        &self,
        what: &str,
        longest: Duration,
        holds: impl Fn(&Member) -> Result<bool>,
    ) -> Result<()> {
        let begun = Instant::now();
        for member in &self.members {
            while !holds(member)? {
                ensure!(begun.elapsed() < longest, "waited in vain for {what}");
                sleep(POLL);
            }
        }
        Ok(())
    }
}

impl Member {
    fn start(binary: &Path, home: PathBuf, name: &str, model: Option<&Path>) -> Result<Self> {
        let command = |arguments: &[&str]| {
            let mut command = Command::new(binary);
            command.arg("--home").arg(&home).args(arguments).stdin(Stdio::null());
            for variable in ["COVEY_HOME", "COVEY_LOG", "RUST_LOG"] {
                command.env_remove(variable);
            }
            // As many nodes as there are share this machine's processors.
            command.env("RAYON_NUM_THREADS", "1");
            command
        };
        succeed(command(&["--json", "init", "--name", name]))?;
        if let Some(model) = model {
            let folder = model.to_str().context("the model's folder is no UTF-8")?;
            succeed(command(&["--json", "model", "pull", "--dir", folder]))?;
        }
        fs::create_dir_all(&home)?;
        let errors = File::create(home.join("daemon.err"))?;
        let daemon = command(&["daemon", "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"])
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .context("covey does not start")?;
        let mut member = Self { home, binary: binary.to_owned(), daemon };
        let begun = Instant::now();
        while UnixStream::connect(member.socket()).is_err() {
            if let Some(status) = member.daemon.try_wait()? {
                let said = fs::read_to_string(member.home.join("daemon.err")).unwrap_or_default();
                bail!("{name}'s daemon ended with {status}: {said}");
            }
            ensure!(begun.elapsed() < STARTING, "{name}'s daemon does not answer");
            sleep(POLL);
        }
        Ok(member)
    }

    fn socket(&self) -> PathBuf {
        self.home.join("run/covey.sock")
    }

    /// The daemon's process.
    pub fn process(&self) -> u32 {
        self.daemon.id()
    }

    /// Types a command, and gives the reply of its `--json`.
    pub fn json(&self, arguments: &[impl AsRef<OsStr>]) -> Result<Value> {
        let mut command = Command::new(&self.binary);
        command.arg("--home").arg(&self.home).arg("--json").args(arguments).stdin(Stdio::null());
        Ok(succeed(command)?["reply"].take())
    }

    /// How learning stands in the group, asked of the daemon itself, which costs it less than a command does.
    pub fn learning(&self) -> Result<Value> {
        let group: Name = GROUP.parse().map_err(|_| anyhow::anyhow!("it is a name"))?;
        let mut stream = UnixStream::connect(self.socket())?;
        let mut line = serde_json::to_vec(&Call::TrainStatus { group: Some(group) })?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        let mut event: Value = serde_json::from_str(&answer)?;
        ensure!(event["event"] == "done", "the daemon answered {answer}");
        Ok(event["reply"]["groups"][0].take())
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// Runs a command to its end; what it printed with `--json` is its event.
fn succeed(mut command: Command) -> Result<Value> {
    let output = command.output().context("covey does not start")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {said}{errors}");
    let last = said.lines().next_back().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("{command:?} printed {said}"))
}

/// The `covey` of this build, made anew where its sources have changed.
fn binary(root: &Path) -> Result<PathBuf> {
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--package", "covey"])
        .current_dir(root)
        .status()
        .context("cargo cannot be started")?;
    ensure!(built.success(), "covey does not build, see above");
    let this = std::env::current_exe()?;
    Ok(this.parent().context("xtask lies in a folder")?.join("covey"))
}
