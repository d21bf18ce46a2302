//! What is done to rows before and after products of whole numbers, in plain Rust as in
//! [`rows`](super::rows).

#![allow(unsafe_code)]

use super::matmul_int::Tile;
use super::rows::{Activation, ROUNDER, STRANDS, fma, join, reduce};
use super::versions::versions;
use super::{Level, WIDTH};

/// How whole numbers stand for others: `step * (number - zero)`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Scale {
    pub(crate) step: f32,
    pub(crate) zero: i32,
}

/// The most that a byte is.
const MOST_BYTE: f32 = 255.0;

impl Scale {
    /// That of bytes for numbers from `least`, at most 0, to `most`, at least 0, and what numbers are multiplied with to
    /// become steps; `None` where they are all zero, or not finite.
    #[inline(always)]
    pub(super) fn between(least: f32, most: f32) -> Option<(Self, f32)> {
        let range = most - least;
        if range <= 0.0 || !range.is_finite() {
            return None;
        }
        let (step, factor) = (range / MOST_BYTE, MOST_BYTE / range);
        Some((Self { step, zero: (-least / step).round() as i32 }, factor))
    }
}

/// What turns a panel's products into numbers.
#[derive(Clone)]
pub(crate) struct Columns {
    /// Step of each column's weights.
    pub(crate) steps: [f32; WIDTH],
    /// Sum of each column's weights.
    pub(crate) sums: [i32; WIDTH],
    pub(crate) bias: [f32; WIDTH],
}

versions! {
    /// Turns as many rows of `tile` as `scales` has into numbers, adds the bias and activates.
    finish = finish_body(
        tile: &Tile,
        scales: &[Scale],
        columns: &Columns,
        then: Activation,
        out: &mut [f32],
        stride: usize
    )
}

#[inline(always)]
fn finish_body<const FUSED: bool>(
    tile: &Tile,
    scales: &[Scale],
    columns: &Columns,
    then: Activation,
    out: &mut [f32],
    stride: usize,
) {
    for ((sums, scale), row) in tile.iter().zip(scales).zip(out.chunks_mut(stride)) {
        let Some((row, _)) = row.split_first_chunk_mut::<WIDTH>() else { continue };
        for (column, x) in row.iter_mut().enumerate() {
            let offset = scale.zero.wrapping_mul(columns.sums[column]);
            let product = sums[column].wrapping_sub(offset) as f32;
            *x = fma::<FUSED>(product, scale.step * columns.steps[column], columns.bias[column]);
        }
        match then {
            Activation::Linear => {}
            Activation::Gelu => row.iter_mut().for_each(|x| *x = near_gelu::<FUSED>(*x)),
        }
    }
}

/// x Φ(x) to within .0001, and beyond 4.2 to within .00003 of x, for what is rounded to whole numbers next. With c = x limited
/// to where Φ is next to 0 or 1, Φ(x) - 1/2 = c P(c²), a minimax fit.
#[inline(always)]
fn near_gelu<const FUSED: bool>(x: f32) -> f32 {
    const LIMIT: f32 = 4.2;
    const P: [f32; 8] = [
        0.398_508_76,
        -0.065_599_4,
        0.009_337_477,
        -9.607_66e-4,
        6.826_693e-5,
        -3.139_925_6e-6,
        8.329_995e-8,
        -9.613_38e-10,
    ];
    let c = if x < LIMIT { x } else { LIMIT };
    let c = if c > -LIMIT { c } else { -LIMIT };
    let square = c * c;
    let mut sum = P[7];
    for term in P[..7].iter().rev() {
        sum = fma::<FUSED>(sum, square, *term);
    }
    x * fma::<FUSED>(c, sum, 0.5)
}

versions! {
    /// Writes `row` in steps of a byte between its extremes, as close as their scale allows.
    /// What `out` has beyond them becomes zero.
    bytes = bytes_body(row: &[f32], out: &mut [u8]) -> Scale,
    avx512: super::x86_rows::bytes
}

#[inline(always)]
fn bytes_body<const FUSED: bool>(row: &[f32], out: &mut [u8]) -> Scale {
    let least = reduce(row, 0.0, |least, x| if x < least { x } else { least });
    let most = reduce(row, 0.0, |most, x| if x > most { x } else { most });
    let Some((scale, factor)) = Scale::between(least, most) else {
        out.fill(0);
        return Scale::default();
    };
    let zero = scale.zero as f32;
    let (out, rest) = out.split_at_mut(row.len());
    rest.fill(0);
    for (byte, &x) in out.iter_mut().zip(row) {
        let x = fma::<FUSED>(x, factor, zero);
        let x = if x > 0.0 { x } else { 0.0 };
        let x = if x < MOST_BYTE { x } else { MOST_BYTE };
        *byte = (x + ROUNDER).to_bits() as u8;
    }
    scale
}

