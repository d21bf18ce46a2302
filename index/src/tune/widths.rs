//! Codecs of several widths, learnt from the sample the way a collection would learn them, and what they
//! say of the questions.

use std::collections::BTreeMap;
use std::time::Duration;

use rayon::prelude::*;

use super::pool::{Normal, Pool};
use super::sample::Sample;
use super::{End, TuneDesk, TuneStage, median};
use crate::codec::{Codec, ROWS_PER_DIM, provisional, train};
use crate::collection::{Snapshot, budget};
use crate::line::Line;
use crate::settings::Settings;
use crate::vectors::{Rows, dot};

/// Bytes a chunk that are tried.
const WIDTHS: [u32; 14] = [12, 14, 17, 20, 24, 30, 40, 50, 60, 80, 100, 140, 200, 300];
/// Pairs that the error of a width is measured from, for each question, at least.
const PAIRS: usize = 32;

/// What the collection's codes are now.
pub(super) struct Present {
    /// Bytes of one, on average.
    pub(super) code: f64,
}

/// What codes of a width take and say.
pub(super) struct Width {
    /// As in the settings.
    pub(super) bytes_per_chunk: u32,
    /// Bytes of a code.
    pub(super) code: usize,
    /// Bytes of the index, its lexical part apart.
    pub(super) index_bytes: f64,
    /// Time to scan them, as a multiple of that of the codes of now.
    pub(super) slower: f64,
    /// How far off estimates are, as the codec states it.
    pub(super) sigma: f32,
    /// For each question, those of its pool.
    pub(super) estimates: Vec<Vec<f32>>,
}

/// The widths that make a difference, from the smallest on.
pub(super) fn widths(
    snapshot: &Snapshot,
    desk: &mut TuneDesk<'_>,
    sample: &Sample,
    pools: &[Pool],
    assumed: &mut Vec<String>,
) -> Result<(Present, Vec<Width>), End> {
    let bench = Bench::new(snapshot, desk, sample, pools);
    let mut widths = Vec::new();
    if !bench.learns {
        assumed.push(format!(
            "codes are learnt from {} passages on; with fewer they stay as they are, whatever is wanted",
            ROWS_PER_DIM * snapshot.dim(),
        ));
        let wanted = snapshot.settings().bytes_per_chunk;
        widths.push(bench.width(wanted, bench.largest, desk, 0));
        return Ok((bench.present, widths));
    }
    if bench.judges.start == 0 && !sample.whole {
        assumed.push("codes are judged by the passages they were learnt from".to_owned());
    }
    for (done, wanted) in WIDTHS.into_iter().enumerate() {
        desk.step(TuneStage::Comparing, done, 2 * WIDTHS.len())?;
        let settings = Settings { bytes_per_chunk: wanted, ..*snapshot.settings() };
        let budget = budget(snapshot.parts().iter(), snapshot.stats().chunks, settings);
        let codec = train(bench.lessons(), budget, 0).made_from(std::iter::once(&bench.coarse));
        if widths.last().is_none_or(|last: &Width| last.code < codec.width()) {
            widths.push(bench.width(wanted, &codec, desk, done as u64 + 1));
        }
    }
    Ok((bench.present, widths))
}

/// What all widths are tried on.
struct Bench<'a> {
    snapshot: &'a Snapshot,
    sample: &'a Sample,
    pools: &'a [Pool],
    /// Whether there are enough chunks to learn a codec from.
    learns: bool,
    /// The codec that comes before a learnt one.
    coarse: Codec,
    /// The sample as it comes out of that one's codes.
    rows: Vec<f32>,
    /// Rows that codecs are learnt from: so many of the first.
    lessons: usize,
    /// Rows whose codes stand for those of chunks that a codec was not learnt from.
    judges: std::ops::Range<usize>,
    present: Present,
    /// The codec of most codes of now.
    largest: &'a Codec,
    /// Time to score a code of now.
    scored: Duration,
}

impl<'a> Bench<'a> {
    fn new(
        snapshot: &'a Snapshot,
        desk: &TuneDesk<'_>,
        sample: &'a Sample,
        pools: &'a [Pool],
    ) -> Self {
        let (dim, count) = (snapshot.dim(), sample.drawn);
        let enough = ROWS_PER_DIM * dim;
        let learns = dim >= 16 && snapshot.stats().chunks >= enough && count >= enough;
        let lessons = if sample.whole { count } else { (3 * count / 4).max(enough).min(count) };
        let judges = if sample.whole || lessons == count { 0..count } else { lessons..count };
        let coarse = provisional(sample.rows(), 0);
        let rows = if learns { through(&coarse, sample.rows()) } else { Vec::new() };
        let coded = || {
            let parts = snapshot.parts().iter();
            parts.map(|part| (part.segment.len() as usize, &**part.segment.coded.codec()))
        };
        let all: usize = coded().map(|(chunks, _)| chunks).sum();
        let bytes: usize = coded().map(|(chunks, codec)| chunks * codec.width()).sum();
        let present = Present { code: bytes as f64 / all.max(1) as f64 };
        let largest = coded().max_by_key(|(chunks, _)| *chunks).map(|(_, codec)| codec);
        let largest = largest.expect("a collection with chunks has parts");
        let scored = score(largest, &largest.encode_all(sample.rows()), sample, desk).1;
        Self {
            snapshot,
            sample,
            pools,
            learns,
            coarse,
            rows,
            lessons,
            judges,
            present,
            largest,
            scored,
        }
    }

