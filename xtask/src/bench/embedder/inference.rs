//! MiniLM's time for a chunk and for a question: each of our paths, and ONNX Runtime.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use covey_embedder::bench::{instructions, peak};
use covey_embedder::{Embedder, Precision, testing};

use super::Bench;
use super::peers::{Batch, Peers};
use super::rows::{Inference, OURS, Peak, Row};
use super::texts::Texts;
use crate::bench::report::Goal;

/// Chunks in a call.
pub const BATCHES: [usize; 3] = [1, 8, 32];
/// What is timed, and calls in a row: enough that a clock of some microseconds is exact.
const CASES: [(Batch, u32); 4] =
    [(Batch::Chunks(1), 4), (Batch::Chunks(8), 1), (Batch::Chunks(32), 1), (Batch::Query, 30)];
/// Paths of ours that are timed.
const PATHS: [Precision; 3] = [Precision::F32, Precision::Int16, Precision::Int8];
/// For each measurement of a peak.
const PEAK: Duration = Duration::from_millis(30);

/// Multiplications and additions of MiniLM for 256 tokens, in thousand millions: six layers of width 384 and 1536.
const GIGA: f64 = {
    let (tokens, width, inner) = (256.0, 384.0, 1536.0);
    let dense = 2.0 * tokens * (4.0 * width * width + 2.0 * width * inner);
    let attention = 2.0 * 2.0 * tokens * tokens * width;
    6.0 * (dense + attention) / 1e9
};

/// Whole numbers beside ONNX Runtime's best, times as fast.
const WHOLE: f64 = 3.0;
/// The same of f32 beside its f32.
const FLOATS: f64 = 1.0;
/// CPU milliseconds of a question.
const QUESTION_MS: f64 = 1.0;
/// Time of bytes beside that of their products alone at the processor's peak.
const OF_PEAK: f64 = 1.7;

/// An engine that is timed.
enum Engine {
    Ours(Precision, Arc<dyn Embedder>),
    Peer(super::peers::Engine),
}

/// Times all engines in turn, again and again, so that what else the machine does hits all alike.
pub fn measure(bench: &mut Bench<'_>) -> Result<Vec<Row>> {
    let store = testing::store_with_minilm().context("MiniLM cannot be fetched, see above")?;
    let mut engines = Vec::new();
    for path in PATHS {
        engines.push(Engine::Ours(path, store.load_with(testing::MINILM_NAME, path)?));
    }
    if let Some(peers) = &bench.peers {
        engines.extend(peers.engines.iter().cloned().map(Engine::Peer));
    }
    let mut times = vec![[const { Vec::new() }; CASES.len()]; engines.len()];
    let mut peaks = [0.0_f64; PATHS.len()];
    for round in 0..bench.rounds {
        eprintln!("inference, round {} of {}", round + 1, bench.rounds);
        for (case, (batch, calls)) in CASES.into_iter().enumerate() {
            for (engine, times) in engines.iter().zip(&mut times) {
                times[case].push(engine.time(bench, batch, calls)?);
            }
        }
        for (peak, path) in peaks.iter_mut().zip(PATHS) {
            *peak = peak.max(self::peak(path, &bench.one, PEAK)?.unwrap_or(0.0));
        }
    }
    let mut rows = Vec::new();
    for (engine, times) in engines.iter().zip(times) {
        for ((batch, _), times) in CASES.into_iter().zip(times) {
            rows.push(Row::Inference(engine.row(batch, times)));
        }
    }
    let here = instructions().into_iter().filter_map(|(name, here)| here.then_some(name));
    let here = here.collect::<Vec<_>>().join(", ");
    for (path, peak) in PATHS.into_iter().zip(peaks).filter(|(_, peak)| *peak > 0.0) {
        rows.push(Row::Peak(Peak {
            numbers: path.name().to_owned(),
            giga: peak / 1e9,
            instructions: here.clone(),
        }));
    }
    Ok(rows)
}