/// Writes `count` entries of each of the rows, `stride` apart, in up to `most` steps either way
/// of zero, the same for all, and returns the step. Rows of `out` are `out_stride`
/// apart, and zero beyond what is written.
pub(crate) fn words(
    level: Level,
    rows: &[f32],
    stride: usize,
    count: usize,
    most: f32,
    out: &mut [i16],
    out_stride: usize,
) -> f32 {
    let largest = largest(level, rows, stride, count);
    let factor = most / largest;
    if !(largest.is_finite() && factor.is_finite()) {
        out.fill(0);
        return 0.0;
    }
    round(level, rows, stride, count, factor, out, out_stride);
    largest / most
}

versions! {
    /// The largest of the first `count` entries of each of the rows, either way of zero.
    largest = largest_body(rows: &[f32], stride: usize, count: usize) -> f32,
    avx512: super::x86_rows::largest
}

#[inline(always)]
fn largest_body<const FUSED: bool>(rows: &[f32], stride: usize, count: usize) -> f32 {
    let mut largest = 0.0;
    for row in rows.chunks(stride) {
        let row = reduce(&row[..count], 0.0, |largest, x| {
            let x = x.abs();
            // An infinity stays, and what is no number is passed over.
            if x > largest { x } else { largest }
        });
        largest = if row > largest { row } else { largest };
    }
    largest
}

versions! {
    /// Writes the first `count` entries of each of the rows, times `factor`, to the nearest whole number that fits.
    round = round_body(
        rows: &[f32],
        stride: usize,
        count: usize,
        factor: f32,
        out: &mut [i16],
        out_stride: usize
    ),
    avx512: super::x86_rows::round
}

#[inline(always)]
fn round_body<const FUSED: bool>(
    rows: &[f32],
    stride: usize,
    count: usize,
    factor: f32,
    out: &mut [i16],
    out_stride: usize,
) {
    for (out, row) in out.chunks_mut(out_stride).zip(rows.chunks(stride)) {
        let (out, rest) = out.split_at_mut(count);
        rest.fill(0);
        for (word, &x) in out.iter_mut().zip(row) {
            *word = fma::<FUSED>(x, factor, ROUNDER).to_bits() as i16;
        }
    }
}

/// What a row of [`shares`] adds up to, but for rounding.
pub(crate) const WHOLE: f32 = 32_767.0;

versions! {
    /// Writes into `out` the share that each entry's exponential, e to the power of `factor`
    /// times the score, has in the sum of all, in steps of 1 / [`WHOLE`]; zero beyond the scores.
    /// Returns the sum of what is written. `room` is as long as `scores`.
    shares = shares_body(scores: &[i32], factor: f32, room: &mut [f32], out: &mut [i16]) -> f32,
    avx512: super::x86_rows::shares
}

#[inline(always)]
fn shares_body<const FUSED: bool>(
    scores: &[i32],
    factor: f32,
    room: &mut [f32],
    out: &mut [i16],
) -> f32 {
    let mut largest = [i32::MIN; STRANDS];
    let (chunks, rest) = scores.as_chunks::<STRANDS>();
    for chunk in chunks {
        for (largest, &score) in largest.iter_mut().zip(chunk) {
            *largest = score.max(*largest);
        }
    }
    let largest = rest.iter().fold(join(largest, i32::max), |all, &score| all.max(score));
    let factor = factor * std::f32::consts::LOG2_E;
    let power = |score: i32| power_of_two::<FUSED>(score.wrapping_sub(largest) as f32 * factor);
    let mut sums = [0.0; STRANDS];
    let (room_chunks, room_rest) = room.as_chunks_mut::<STRANDS>();
    for (room, scores) in room_chunks.iter_mut().zip(chunks) {
        for ((x, &score), sum) in room.iter_mut().zip(scores).zip(&mut sums) {
            *x = power(score);
            *sum += *x;
        }
    }
    let mut sum = join(sums, |a, b| a + b);
    for (x, &score) in room_rest.iter_mut().zip(rest) {
        *x = power(score);
        sum += *x;
    }
    let factor = WHOLE / sum;
    let (out, rest) = out.split_at_mut(room.len());
    rest.fill(0);
    let mut total = 0_u32;
    for (out, &x) in out.iter_mut().zip(room.iter()) {
        let steps = fma::<FUSED>(x, factor, ROUNDER).to_bits() & 0xffff;
        *out = steps as i16;
        total = total.wrapping_add(steps);
    }
    total as f32
}

/// 2 to the power of x, for x from -1/2 to 1/2: a minimax fit, to within 2.6 millionths.
pub(super) const POWER_SERIES: [f32; 5] =
    [0.999_999_3, 0.693_121_8, 0.240_247_44, 0.055_917_89, 0.009_570_11];

/// 2 to the power of `x`, which is at most 0, to within 3 millionths of it.
#[inline(always)]
fn power_of_two<const FUSED: bool>(x: f32) -> f32 {
    // Below, the result is no normal number; near enough to zero.
    let x = if x > -126.0 { x } else { -126.0 };
    let shifted = x + ROUNDER;
    let rest = x - (shifted - ROUNDER);
    let power =
        POWER_SERIES.iter().rev().copied().reduce(|sum, next| fma::<FUSED>(sum, rest, next));
    f32::from_bits(power.unwrap_or(1.0).to_bits().wrapping_add(shifted.to_bits() << 23))
}
