//! What adopting another release of the model costs, and what is found meanwhile.
//!
//! The documents of a BEIR set are indexed with the built-in model, in parts. Then the index is brought to a
//! second release of it, step by step as the daemon does it; after each step the test questions are
//! asked of the index as it is. The second release has the first one's token vectors, each entry changed a little.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use covey_embedder::eval::{Set, ndcg, recall};
use covey_embedder::{Bits, Embedder, StaticModel};
use covey_index::{Collection, Disk, Encoder, SearchOptions, Settings, UpdateOptions};
use covey_node::models::ModelHandle;
use serde_json::json;

use super::index::encoders::Watched;
use super::index::meter;
use super::report::{Goal, Report};

/// Ranks that count.
const K: usize = 10;
/// Chunks asked for, as several of a document may be among them.
const CHUNKS: usize = 50;
/// Parts that the index is built in, which become its segments.
const PARTS: usize = 8;
/// Largest change of recall@10 until the move is over.
const TOLERANCE: f64 = 0.01;
/// The built-in model, as a file.
const MODEL: &str = "embedder/assets/covey-static-en-512.cvst";

/// Options of `cargo xtask bench adopt`.
#[derive(Args)]
pub struct Options {
    /// Folder of a retrieval set in BEIR's layout (corpus.jsonl, queries.jsonl, qrels/test.tsv).
    #[arg(long)]
    data: PathBuf,
    /// The most that an entry of a token vector, of -127 to 127, is changed by.
    #[arg(long, default_value_t = 3)]
    change: i8,
}

/// Runs the benchmark and writes docs/benchmarks/adopt.{json,md}.
pub fn run(options: &Options, root: &Path) -> Result<()> {
    let set = Set::read(&options.data, "test")?;
    let name = options.data.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = root.join("target/bench-adopt");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    let (documents, dir) = (place.join("documents"), place.join("index"));
    let [first, second] = releases(&root.join(MODEL), options.change)?;
    // Questions go to the models themselves: they are not chunks.
    let chunks_by = Watched::new(second.clone());
    let mut index = build(&set, &documents, &dir, &*first)?;
    let chunks = index.stats().chunks;
    let start = files(&dir)?;
    let before = ask(&set, &index, &*first)?;
    let mut run = Run { report: Report::new("adopt"), table: head(&name, &set, &index) };
    run.row("before", 0, before, Cost::default());
    let mut known = start.clone();
    let (mut written, mut cpu, mut worst) = (0, Duration::ZERO, 0f64);
    let seed = UpdateOptions::default().seed;
    while let Some(step) = index.recode_step(&Disk, &chunks_by, seed)? {
        let started = meter::cpu();
        let part = step.run(&Disk, &chunks_by, 16, &mut |_| ControlFlow::Continue(()))?;
        index.accept(part.context("nothing ends it early")?)?;
        cpu += meter::cpu() - started;
        written += new_bytes(&mut known, &dir)?;
        let quality = ask(&set, &index, &*first)?;
        worst = worst.max((quality.recall - before.recall).abs());
        let (done, total) = index.recoded(second.id());
        let at = format!("{:.0} % embedded", 100.0 * done as f64 / total as f64);
        run.row(&at, chunks_by.texts().0 as usize, quality, Cost { cpu, written });
    }
    let started = meter::cpu();
    ensure!(index.finish_recode(&chunks_by, seed)?, "nothing is missing");
    cpu += meter::cpu() - started;
    written += new_bytes(&mut known, &dir)?;
    let embedded = chunks_by.texts().0 as usize;
    let after = ask(&set, &index, &*second)?;
    run.row("after", embedded, after, Cost { cpu, written });
    let fresh = build(&set, &place.join("again"), &place.join("fresh"), &*second)?;
    let anew = ask(&set, &fresh, &*second)?;
    run.row("built anew", chunks, anew, Cost::default());
    drop((index, fresh));

    let kept = |name: &str| !name.starts_with("codes-") && !name.starts_with("codec-");
    let end = files(&dir)?;
    let rewritten = end
        .iter()
        .filter(|(name, file)| kept(name) && *name != "manifest" && start.get(*name) != Some(file));
    let rewritten = rewritten.map(|(_, file)| file.bytes).sum::<u64>() as f64;
    let goals = &mut run.report.goals;
    let mut goal = |name: &str, goal: &str, value: f64, met: bool| {
        goals.push(Goal { name: name.to_owned(), goal: goal.to_owned(), value, met });
    };
    goal(
        "recall@10 during the move, largest change",
        &format!("within {TOLERANCE}"),
        worst,
        worst <= TOLERANCE,
    );
    let times = embedded as f64 / chunks as f64;
    goal("times each chunk is embedded", "1", times, embedded == chunks);
    goal("bytes rewritten besides codes and the manifest", "0", rewritten, rewritten == 0.0);
    let difference = (after.recall - anew.recall).abs();
    let as_anew = format!("within {TOLERANCE}");
    goal("recall@10 after the move, as built anew", &as_anew, difference, difference <= TOLERANCE);
    let command = format!("cargo xtask bench adopt --data {name}");
    run.report.write(root, &command, &run.table)?;
    println!("{}", run.table);
    fs::remove_dir_all(&place)?;
    ensure!(run.report.goals.iter().all(|goal| goal.met), "a goal was missed, see docs/benchmarks");
    Ok(())
}

