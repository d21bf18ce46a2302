//! The matrix products in plain Rust: for other processors, and what tests compare with.

use super::WIDTH;
use super::matmul::Rows;
use super::matmul_int::{Step, Weight};

pub(super) fn tile(
    left: Rows<'_>,
    rows: usize,
    panel: &[[f32; WIDTH]],
    onto: bool,
    out: &mut [f32],
    stride: usize,
) {
    for (row, out) in out.chunks_mut(stride).enumerate().take(rows) {
        let left = &left.data[row * left.stride..][..panel.len()];
        let out = &mut out[..WIDTH];
        let mut sums = [0.0; WIDTH];
        if onto {
            sums.copy_from_slice(out);
        }
        for (&factor, weights) in left.iter().zip(panel) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += factor * weight;
            }
        }
        out.copy_from_slice(&sums);
    }
}

pub(super) fn product<W: Weight + Into<i32>>(
    left: &[W::Left],
    stride: usize,
    panel: &[Step<W>],
    out: &mut [i32],
    out_stride: usize,
) {
    for (left, out) in left.chunks_exact(stride).zip(out.chunks_mut(out_stride)) {
        let mut sums = [0_i32; WIDTH];
        for (factors, weights) in left.chunks_exact(W::GROUP).zip(panel) {
            for (sum, weights) in sums.iter_mut().zip(&weights.0) {
                for (&factor, &weight) in factors.iter().zip(weights.as_ref()) {
                    *sum = sum.wrapping_add(factor.into() * weight.into());
                }
            }
        }
        out[..WIDTH].copy_from_slice(&sums);
    }
}
