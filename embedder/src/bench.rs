//! What models take on this machine: chunks a second, and the time of a question.
//!
//! Start from [`measure`], which measures one model in every way it can compute and says which of them
//! to use ([`Choice`]). [`Threads`] and [`least`] are what it measures with, for other benches too.
//!
//! A chunk has [`CHUNK`] tokens and a question [`QUERY`], markers included. One thread's time is CPU time where
//! the system tells it, so that other programs disturb it less; that of all threads is wall time.

mod choice;
mod peak;
mod texts;
mod threads;

use std::time::Duration;

pub use choice::Choice;
pub use peak::{instructions, peak};
pub use texts::{Texts, cut};
pub use threads::{Threads, least};

use crate::{Compute, EmbedError, Embedder, Family, ModelError, ModelInfo, ModelStore, Precision};

/// Tokens of a chunk, its two markers included.
pub const CHUNK: usize = 256;

/// Tokens of a question, its two markers included.
pub const QUERY: usize = 12;

/// Most chunks that are embedded in one call.
const BATCH: usize = 256;

/// What one way of computing takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Chunks a second on one thread, several to a call. A device other than the processor has no threads of ours, so
    /// here it is the same as of all.
    pub chunks: f64,
    /// Chunks a second on all threads.
    pub chunks_all: f64,
    /// Seconds for one chunk alone, on one thread.
    pub chunk: f64,
    /// Seconds for a question, on one thread.
    pub query: f64,
}

/// What was measured of one model.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The model.
    pub model: ModelInfo,
    /// Tokens a second that its tokenizer cuts, on one thread.
    pub tokens: f64,
    /// What each way of computing takes; a static model has one, without a name.
    pub speeds: Vec<(Option<Precision>, Speed)>,
    /// The same on the store's device, if that is not the processor, by the clock.
    pub device: Option<(Compute, Speed)>,
    /// What to compute with; only where there is more than one way.
    pub choice: Option<Choice>,
}

/// Measures `model` of `store` in every way it can compute, for about `time` each: on the processor, and a transformer
/// also on the store's [device](ModelStore::on). `step` is told before each what is measured next, as the number of it and
/// of all and its name.
///
/// # Errors
///
/// When the model does not load or embed.
pub fn measure(
    store: &ModelStore,
    model: &ModelInfo,
    time: Duration,
    step: &mut dyn FnMut(usize, usize, &str),
) -> Result<Outcome, ModelError> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let (one, all) = (Threads::new(1)?, Threads::new(all)?);
    let ways = paths(model);
    let device = device(store, model);
    let count = ways.len() + usize::from(device.is_some());
    let processor = store.clone().on(Compute::Cpu);
    let (mut tokens, mut speeds) = (0.0, Vec::new());
    for (number, &way) in ways.iter().enumerate() {
        step(number, count, way.map_or("static", Precision::name));
        let loaded = processor.load_with(&model.name, way.unwrap_or_default())?;
        let texts = Texts::of(loaded.as_ref(), BATCH)?;
        if number == 0 {
            tokens = self::tokens(loaded.as_ref(), &texts, &one, time / 4)?;
        }
        speeds.push((way, speed(loaded.as_ref(), &texts, [&one, &all], time)?));
    }
    let device = device.map(|device| -> Result<_, ModelError> {
        step(ways.len(), count, &device.to_string());
        let loaded = store.load(&model.name)?;
        let texts = Texts::of(loaded.as_ref(), BATCH)?;
        let waiting = Threads::waiting()?;
        Ok((device, speed(loaded.as_ref(), &texts, [&waiting, &waiting], time)?))
    });
    let device = device.transpose()?;
    let named: Vec<(Precision, f64)> =
        speeds.iter().filter_map(|(way, speed)| Some(((*way)?, speed.chunks))).collect();
    let choice = Choice::among(Precision::Auto.here(), &named);
    Ok(Outcome { model: model.clone(), tokens, speeds, device, choice })
}

/// How many ways of computing [`measure`] measures.
#[must_use]
pub fn ways(store: &ModelStore, model: &ModelInfo) -> usize {
    paths(model).len() + usize::from(device(store, model).is_some())
}

/// The ways there are on the processor.
fn paths(model: &ModelInfo) -> Vec<Option<Precision>> {
    match model.family {
        Family::Static => vec![None],
        Family::Bert => Precision::ALL.map(Some).to_vec(),
    }
}

/// Where else the model computes.
fn device(store: &ModelStore, model: &ModelInfo) -> Option<Compute> {
    let elsewhere = store.compute() != Compute::Cpu && model.family == Family::Bert;
    elsewhere.then(|| store.compute())
}

/// What `model` takes on `texts`, within about `time`: three quarters of it for chunks, one for questions.
fn speed(
    model: &dyn Embedder,
    texts: &Texts,
    [one, all]: [&Threads; 2],
    time: Duration,
) -> Result<Speed, EmbedError> {
    let share = time / 4;
    let embed = |texts: &[&str]| model.embed(texts).map(drop);
    let first = texts.chunks(1);
    let chunk = least(one, share, || embed(&first))?;
    let query = least(one, share, || embed(&[&texts.query]))?;
    // Several runs should fit, of no more chunks than make a difference.
    let fitting = (share.as_secs_f64() / 4.0 / chunk) as usize;
    let some = texts.chunks(fitting.clamp(1, BATCH));
    let chunks = least(one, share, || embed(&some))?;
    let many = texts.chunks((fitting * all.count()).clamp(all.count(), BATCH));
    let chunks_all = least(all, share, || embed(&many))?;
    Ok(Speed {
        chunks: some.len() as f64 / chunks,
        chunks_all: many.len() as f64 / chunks_all,
        chunk,
        query,
    })
}

/// Tokens a second.
fn tokens(
    model: &dyn Embedder,
    texts: &Texts,
    one: &Threads,
    time: Duration,
) -> Result<f64, EmbedError> {
    let all = texts.chunks(BATCH).join("\n");
    let count = model.token_spans(&all)?.len();
    Ok(count as f64 / least(one, time, || model.token_spans(&all).map(drop))?)
}

#[cfg(test)]
mod tests;
