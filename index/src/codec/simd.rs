//! The scan's inner loop: by AVX-512 where the machine has it, else by tables.
#![allow(unsafe_code)]

use super::query::QueryBand;

/// Whether the vector path runs on this machine.
pub(super) fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bw")
            && std::arch::is_x86_feature_detected!("avx512vnni")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Appends, for each whole code of `width` bytes in `codes`, the sum over bands, planes and set
/// bits of the query's value times the plane's weight.
pub(super) fn sums(bands: &[QueryBand], width: usize, codes: &[u8], out: &mut Vec<i32>) {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the features that the function is compiled for were detected just now.
        return unsafe { wide(bands, width, codes, out) };
    }
    portable(bands, width, codes, out);
}

/// By tables: one lookup a byte of code. What [`wide`] is tested against.
pub(super) fn portable(bands: &[QueryBand], width: usize, codes: &[u8], out: &mut Vec<i32>) {
    for code in codes.chunks_exact(width) {
        let (mut at, mut total) = (0, 0i32);
        for band in bands {
            let mut sum = 0i32;
            for plane in code[at..at + band.plane * band.planes].chunks_exact(band.plane) {
                let bytes = plane.iter().zip(&band.sums);
                let set: i32 =
                    bytes.map(|(&byte, table)| i32::from(table[usize::from(byte)])).sum();
                sum = 2 * sum + set;
            }
            total += sum;
            at += band.plane * band.planes;
        }
        out.push(total);
    }
}

/// A plane's 64 bits are a mask of 64 bytes: one masked dot product with ones adds up what is set.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx512vnni")]
fn wide(bands: &[QueryBand], width: usize, codes: &[u8], out: &mut Vec<i32>) {
    use std::arch::x86_64::{
        __m512i, _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_maskz_mov_epi8,
        _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_slli_epi32,
    };
    let ones = _mm512_set1_epi8(1);
    for row in 0..codes.len() / width {
        let (mut at, mut total) = (row * width, _mm512_setzero_si512());
        for band in bands {
            for (group, values) in band.values.as_chunks::<64>().0.iter().enumerate() {
                // SAFETY: reads the 64 bytes of the array that `values` borrows, unaligned.
                let values = unsafe { _mm512_loadu_si512(values.as_ptr().cast::<__m512i>()) };
                let mut sum = _mm512_setzero_si512();
                for plane in 0..band.planes {
                    // What lies past a plane's end meets zeros in `values`.
                    let mask = word(codes, at + plane * band.plane + 8 * group);
                    let set = _mm512_maskz_mov_epi8(mask, ones);
                    sum = _mm512_dpbusd_epi32(_mm512_slli_epi32::<1>(sum), set, values);
                }
                total = _mm512_add_epi32(total, sum);
            }
            at += band.plane * band.planes;
        }
        out.push(_mm512_reduce_add_epi32(total));
    }
}

/// Eight bytes from `at`, with zeros past the end.
#[cfg(target_arch = "x86_64")]
#[inline]
fn word(codes: &[u8], at: usize) -> u64 {
    if let Some(bytes) = codes.get(at..).and_then(<[u8]>::first_chunk) {
        return u64::from_le_bytes(*bytes);
    }
    let rest = codes.get(at..).unwrap_or_default();
    rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}
