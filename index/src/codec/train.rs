//! Learning a codec from vectors.

use nalgebra::{DMatrix, SymmetricEigen};
use rayon::prelude::*;

use super::basis::{Basis, Rows as BasisRows};
use super::rotate::Rotation;
use super::{Accuracy, Apart, Band, Codec, Grid, PROVISIONAL_BITS, plan, rms};
use crate::line::Line;
use crate::vectors::{Rows, dot};

/// Fewer vectors than this, for each dimension, teach nothing about directions.
pub(crate) const ROWS_PER_DIM: usize = 4;
/// Vectors that directions are learnt from at most.
const SAMPLE: usize = 16_384;
/// Vectors that act as queries when accuracy is measured, and vectors that each is compared with.
const PROBES: usize = 128;
const AGAINST: usize = 4096;
/// Codes of this many bytes and more must do for every vector; smaller ones cannot.
const FOR_ALL: f64 = 30.0;
/// The least share of a vector's energy that kept directions must hold.
const LEAST_KEPT: f32 = 0.3;
/// How much farther than most, squared, the farthest vector may be from the mean.
const MOST_APART: f32 = 4.0;
/// How many times the usual scale a scale can be at most.
const MOST_SCALED: f32 = 2.0;
/// How many of the highest estimates of each are looked at.
const TOP: usize = 256;
/// With fewer vectors than this that differ from their mean, what is measured on them says too little
/// about the next ones.
const FEW: usize = 64;

/// What codes may cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Budget {
    /// Bytes a chunk, the scale and the chunk's share of the codec included.
    pub(crate) bytes: f64,
    /// How many chunks share the codec.
    pub(crate) chunks: usize,
}

/// Learns a codec for vectors like these; never one that [counts as provisional](Codec::is_provisional), as
/// what is learnt once is kept. The same rows, budget and seed give the same codec.
pub(crate) fn train(rows: Rows<'_>, budget: Budget, seed: u64) -> Codec {
    let sample = every_nth(rows, SAMPLE);
    finish(Rows::new(&sample, rows.dim()), |centred| {
        if !are_comparable(centred) {
            return rotated(centred.dim(), PROVISIONAL_BITS + 1, seed);
        }
        let enough = centred.len() >= ROWS_PER_DIM * centred.dim() && centred.dim() >= 16;
        let learnt = enough.then(|| learn(centred, budget, seed)).flatten();
        learnt.unwrap_or_else(|| {
            let bits = 8.0 * (budget.bytes - 1.0) / centred.dim() as f64;
            let bits = bits.floor().clamp(1.0, 8.0) as u8;
            rotated(centred.dim(), if bits == PROVISIONAL_BITS { bits - 1 } else { bits }, seed)
        })
    })
}

/// A codec that needs no learning: every direction alike, finely.
pub(crate) fn provisional(rows: Rows<'_>, seed: u64) -> Codec {
    finish(rows, |centred| rotated(centred.dim(), PROVISIONAL_BITS, seed))
}

/// The codec over the directions that `choose` chooses for centred rows.
fn finish(rows: Rows<'_>, choose: impl FnOnce(Rows<'_>) -> (Basis, Vec<Band>)) -> Codec {
    let mean = rows.mean();
    let centred: Vec<f32> =
        rows.iter().flat_map(|row| row.iter().zip(&mean).map(|(x, m)| x - m)).collect();
    let centred = Rows::new(&centred, rows.dim());
    let (basis, bands) = choose(centred);
    let projected: Vec<Vec<f32>> = (0..centred.len())
        .into_par_iter()
        .map(|i| basis.project(&mut centred.row(i).to_vec()))
        .collect();
    let prior = Prior::new(rows, &bands);
    let few = projected.iter().filter(|row| rms(row) > prior.size / 1000.0).count() < FEW;
    let energies: Vec<f32> = centred.iter().map(|row| dot(row, row)).collect();
    let projected: Vec<Projected<'_>> =
        projected.iter().map(Vec::as_slice).zip(energies.iter().copied()).collect();
    let grid = fit(bands, &projected, few.then_some(&prior));
    let accuracy = Accuracy { offset: 0.0, shrink: 1.0, sigma: 0.0 };
    let mut codec = Codec { head: [0; 16], bytes: 0, mean, basis, grid, accuracy, first: accuracy };
    let [whole, first] = measure(&codec, rows, &projected);
    (codec.accuracy, codec.first) = if few {
        let careful = |measured: Accuracy, prior: f32| Accuracy {
            sigma: measured.sigma.max(prior),
            ..accuracy
        };
        (careful(whole, prior.sigma), careful(first, prior.first))
    } else {
        (whole, first)
    };
    codec
}

/// What can be said before anything is measured, of vectors as long as those seen.
struct Prior {
    /// Size of a coordinate of such a vector.
    size: f32,
    /// Standard deviation of an estimate, rounded up.
    sigma: f32,
    /// The same of one from the first planes.
    first: f32,
}

