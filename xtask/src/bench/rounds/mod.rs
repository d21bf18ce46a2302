//! What rounds of learning together bring, and what they cost: six real nodes on this machine, one of which coordinates.
//!
//! Two parts that can run apart: [`quality`] has the nodes learn from a retrieval set's training questions and measures what the
//! model finds for its test questions, [`cost`] puts the same rounds beside Flower's.

mod campaign;
mod cost;
mod flower;
mod lab;
mod processes;
mod proxy;
mod quality;
mod report;
mod rows;
mod topics;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use self::flower::Flower;
use self::quality::Algorithm;
use self::rows::{Dated, Row};
use crate::bench::report::{Report, earlier, today};

/// Nodes, all of which take part.
const CLIENTS: usize = 6;

/// Options of `cargo xtask bench rounds`.
#[derive(Args)]
pub struct Options {
    /// Folder of a retrieval set in BEIR's layout with training and development questions.
    #[arg(long)]
    data: PathBuf,
    /// Only these parts; rows of the others stay as the last run left them.
    #[arg(long = "part", value_enum)]
    parts: Vec<Part>,
    /// Measure ours alone.
    #[arg(long)]
    no_peers: bool,
    #[command(flatten)]
    tried: Tried,
}

/// Other settings, for finding better ones: one campaign, measured on the development questions and only printed.
#[derive(Args)]
struct Tried {
    /// Try settings out.
    #[arg(long = "try", hide = true)]
    on: bool,
    #[arg(long, hide = true)]
    minilm: bool,
    #[arg(long, hide = true, value_enum, default_value = "fedavg")]
    algorithm: Algorithm,
    #[arg(long, hide = true)]
    rounds: Option<u32>,
    #[arg(long, hide = true)]
    rank: Option<u16>,
    #[arg(long, hide = true)]
    epochs: Option<u16>,
    #[arg(long, hide = true)]
    steps: Option<u32>,
    #[arg(long, hide = true)]
    rate: Option<f64>,
    #[arg(long, hide = true)]
    proximal: Option<f64>,
    #[arg(long, hide = true)]
    clip: Option<f64>,
    #[arg(long, hide = true)]
    rule: Option<String>,
    #[arg(long, hide = true)]
    server_rate: Option<f64>,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    /// What models find after rounds.
    Quality,
    /// What rounds cost, beside Flower.
    Cost,
}

/// The report as far as it has come: written after every row, so that a run cut short has lost only what it was at.
struct Kept<'a> {
    root: &'a Path,
    command: String,
    missing: Option<String>,
    /// Of this run.
    rows: Vec<Dated>,
    /// Parts that have rows of this run.
    begun: Vec<Part>,
}

impl Kept<'_> {
    /// Adds a row; those of an earlier run go when the first of their part comes.
    fn add(&mut self, row: Row) -> Result<()> {
        let part = row.part();
        if !self.begun.contains(&part) {
            self.begun.push(part);
        }
        self.rows.push(Dated { date: today(), row });
        self.write().map(drop)
    }

    /// Writes this run's rows, and those of parts that are not run, as they are there now: another run may be at them.
    fn write(&self) -> Result<Report> {
        let mut rows = earlier::<Dated>(self.root, "rounds")?.rows;
        rows.retain(|dated| !self.begun.contains(&dated.row.part()));
        rows.extend(self.rows.iter().cloned());
        rows.sort_by_key(|dated| dated.row.part());
        report::write(self.root, &self.command, &rows, self.missing.as_deref())
    }
}

/// Runs the benchmark and writes docs/benchmarks/rounds.{json,md}.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let data = options.data.canonicalize()?;
    if options.tried.on {
        return quality::tried(root, &data, &options.tried);
    }
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    let (mut flower, mut missing) = (None, None);
    if wanted(Part::Cost) && !options.no_peers {
        match Flower::prepare(root) {
            Ok(it) => flower = Some(it),
            Err(problem) => missing = Some(format!("{problem:#}")),
        }
    }
    let command = format!("cargo xtask bench rounds --data {}", quality::name_of(&data));
    let mut kept = Kept { root, command, missing, rows: Vec::new(), begun: Vec::new() };
    if wanted(Part::Quality) {
        quality::measure(root, &data, &mut |row| kept.add(row))?;
    }
    if wanted(Part::Cost) {
        cost::measure(root, &data, flower.as_ref(), &mut |row| kept.add(row))?;
    }
    kept.write()?.conclude()
}
