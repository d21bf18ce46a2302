//! Flower's simulation engine, by xtask/peers/flower_simulation.py.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{Part, Row, VALUES};
use crate::venv;

/// An environment with Flower and Ray in it.
pub struct Flower {
    python: PathBuf,
    version: String,
}

#[derive(Deserialize)]
struct Told {
    rounds_s: Vec<f64>,
    clients: Vec<u32>,
    wall_s: f64,
    cpu_s: f64,
    peak_mib: f64,
}

/// Installs it.
pub fn prepare(root: &Path) -> Result<Flower> {
    let requirements = root.join("xtask/peers/requirements-simulator.txt");
    let python = venv::prepare(root, "simulator", &requirements)?.whole()?;
    let asked = "from importlib.metadata import version; print(version('flwr'))";
    let said = Command::new(&python).args(["-c", asked]).output()?;
    let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    ensure!(!version.is_empty(), "the environment has no flwr");
    Ok(Flower { python, version })
}

impl Flower {
    pub fn rounds(&self, root: &Path, clients: u32, rounds: u32, secure: bool) -> Result<Row> {
        let mut command = Command::new(&self.python);
        command.arg(root.join("xtask/peers/flower_simulation.py"));
        command.args(["--clients", &clients.to_string(), "--rounds", &rounds.to_string()]);
        command.args(["--values", &VALUES.to_string()]);
        if secure {
            command.arg("--secure");
        }
        command.env("FLWR_TELEMETRY_ENABLED", "0").env("RAY_USAGE_STATS_ENABLED", "0");
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("OMP_NUM_THREADS", "1");
        let output = command.stdin(Stdio::null()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| line.starts_with('{'));
        let last = last.with_context(|| format!("Flower said nothing: {said}{errors}"))?;
        let told: Told = serde_json::from_str(last)?;
        let all = told.clients.iter().all(|count| *count == clients);
        ensure!(all && told.rounds_s.len() == rounds as usize, "rounds of Flower's failed: {last}");
        Ok(Row {
            part: Part::Flower,
            date: String::new(),
            engine: "flower".to_owned(),
            version: self.version.clone(),
            what: if secure { "SecAgg+" } else { "sums in the clear" }.to_owned(),
            peers: clients,
            rounds,
            rounds_s: told.rounds_s,
            wall_s: told.wall_s,
            cpu_s: told.cpu_s,
            peak_mib: told.peak_mib,
        })
    }
}