impl Prior {
    fn new(rows: Rows<'_>, bands: &[Band]) -> Self {
        let longest = rows.iter().map(|row| dot(row, row).sqrt()).fold(0f32, f32::max);
        // Vectors are meant to have length 1.
        let length = if longest > 0.0 { longest } else { 1.0 };
        let kept = bands.iter().map(|band| band.dims).sum::<u32>().max(1) as f32;
        let coarsest = bands.iter().map(|band| plan::distortion(band.bits)).fold(0f32, f32::max);
        let off = |distortion: f32| length * length * (1.5 * (distortion / kept).sqrt() + 0.005);
        let (sigma, first) = (off(coarsest), off(plan::distortion(1)));
        Self { size: length / kept.sqrt(), sigma, first }
    }
}

/// Principal directions, as many and as fine as the budget allows; none where it allows nothing.
fn learn(centred: Rows<'_>, budget: Budget, seed: u64) -> Option<(Basis, Vec<Band>)> {
    let dim = centred.dim();
    let eigen = SymmetricEigen::new(covariance(centred));
    let mut order: Vec<usize> = (0..dim).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    let variances: Vec<f64> = order.iter().map(|&i| eigen.eigenvalues[i].max(0.0)).collect();

    // Fine entries where estimates are to be fine as well, or are not coarse and enough chunks share them.
    let share = dim as f64 / budget.chunks.max(1) as f64;
    let shared = budget.chunks >= 100_000 && budget.bytes >= FOR_ALL;
    let entry = if shared || budget.bytes >= 100.0 { 8 } else { 4 };
    let bits = 8.0 * (budget.bytes - 1.0 - 4.0 * share);
    let bands = plan::bands(
        &variances,
        bits,
        share * f64::from(entry) + 32.0 / budget.chunks.max(1) as f64,
    );
    if bands.is_empty() {
        return None;
    }
    let kept: usize = bands.iter().map(|band| band.dims as usize).sum();
    let mut directions = vec![0f32; kept * dim];
    let mut first = 0;
    for (number, band) in bands.iter().enumerate() {
        let dims = band.dims as usize;
        let rotation = Rotation::new(dims, seed ^ number as u64);
        for column in 0..dim {
            let mut entries: Vec<f32> = order[first..first + dims]
                .iter()
                .map(|&i| eigen.eigenvectors[(column, i)] as f32)
                .collect();
            rotation.apply(&mut entries);
            for (row, entry) in entries.into_iter().enumerate() {
                directions[(first + row) * dim + column] = entry;
            }
        }
        first += dims;
    }
    let basis = Basis::Rows(BasisRows::of(&directions, dim, entry));
    let fits = budget.bytes < FOR_ALL || leaves_nobody_out(&basis, centred);
    fits.then_some((basis, bands))
}

/// Whether no vector is much farther from the mean than most are. Where one is, among thousands that
/// are nearly alike, what is measured of the many says nothing of the one: all keep fine codes.
fn are_comparable(centred: Rows<'_>) -> bool {
    let mut squares: Vec<f32> = centred.iter().map(|row| dot(row, row)).collect();
    squares.sort_by(f32::total_cmp);
    let median = squares.get(squares.len() / 2).copied().unwrap_or(0.0);
    squares.last().is_none_or(|most| *most <= MOST_APART * median)
}

/// Whether every vector keeps a fair share of itself along these directions. Where thousands of
/// chunks are alike and one is not, its directions are none of the principal ones.
fn leaves_nobody_out(basis: &Basis, centred: Rows<'_>) -> bool {
    (0..centred.len()).into_par_iter().all(|i| {
        let row = centred.row(i);
        let kept = basis.project(&mut row.to_vec());
        dot(&kept, &kept) >= LEAST_KEPT * dot(row, row)
    })
}

/// All directions alike.
fn rotated(dim: usize, bits: u8, seed: u64) -> (Basis, Vec<Band>) {
    let dims = dim.next_multiple_of(8) as u32;
    (Basis::rotation(dim, seed), vec![Band { dims, bits }])
}

fn covariance(centred: Rows<'_>) -> DMatrix<f64> {
    let (n, dim) = (centred.len(), centred.dim());
    let mut columns = vec![0f32; n * dim];
    for (i, row) in centred.iter().enumerate() {
        row.iter().enumerate().for_each(|(j, &x)| columns[j * n + i] = x);
    }
    let columns = Rows::new(&columns, n);
    let entries: Vec<Vec<f64>> = (0..dim)
        .into_par_iter()
        .map(|i| {
            (0..=i).map(|j| f64::from(dot(columns.row(i), columns.row(j))) / n as f64).collect()
        })
        .collect();
    DMatrix::from_fn(dim, dim, |i, j| entries[i.max(j)][i.min(j)])
}

