//! What is done to rows, all in plain Rust: the compiler makes a version of each for
//! every level's registers out of one body.

#![allow(unsafe_code)]

use super::WIDTH;
use super::versions::versions;

/// Strands of a sum: two registers of AVX-512, more of any other, so that none waits for itself.
pub(super) const STRANDS: usize = 32;

/// What follows a product: a bias, then possibly the activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Nothing more.
    Linear,
    /// x Φ(x), with the error function to within rounding of f32 (Hendrycks and Gimpel, 2016).
    Gelu,
}

versions! {
    /// Adds `bias` to the first [`WIDTH`] entries of each row of `out` and activates them.
    finish = finish_body(out: &mut [f32], stride: usize, bias: &[f32; WIDTH], then: Activation)
}

#[inline(always)]
fn finish_body<const FUSED: bool>(
    out: &mut [f32],
    stride: usize,
    bias: &[f32; WIDTH],
    then: Activation,
) {
    for row in out.chunks_mut(stride) {
        let Some((row, _)) = row.split_first_chunk_mut::<WIDTH>() else { continue };
        for (x, bias) in row.iter_mut().zip(bias) {
            *x += bias;
        }
        activate::<FUSED>(row, then);
    }
}

#[inline(always)]
pub(super) fn activate<const FUSED: bool>(row: &mut [f32; WIDTH], then: Activation) {
    match then {
        Activation::Linear => {}
        Activation::Gelu => row.iter_mut().for_each(|x| *x = gelu::<FUSED>(*x)),
    }
}

versions! {
    /// Adds `residual` to `row`, then normalises to mean 0 and variance 1, times `gamma`, plus
    /// `beta` (Ba, Kiros and Hinton, "Layer normalization", 2016). All are of one length.
    add_norm = add_norm_body(
        row: &mut [f32],
        residual: &[f32],
        gamma: &[f32],
        beta: &[f32],
        epsilon: f32
    ),
    avx512: super::x86_rows::add_norm
}