/// Mean measures over all questions.
#[derive(Clone, Copy)]
struct Quality {
    ndcg: f64,
    recall: f64,
}

/// What the move took so far.
#[derive(Clone, Copy, Default)]
struct Cost {
    cpu: Duration,
    written: u64,
}

struct Run {
    report: Report,
    table: String,
}

impl Run {
    fn row(&mut self, at: &str, embedded: usize, quality: Quality, cost: Cost) {
        let Quality { ndcg, recall } = quality;
        let (cpu, written) = (cost.cpu.as_secs_f64(), cost.written);
        eprintln!("{at}: recall@10 {recall:.4}");
        self.table += &format!(
            "| {at} | {recall:.4} | {ndcg:.4} | {embedded} | {cpu:.2} | {} |\n",
            written / 1024
        );
        self.report.rows.push(json!({
            "at": at, "recall_at_10": recall, "ndcg_at_10": ndcg, "embedded": embedded,
            "cpu_seconds": cpu, "bytes_written": written,
        }));
    }
}

fn head(name: &str, set: &Set, index: &Collection) -> String {
    let stats = index.stats();
    format!(
        "# Adopting another release of the model\n\n{name}: {} documents in {} chunks and {} segments, {} test \
         questions, index {} KiB. Until the move is over, questions are embedded with and answered by the release \
         before. CPU time and bytes written are those of the move so far; every file is synced.\n\n\
         | state | recall@10 | nDCG@10 | chunks embedded | CPU seconds | KiB written |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        set.documents.len(),
        stats.chunks,
        stats.segments,
        set.queries.len(),
        stats.index_bytes / 1024,
    )
}

/// The built-in model, and a second release of it.
fn releases(file: &Path, change: i8) -> Result<[Arc<dyn Encoder>; 2]> {
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let first = StaticModel::from_bytes(&bytes)?;
    let mut parts = first.parts().clone();
    // Whole bytes, as training gives, so that the change is as fine.
    let finer = Bits::WHOLE.largest() / parts.bits.largest();
    parts.scales.iter_mut().for_each(|scale| *scale /= f32::from(finer));
    parts.bits = Bits::WHOLE;
    let span = 2 * u64::from(change.unsigned_abs()) + 1;
    let mut state = 1u64;
    for entry in parts.rows.to_mut() {
        // A linear congruential generator (Knuth's MMIX), of which the high bits are used.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let drawn = (state >> 40) % span;
        let moved = i64::from(entry.cast_signed()) * i64::from(finer) + drawn as i64
            - i64::from(change.unsigned_abs());
        *entry = (moved.clamp(-127, 127) as i8).cast_unsigned();
    }
    let second = StaticModel::new(parts)?;
    ensure!(first.id().base == second.id().base, "they are releases of one model");
    ensure!(first.id() != second.id(), "the second one is another release");
    Ok([first, second].map(|model| ModelHandle::new(Arc::new(model), "static").encoder))
}

/// Indexes the documents in several parts, each of which becomes a segment.
fn build(set: &Set, documents: &Path, dir: &Path, encoder: &dyn Encoder) -> Result<Collection> {
    fs::create_dir_all(documents)?;
    let mut index = Collection::create(dir, encoder)?;
    let mut settings = Settings::default();
    settings.lexical = false;
    index.set_settings(settings)?;
    let mut options = UpdateOptions::default();
    options.merge_at = PARTS;
    for part in set.documents.chunks(set.documents.len().div_ceil(PARTS)) {
        for document in part {
            let text = format!("{}\n\n{}\n", document.title, document.text);
            fs::write(documents.join(format!("{}.txt", document.id)), text)?;
        }
        index.update(documents, &Disk, encoder, &options, &mut |_| ControlFlow::Continue(()))?;
    }
    Ok(index)
}

/// Asks all questions of the index, embedded by `encoder`.
fn ask(set: &Set, index: &Collection, encoder: &dyn Encoder) -> Result<Quality> {
    let mut total = Quality { ndcg: 0.0, recall: 0.0 };
    for question in &set.queries {
        let query = encoder.encode(&[&question.text])?;
        let options = SearchOptions::default();
        let found = index.search(&query, CHUNKS, &Disk, encoder, &options)?;
        let mut ranking: Vec<String> = Vec::new();
        for hit in &found.hits {
            let id = hit.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if !ranking.contains(&id) {
                ranking.push(id);
            }
        }
        let grades = &set.judgements[&question.id];
        total.ndcg += ndcg(&ranking, grades, K);
        total.recall += recall(&ranking, grades, K);
    }
    let count = set.queries.len() as f64;
    Ok(Quality { ndcg: total.ndcg / count, recall: total.recall / count })
}

/// A file of the index: another inode or size is another file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    bytes: u64,
}

fn files(dir: &Path) -> Result<BTreeMap<String, Seen>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let seen = Seen { inode: metadata.ino(), bytes: metadata.len() };
        files.insert(entry.file_name().to_string_lossy().into_owned(), seen);
    }
    Ok(files)
}

/// Bytes of files that were not known, or are others now.
fn new_bytes(known: &mut BTreeMap<String, Seen>, dir: &Path) -> Result<u64> {
    let now = files(dir)?;
    let new = now.iter().filter(|(name, file)| known.get(*name) != Some(file));
    let bytes = new.map(|(_, file)| file.bytes).sum();
    *known = now;
    Ok(bytes)
}
