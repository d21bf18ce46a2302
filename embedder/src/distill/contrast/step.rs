//! A batch's loss, and where it falls: by token, since a token's vector is all that moves.

use rayon::prelude::*;

use crate::kernels::matmul::{Panels, Rows, panel};
use crate::kernels::{Level, WIDTH};

/// Rows of a product that a thread takes at once.
const BLOCK: usize = 48;

/// Shortest sum that is divided by.
const SHORTEST: f32 = 1e-6;

/// What a batch says.
pub(super) struct Gradient {
    /// Mean over both directions.
    pub(super) loss: f64,
    /// Tokens of the batch in ascending order, each once for every time that a text has it.
    tokens: Vec<(u32, u32)>,
    /// Gradient of each text's sum of vectors, `[texts, dim]`.
    sums: Vec<f32>,
}

impl Gradient {
    /// Each token and the texts that have it, as places in [`sum`](Self::sum).
    pub(super) fn tokens(&self) -> impl Iterator<Item = (usize, &[(u32, u32)])> {
        self.tokens.chunk_by(|a, b| a.0 == b.0).map(|run| (run[0].0 as usize, run))
    }

    /// Gradient of a text's sum.
    pub(super) fn sum(&self, text: u32, dim: usize) -> &[f32] {
        &self.sums[text as usize * dim..][..dim]
    }
}

/// The loss of `pairs` and its gradient.
pub(super) fn gradient(
    vectors: &[f32],
    dim: usize,
    pairs: &[&[Vec<u32>; 2]],
    temperature: f32,
) -> Gradient {
    let count = pairs.len();
    // First sides, then second sides.
    let texts: Vec<&[u32]> =
        (0..2).flat_map(|side| pairs.iter().map(move |pair| pair[side].as_slice())).collect();
    let mut units = vec![0.0; texts.len() * dim];
    let lengths: Vec<f32> = units
        .par_chunks_mut(dim)
        .zip(&texts)
        .map(|(unit, text)| unit_of(vectors, text, unit))
        .collect();
    let (first, second) = units.split_at(count * dim);
    let Scored { loss, gradient: of_scores } = scored(first, second, dim, temperature);

    let mut sums = product(&of_scores, count, second, dim);
    sums.extend(product(&transposed(&of_scores, count), count, first, dim));
    sums.par_chunks_mut(dim).zip(units.par_chunks(dim)).zip(&lengths).for_each(
        |((sum, unit), length)| {
            // Normalising lets only what is at right angles to the vector through.
            let along: f32 = sum.iter().zip(unit).map(|(d, u)| d * u).sum();
            sum.iter_mut().zip(unit).for_each(|(d, u)| *d = (*d - u * along) / length);
        },
    );
    let mut tokens: Vec<(u32, u32)> = texts
        .iter()
        .zip(0..)
        .flat_map(|(text, place)| text.iter().map(move |&token| (token, place)))
        .collect();
    tokens.par_sort_unstable();
    Gradient { loss, tokens, sums }
}

/// Writes the text's unit vector and returns the length of its sum.
fn unit_of(vectors: &[f32], text: &[u32], unit: &mut [f32]) -> f32 {
    let dim = unit.len();
    for &token in text {
        let row = &vectors[token as usize * dim..][..dim];
        unit.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    let length = unit.iter().map(|x| x * x).sum::<f32>().sqrt().max(SHORTEST);
    unit.iter_mut().for_each(|x| *x /= length);
    length
}

struct Scored {
    loss: f64,
    /// `[count, count]`, of similarities.
    gradient: Vec<f32>,
}

/// Symmetric InfoNCE of unit vectors.
fn scored(first: &[f32], second: &[f32], dim: usize, temperature: f32) -> Scored {
    let count = first.len() / dim;
    let scores = product(first, dim, &transposed(second, dim), count);
    let across = transposed(&scores, count);
    let (forth, forth_loss) = softmax(scores, count, temperature);
    let (back, back_loss) = softmax(across, count, temperature);
    let back = transposed(&back, count);
    let share = 0.5 / (count as f32 * temperature);
    let mut gradient = forth;
    gradient.par_chunks_mut(count).zip(back.par_chunks(count)).enumerate().for_each(
        |(place, (row, back))| {
            row.iter_mut().zip(back).for_each(|(p, q)| *p = (*p + q) * share);
            row[place] -= 2.0 * share;
        },
    );
    Scored { loss: f64::midpoint(forth_loss, back_loss), gradient }
}

/// Each row's probabilities, and the mean loss where the row's own number is the right answer.
fn softmax(mut scores: Vec<f32>, count: usize, temperature: f32) -> (Vec<f32>, f64) {
    let losses: Vec<f64> = scores
        .par_chunks_mut(count)
        .enumerate()
        .map(|(place, row)| {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|x| *x = ((*x - largest) / temperature).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
            -f64::from(row[place].max(f32::MIN_POSITIVE)).ln()
        })
        .collect();
    let mean = losses.iter().sum::<f64>() / count as f64;
    (scores, mean)
}

/// `left`, rows of `depth`, times `right`, `[depth, columns]`.
fn product(left: &[f32], depth: usize, right: &[f32], columns: usize) -> Vec<f32> {
    let rows = left.len() / depth;
    let panels = Panels::pack(right, depth, columns);
    let level = Level::best();
    // A panel is written whole, so rows are apart by whole panels at first.
    let stride = columns.next_multiple_of(WIDTH);
    let mut out = vec![0.0; rows * stride];
    out.par_chunks_mut(BLOCK * stride).zip(left.par_chunks(BLOCK * depth)).for_each(
        |(out, left)| {
            let rows = left.len() / depth;
            let left = Rows { data: left, stride: depth };
            for (place, right) in panels.iter().enumerate() {
                panel(level, left, rows, right, &mut out[place * WIDTH..], stride);
            }
        },
    );
    if stride == columns {
        return out;
    }
    out.chunks_exact(stride).flat_map(|row| &row[..columns]).copied().collect()
}

/// Columns of `matrix`, whose rows are of length `columns`, as rows.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    let mut out = vec![0.0; matrix.len()];
    out.par_chunks_mut(rows).enumerate().for_each(|(column, row)| {
        row.iter_mut().zip(matrix[column..].iter().step_by(columns)).for_each(|(x, y)| *x = *y);
    });
    out
}