    fn lessons(&self) -> Rows<'_> {
        let dim = self.snapshot.dim();
        Rows::new(&self.rows[..self.lessons * dim], dim)
    }

    fn width(&self, wanted: u32, codec: &Codec, desk: &TuneDesk<'_>, seed: u64) -> Width {
        let rows = if self.learns {
            Rows::new(&self.rows, self.snapshot.dim())
        } else {
            self.sample.rows()
        };
        let codes = codec.encode_all(rows);
        let (means, time) = score(codec, &codes, self.sample, desk);
        let noise = self.noise(&means);
        let estimates = self.pools.iter().zip(&means).enumerate().map(|(number, (pool, means))| {
            let mut normal = Normal::new(seed << 32 | number as u64);
            let chunks = pool.truth.iter().zip(&pool.sampled);
            let estimate = |(&truth, row): (&f32, &Option<usize>)| {
                // Drawn for every chunk, so that one more in the sample changes nothing for the others.
                let drawn = noise.at(truth, normal.next());
                let real = |row: &usize| self.judges.contains(row) || *row >= self.sample.drawn;
                row.filter(real).map_or(drawn, |row| means[row])
            };
            chunks.map(estimate).collect()
        });
        let estimates = estimates.collect();
        let slower = match (self.scored.as_secs_f64(), time.as_secs_f64()) {
            (now, then) if now > 0.0 && then > 0.0 => then / now,
            _ => codec.width() as f64 / self.present.code.max(1.0),
        };
        Width {
            bytes_per_chunk: wanted,
            code: codec.width(),
            index_bytes: self.index_bytes(codec),
            slower,
            sigma: codec.posterior(0.0, 0.0).1,
            estimates,
        }
    }

    /// Bytes of the index with other codes in it.
    fn index_bytes(&self, codec: &Codec) -> f64 {
        let parts = self.snapshot.parts();
        let chunks: usize = parts.iter().map(|part| part.segment.len() as usize).sum();
        let codecs: BTreeMap<[u8; 16], usize> = parts
            .iter()
            .map(|part| part.segment.coded.codec())
            .map(|codec| (codec.head(), codec.bytes()))
            .collect();
        let replaced = self.present.code * chunks as f64 + codecs.values().sum::<usize>() as f64;
        let added = (codec.width() * chunks + codec.to_bytes().len()) as f64;
        self.snapshot.stats().index_bytes as f64 - replaced + added
    }

    /// How estimates follow from exact scores, among those that are highest.
    fn noise(&self, means: &[Vec<f32>]) -> Line {
        let judges = self.judges.len();
        let share = self.pools.first().map_or(0, |pool| pool.truth.len()) as f64
            / self.snapshot.stats().chunks as f64;
        let count = ((judges as f64 * share) as usize).max(PAIRS).min(judges);
        let pairs: Vec<(f64, f64)> = self
            .sample
            .questions
            .par_iter()
            .zip(means)
            .flat_map_iter(|(question, means)| {
                let exact = |row: usize| dot(&question.vector, self.sample.rows().row(row));
                let mut pairs: Vec<(f32, f32)> =
                    self.judges.clone().map(|row| (exact(row), means[row])).collect();
                pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
                pairs.truncate(count);
                pairs.into_iter().map(|(x, y)| (f64::from(x), f64::from(y)))
            })
            .collect();
        Line::fit(&pairs)
    }
}

/// Rows as they come out of their codes.
fn through(codec: &Codec, rows: Rows<'_>) -> Vec<f32> {
    let codes = codec.encode_all(rows);
    codes.par_chunks_exact(codec.width()).flat_map_iter(|code| codec.decode(code)).collect()
}

/// For each question what the codes say of the scores, and the median time of one.
fn score(
    codec: &Codec,
    codes: &[u8],
    sample: &Sample,
    desk: &TuneDesk<'_>,
) -> (Vec<Vec<f32>>, Duration) {
    let (mut all, mut times) = (Vec::new(), Vec::new());
    for question in &sample.questions {
        let mut scores = Vec::new();
        let (query, time) = desk.timed(|| {
            let query = codec.query(&question.vector, codec.grid());
            query.scores(codes, &mut scores);
            query
        });
        times.push(time);
        let base = query.base();
        all.push(scores.iter().map(|&score| codec.posterior(base, score).0).collect());
    }
    (all, median(&times))
}
