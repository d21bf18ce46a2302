//! Chunks read and embedded again, which says what that costs, and questions made of some of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::questions::piece;
use super::{End, TuneCosts, TuneDesk, TuneStage, median};
use crate::codec::ROWS_PER_DIM;
use crate::collection::Snapshot;
use crate::encoder::encode_checked;
use crate::error::IndexError;
use crate::search::Reading;
use crate::vectors::{Rows, sanitize};

/// Chunks embedded again at most,
const MOST: usize = 4000;
/// and at least, unless there are fewer; more where directions are to be learnt.
const LEAST: usize = 512;
/// Chunks beyond those that directions are learnt from, to judge the directions by.
const JUDGES: usize = 256;
/// Between the two numbers, no more chunks are embedded after this time.
const PATIENCE: Duration = Duration::from_secs(20);
/// Chunks read and embedded together, as many as a search does.
const BATCH: usize = 8;
/// Chunks that a question found which are embedded as well.
const FOUND: usize = 32;
/// Questions played.
const QUESTIONS: usize = 64;

/// A chunk by part and number.
pub(super) type Key = (usize, u32);

/// What was embedded again.
pub(super) struct Sample {
    pub(super) keys: Vec<Key>,
    /// How many of them, the first, were drawn from all; the others are what questions found.
    pub(super) drawn: usize,
    vectors: Vec<f32>,
    dim: usize,
    /// Whether that is every chunk.
    pub(super) whole: bool,
    pub(super) questions: Vec<Question>,
    pub(super) costs: TuneCosts,
}

/// A question as a person might type it.
pub(super) struct Question {
    pub(super) text: String,
    pub(super) vector: Vec<f32>,
}

impl Sample {
    pub(super) fn take(snapshot: &Snapshot, desk: &mut TuneDesk<'_>) -> Result<Self, End> {
        let dim = snapshot.dim();
        let live = live(snapshot);
        let most = live.len().min(MOST.max(ROWS_PER_DIM * dim + JUDGES));
        let least = LEAST.max(ROWS_PER_DIM * dim + JUDGES).min(most);
        let start = (desk.now)();
        let (mut keys, mut vectors, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut read, mut encode) = (Vec::new(), Vec::new());
        let mut rest = spread(&live).into_iter();
        while keys.len() < most {
            let late = (desk.now)().saturating_sub(start) > PATIENCE;
            if late && keys.len() >= least {
                break;
            }
            desk.step(TuneStage::Sampling, keys.len(), most)?;
            let batch: Vec<Key> = rest.by_ref().take(BATCH.min(most - keys.len())).collect();
            if batch.is_empty() {
                break;
            }
            let (hits, reading) = desk.timed(|| {
                let mut reading = Reading::new(snapshot, desk.files);
                let hits = batch.iter().map(|&key| Some((key, reading.hit(key.0, key.1)?.text)));
                hits.flatten().collect::<Vec<(Key, String)>>()
            });
            if hits.is_empty() {
                continue;
            }
            let borrowed: Vec<&str> = hits.iter().map(|(_, text)| text.as_str()).collect();
            let (rows, encoding) = desk.timed(|| encode_checked(desk.encoder, &borrowed));
            let mut rows = rows.map_err(IndexError::from)?;
            sanitize(&mut rows, dim);
            vectors.extend(rows);
            read.push(reading / batch.len() as u32);
            encode.push(encoding / hits.len() as u32);
            for (key, text) in hits {
                keys.push(key);
                if texts.len() < 2 * QUESTIONS {
                    texts.push(text);
                }
            }
        }
        if keys.len() < super::TUNE_LEAST {
            let (read, least) = (keys.len(), super::TUNE_LEAST);
            return Err(IndexError::TooFewToRead { read, chunks: live.len(), least }.into());
        }
        let (questions, embed) = ask(desk, &texts)?;
        let scan = Duration::ZERO;
        let costs = TuneCosts { embed, read: median(&read), encode: median(&encode), scan };
        let (whole, drawn) = (keys.len() == live.len(), keys.len());
        Ok(Self { whole, keys, drawn, vectors, dim, questions, costs })
    }

    /// Embeds what questions found, the best of each first: `found` has every question's chunks. What is
    /// at the very top is often there for what few other chunks have, and coarse codes tell least of that.
    pub(super) fn embed_found(
        &mut self,
        snapshot: &Snapshot,
        desk: &mut TuneDesk<'_>,
        found: &[Vec<Key>],
    ) -> Result<(), End> {
        let mut known: BTreeSet<Key> = self.keys.iter().copied().collect();
        let start = (desk.now)();
        for round in 0..FOUND / BATCH {
            for keys in found {
                if round > 0 && (desk.now)().saturating_sub(start) > PATIENCE {
                    return Ok(());
                }
                desk.step(TuneStage::Sampling, self.keys.len(), self.drawn + FOUND * found.len())?;
                let mut reading = Reading::new(snapshot, desk.files);
                let batch = keys.iter().skip(round * BATCH).take(BATCH);
                let batch: Vec<(Key, String)> = batch
                    .filter(|key| known.insert(**key))
                    .filter_map(|&key| Some((key, reading.hit(key.0, key.1)?.text)))
                    .collect();
                let texts: Vec<&str> = batch.iter().map(|(_, text)| text.as_str()).collect();
                if texts.is_empty() {
                    continue;
                }
                let mut rows = encode_checked(desk.encoder, &texts).map_err(IndexError::from)?;
                sanitize(&mut rows, self.dim);
                self.vectors.extend(rows);
                self.keys.extend(batch.iter().map(|(key, _)| *key));
            }
        }
        Ok(())
    }

    pub(super) fn rows(&self) -> Rows<'_> {
        Rows::new(&self.vectors, self.dim)
    }
}

/// Makes questions and embeds them one by one, as they come in life.
fn ask(desk: &TuneDesk<'_>, texts: &[String]) -> Result<(Vec<Question>, Duration), End> {
    let pieces = texts.iter().enumerate().filter_map(|(number, text)| piece(text, number));
    let (mut questions, mut times) = (Vec::new(), Vec::new());
    for text in pieces.take(QUESTIONS) {
        let (row, time) = desk.timed(|| encode_checked(desk.encoder, &[&text]));
        let mut vector = row.map_err(IndexError::from)?;
        let dim = vector.len();
        sanitize(&mut vector, dim);
        times.push(time);
        questions.push(Question { text, vector });
    }
    if questions.is_empty() {
        return Err(IndexError::NoQuestions.into());
    }
    Ok((questions, median(&times)))
}

fn live(snapshot: &Snapshot) -> Vec<Key> {
    let parts = snapshot.parts().iter().enumerate();
    let chunks = parts.flat_map(|(at, part)| {
        (0..part.segment.len()).filter(|&chunk| part.is_live(chunk)).map(move |chunk| (at, chunk))
    });
    chunks.collect()
}

/// The same chunks in an order of which every beginning is spread over all.
fn spread(live: &[Key]) -> Vec<Key> {
    let n = live.len();
    // The golden section, made coprime with the number.
    let mut step = ((n as f64 * 0.618_034) as usize).max(1);
    while gcd(step, n) != 1 {
        step += 1;
    }
    (0..n).map(|i| live[i * step % n]).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
