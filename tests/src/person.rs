//! Somebody with a home of their own, who types commands.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Daemon, covey};

/// A home, with a node in it unless it was made [`Person::without_node`].
pub struct Person {
    /// The name others see.
    pub name: String,
    dir: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none if it was killed.
    pub code: Option<i32>,
    /// What it printed as its result.
    pub stdout: String,
    /// What else it told.
    pub stderr: String,
}

/// How a command failed, as `--json` tells it.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: i32,
    /// The error's code, such as `not_found`.
    pub kind: String,
    /// What happened and why.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Person {
    /// Somebody with a fresh node.
    pub fn new(name: &str) -> Self {
        let person = Self::without_node(name);
        person.json(&["init", "--name", name]);
        person
    }

    /// Somebody with an empty home.
    pub fn without_node(name: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("covey-").tempdir().expect("a temporary folder");
        Self { name: name.to_owned(), dir }
    }

    /// The folder that holds everything of theirs.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where `--home` points.
    pub fn home(&self) -> PathBuf {
        self.dir().join("home")
    }

    /// The daemon's socket.
    pub fn socket(&self) -> PathBuf {
        self.home().join("run/covey.sock")
    }

    /// Writes a file below their folder and returns its path.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir().join(path);
        std::fs::create_dir_all(path.parent().expect("a file below a folder")).expect("makes it");
        std::fs::write(&path, content).expect("writes");
        path
    }

    /// A command about to be typed, with `--home` and without the tester's environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(covey());
        command.arg("--home").arg(self.home()).stdin(Stdio::null());
        for variable in ["COVEY_HOME", "COVEY_LOG", "RUST_LOG", "RUST_BACKTRACE"] {
            command.env_remove(variable);
        }
        command
    }

    /// Types a command and waits for its end.
    pub fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Run {
        let output = self.command().args(arguments).output().expect("covey starts");
        Run::from(output)
    }

    /// Types a command that succeeds; returns the reply of its `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[&["--json"], arguments].concat());
        assert_eq!(run.code, Some(0), "{}: covey {arguments:?}: {run:?}", self.name);
        let event: Value = serde_json::from_str(&run.stdout).expect("one line of JSON");
        assert_eq!((&event["event"], &event["version"]), (&"done".into(), &1.into()));
        event["reply"].clone()
    }

    /// Types a command that fails in good order, the same way with and without `--json`.
    pub fn fails(&self, arguments: &[&str]) -> Failure {
        let run = self.run(&[&["--json"], arguments].concat());
        assert!(run.code.is_some_and(|code| code > 0), "covey {arguments:?} did not fail: {run:?}");
        run.failure()
    }

    /// Starts their daemon on a free loopback port and waits until it answers.
    pub fn daemon(&self) -> Daemon {
        self.daemon_with(&[])
    }

    /// The same, with further options.
    pub fn daemon_with(&self, options: &[&str]) -> Daemon {
        self.daemon_as("daemon", options)
    }

    /// The same by another command, such as `coordinator`.
    pub fn daemon_as(&self, kind: &str, options: &[&str]) -> Daemon {
        let mut command = self.command();
        command.args([kind, "--no-mdns", "--listen", "/ip4/127.0.0.1/tcp/0"]).args(options);
        Daemon::start(command, self)
    }

    /// What their daemon has told on standard error so far.
    pub fn daemon_said(&self) -> String {
        std::fs::read_to_string(self.dir().join("daemon.err")).unwrap_or_default()
    }

    /// Their node's id.
    pub fn node(&self) -> String {
        self.json(&["status"])["node"].as_str().expect("a node id").to_owned()
    }

    /// Searches `group` with short deadlines.
    pub fn search(&self, group: &str, question: &str) -> Value {
        self.json(&["search", "--group", group, "--soft", "3", "--hard", "20", question])
    }
}

impl Run {
    /// What `--json` printed about a failure.
    pub fn failure(&self) -> Failure {
        let event: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"));
        assert_eq!((&event["event"], &event["version"]), (&"failed".into(), &1.into()));
        let text = |field: &str| event["error"][field].as_str().map(str::to_owned);
        Failure {
            code: self.code.expect("an exit code"),
            kind: text("code").expect("a code"),
            message: text("message").expect("a message"),
            hint: text("hint"),
        }
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
