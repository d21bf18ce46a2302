//! What is done to rows, for AVX-512: where the compiler makes too little of the plain forms in
//! [`rows`](super::rows) and [`whole`](super::whole). The results are the same up to the rounding of f32.

#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::whole::{POWER_SERIES, Scale, WHOLE};

/// Entries of a register.
const LANES: usize = 16;

/// As [`whole::shares`](super::whole::shares).
#[target_feature(enable = "avx512f")]
pub(super) fn shares(scores: &[i32], factor: f32, room: &mut [f32], out: &mut [i16]) -> f32 {
    let count = scores.len();
    assert!(room.len() == count && count <= out.len(), "as much room as scores");
    let (whole, rest) = scores.as_chunks::<LANES>();
    let mut largest = [_mm512_set1_epi32(i32::MIN); 2];
    for (at, chunk) in whole.iter().enumerate() {
        largest[at % 2] = _mm512_max_epi32(largest[at % 2], ints(chunk));
    }
    let largest = _mm512_reduce_max_epi32(_mm512_max_epi32(largest[0], largest[1]));
    let largest = rest.iter().fold(largest, |all, &x| all.max(x));

    let (rooms, room_rest) = room.as_chunks_mut::<LANES>();
    let (largest, factor) = (_mm512_set1_epi32(largest), factor * std::f32::consts::LOG2_E);
    let mut sum = _mm512_setzero_ps();
    for (room, chunk) in rooms.iter_mut().zip(whole) {
        let x = power(_mm512_sub_epi32(ints(chunk), largest), factor);
        sum = _mm512_add_ps(sum, x);
        *room = floats_out(x);
    }
    let mut sum = _mm512_reduce_add_ps(sum);
    let mut last = [0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    let powers = floats_out(power(_mm512_sub_epi32(ints(&last), largest), factor));
    for (room, x) in room_rest.iter_mut().zip(powers) {
        *room = x;
        sum += x;
    }

    let factor = WHOLE / sum;
    let (shares, beyond) = out.split_at_mut(count);
    beyond.fill(0);
    let (outs, out_rest) = shares.as_chunks_mut::<LANES>();
    let mut total = _mm512_setzero_si512();
    for (out, room) in outs.iter_mut().zip(&*rooms) {
        let steps = _mm512_cvtps_epi32(_mm512_mul_ps(floats(room), _mm512_set1_ps(factor)));
        total = _mm512_add_epi32(total, steps);
        // SAFETY: both are plain numbers of one size.
        *out = unsafe { transmute::<__m256i, [i16; LANES]>(_mm512_cvtepi32_epi16(steps)) };
    }
    let mut total = _mm512_reduce_add_epi32(total);
    for (out, x) in out_rest.iter_mut().zip(&*room_rest) {
        let steps = (x * factor).round_ties_even() as i32;
        *out = steps as i16;
        total += steps;
    }
    total as f32
}

/// 2 to the power of `factor` times whole numbers that are at most 0.
#[target_feature(enable = "avx512f")]
fn power(x: __m512i, factor: f32) -> __m512 {
    let x = _mm512_mul_ps(_mm512_cvtepi32_ps(x), _mm512_set1_ps(factor));
    let whole = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
    let rest = _mm512_sub_ps(x, whole);
    let [lower @ .., highest] = POWER_SERIES;
    let mut sum = _mm512_set1_ps(highest);
    for term in lower.iter().rev() {
        sum = _mm512_fmadd_ps(sum, rest, _mm512_set1_ps(*term));
    }
    _mm512_scalef_ps(sum, whole)
}

/// As [`rows::add_norm`](super::rows::add_norm).
#[target_feature(enable = "avx512f")]
pub(super) fn add_norm(
    row: &mut [f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) {
    let count = row.len() as f32;
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    let (residuals, residual_rest) = residual.as_chunks::<LANES>();
    let mut sum = _mm512_setzero_ps();
    for (chunk, residual) in chunks.iter_mut().zip(residuals) {
        let x = _mm512_add_ps(floats(chunk), floats(residual));
        sum = _mm512_add_ps(sum, x);
        *chunk = floats_out(x);
    }
    let mut sum = _mm512_reduce_add_ps(sum);
    for (x, residual) in rest.iter_mut().zip(residual_rest) {
        *x += residual;
        sum += *x;
    }
    let mean = sum / count;
    let means = _mm512_set1_ps(mean);
    let mut squares = [_mm512_setzero_ps(); 2];
    for (at, chunk) in chunks.iter().enumerate() {
        let x = _mm512_sub_ps(floats(chunk), means);
        squares[at % 2] = _mm512_fmadd_ps(x, x, squares[at % 2]);
    }
    let mut squares = _mm512_reduce_add_ps(_mm512_add_ps(squares[0], squares[1]));
    for x in &*rest {
        squares = (x - mean).mul_add(x - mean, squares);
    }
    let scale = 1.0 / (squares / count + epsilon).sqrt();
    let scales = _mm512_set1_ps(scale);
    let (gammas, gamma_rest) = gamma.as_chunks::<LANES>();
    let (betas, beta_rest) = beta.as_chunks::<LANES>();
    for ((chunk, gamma), beta) in chunks.iter_mut().zip(gammas).zip(betas) {
        let x = _mm512_mul_ps(_mm512_sub_ps(floats(chunk), means), scales);
        *chunk = floats_out(_mm512_fmadd_ps(x, floats(gamma), floats(beta)));
    }
    for ((x, gamma), beta) in rest.iter_mut().zip(gamma_rest).zip(beta_rest) {
        *x = ((*x - mean) * scale).mul_add(*gamma, *beta);
    }
}

/// As [`whole::bytes`](super::whole::bytes).
#[target_feature(enable = "avx512f")]
pub(super) fn bytes(row: &[f32], out: &mut [u8]) -> Scale {
    let (chunks, rest) = row.as_chunks::<LANES>();
    // The second is kept where the first is no number.
    let (mut least, mut most) = (_mm512_setzero_ps(), _mm512_setzero_ps());
    for chunk in chunks {
        least = _mm512_min_ps(floats(chunk), least);
        most = _mm512_max_ps(floats(chunk), most);
    }
    let least = rest.iter().fold(_mm512_reduce_min_ps(least), |least, x| least.min(*x));
    let most = rest.iter().fold(_mm512_reduce_max_ps(most), |most, x| most.max(*x));
    let Some((scale, factor)) = Scale::between(least, most) else {
        out.fill(0);
        return Scale::default();
    };
    let (factors, zeros) = (_mm512_set1_ps(factor), _mm512_set1_ps(scale.zero as f32));
    let (out, beyond) = out.split_at_mut(row.len());
    beyond.fill(0);
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    for (out, chunk) in outs.iter_mut().zip(chunks) {
        let steps = _mm512_cvtps_epi32(_mm512_fmadd_ps(floats(chunk), factors, zeros));
        let steps = _mm512_max_epi32(steps, _mm512_setzero_si512());
        // SAFETY: both are plain numbers of one size.
        *out = unsafe { transmute::<__m128i, [u8; LANES]>(_mm512_cvtusepi32_epi8(steps)) };
    }
    for (out, x) in out_rest.iter_mut().zip(rest) {
        *out = x.mul_add(factor, scale.zero as f32).round_ties_even() as u8;
    }
    scale
}

/// As [`whole::largest`](super::whole::largest).
#[target_feature(enable = "avx512f")]
pub(super) fn largest(rows: &[f32], stride: usize, count: usize) -> f32 {
    let mut all = [_mm512_setzero_ps(); 2];
    let mut left = 0.0_f32;
    for row in rows.chunks(stride) {
        let (chunks, rest) = row[..count].as_chunks::<LANES>();
        for (at, chunk) in chunks.iter().enumerate() {
            // The second is kept where the first is no number.
            all[at % 2] = _mm512_max_ps(_mm512_abs_ps(floats(chunk)), all[at % 2]);
        }
        for x in rest {
            left = left.max(x.abs());
        }
    }
    _mm512_reduce_max_ps(_mm512_max_ps(all[0], all[1])).max(left)
}

/// As [`whole::round`](super::whole::round).
#[target_feature(enable = "avx512f")]
pub(super) fn round(
    rows: &[f32],
    stride: usize,
    count: usize,
    factor: f32,
    out: &mut [i16],
    out_stride: usize,
) {
    let by = _mm512_set1_ps(factor);
    for (out, row) in out.chunks_mut(out_stride).zip(rows.chunks(stride)) {
        let (out, beyond) = out.split_at_mut(count);
        beyond.fill(0);
        let (chunks, rest) = row[..count].as_chunks::<LANES>();
        let (outs, out_rest) = out.as_chunks_mut::<LANES>();
        for (out, chunk) in outs.iter_mut().zip(chunks) {
            let steps = _mm512_cvtps_epi32(_mm512_mul_ps(floats(chunk), by));
            // SAFETY: both are plain numbers of one size.
            *out = unsafe { transmute::<__m256i, [i16; LANES]>(_mm512_cvtepi32_epi16(steps)) };
        }
        for (out, x) in out_rest.iter_mut().zip(rest) {
            *out = (x * factor).round_ties_even() as i16;
        }
    }
}

#[target_feature(enable = "avx512f")]
fn ints(chunk: &[i32; LANES]) -> __m512i {
    // SAFETY: both are plain numbers of one size.
    unsafe { transmute(*chunk) }
}

#[target_feature(enable = "avx512f")]
fn floats(chunk: &[f32; LANES]) -> __m512 {
    // SAFETY: both are plain numbers of one size.
    unsafe { transmute(*chunk) }
}

#[target_feature(enable = "avx512f")]
fn floats_out(x: __m512) -> [f32; LANES] {
    // SAFETY: both are plain numbers of one size.
    unsafe { transmute(x) }
}
