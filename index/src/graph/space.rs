//! Vectors and the distances between them.

use rayon::prelude::*;

use crate::vectors::{Rows, dot};

/// Vectors with their squared norms at hand: a squared distance then costs one inner product.
pub(super) struct Space<'a> {
    rows: Rows<'a>,
    squares: Vec<f32>,
}

impl<'a> Space<'a> {
    pub(super) fn new(rows: Rows<'a>) -> Self {
        let squares = (0..rows.len()).into_par_iter().map(|i| {
            let row = rows.row(i);
            dot(row, row)
        });
        Self { rows, squares: squares.collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Squared Euclidean distance of two nodes.
    pub(super) fn distance(&self, a: u32, b: u32) -> f32 {
        let (a, b) = (a as usize, b as usize);
        let product = dot(self.rows.row(a), self.rows.row(b));
        (self.squares[a] + self.squares[b] - 2.0 * product).max(0.0)
    }

    /// The node closest to the mean: where every walk begins. Ties go to the lower number.
    pub(super) fn medoid(&self) -> u32 {
        let mean = self.rows.mean();
        let far = |i: usize| self.squares[i] - 2.0 * dot(self.rows.row(i), &mean);
        let nearest = (0..self.len()).min_by(|&a, &b| far(a).total_cmp(&far(b)));
        nearest.unwrap_or(0) as u32
    }
}
