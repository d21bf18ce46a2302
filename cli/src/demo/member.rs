//! One member of the demo: a home, and a real `covey daemon` in a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use covey_node::api::client::Client;
use covey_node::api::{ApiError, Call, ErrorCode, Reply};
use covey_node::daemon;
use covey_node::home::Home;
use covey_protocol::ids::{Name, NodeId};

/// A daemon that does not answer by then is broken.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// A daemon that has not ended by then is killed.
const END_PATIENCE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);

/// A running member. Dropping it ends its process.
pub struct Member {
    pub name: Name,
    pub node: NodeId,
    socket: PathBuf,
    errors: PathBuf,
    process: Child,
}

impl Member {
    /// Makes a home for `name` below `dir` and starts its daemon, reachable from this machine only.
    pub fn spawn(name: &Name, dir: &Path) -> Result<Self, ApiError> {
        let home = Home::below(dir)?;
        let node = daemon::init(&home, Some(name.clone()))?.node;
        let errors = dir.join("daemon.err");
        let stderr = File::create(&errors).map_err(|error| broken("write below", dir, &error))?;
        let program =
            std::env::current_exe().map_err(|error| broken("find", Path::new("covey"), &error))?;
        let process = Command::new(&program)
            .arg("--home")
            .arg(dir)
            .args(["daemon", "--no-mdns", "--exit-with-stdin"])
            .args(["--listen", "/ip4/127.0.0.1/tcp/0"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .map_err(|error| broken("start", &program, &error))?;
        Ok(Self { name: name.clone(), node, socket: home.socket_path()?, errors, process })
    }

    /// Waits until the daemon answers.
    pub async fn ready(&mut self) -> Result<(), ApiError> {
        let deadline = Instant::now() + START_PATIENCE;
        while Client::connect(&self.socket).await?.is_none() {
            let ended = self.process.try_wait().ok().flatten().is_some();
            if ended || Instant::now() > deadline {
                let why = std::fs::read_to_string(&self.errors).unwrap_or_default();
                let message = format!("{}'s daemon did not start: {}", self.name, why.trim());
                return Err(ApiError::new(ErrorCode::Internal, message));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Asks the member's daemon, as `covey --home …` would.
    pub async fn call(&self, call: Call) -> Result<Reply, ApiError> {
        let gone = || {
            let message = format!("{}'s daemon is gone", self.name);
            ApiError::new(ErrorCode::Unreachable, message)
        };
        let client = Client::connect(&self.socket).await?.ok_or_else(gone)?;
        client.call(&call, &mut |_| {}).await
    }

    /// Kills the daemon without any warning, as a power cut would.
    pub fn kill(mut self) {
        // It may have ended by itself; either way it is gone after the wait.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The daemon watches its standard input, so it also ends where this code never runs.
        drop(self.process.stdin.take());
        let deadline = Instant::now() + END_PATIENCE;
        while matches!(self.process.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.process.kill();
                let _ = self.process.wait();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

fn broken(action: &str, path: &Path, error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("cannot {action} {}: {error}", path.display()))
}