/// Coordinates of a vector, and its energy.
type Projected<'a> = (&'a [f32], f32);

/// Grid steps and the range of scales for these.
fn fit(bands: Vec<Band>, projected: &[Projected<'_>], prior: Option<&Prior>) -> Grid {
    let mut steps = Vec::new();
    let mut at = 0;
    for band in &bands {
        let dims = band.dims as usize;
        // A band's share of a vector's size, over all vectors.
        let shares = projected.iter().filter_map(|(row, _)| {
            let whole = rms(row);
            (whole > 0.0).then(|| f64::from(rms(&row[at..at + dims]) / whole))
        });
        let (sum, count) = shares.fold((0.0, 0usize), |(sum, n), share| (sum + share, n + 1));
        let share = if count > 0 { (sum / count as f64) as f32 } else { 1.0 };
        steps.push(share.max(1e-6) * plan::step(band.bits));
        at += dims;
    }
    let grid = Grid { bands, steps, scale_unit: 1.0 };
    let mut code = vec![0u8; grid.width()];
    let mut scales: Vec<f32> =
        projected.iter().map(|(row, energy)| grid.write_levels(row, *energy, &mut code)).collect();
    scales.retain(|scale| *scale > 0.0);
    scales.sort_by(f32::total_cmp);
    // Vectors that hardly any kept direction tells of would stretch the range for all others.
    let usual = scales.get(scales.len() / 2).copied().unwrap_or(0.0);
    let largest = scales.last().copied().unwrap_or(0.0).min(MOST_SCALED * usual);
    let largest = match prior {
        Some(Prior { size, .. }) => largest.max(2.0 * size),
        None => largest,
    };
    // Room for vectors unlike those seen.
    let most = if largest > 0.0 { 1.4 * largest } else { 1.0 };
    Grid { scale_unit: most / 255.0, ..grid }
}

/// Compares estimates with exact scores where it matters, at the top: those of whole codes, and those
/// of first planes.
fn measure(codec: &Codec, rows: Rows<'_>, projected: &[Projected<'_>]) -> [Accuracy; 2] {
    let (width, grid) = (codec.width(), codec.grid());
    let against = every_nth_index(rows.len(), AGAINST);
    let mut codes = vec![0u8; against.len() * width];
    codes
        .par_chunks_exact_mut(width)
        .zip(&against)
        .for_each(|(code, &i)| grid.encode(projected[i].0, projected[i].1, code));
    let Apart { planes, scales, .. } = Apart::new(grid, codes.chunks_exact(width));
    let probes = every_nth_index(rows.len(), PROBES);
    let pairs: Vec<[Vec<(f64, f64)>; 2]> = probes
        .into_par_iter()
        .map(|probe| {
            let vector = rows.row(probe);
            let (sweep, query) = (codec.sweep(vector).0, codec.query(vector, grid));
            let (mut whole, mut first) = (Vec::new(), vec![0f32; against.len()]);
            query.scores(&codes, &mut whole);
            sweep.run(&planes, &scales, f32::NEG_INFINITY, &mut |i, estimate| {
                if let Some(slot) = first.get_mut(i) {
                    *slot = estimate;
                }
                f32::NEG_INFINITY
            });
            [whole, first].map(|scores| highest(&scores, &against, rows, probe, query.base()))
        })
        .collect();
    [0, 1].map(|which| regress(pairs.iter().flat_map(|both| &both[which]).copied()))
}

/// The highest estimates for a row as query, with the exact scores; both less `base`.
fn highest(
    scores: &[f32],
    against: &[usize],
    rows: Rows<'_>,
    probe: usize,
    base: f32,
) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).filter(|&j| against[j] != probe).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(TOP);
    let base = f64::from(base);
    let pair = |j: usize| {
        let exact = f64::from(dot(rows.row(probe), rows.row(against[j])));
        (f64::from(scores[j]) - base, exact - base)
    };
    order.into_iter().map(pair).collect()
}

/// The line through pairs of estimates and exact scores, and how far these are off it.
fn regress(pairs: impl Iterator<Item = (f64, f64)>) -> Accuracy {
    let pairs: Vec<(f64, f64)> = pairs.collect();
    let Line { base, slope, sigma } = Line::fit_within(&pairs, 0.0..=1.5);
    Accuracy { offset: base as f32, shrink: slope as f32, sigma: sigma as f32 }
}

/// At most `most` rows, spread over all.
fn every_nth(rows: Rows<'_>, most: usize) -> Vec<f32> {
    every_nth_index(rows.len(), most).into_iter().flat_map(|i| rows.row(i)).copied().collect()
}

fn every_nth_index(n: usize, most: usize) -> Vec<usize> {
    let count = n.min(most);
    (0..count).map(|i| i * n / count).collect()
}
