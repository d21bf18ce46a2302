//! The products of whole numbers for AVX2 and for AVX-512 with VNNI, built like those of [`x86`](super::x86).
//!
//! Each multiplies a group of a row's inputs, broadcast, with the groups of as many columns as
//! a register holds, and adds up each column's products in the column's own 32 bits.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::WIDTH;
use super::matmul_int::{Step, Weight};

/// Rows and columns that AVX2 has registers for.
const ROWS: usize = 6;
const COLUMNS: usize = 16;

/// Defines `$name` as [`portable::product`](super::portable::product) for weights `$weight` in
/// registers of 256 bits, where `$add!(sum, left, weights)` adds the products of two of them to a third.
macro_rules! avx2 {
    ($name:ident, $rows:ident, $weight:ty, $add:ident) => {
        #[target_feature(enable = "avx2")]
        pub(super) fn $name(
            left: &[<$weight as Weight>::Left],
            stride: usize,
            panel: &[Step<$weight>],
            out: &mut [i32],
            out_stride: usize,
        ) {
            for (left, out) in left.chunks(ROWS * stride).zip(out.chunks_mut(ROWS * out_stride)) {
                for first in (0..WIDTH).step_by(COLUMNS) {
                    super::x86::for_rows!(
                        left.len() / stride,
                        $rows(left, stride, panel, first, &mut out[first..], out_stride),
                        1 2 3 4 5 6
                    );
                }
            }
        }

        #[target_feature(enable = "avx2")]
        fn $rows<const R: usize>(
            left: &[<$weight as Weight>::Left],
            stride: usize,
            panel: &[Step<$weight>],
            first: usize,
            out: &mut [i32],
            out_stride: usize,
        ) {
            const GROUP: usize = <$weight>::GROUP;
            // A loop, as a closure would not be compiled for these registers.
            let mut rows: [&[[<$weight as Weight>::Left; GROUP]]; R] = [&[]; R];
            for (row, cut) in rows.iter_mut().enumerate() {
                *cut = &left[row * stride..][..stride].as_chunks::<GROUP>().0[..panel.len()];
            }
            let mut sums = [[_mm256_setzero_si256(); 2]; R];
            for (at, step) in panel.iter().enumerate() {
                let weights: &[_; COLUMNS] = &step.0.as_chunks::<COLUMNS>().0[first / COLUMNS];
                // SAFETY: both are plain numbers of one size.
                let weights: [__m256i; 2] = unsafe { transmute(*weights) };
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    // SAFETY: rows are as long as the panel, as cut above, and a group is
                    // plain numbers of as many bits.
                    let group = unsafe { row.as_ptr().add(at).cast::<i32>().read_unaligned() };
                    let factors = _mm256_set1_epi32(group);
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = $add!(*sum, factors, weights);
                    }
                }
            }
            for (out, sums) in out.chunks_mut(out_stride).zip(sums) {
                // SAFETY: both are plain numbers of one size.
                let sums: [i32; COLUMNS] = unsafe { transmute(sums) };
                out[..COLUMNS].copy_from_slice(&sums);
            }
        }
    };
}

/// The same for registers of 512 bits.
macro_rules! avx512 {
    ($name:ident, $rows:ident, $weight:ty, $add:ident) => {
        #[target_feature(enable = "avx512f,avx512vnni")]
        pub(super) fn $name(
            left: &[<$weight as Weight>::Left],
            stride: usize,
            panel: &[Step<$weight>],
            out: &mut [i32],
            out_stride: usize,
        ) {
            super::x86::for_rows!(
                left.len() / stride,
                $rows(left, stride, panel, out, out_stride),
                0 1 2 3 4 5 6 7 8 9 10 11 12
            );
        }

        #[target_feature(enable = "avx512f,avx512vnni")]
        fn $rows<const R: usize>(
            left: &[<$weight as Weight>::Left],
            stride: usize,
            panel: &[Step<$weight>],
            out: &mut [i32],
            out_stride: usize,
        ) {
            const GROUP: usize = <$weight>::GROUP;
            let left: [&[[<$weight as Weight>::Left; GROUP]]; R] = std::array::from_fn(|row| {
                let row = &left[row * stride..][..stride];
                &row.as_chunks::<GROUP>().0[..panel.len()]
            });
            let mut sums = [[_mm512_setzero_si512(); 2]; R];
            for (at, step) in panel.iter().enumerate() {
                // SAFETY: both are plain numbers of one size.
                let weights: [__m512i; 2] = unsafe { transmute(step.0) };
                for (sums, left) in sums.iter_mut().zip(&left) {
                    // SAFETY: rows are as long as the panel, as cut above, and a group is
                    // plain numbers of as many bits.
                    let group = unsafe { left.as_ptr().add(at).cast::<i32>().read_unaligned() };
                    let factors = _mm512_set1_epi32(group);
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = $add(*sum, factors, weights);
                    }
                }
            }
            for (out, sums) in out.chunks_mut(out_stride).zip(sums) {
                // SAFETY: both are plain numbers of one size.
                let sums: [i32; WIDTH] = unsafe { transmute::<[__m512i; 2], [i32; WIDTH]>(sums) };
                out[..WIDTH].copy_from_slice(&sums);
            }
        }
    };
}

// Macros, as closures in the loops would not be compiled for these registers.
macro_rules! add_bytes {
    ($sum:expr, $left:expr, $weights:expr) => {{
        let pairs = _mm256_maddubs_epi16($left, $weights);
        _mm256_add_epi32($sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }};
}
macro_rules! add_words {
    ($sum:expr, $left:expr, $weights:expr) => {
        _mm256_add_epi32($sum, _mm256_madd_epi16($left, $weights))
    };
}
avx2!(bytes_avx2, bytes_rows_avx2, i8, add_bytes);
avx2!(words_avx2, words_rows_avx2, i16, add_words);
avx512!(bytes_avx512, bytes_rows_avx512, i8, _mm512_dpbusd_epi32);
avx512!(words_avx512, words_rows_avx512, i16, _mm512_dpwssd_epi32);
