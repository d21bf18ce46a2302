//! How small, quick and exact is the index, beside other engines?
//!
//! Each set of vectors is handed to our own engine and to its peers, which run in Python environments below
//! target/. Finished rows are kept there, so that a run goes on where the last one ended.

pub(super) mod encoders;
mod exact;
mod goals;
mod make;
pub(super) mod meter;
mod ours;
mod peers;
mod plots;
mod report;
mod rows;
mod sets;
mod steps;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use peers::Settings;
use rows::Row;
use sets::{Model, Set};

/// Options of `cargo xtask bench index`.
#[derive(Args)]
pub struct Options {
    /// Folders with vectors, questions and perhaps texts; give it once for each size.
    #[arg(long = "set", required_unless_present = "make")]
    sets: Vec<PathBuf>,
    /// Make a set of texts and their vectors in this folder, and end.
    #[arg(long, requires = "data", conflicts_with = "sets")]
    make: Option<PathBuf>,
    /// Chunks the set that is made should have; it gets a few more.
    #[arg(long, default_value_t = 10_000)]
    chunks: u64,
    /// The model by which a set is made.
    #[arg(long, value_enum, default_value_t = Model::Static)]
    model: Model,
    /// Folders of retrieval sets in BEIR's layout, whose texts and questions the set is made of.
    #[arg(long)]
    data: Vec<PathBuf>,
    /// Only these of our own profiles, with commas.
    #[arg(long, value_delimiter = ',')]
    profiles: Vec<String>,
    /// Take our own rows from the last run, where they are there, and leave rows of other sets and peers in the report.
    #[arg(long)]
    keep: bool,
    /// Only these peers, with commas; `none` for none of them.
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Ask at most so many questions of a peer.
    #[arg(long)]
    limit: Option<usize>,
    /// Ask so many questions where each costs minutes [default: 3].
    #[arg(long)]
    few: Option<usize>,
    /// Measure peers again that were measured before.
    #[arg(long)]
    fresh: bool,
    /// One step of our own engine, in a process of its own.
    #[arg(long, hide = true, requires = "place", requires = "corpus")]
    step: Option<String>,
    #[arg(long, hide = true)]
    place: Option<PathBuf>,
    #[arg(long, hide = true)]
    corpus: Option<PathBuf>,
}

/// Runs the benchmark and writes docs/benchmarks/index.{json,md} and its plots.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    if let Some(folder) = &options.make {
        return make::make(folder, options.chunks, &options.data, options.model);
    }
    if let (Some(step), Some(place), Some(corpus), [set]) =
        (&options.step, &options.place, &options.corpus, options.sets.as_slice())
    {
        return steps::take(step, &Set::open(set)?, place, corpus, options.few);
    }
    let own =
        ours::Options { keep: options.keep, few: options.few, profiles: options.profiles.clone() };
    let settings = Settings {
        only: options.peers.clone(),
        limit: options.limit,
        few: options.few,
        fresh: options.fresh,
    };
    peers::check(&settings.only)?;
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for folder in &options.sets {
        let set = Set::open(folder)?;
        eprintln!("{}", set.data);
        exact::answers(&set)?;
        rows.extend(ours::ours(root, &set, &own)?);
        let (found, missing) = peers::measure(root, &set, &settings);
        rows.extend(found);
        for one in missing {
            // What did not install is missing for every set.
            if !skipped.contains(&one) {
                skipped.push(one);
            }
        }
    }
    if options.keep {
        let mut others = report::earlier(root)?;
        // Of a set that was measured now, peers that were left out stay.
        let again = |row: &Row, new: &Row| {
            let same = (&new.engine, &new.variant) == (&row.engine, &row.variant);
            new.comparable(row) && (same || row.is_ours())
        };
        others.retain(|row| !rows.iter().any(|new| again(row, new)));
        rows.extend(others);
    }
    let names: Vec<_> = options
        .sets
        .iter()
        .map(|set| set.file_name().unwrap_or_default().to_string_lossy())
        .collect();
    let command = format!("cargo xtask bench index --set {}", names.join(" --set "));
    report::write(root, &command, &rows, &skipped)?.conclude()
}
