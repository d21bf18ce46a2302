//! Rows of numbers, and the two operations everything rests on.

use rayon::prelude::*;

/// A borrowed row-major matrix with at least one column.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    data: &'a [f32],
    dim: usize,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(data: &'a [f32], dim: usize) -> Self {
        assert!(dim > 0 && data.len().is_multiple_of(dim), "whole rows");
        Self { data, dim }
    }

    pub(crate) fn len(&self) -> usize {
        self.data.len() / self.dim
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn row(&self, i: usize) -> &'a [f32] {
        &self.data[i * self.dim..(i + 1) * self.dim]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &'a [f32]> {
        self.data.chunks_exact(self.dim)
    }

    /// The mean row, summed in double precision in row order; zero for no rows.
    pub(crate) fn mean(&self) -> Vec<f32> {
        let mut sum = vec![0f64; self.dim];
        for row in self.iter() {
            for (total, &x) in sum.iter_mut().zip(row) {
                *total += f64::from(x);
            }
        }
        let n = self.len().max(1) as f64;
        sum.iter().map(|total| (total / n) as f32).collect()
    }
}

/// Inner product in a fixed order of summation, so that every machine gets the same bits.
/// Sixteen partial sums let the compiler use whatever vector width the machine has.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    debug_assert_eq!(a.len(), b.len());
    let mut lanes = [0f32; 16];
    let (a16, a_rest) = a.as_chunks::<16>();
    let (b16, b_rest) = b.as_chunks::<16>();
    for (x, y) in a16.iter().zip(b16) {
        for i in 0..16 {
            lanes[i] += x[i] * y[i];
        }
    }
    let mut width = 8;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    a_rest.iter().zip(b_rest).fold(lanes[0], |sum, (x, y)| sum + x * y)
}

/// Replaces each row that is not made of finite numbers by zeros: it then scores 0 everywhere
/// instead of poisoning every comparison.
pub(crate) fn sanitize(data: &mut [f32], dim: usize) {
    let clean = |row: &mut [f32]| {
        if !row.iter().all(|x| x.is_finite() && x.abs() < 1e15) {
            row.fill(0.0);
        }
    };
    // Handing a few rows to another thread takes longer than looking at them.
    if data.len() < SHARED {
        data.chunks_exact_mut(dim).for_each(clean);
    } else {
        data.par_chunks_exact_mut(dim).for_each(clean);
    }
}

/// Numbers that are worth sharing between threads.
const SHARED: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_agrees_with_the_plain_sum() {
        for n in [0, 1, 15, 16, 17, 100, 384] {
            let a: Vec<f32> = (0..n).map(|i| (i % 7) as f32 - 3.0).collect();
            let b: Vec<f32> = (0..n).map(|i| (i % 5) as f32 - 2.0).collect();
            let plain: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            assert_eq!(dot(&a, &b), plain, "n = {n}");
        }
    }

    #[test]
    fn a_row_with_a_nan_becomes_zeros_and_its_neighbours_stay() {
        let mut data = vec![1.0, 2.0, f32::NAN, 1.0, f32::INFINITY, 0.0, 3.0, 4.0];
        sanitize(&mut data, 2);
        assert_eq!(data, [1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0]);
    }
}
