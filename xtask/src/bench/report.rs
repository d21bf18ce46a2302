//! What every benchmark writes.

use std::fmt::Write;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A benchmark's outcome, as docs/benchmarks/NAME.json holds it.
#[derive(Serialize)]
pub struct Report {
    pub name: &'static str,
    /// Day of the run, UTC, `YYYY-MM-DD`.
    pub date: String,
    pub machine: String,
    pub versions: Vec<String>,
    pub rows: Vec<Value>,
    pub goals: Vec<Goal>,
}

/// One number that was aimed at, met or missed.
#[derive(Debug, Serialize)]
pub struct Goal {
    pub name: String,
    pub goal: String,
    pub value: f64,
    pub met: bool,
}

impl Goal {
    /// Met by what is no more than `most`.
    pub fn at_most(name: String, value: f64, most: f64) -> Self {
        Self { name, goal: format!("at most {most}"), value, met: value <= most }
    }

    /// Met by what is no less than `least`.
    pub fn at_least(name: String, value: f64, least: f64) -> Self {
        Self { name, goal: format!("at least {least}"), value, met: value >= least }
    }
}

impl Report {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            date: today(),
            machine: machine(),
            versions: vec![
                format!("covey {}", env!("CARGO_PKG_VERSION")),
                output("rustc", &["--version"]),
            ],
            rows: Vec::new(),
            goals: Vec::new(),
        }
    }

    /// Prints what became of each goal, and fails if one was missed.
    pub fn conclude(&self) -> Result<()> {
        for goal in &self.goals {
            let met = if goal.met { "met" } else { "MISSED" };
            println!("{met}: {} {:.4} ({})", goal.name, goal.value, goal.goal);
        }
        ensure!(self.goals.iter().all(|goal| goal.met), "a goal was missed, see docs/benchmarks");
        Ok(())
    }

    /// Writes the JSON file and `text` (Markdown) with a footer that says where numbers come from.
    pub fn write(&self, root: &Path, command: &str, text: &str) -> Result<()> {
        let folder = root.join("docs/benchmarks");
        fs::create_dir_all(&folder)?;
        let json = serde_json::to_string_pretty(self)?;
        let path = folder.join(format!("{}.json", self.name));
        fs::write(&path, json + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        let mut page = format!(
            "{text}\n## Goals\n\n| goal | wanted | reached | met |\n| --- | --- | --- | --- |\n"
        );
        for goal in &self.goals {
            let met = if goal.met { "yes" } else { "**no**" };
            page += &format!("| {} | {} | {:.4} | {met} |\n", goal.name, goal.goal, goal.value);
        }
        page += &format!(
            "\nMade by `{command}` on {}, {}; {}.\n",
            self.date,
            self.machine,
            self.versions.join(", ")
        );
        fs::write(folder.join(format!("{}.md", self.name)), page)?;
        Ok(())
    }
}

/// What a benchmark wrote before.
#[derive(Deserialize)]
pub struct Earlier<T> {
    pub date: String,
    pub rows: Vec<T>,
}

/// What docs/benchmarks/NAME.json holds; nothing where it is not there.
pub fn earlier<T: DeserializeOwned>(root: &Path, name: &str) -> Result<Earlier<T>> {
    match fs::read(root.join(format!("docs/benchmarks/{name}.json"))) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(Earlier { date: String::new(), rows: Vec::new() })
        }
        Err(error) => Err(error.into()),
    }
}

/// Appends a line to a page.
pub fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}

/// This day, UTC, `YYYY-MM-DD`.
pub fn today() -> String {
    output("date", &["-u", "+%F"])
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, shared")
}

fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
