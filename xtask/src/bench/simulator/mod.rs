//! What simulating costs: beside Flower's simulation engine, as the number of peers grows, and as large as it gets.

mod flower;
pub mod ours;
mod report;

use std::path::Path;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::bench::report::{Report, earlier, today};

/// Values of an update.
const VALUES: u32 = 75_000;
/// Clients and rounds beside Flower: it has no more in reasonable time, and of secure sums one alone takes it many minutes.
const CLIENTS: u32 = 100;
const ROUNDS: u32 = 3;
const SECURE_ROUNDS: u32 = 1;
/// Peers by which growth is shown.
const SIZES: [u32; 5] = [100, 300, 1_000, 3_000, 10_000];

/// Options of `cargo xtask bench simulator`.
#[derive(Args)]
pub struct Options {
    /// Only these parts; rows of the others stay as the last run left them.
    #[arg(long = "part", value_enum)]
    parts: Vec<Part>,
    /// Measure ours alone.
    #[arg(long)]
    no_peers: bool,
    /// No more peers than this.
    #[arg(long, default_value_t = u32::MAX)]
    most: u32,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The same rounds by Flower's simulation engine.
    Flower,
    /// One secure sum of ever more peers.
    Growth,
    /// A hundred thousand peers that search.
    Town,
}

/// What one run took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub part: Part,
    pub date: String,
    pub engine: String,
    pub version: String,
    /// How updates are summed, or what peers do.
    pub what: String,
    pub peers: u32,
    /// Rounds, or hours.
    pub rounds: u32,
    /// Wall seconds of each of them.
    pub rounds_s: Vec<f64>,
    /// Of all, from start to end.
    pub wall_s: f64,
    pub cpu_s: f64,
    pub peak_mib: f64,
}

impl Row {
    /// Seconds of the round that took least: later ones have what was started with the first.
    pub fn best_s(&self) -> f64 {
        self.rounds_s.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// Runs the benchmark and writes docs/benchmarks/simulator.{json,md}.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let wanted = |part| options.parts.is_empty() || options.parts.contains(&part);
    let mut kept =
        Kept { root, rows: earlier(root, "simulator")?.rows, begun: Vec::new(), missing: None };
    let covey = ours::build(root)?;
    if wanted(Part::Flower) {
        let peer = match options.no_peers {
            true => None,
            false => match flower::prepare(root) {
                Ok(peer) => Some(peer),
                Err(problem) => {
                    kept.missing = Some(format!("{problem:#}"));
                    None
                }
            },
        };
        for secure in [false, true] {
            let rounds = if secure { SECURE_ROUNDS } else { ROUNDS };
            kept.add(ours::rounds(&covey, Part::Flower, CLIENTS, rounds, secure)?)?;
            if let Some(peer) = &peer {
                kept.add(peer.rounds(root, CLIENTS, rounds, secure)?)?;
            }
        }
    }
    if wanted(Part::Growth) {
        for peers in SIZES.into_iter().filter(|peers| *peers <= options.most) {
            kept.add(ours::rounds(&covey, Part::Growth, peers, 1, true)?)?;
        }
    }
    if wanted(Part::Town) {
        kept.add(ours::town(&covey, 100_000.min(options.most))?)?;
    }
    kept.write()?.conclude()
}

/// The report as far as it has come: written after every row, so that a run cut short has lost only what it was at.
struct Kept<'a> {
    root: &'a Path,
    rows: Vec<Row>,
    begun: Vec<Part>,
    missing: Option<String>,
}

impl Kept<'_> {
    /// Adds a row; those of an earlier run go when the first of their part comes.
    fn add(&mut self, mut row: Row) -> Result<()> {
        if !self.begun.contains(&row.part) {
            self.begun.push(row.part);
            self.rows.retain(|it| it.part != row.part);
        }
        row.date = today();
        eprintln!(
            "{} {} {}: {:.1} s, {:.0} MiB",
            row.engine, row.what, row.peers, row.wall_s, row.peak_mib
        );
        self.rows.push(row);
        self.write().map(drop)
    }

    fn write(&mut self) -> Result<Report> {
        self.rows.sort_by_key(|row| row.part);
        report::write(self.root, &self.rows, self.missing.as_deref())
    }
}
