//! The loss and its slopes by passes of our own: what a processor trains with.

use super::{NEVER, Objective, SHORTEST};
use crate::kernels::matmul::{self, Panels, Rows};
use crate::kernels::{Level, WIDTH, back, rows};
use crate::train::Batch;
use crate::vector::turned;

/// The loss of a batch, and how it changes with the vectors.
pub(in crate::train) struct Slopes {
    pub(in crate::train) loss: f64,
    /// `[rows, dim]`.
    pub(in crate::train) anchors: Vec<f32>,
    /// `[columns, dim]`.
    pub(in crate::train) columns: Vec<f32>,
}

impl Objective {
    /// The loss of a batch, which has rows, and its slopes: `anchors` is `[rows, dim]` and `columns` is `[columns, dim]`, of
    /// any length each.
    pub(in crate::train) fn slopes(
        &self,
        level: Level,
        batch: &Batch,
        anchors: &[f32],
        columns: &[f32],
    ) -> Slopes {
        let dim = anchors.len() / batch.rows();
        let (mut to_anchors, mut to_columns) = (vec![0.0; anchors.len()], vec![0.0; columns.len()]);
        let mut loss = 0.0;
        for length in self.lengths(dim) {
            let units = [anchors, columns].map(|all| Units::of(level, all, dim, length));
            let (of_length, slopes) = self.of_units(level, batch, &units);
            loss += of_length;
            let [anchors, columns] = &units;
            let stride = slopes.len() / batch.rows();
            let turned = turned(&slopes, batch.rows(), stride);
            let by_columns = Matrix { data: &slopes, stride };
            let by_anchors = Matrix { data: &turned, stride: batch.rows() };
            anchors.slopes(level, &by_columns.times(level, columns), dim, &mut to_anchors);
            columns.slopes(level, &by_anchors.times(level, anchors), dim, &mut to_columns);
        }
        Slopes { loss, anchors: to_anchors, columns: to_columns }
    }

    /// The loss alone.
    pub(in crate::train) fn loss_of(
        &self,
        level: Level,
        batch: &Batch,
        anchors: &[f32],
        columns: &[f32],
    ) -> f64 {
        let dim = anchors.len() / batch.rows();
        let of_length = |length| {
            let units = [anchors, columns].map(|all| Units::of(level, all, dim, length));
            self.of_units(level, batch, &units).0
        };
        self.lengths(dim).map(of_length).sum()
    }

    /// What one length adds to the loss, and the slopes along the cosines, `[rows, columns in whole panels]`.
    fn of_units(
        &self,
        level: Level,
        batch: &Batch,
        [anchors, columns]: &[Units; 2],
    ) -> (f64, Vec<f32>) {
        let (count, width) = (batch.rows(), batch.columns.len());
        let stride = width.next_multiple_of(WIDTH);
        let mut scores = vec![0.0; count * stride];
        let right = Panels::pack_transposed(&columns.rows, columns.length, width);
        let left = Rows { data: &anchors.rows, stride: anchors.length };
        for (number, panel) in right.iter().enumerate() {
            matmul::panel(level, left, count, panel, &mut scores[number * WIDTH..], stride);
        }
        rows::scale(level, &mut scores, 1.0 / self.temperature);
        let sides = if self.symmetric { 2.0 } else { 1.0 };
        let share = 1.0 / (sides * count as f32 * (self.matryoshka.len() + 1) as f32);
        let mut slopes = vec![0.0; count * stride];
        let mut line = vec![0.0; stride.max(count.next_multiple_of(WIDTH))];
        let mut loss = 0.0;
        for (row, &target) in batch.targets.iter().enumerate() {
            let of_row = &scores[row * stride..][..width];
            let known = &batch.known[row * width..][..width];
            let line = &mut line[..width];
            for (place, ((score, known), line)) in
                of_row.iter().zip(known).zip(&mut *line).enumerate()
            {
                *line = if *known && place != target { NEVER } else { *score };
            }
            loss += picked(level, line, target);
            let slopes = &mut slopes[row * stride..][..width];
            slopes.iter_mut().zip(&*line).for_each(|(slope, x)| *slope += share * x);
        }
        for (row, &target) in batch.targets.iter().enumerate().filter(|_| self.symmetric) {
            let line = &mut line[..count];
            for (other, line) in line.iter_mut().enumerate() {
                let known = other != row && batch.known[other * width + target];
                *line = if known { NEVER } else { scores[other * stride + target] };
            }
            loss += picked(level, line, row);
            for (other, x) in line.iter().enumerate() {
                slopes[other * stride + target] += share * x;
            }
        }
        rows::scale(level, &mut slopes, 1.0 / self.temperature);
        (loss * f64::from(share), slopes)
    }
}