#[inline(always)]
fn add_norm_body<const FUSED: bool>(
    row: &mut [f32],
    residual: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) {
    for (x, residual) in row.iter_mut().zip(residual) {
        *x += residual;
    }
    let count = row.len() as f32;
    let mean = reduce(row, 0.0, |sum, x| sum + x) / count;
    row.iter_mut().for_each(|x| *x -= mean);
    let squares = sum_of_squares::<FUSED>(row);
    let scale = 1.0 / (squares / count + epsilon).sqrt();
    for ((x, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
        *x = fma::<FUSED>(*x * scale, *gamma, *beta);
    }
}

versions! {
    /// Replaces the first `count` entries of `row` by their exponentials, less the largest,
    /// the others by zeros, and returns the sum.
    exponentials = exponentials_body(row: &mut [f32], count: usize) -> f32
}

#[inline(always)]
fn exponentials_body<const FUSED: bool>(row: &mut [f32], count: usize) -> f32 {
    let (row, rest) = row.split_at_mut(count);
    rest.fill(0.0);
    let largest = reduce(row, f32::NEG_INFINITY, |max, x| if x > max { x } else { max });
    for x in row.iter_mut() {
        *x = exp::<FUSED>(*x - largest);
    }
    reduce(row, 0.0, |sum, x| sum + x)
}

versions! {
    /// Multiplies `row` by `factor`.
    scale = scale_body(row: &mut [f32], factor: f32)
}

#[inline(always)]
fn scale_body<const FUSED: bool>(row: &mut [f32], factor: f32) {
    row.iter_mut().for_each(|x| *x *= factor);
}

versions! {
    /// Writes the products of `row`'s entries and `factors`.
    products = products_body(row: &[f32], factors: &[f32], out: &mut [f32])
}

#[inline(always)]
fn products_body<const FUSED: bool>(row: &[f32], factors: &[f32], out: &mut [f32]) {
    for ((out, x), factor) in out.iter_mut().zip(row).zip(factors) {
        *out = x * factor;
    }
}

versions! {
    /// Adds `row` to `sum`.
    add = add_body(sum: &mut [f32], row: &[f32])
}

#[inline(always)]
fn add_body<const FUSED: bool>(sum: &mut [f32], row: &[f32]) {
    for (sum, x) in sum.iter_mut().zip(row) {
        *sum += x;
    }
}

versions! {
    /// Adds `scale` times `row`, whose bytes are `i8`, to `sum`.
    add_bytes = add_bytes_body(sum: &mut [f32], scale: f32, row: &[u8])
}

#[inline(always)]
fn add_bytes_body<const FUSED: bool>(sum: &mut [f32], scale: f32, row: &[u8]) {
    for (sum, byte) in sum.iter_mut().zip(row) {
        *sum = fma::<FUSED>(scale, f32::from(byte.cast_signed()), *sum);
    }
}

#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    // Without the instruction, the fused form is a call and very slow.
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Folds `row` in [`STRANDS`] strands, which are then joined.
#[inline(always)]
pub(super) fn reduce(row: &[f32], start: f32, fold: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<STRANDS>();
    let mut strands = [start; STRANDS];
    for chunk in chunks {
        for (strand, &x) in strands.iter_mut().zip(chunk) {
            *strand = fold(*strand, x);
        }
    }
    rest.iter().fold(join(strands, &fold), |all, &x| fold(all, x))
}

/// Joins strands by halves, as registers can.
#[inline(always)]
pub(super) fn join<T: Copy>(mut strands: [T; STRANDS], join: impl Fn(T, T) -> T) -> T {
    let mut half = STRANDS / 2;
    while half > 0 {
        let (first, second) = strands.split_at_mut(half);
        for (a, &b) in first.iter_mut().zip(&*second) {
            *a = join(*a, b);
        }
        half /= 2;
    }
    strands[0]
}

#[inline(always)]
pub(super) fn sum_of_squares<const FUSED: bool>(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<STRANDS>();
    let mut strands = [0.0; STRANDS];
    for chunk in chunks {
        for (strand, &x) in strands.iter_mut().zip(chunk) {
            *strand = fma::<FUSED>(x, x, *strand);
        }
    }
    join(strands, |a, b| a + b) + rest.iter().map(|x| x * x).sum::<f32>()
}

/// Adding it rounds a small number to a whole one, in the lowest bits.
pub(crate) const ROUNDER: f32 = 12_582_912.0;

/// e to the power of `x`, which is at most 0, to two units in the last place; what is no number stays none.
#[inline(always)]
pub(super) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Below, the result is no normal number; near enough to zero.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = fma::<FUSED>(x, std::f32::consts::LOG2_E, ROUNDER);
    let whole = shifted - ROUNDER;
    // ln 2 in two parts, the first exact in few bits.
    let rest = fma::<FUSED>(whole, -0.693_359_4, x);
    let rest = fma::<FUSED>(whole, 2.121_944_4e-4, rest);
    // Taylor's series, enough for |rest| up to ln 2 / 2.
    const SERIES: [f32; 7] = [1.0, 1.0, 0.5, 1.0 / 6.0, 1.0 / 24.0, 1.0 / 120.0, 1.0 / 720.0];
    let power = SERIES.iter().rev().copied().reduce(|sum, next| fma::<FUSED>(sum, rest, next));
    let exponent = shifted.to_bits() << 23;
    f32::from_bits(power.unwrap_or(1.0).to_bits().wrapping_add(exponent))
}

/// x Φ(x).
#[inline(always)]
pub(super) fn gelu<const FUSED: bool>(x: f32) -> f32 {
    x * normal_share::<FUSED>(x)
}

/// Φ(x). With c = x limited to where Φ is 0 or 1 in f32, Φ(x) - 1/2 = c P(c²) / Q(c²), a
/// rational minimax fit of the error function (error 1.5e-8 before rounding).
#[inline(always)]
pub(super) fn normal_share<const FUSED: bool>(x: f32) -> f32 {
    const LIMIT: f32 = 5.515_433;
    const P: [f32; 6] =
        [0.398_942_23, 0.033_930_775, 0.004_681_664, 1.695_684_5e-4, 6.351_983e-6, 2.265_378_5e-8];
    const Q: [f32; 6] =
        [1.0, 0.251_717_72, 0.028_689_597, 0.001_888_655_5, 7.385_873e-5, 1.194_711_6e-6];
    let c = if x < LIMIT { x } else { LIMIT };
    let c = if c > -LIMIT { c } else { -LIMIT };
    let square = c * c;
    let polynomial = |terms: [f32; 6]| {
        let mut sum = terms[5];
        for term in terms[..5].iter().rev() {
            sum = fma::<FUSED>(sum, square, *term);
        }
        sum
    };
    0.5 + c * polynomial(P) / polynomial(Q)
}
