//! Flower's SecAgg+, as shipped, in an environment of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::rows::Round;
use crate::venv;

/// The python that has it.
pub struct Flower(PathBuf);

#[derive(Deserialize)]
struct Answer {
    client_cpu_s: f64,
    server_unmask_cpu_s: f64,
    server_other_cpu_s: f64,
    bytes_up_per_client: f64,
    sum_ok: bool,
    version: String,
}

impl Flower {
    /// Installs it.
    pub fn prepare(root: &Path) -> Result<Self> {
        let requirements = root.join("xtask/peers/requirements-secagg.txt");
        Ok(Self(venv::prepare(root, "secagg", &requirements)?.whole()?))
    }

    /// One round of `clients`, each with `neighbours`.
    pub fn run(
        &self,
        root: &Path,
        clients: u32,
        entries: u32,
        neighbours: u32,
        dropout_percent: u32,
    ) -> Result<Round> {
        let output = Command::new(&self.0)
            .arg(root.join("xtask/peers/flower_peer.py"))
            .args(["--clients", &clients.to_string()])
            .args(["--entries", &entries.to_string()])
            .args(["--neighbours", &neighbours.to_string()])
            .args(["--dropout", &format!("{:.2}", f64::from(dropout_percent) / 100.0)])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("the environment's python cannot be started")?;
        ensure!(output.status.success(), "flower_peer.py failed, see above");
        let answer: Answer = serde_json::from_slice(&output.stdout)?;
        ensure!(answer.sum_ok, "Flower's sum is not right");
        Ok(Round {
            engine: "flower".to_owned(),
            version: answer.version,
            topology: if neighbours + 1 == clients { "complete" } else { "sparse" }.to_owned(),
            clients,
            entries,
            neighbours: f64::from(neighbours),
            threshold: None,
            dropout_percent,
            client_ms: answer.client_cpu_s * 1e3,
            unmask_s: answer.server_unmask_cpu_s,
            server_s: answer.server_unmask_cpu_s + answer.server_other_cpu_s,
            up_bytes: answer.bytes_up_per_client,
            down_bytes: None,
        })
    }
}
