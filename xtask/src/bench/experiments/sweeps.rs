//! A scenario for each combination of values, by `covey sim sweep`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Row;
use crate::bench::report::today;

/// A sweep of a scenario of docs/experiments.
pub struct Sweep {
    /// `EXPERIMENT/…`: the folder of its trials below target/experiments, and what its rows are known by.
    pub name: String,
    /// The scenario's file in docs/experiments, without `.toml`.
    pub scenario: &'static str,
    /// What is changed for all.
    pub set: Vec<String>,
    /// What varies: `key=value,value`.
    pub vary: Vec<String>,
}

/// A change without where on this machine its folder lies.
fn without_path(set: &str) -> String {
    let name = |path: &str| Some(Path::new(path).file_name()?.to_string_lossy().into_owned());
    match set.split_once('=') {
        Some((key @ ("data.folder" | "learner.model"), path)) => {
            format!("{key}={}", name(path).unwrap_or_default())
        }
        Some(_) | None => set.to_owned(),
    }
}

impl Sweep {
    /// Runs what has not been run yet, and gives all cells.
    pub fn run(&self, covey: &Path, root: &Path) -> Result<Vec<Row>> {
        let scenario = root.join("docs/experiments").join(self.scenario).with_extension("toml");
        let out = root.join("target/experiments").join(&self.name);
        let mut command = Command::new(covey);
        command.args(["--quiet", "sim", "sweep"]).arg(scenario).arg("--out").arg(&out);
        for set in &self.set {
            command.args(["--set", set]);
        }
        for vary in &self.vary {
            command.args(["--vary", vary]);
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        ensure!(status.success(), "{} failed; its logs are in {}", self.name, out.display());
        let path = out.join("sweep.json");
        let text = std::fs::read(&path).with_context(|| format!("no {}", path.display()))?;
        let mut told: Value = serde_json::from_slice(&text)?;
        let trials = told["trials"].as_array_mut().context("a sweep without trials")?;
        trials.iter_mut().map(|trial| self.row(trial)).collect()
    }

    fn row(&self, trial: &mut Value) -> Result<Row> {
        Ok(Row {
            sweep: self.name.clone(),
            date: today(),
            set: self.set.iter().map(|it| without_path(it)).collect(),
            settings: serde_json::from_value(trial["settings"].take())?,
            summary: serde_json::from_value(trial["summary"].take())?,
        })
    }
}
