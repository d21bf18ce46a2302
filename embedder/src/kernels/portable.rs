//! The matrix products in plain Rust: for other processors, and what tests compare with.

use super::matmul::Rows;
use super::matmul_u8::{GROUP, Step, Tile};
use super::{TILE, WIDTH};

pub(super) fn tile(
    left: Rows<'_>,
    rows: usize,
    panel: &[[f32; WIDTH]],
    out: &mut [f32],
    stride: usize,
) {
    for row in 0..rows {
        let left = &left.data[row * left.stride..][..panel.len()];
        let mut sums = [0.0; WIDTH];
        for (&factor, weights) in left.iter().zip(panel) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += factor * weight;
            }
        }
        out[row * stride..][..WIDTH].copy_from_slice(&sums);
    }
}

#[inline(always)]
pub(super) fn tile_u8(left: &[u8], stride: usize, panel: &[Step], out: &mut Tile) {
    debug_assert!(left.len() <= TILE * stride);
    for (left, sums) in left.chunks_exact(stride).zip(out) {
        *sums = [0; WIDTH];
        for (factors, weights) in left.as_chunks::<GROUP>().0.iter().zip(panel) {
            for (sum, weights) in sums.iter_mut().zip(weights) {
                for (&factor, &weight) in factors.iter().zip(weights) {
                    *sum += i32::from(factor) * i32::from(weight);
                }
            }
        }
    }
}