impl Engine {
    /// CPU seconds for a text of the batch.
    fn time(&self, bench: &mut Bench<'_>, batch: Batch, calls: u32) -> Result<f64> {
        let texts = texts(&bench.texts, batch);
        let count = texts.len() as f64;
        let seconds = match (self, &mut bench.peers) {
            (Self::Ours(_, model), _) => {
                let run = || (0..calls).try_for_each(|_| model.embed(&texts).map(drop));
                bench.one.time(run)?.as_secs_f64() / f64::from(calls)
            }
            (Self::Peer(engine), Some(peers)) => Peers::time(peers, &engine.name, batch, calls)?,
            (Self::Peer(_), None) => anyhow::bail!("the peers have gone"),
        };
        Ok(seconds / count)
    }

    fn row(&self, batch: Batch, mut seconds: Vec<f64>) -> Inference {
        seconds.sort_by(f64::total_cmp);
        let (text, batch) = match batch {
            Batch::Chunks(count) => ("chunk", count as u32),
            Batch::Query => ("question", 1),
        };
        let (engine, version, note) = match self {
            Self::Ours(path, _) => {
                (format!("{OURS} {}", path.name()), env!("CARGO_PKG_VERSION").to_owned(), None)
            }
            Self::Peer(it) => (it.name.clone(), it.version.clone(), Some(it.note.clone())),
        };
        Inference {
            engine,
            version,
            note,
            text: text.to_owned(),
            batch,
            cpu_ms: seconds.first().map_or(f64::NAN, |least| least * 1e3),
            median_ms: seconds.get(seconds.len() / 2).map_or(f64::NAN, |middle| middle * 1e3),
            rounds: seconds.len() as u32,
        }
    }
}

fn texts(texts: &Texts, batch: Batch) -> Vec<&str> {
    match batch {
        Batch::Chunks(count) => texts.chunks.iter().take(count).map(String::as_str).collect(),
        Batch::Query => vec![&texts.query],
    }
}

/// What was aimed at, as far as there are rows for it.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let inference =
        || rows.iter().filter_map(|row| if let Row::Inference(it) = row { Some(it) } else { None });
    let time = |engine: &str, text: &str, batch: usize| {
        let same =
            |it: &&Inference| it.engine == engine && it.text == text && it.batch as usize == batch;
        inference().find(same).map(|it| it.cpu_ms)
    };
    let ours = |path: Precision, text, batch| time(&format!("{OURS} {}", path.name()), text, batch);
    let mut goals = Vec::new();
    for batch in BATCHES {
        let theirs = inference().filter(|it| !it.engine.starts_with(OURS));
        let theirs = theirs.filter(|it| it.text == "chunk" && it.batch as usize == batch);
        let best = theirs.map(|it| it.cpu_ms).min_by(f64::total_cmp);
        if let (Some(best), Some(own)) = (best, ours(Precision::Int8, "chunk", batch)) {
            let name = format!("int8, batch {batch}: times as fast as ONNX Runtime's best");
            goals.push(Goal::at_least(name, best / own, WHOLE));
        }
    }
    for batch in BATCHES {
        let theirs = time(super::peers::REFERENCE, "chunk", batch);
        if let (Some(theirs), Some(own)) = (theirs, ours(Precision::F32, "chunk", batch)) {
            let name = format!("f32, batch {batch}: times as fast as ONNX Runtime's f32");
            goals.push(Goal::at_least(name, theirs / own, FLOATS));
        }
    }
    let own = Precision::Auto.here();
    if let Some(ms) = ours(own, "question", 1) {
        let name = format!(
            "a question of 12 tokens in {} (this processor's own path): CPU ms",
            own.name()
        );
        goals.push(Goal::at_most(name, ms, QUESTION_MS));
    }
    let bytes = rows.iter().find_map(|row| match row {
        Row::Peak(it) if it.numbers == Precision::Int8.name() => Some(it.giga),
        _ => None,
    });
    let chunk = BATCHES.into_iter().filter_map(|batch| ours(Precision::Int8, "chunk", batch));
    if let (Some(giga), Some(ms)) = (bytes, chunk.min_by(f64::total_cmp)) {
        let name =
            "int8: time of a chunk beside its products alone at the processor's peak".to_owned();
        goals.push(Goal::at_most(name, ms / ideal_ms(giga), OF_PEAK));
    }
    goals
}

/// Milliseconds of a chunk's products at `giga` thousand million operations a second.
pub fn ideal_ms(giga: f64) -> f64 {
    1e3 * GIGA / giga
}
