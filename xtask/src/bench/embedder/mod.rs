//! How quick and how exact is the embedder, beside ONNX Runtime and the `tokenizers` crate?
//!
//! The report has parts, each a file of its own that measures, makes rows, and turns rows into a table and goals:
//! [`inference`], [`agreement`], [`statics`], [`training`] and [`quality`]. Another part is another module and another variant of [`rows::Row`].

mod agreement;
mod inference;
mod peers;
mod quality;
mod report;
mod rows;
mod statics;
mod talk;
mod texts;
mod training;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use covey_embedder::bench::Threads;

use self::peers::Peers;
pub use self::quality::FOUND;
use self::rows::{Dated, Row};
use self::texts::Texts;
use crate::bench::report::{Report, earlier, today};

/// Options of `cargo xtask bench embedder`.
#[derive(Args)]
pub struct Options {
    /// Folder of a retrieval set in BEIR's layout, whose texts and questions are embedded.
    #[arg(long)]
    data: PathBuf,
    /// Only these parts; rows of the others stay as the last run left them.
    #[arg(long = "part", value_enum)]
    parts: Vec<Part>,
    /// Times that everything is timed; the best counts.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure ours alone.
    #[arg(long)]
    no_peers: bool,
    /// Folders of retrieval sets on which it is measured what models find.
    #[arg(long)]
    quality: Vec<PathBuf>,
    /// Folder of a retrieval set with training questions, on which both families of models are fine-tuned.
    #[arg(long)]
    tune: Option<PathBuf>,
    /// Only take a few steps of LoRA on these pairs and print what they took; training is measured so.
    #[arg(long, hide = true)]
    lora_step: Option<PathBuf>,
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Time of a chunk and of a question with MiniLM, each path, beside ONNX Runtime.
    Inference,
    /// How near the vectors are to those of ONNX Runtime in f32.
    Agreement,
    /// The built-in static model and its tokenizer.
    Static,
    /// A step of training, beside PyTorch.
    Training,
    /// What MiniLM finds in each number format, and the built-in model (sets of --quality).
    Formats,
    /// What fine-tuning brings (the set of --tune).
    Tuning,
}

/// What parts measure with.
struct Bench<'a> {
    root: &'a Path,
    texts: Texts,
    /// ONNX Runtime, unless it could not be had.
    peers: Option<Peers>,
    /// One thread of ours.
    one: Threads,
    rounds: u32,
}

/// The report as far as it has come: written after every part, so that a run cut short has lost only the part it was at.
struct Kept<'a> {
    root: &'a Path,
    command: String,
    missing: Option<String>,
    rows: Vec<Dated>,
    /// Parts that have rows of this run.
    begun: Vec<Part>,
}

impl Kept<'_> {
    /// Adds rows; those of an earlier run go when the first of their part come.
    fn add(&mut self, rows: Vec<Row>) -> Result<()> {
        let date = today();
        for row in rows {
            let part = row.part();
            if !self.begun.contains(&part) {
                self.rows.retain(|dated| dated.row.part() != part);
                self.begun.push(part);
            }
            self.rows.push(Dated { date: date.clone(), row });
        }
        self.write().map(drop)
    }

    fn write(&self) -> Result<Report> {
        report::write(self.root, &self.command, &self.rows, self.missing.as_deref())
    }
}

/// Runs the benchmark and writes docs/benchmarks/embedder.{json,md}.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    if let Some(pairs) = &options.lora_step {
        return training::lora_step(pairs);
    }
    let wanted = |part: Part| {
        let asked = options.parts.is_empty() || options.parts.contains(&part);
        asked
            && match part {
                Part::Formats => !options.quality.is_empty(),
                Part::Tuning => options.tune.is_some(),
                _ => true,
            }
    };
    let texts = Texts::read(&options.data)?;
    let (mut peers, mut missing) = (None, None);
    if !options.no_peers && (wanted(Part::Inference) || wanted(Part::Agreement)) {
        match Peers::start(root, &texts) {
            Ok(started) => peers = Some(started),
            Err(problem) => missing = Some(format!("{problem:#}")),
        }
    }
    let mut bench = Bench { root, texts, peers, one: Threads::new(1)?, rounds: options.rounds };
    let data = options.data.file_name().unwrap_or_default().to_string_lossy();
    let command = format!("cargo xtask bench embedder --data {data}");
    let mut kept =
        Kept { root, command, missing, rows: earlier(root, "embedder")?.rows, begun: Vec::new() };
    if wanted(Part::Inference) {
        kept.add(inference::measure(&mut bench)?)?;
    }
    if wanted(Part::Agreement) {
        kept.add(agreement::measure(&mut bench)?)?;
    }
    if wanted(Part::Static) {
        kept.add(statics::measure(&bench)?)?;
    }
    if wanted(Part::Training) && !options.no_peers {
        kept.add(training::measure(&bench)?)?;
    }
    if wanted(Part::Formats) {
        for folder in &options.quality {
            kept.add(quality::formats(folder)?)?;
        }
    }
    if let Some(folder) = options.tune.as_ref().filter(|_| wanted(Part::Tuning)) {
        quality::tuned(folder, &mut |row| kept.add(vec![row]))?;
    }
    kept.write()?.conclude()
}
