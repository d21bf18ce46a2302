//! What learning together brings: experiments, each of them sweeps of a scenario in docs/experiments.
//!
//! Trials lie in target/experiments and are kept: what is there is not run again, so that the same command goes on where it was cut off, and
//! a cell that was not run is shown empty.

mod federated;
mod known;
mod report;
mod sweeps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use covey_sim::report::Summary;
use serde::{Deserialize, Serialize};

use self::sweeps::Sweep;
use super::report::earlier;

/// Options of `cargo xtask bench experiments`.
#[derive(Args)]
pub struct Options {
    /// Folders of retrieval sets in BEIR's layout, which peers learn from and are tested by.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// A folder with a transformer, for the cells that this machine affords.
    #[arg(long)]
    transformer: Option<PathBuf>,
    /// Only sweeps whose name has this in it; rows of the others stay as they are.
    #[arg(long)]
    only: Option<String>,
    /// Begin no sweep after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
}

/// What a cell came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The sweep that it is of, `EXPERIMENT/…`.
    pub sweep: String,
    pub date: String,
    /// How the scenario was changed for all cells of the sweep.
    pub set: Vec<String>,
    /// And for this one.
    pub settings: BTreeMap<String, String>,
    pub summary: Summary,
}

impl Row {
    /// How many peers the sweep is of, if it says so.
    pub fn peers(&self) -> &str {
        self.set.iter().find_map(|it| it.strip_prefix("peers=")).unwrap_or("")
    }

    /// A setting of the cell.
    pub fn setting(&self, key: &str) -> &str {
        self.settings.get(key).map_or("", String::as_str)
    }
}

/// Runs the experiments and writes docs/benchmarks/experiments.{json,md} and the figures in docs/experiments.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let covey = super::simulator::ours::build(root)?;
    let mut sweeps = known::sweeps();
    for folder in &options.data {
        sweeps.extend(federated::sweeps(folder, None)?);
        if let Some(model) = &options.transformer {
            sweeps.extend(federated::sweeps(folder, Some(model))?);
        }
    }
    if let Some(first) = options.data.first() {
        sweeps.extend(federated::cohorts(first)?);
    }
    let mut rows = earlier::<Row>(root, "experiments")?.rows;
    let begun = Instant::now();
    let wanted =
        |sweep: &&Sweep| options.only.as_ref().is_none_or(|part| sweep.name.contains(part));
    for sweep in sweeps.iter().filter(wanted) {
        if options.minutes.is_some_and(|most| begun.elapsed() > Duration::from_secs(60 * most)) {
            eprintln!("the time is over; the same command goes on");
            break;
        }
        eprintln!("{}", sweep.name);
        let found = sweep.run(&covey, root)?;
        rows.retain(|row| row.sweep != sweep.name);
        rows.extend(found);
        rows.sort_by(|a, b| (&a.sweep, &a.settings).cmp(&(&b.sweep, &b.settings)));
        report::write(root, &rows)?;
    }
    report::write(root, &rows)?.conclude()
}
