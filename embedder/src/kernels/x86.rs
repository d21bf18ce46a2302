//! The products of f32 for AVX2 and for AVX-512.
//!
//! Each keeps a tile of sums in registers while it walks down the panel once: rows of
//! the tile times columns of the panel, as many as there are registers for. All indexing
//! is checked; the compiler proves most checks away, as rows are cut to one length first.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::WIDTH;
use super::matmul::Rows;

/// Calls `$function::<R>$arguments` for the `R` that `$rows` is.
macro_rules! for_rows {
    ($rows:expr, $function:ident $arguments:tt, $($number:literal)*) => {
        match $rows {
            $($number => $function::<$number> $arguments,)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}
pub(super) use for_rows;

/// As [`portable::tile`](super::portable::tile).
#[target_feature(enable = "avx512f")]
pub(super) fn tile_avx512(
    left: Rows<'_>,
    rows: usize,
    panel: &[[f32; WIDTH]],
    out: &mut [f32],
    stride: usize,
) {
    for_rows!(rows, rows_avx512(left, panel, out, stride), 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f")]
fn rows_avx512<const R: usize>(
    left: Rows<'_>,
    panel: &[[f32; WIDTH]],
    out: &mut [f32],
    stride: usize,
) {
    let left: [&[f32]; R] =
        std::array::from_fn(|row| &left.data[row * left.stride..][..panel.len()]);
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    for (at, weights) in panel.iter().enumerate() {
        // SAFETY: both are plain numbers of one size.
        let weights: [__m512; 2] = unsafe { transmute(*weights) };
        for (sums, left) in sums.iter_mut().zip(&left) {
            // SAFETY: rows are as long as the panel, as cut above.
            let factor = _mm512_set1_ps(*unsafe { left.get_unchecked(at) });
            sums[0] = _mm512_fmadd_ps(factor, weights[0], sums[0]);
            sums[1] = _mm512_fmadd_ps(factor, weights[1], sums[1]);
        }
    }
    for (out, sums) in out.chunks_mut(stride).zip(sums) {
        // SAFETY: both are plain numbers of one size.
        let sums: [f32; WIDTH] = unsafe { transmute(sums) };
        out[..WIDTH].copy_from_slice(&sums);
    }
}

/// As [`portable::tile`](super::portable::tile). There are registers for six rows of half a panel.
#[target_feature(enable = "avx2,fma")]
pub(super) fn tile_avx2(
    left: Rows<'_>,
    rows: usize,
    panel: &[[f32; WIDTH]],
    out: &mut [f32],
    stride: usize,
) {
    for first in (0..rows).step_by(6) {
        let left = Rows { data: &left.data[first * left.stride..], stride: left.stride };
        let out = &mut out[first * stride..];
        for half in 0..2 {
            for_rows!(6.min(rows - first), rows_avx2(left, panel, half, out, stride), 1 2 3 4 5 6);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn rows_avx2<const R: usize>(
    left: Rows<'_>,
    panel: &[[f32; WIDTH]],
    half: usize,
    out: &mut [f32],
    stride: usize,
) {
    const HALF: usize = WIDTH / 2;
    let left: [&[f32]; R] =
        std::array::from_fn(|row| &left.data[row * left.stride..][..panel.len()]);
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    for (at, weights) in panel.iter().enumerate() {
        let weights: [f32; HALF] = weights.as_chunks::<HALF>().0[half];
        // SAFETY: both are plain numbers of one size.
        let weights: [__m256; 2] = unsafe { transmute(weights) };
        for (sums, left) in sums.iter_mut().zip(&left) {
            // SAFETY: rows are as long as the panel, as cut above.
            let factor = _mm256_set1_ps(*unsafe { left.get_unchecked(at) });
            sums[0] = _mm256_fmadd_ps(factor, weights[0], sums[0]);
            sums[1] = _mm256_fmadd_ps(factor, weights[1], sums[1]);
        }
    }
    for (out, sums) in out.chunks_mut(stride).zip(sums) {
        // SAFETY: both are plain numbers of one size.
        let sums: [f32; HALF] = unsafe { transmute(sums) };
        out[half * HALF..][..HALF].copy_from_slice(&sums);
    }
}
