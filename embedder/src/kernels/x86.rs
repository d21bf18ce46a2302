//! The matrix products for AVX2 and for AVX-512 with VNNI.
//!
//! Each keeps a tile of sums in registers while it walks down the panel once: rows of
//! the tile times columns of the panel, as many as there are registers for. All indexing
//! is checked; the compiler proves most checks away, as rows are cut to one length first.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::matmul::Rows;
use super::matmul_u8::{GROUP, Step, Tile};
use super::{WIDTH, portable};

/// Calls `$function::<R>$arguments` for the `R` that `$rows` is.
macro_rules! for_rows {
    ($rows:expr, $function:ident $arguments:tt, $($number:literal)*) => {
        match $rows {
            $($number => $function::<$number> $arguments,)*
            rows => unreachable!("a tile of {rows} rows"),
        }
    };
}

/// As [`portable::tile`].
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
            let factor = _mm512_set1_ps(left[at]);
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

/// As [`portable::tile`]. There are registers for six rows of half a panel.
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
            let factor = _mm256_set1_ps(left[at]);
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

/// As [`portable::tile_u8`].
#[target_feature(enable = "avx2")]
pub(super) fn tile_u8_avx2(left: &[u8], stride: usize, panel: &[Step], out: &mut Tile) {
    portable::tile_u8(left, stride, panel, out);
}

/// As [`portable::tile_u8`].
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn tile_u8_avx512(left: &[u8], stride: usize, panel: &[Step], out: &mut Tile) {
    let rows = left.len() / stride;
    for_rows!(rows, rows_u8_avx512(left, stride, panel, out), 0 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn rows_u8_avx512<const R: usize>(left: &[u8], stride: usize, panel: &[Step], out: &mut Tile) {
    let left: [&[[u8; GROUP]]; R] = std::array::from_fn(|row| {
        let row = &left[row * stride..][..stride];
        &row.as_chunks::<GROUP>().0[..panel.len()]
    });
    let mut sums = [[_mm512_setzero_si512(); 2]; R];
    for (at, weights) in panel.iter().enumerate() {
        // SAFETY: both are plain numbers of one size.
        let weights: [__m512i; 2] = unsafe { transmute(*weights) };
        for (sums, left) in sums.iter_mut().zip(&left) {
            let factors = _mm512_set1_epi32(i32::from_le_bytes(left[at]));
            sums[0] = _mm512_dpbusd_epi32(sums[0], factors, weights[0]);
            sums[1] = _mm512_dpbusd_epi32(sums[1], factors, weights[1]);
        }
    }
    for (out, sums) in out.iter_mut().zip(sums) {
        // SAFETY: both are plain numbers of one size.
        *out = unsafe { transmute::<[__m512i; 2], [i32; WIDTH]>(sums) };
    }
}