/// The negative log likelihood of `right` among these scores, which its slopes are put in the place of.
fn picked(level: Level, scores: &mut [f32], right: usize) -> f64 {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let ahead = f64::from(largest) - f64::from(scores[right]);
    let sum = rows::exponentials(level, scores, scores.len());
    rows::scale(level, scores, 1.0 / sum);
    scores[right] -= 1.0;
    f64::from(sum).ln() + ahead
}

/// The first entries of vectors, scaled to length one.
struct Units {
    /// `[count, length]`.
    rows: Vec<f32>,
    length: usize,
    /// What each was divided by, and whether that is its own length and not the least there is.
    by: Vec<(f32, bool)>,
}

impl Units {
    fn of(level: Level, all: &[f32], dim: usize, length: usize) -> Self {
        let count = all.len() / dim;
        let (mut rows, mut by) = (Vec::with_capacity(count * length), Vec::with_capacity(count));
        for row in all.chunks_exact(dim) {
            let start = rows.len();
            rows.extend_from_slice(&row[..length]);
            let row = &mut rows[start..];
            let squared = back::dot(level, row, row);
            // What is no number stays none.
            let own = squared >= SHORTEST || squared.is_nan();
            let divisor = if own { squared.sqrt() } else { SHORTEST.sqrt() };
            rows::scale(level, row, 1.0 / divisor);
            by.push((divisor, own));
        }
        Self { rows, length, by }
    }

    /// Adds what slopes along these, `[count, length in whole panels]`, come to along the vectors, `[count, dim]`.
    fn slopes(&self, level: Level, found: &[f32], dim: usize, sum: &mut [f32]) {
        let stride = self.length.next_multiple_of(WIDTH);
        let rows = self.rows.chunks_exact(self.length).zip(&self.by);
        let to = found.chunks_exact(stride).zip(sum.chunks_exact_mut(dim));
        for ((row, &(divisor, own)), (found, sum)) in rows.zip(to) {
            let found = &found[..self.length];
            let along = if own { back::dot(level, row, found) } else { 0.0 };
            let factor = 1.0 / divisor;
            for ((sum, x), slope) in sum.iter_mut().zip(row).zip(found) {
                *sum += factor * (slope - along * x);
            }
        }
    }
}

/// A matrix, row by row.
struct Matrix<'a> {
    data: &'a [f32],
    stride: usize,
}

impl Matrix<'_> {
    /// Its products with vectors, as many as count of each row: `[rows, length in whole panels]`.
    fn times(&self, level: Level, right: &Units) -> Vec<f32> {
        let (depth, stride) = (right.by.len(), right.length.next_multiple_of(WIDTH));
        let count = self.data.len() / self.stride;
        let mut out = vec![0.0; count * stride];
        let left = Rows { data: self.data, stride: self.stride };
        for (number, panel) in Panels::pack(&right.rows, depth, right.length).iter().enumerate() {
            matmul::panel(level, left, count, panel, &mut out[number * WIDTH..], stride);
        }
        out
    }
}
