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
    onto: bool,
    out: &mut [f32],
    stride: usize,
) {
    for_rows!(rows, rows_avx512(left, panel, onto, out, stride), 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f")]
fn rows_avx512<const R: usize>(
    left: Rows<'_>,
    panel: &[[f32; WIDTH]],
    onto: bool,
    out: &mut [f32],
    stride: usize,
) {
    let left: [&[f32]; R] =
        std::array::from_fn(|row| &left.data[row * left.stride..][..panel.len()]);
    let mut sums = [[_mm512_setzero_ps(); 2]; R];
    if onto {
        for row in 0..R {
            let out = out[row * stride..].first_chunk::<WIDTH>().expect("a panel's width");
            // SAFETY: both are plain numbers of one size.
            sums[row] = unsafe { transmute::<[f32; WIDTH], [__m512; 2]>(*out) };
        }
    }
    for (at, weights) in panel.iter().enumerate() {
        // SAFETY: both are plain numbers of one size.
        let weights: [__m512; 2] = unsafe { transmute(*weights) };
        prefetch(panel.as_ptr().wrapping_add(at + AHEAD));
        for (sums, left) in sums.iter_mut().zip(&left) {
            // SAFETY: rows are as long as the panel, as cut above.
            let factor = _mm512_set1_ps(*unsafe { left.get_unchecked(at) });
            sums[0] = _mm512_fmadd_ps(factor, weights[0], sums[0]);
            sums[1] = _mm512_fmadd_ps(factor, weights[1], sums[1]);
        }
    }
    for row in 0..R {
        let out = out[row * stride..].first_chunk_mut::<WIDTH>().expect("a panel's width");
        // SAFETY: both are plain numbers of one size.
        *out = unsafe { transmute::<[__m512; 2], [f32; WIDTH]>(sums[row]) };
    }
}

/// Rows of a panel that are asked for before their turn, as panels are longer than the nearest cache.
const AHEAD: usize = 12;

/// Asks for a row of a panel; there need not be one.
#[target_feature(enable = "avx512f")]
fn prefetch(row: *const [f32; WIDTH]) {
    let row = row.cast::<i8>();
    _mm_prefetch::<_MM_HINT_T0>(row);
    _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(64));
}

/// As [`portable::tile`](super::portable::tile). There are registers for six rows of half a panel.
#[target_feature(enable = "avx2,fma")]
pub(super) fn tile_avx2(
    left: Rows<'_>,
    rows: usize,
    panel: &[[f32; WIDTH]],
    onto: bool,
    out: &mut [f32],
    stride: usize,
) {
    for first in (0..rows).step_by(6) {
        let left = Rows { data: &left.data[first * left.stride..], stride: left.stride };
        let out = &mut out[first * stride..];
        for half in 0..2 {
            let rows = 6.min(rows - first);
            for_rows!(rows, rows_avx2(left, panel, half, onto, out, stride), 1 2 3 4 5 6);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn rows_avx2<const R: usize>(
    left: Rows<'_>,
    panel: &[[f32; WIDTH]],
    half: usize,
    onto: bool,
    out: &mut [f32],
    stride: usize,
) {
    const HALF: usize = WIDTH / 2;
    let left: [&[f32]; R] =
        std::array::from_fn(|row| &left.data[row * left.stride..][..panel.len()]);
    let mut sums = [[_mm256_setzero_ps(); 2]; R];
    if onto {
        for row in 0..R {
            let out = out[row * stride..].as_chunks::<HALF>().0[half];
            // SAFETY: both are plain numbers of one size.
            sums[row] = unsafe { transmute::<[f32; HALF], [__m256; 2]>(out) };
        }
    }
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
    for row in 0..R {
        let out = &mut out[row * stride..].as_chunks_mut::<HALF>().0[half];
        // SAFETY: both are plain numbers of one size.
        *out = unsafe { transmute::<[__m256; 2], [f32; HALF]>(sums[row]) };
    }
}
