//! The products of whole numbers for AVX2 and for AVX-512 with VNNI, built like those of [`x86`](super::x86).

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::WIDTH;
use super::matmul_int::{GROUP, Step};

/// Rows that there are registers for beside [`COLUMNS`].
const ROWS: usize = 6;
const COLUMNS: usize = 8;

/// Defines `$name` as [`portable::product`](super::portable::product) for one pair of types:
/// `$broadcast` makes sixteen numbers of sixteen bits of four inputs, `$load` of four columns'
/// weights. Each register of sums has two for each of four columns, added up at the end.
macro_rules! avx2 {
    ($name:ident, $rows:ident, $left:ty, $weight:ty, $broadcast:ident, $load:ident) => {
        #[target_feature(enable = "avx2")]
        pub(super) fn $name(
            left: &[$left],
            stride: usize,
            panel: &[Step<$weight>],
            out: &mut [i32],
            out_stride: usize,
        ) {
            for (left, out) in left.chunks(ROWS * stride).zip(out.chunks_mut(ROWS * out_stride)) {
                for first in (0..WIDTH).step_by(COLUMNS) {
                    let out = &mut out[first..];
                    match left.len() / stride {
                        0 => {}
                        1 => $rows::<1>(left, stride, panel, first, out, out_stride),
                        2 => $rows::<2>(left, stride, panel, first, out, out_stride),
                        3 => $rows::<3>(left, stride, panel, first, out, out_stride),
                        4 => $rows::<4>(left, stride, panel, first, out, out_stride),
                        5 => $rows::<5>(left, stride, panel, first, out, out_stride),
                        _ => $rows::<ROWS>(left, stride, panel, first, out, out_stride),
                    }
                }
            }
        }

        #[target_feature(enable = "avx2")]
        fn $rows<const R: usize>(
            left: &[$left],
            stride: usize,
            panel: &[Step<$weight>],
            first: usize,
            out: &mut [i32],
            out_stride: usize,
        ) {
            // A loop, as a closure would not be compiled for these registers.
            let mut rows: [&[[$left; GROUP]]; R] = [&[]; R];
            for (row, cut) in rows.iter_mut().enumerate() {
                *cut = &left[row * stride..][..stride].as_chunks::<GROUP>().0[..panel.len()];
            }
            let mut sums = [[_mm256_setzero_si256(); 2]; R];
            for (at, step) in panel.iter().enumerate() {
                let halves = step[first..first + COLUMNS].as_chunks::<4>().0;
                let weights: [__m256i; 2] = [$load!(halves[0]), $load!(halves[1])];
                for (sums, row) in sums.iter_mut().zip(&rows) {
                    // SAFETY: rows are as long as the panel, as cut above.
                    let four = *unsafe { row.get_unchecked(at) };
                    let factors = $broadcast!(four);
                    for (sum, weights) in sums.iter_mut().zip(weights) {
                        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(factors, weights));
                    }
                }
            }
            for (out, [low, high]) in out.chunks_mut(out_stride).zip(sums) {
                let pairs = _mm256_hadd_epi32(low, high);
                let columns = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
                // SAFETY: both are plain numbers of one size.
                let columns: [i32; COLUMNS] = unsafe { transmute(columns) };
                out[..COLUMNS].copy_from_slice(&columns);
            }
        }
    };
}

// Macros, as closures in the loops would not be compiled for these registers.
macro_rules! four_bytes {
    ($four:expr) => {
        _mm256_cvtepu8_epi16(_mm_set1_epi32(i32::from_le_bytes($four)))
    };
}
macro_rules! four_words {
    ($four:expr) => {
        // SAFETY: both are plain numbers of one size.
        _mm256_set1_epi64x(unsafe { transmute::<[i16; 4], i64>($four) })
    };
}
macro_rules! bytes {
    ($weights:expr) => {
        // SAFETY: both are plain numbers of one size.
        _mm256_cvtepi8_epi16(unsafe { transmute::<[[i8; 4]; 4], __m128i>($weights) })
    };
}
macro_rules! words {
    ($weights:expr) => {
        // SAFETY: both are plain numbers of one size.
        unsafe { transmute::<[[i16; 4]; 4], __m256i>($weights) }
    };
}
avx2!(u8_i8_avx2, u8_i8_rows, u8, i8, four_bytes, bytes);
avx2!(i16_i8_avx2, i16_i8_rows, i16, i8, four_words, bytes);
avx2!(i16_i16_avx2, i16_i16_rows, i16, i16, four_words, words);

/// As [`portable::product`](super::portable::product).
#[target_feature(enable = "avx512f,avx512vnni")]
pub(super) fn u8_i8_avx512(
    left: &[u8],
    stride: usize,
    panel: &[Step<i8>],
    out: &mut [i32],
    out_stride: usize,
) {
    super::x86::for_rows!(
        left.len() / stride,
        rows_avx512(left, stride, panel, out, out_stride),
        0 1 2 3 4 5 6 7 8 9 10 11 12
    );
}

#[target_feature(enable = "avx512f,avx512vnni")]
fn rows_avx512<const R: usize>(
    left: &[u8],
    stride: usize,
    panel: &[Step<i8>],
    out: &mut [i32],
    out_stride: usize,
) {
    let left: [&[[u8; GROUP]]; R] = std::array::from_fn(|row| {
        let row = &left[row * stride..][..stride];
        &row.as_chunks::<GROUP>().0[..panel.len()]
    });
    let mut sums = [[_mm512_setzero_si512(); 2]; R];
    for (at, weights) in panel.iter().enumerate() {
        // SAFETY: both are plain numbers of one size.
        let weights: [__m512i; 2] = unsafe { transmute(*weights) };
        for (sums, left) in sums.iter_mut().zip(&left) {
            // SAFETY: rows are as long as the panel, as cut above.
            let four = *unsafe { left.get_unchecked(at) };
            let factors = _mm512_set1_epi32(i32::from_le_bytes(four));
            sums[0] = _mm512_dpbusd_epi32(sums[0], factors, weights[0]);
            sums[1] = _mm512_dpbusd_epi32(sums[1], factors, weights[1]);
        }
    }
    for (out, sums) in out.chunks_mut(out_stride).zip(sums) {
        // SAFETY: both are plain numbers of one size.
        let sums: [i32; WIDTH] = unsafe { transmute::<[__m512i; 2], [i32; WIDTH]>(sums) };
        out[..WIDTH].copy_from_slice(&sums);
    }
}
