//! What is done to rows where gradients are wanted: forms that keep what the way back needs, and the way
//! back itself. All in plain Rust, as [`rows`](super::rows).

#![allow(unsafe_code)]

use super::WIDTH;
use super::rows::{exp, fma, gelu, normal_share, reduce, sum_of_squares};
use super::versions::versions;

versions! {
    /// Writes x Φ(x) of every entry.
    activate = activate_body(row: &[f32], out: &mut [f32])
}

#[inline(always)]
fn activate_body<const FUSED: bool>(row: &[f32], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(row) {
        *out = gelu::<FUSED>(*x);
    }
}

versions! {
    /// Turns the gradient of x Φ(x) into that of x: times Φ(x) + x φ(x).
    activate_back = activate_back_body(row: &[f32], gradient: &mut [f32])
}

#[inline(always)]
fn activate_back_body<const FUSED: bool>(row: &[f32], gradient: &mut [f32]) {
    /// 1 / sqrt(2 π).
    const PEAK: f32 = 0.398_942_3;
    for (gradient, &x) in gradient.iter_mut().zip(row) {
        let density = PEAK * exp::<FUSED>(-0.5 * x * x);
        *gradient *= fma::<FUSED>(x, density, normal_share::<FUSED>(x));
    }
}

versions! {
    /// Writes the sum of `row` and `residual` with its mean taken off and scaled to variance 1, and returns
    /// the scale. All are of one length.
    standardise = standardise_body(
        row: &[f32],
        residual: &[f32],
        epsilon: f32,
        out: &mut [f32]
    ) -> f32
}

#[inline(always)]
fn standardise_body<const FUSED: bool>(
    row: &[f32],
    residual: &[f32],
    epsilon: f32,
    out: &mut [f32],
) -> f32 {
    for ((out, x), residual) in out.iter_mut().zip(row).zip(residual) {
        *out = x + residual;
    }
    let count = out.len() as f32;
    let mean = reduce(out, 0.0, |sum, x| sum + x) / count;
    out.iter_mut().for_each(|x| *x -= mean);
    let scale = 1.0 / (sum_of_squares::<FUSED>(out) / count + epsilon).sqrt();
    out.iter_mut().for_each(|x| *x *= scale);
    scale
}

versions! {
    /// Writes `row` times `gamma`, plus `beta`.
    affine = affine_body(row: &[f32], gamma: &[f32], beta: &[f32], out: &mut [f32])
}

#[inline(always)]
fn affine_body<const FUSED: bool>(row: &[f32], gamma: &[f32], beta: &[f32], out: &mut [f32]) {
    for (((out, x), gamma), beta) in out.iter_mut().zip(row).zip(gamma).zip(beta) {
        *out = fma::<FUSED>(*x, *gamma, *beta);
    }
}

versions! {
    /// Turns the gradient of [`standardise`]d entries times `gamma` into that of the sum: `row` is what it
    /// wrote and `scale` what it returned.
    norm_back = norm_back_body(row: &[f32], scale: f32, gamma: &[f32], gradient: &mut [f32])
}

#[inline(always)]
fn norm_back_body<const FUSED: bool>(row: &[f32], scale: f32, gamma: &[f32], gradient: &mut [f32]) {
    for (gradient, gamma) in gradient.iter_mut().zip(gamma) {
        *gradient *= gamma;
    }
    let count = row.len() as f32;
    let mean = reduce(gradient, 0.0, |sum, x| sum + x) / count;
    let along = dot_body::<FUSED>(gradient, row) / count;
    for (gradient, x) in gradient.iter_mut().zip(row) {
        *gradient = scale * fma::<FUSED>(-along, *x, *gradient - mean);
    }
}

versions! {
    /// The sum of the products of entries.
    dot = dot_body(a: &[f32], b: &[f32]) -> f32
}

#[inline(always)]
fn dot_body<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let (chunks, rest) = a.as_chunks::<WIDTH>();
    let (others, others_rest) = b.as_chunks::<WIDTH>();
    let mut strands = [0.0; WIDTH];
    for (chunk, other) in chunks.iter().zip(others) {
        for ((strand, &x), &y) in strands.iter_mut().zip(chunk).zip(other) {
            *strand = fma::<FUSED>(x, y, *strand);
        }
    }
    let rest: f32 = rest.iter().zip(others_rest).map(|(x, y)| x * y).sum();
    reduce(&strands, 0.0, |sum, x| sum + x) + rest
}

versions! {
    /// Replaces each column of a panel by its softmax.
    softmax_down = softmax_down_body(panel: &mut [[f32; WIDTH]])
}

#[inline(always)]
fn softmax_down_body<const FUSED: bool>(panel: &mut [[f32; WIDTH]]) {
    let mut largest = [f32::NEG_INFINITY; WIDTH];
    for row in &*panel {
        for (largest, &x) in largest.iter_mut().zip(row) {
            *largest = if x > *largest { x } else { *largest };
        }
    }
    let mut sums = [0.0; WIDTH];
    for row in &mut *panel {
        for ((x, largest), sum) in row.iter_mut().zip(&largest).zip(&mut sums) {
            *x = exp::<FUSED>(*x - largest);
            *sum += *x;
        }
    }
    let factors = sums.map(|sum| 1.0 / sum);
    for row in panel {
        for (x, factor) in row.iter_mut().zip(&factors) {
            *x *= factor;
        }
    }
}

versions! {
    /// Turns the gradient of what [`softmax_down`] wrote, `shares`, into that of what it was given.
    softmax_down_back = softmax_down_back_body(
        shares: &[[f32; WIDTH]],
        gradient: &mut [[f32; WIDTH]]
    )
}

#[inline(always)]
fn softmax_down_back_body<const FUSED: bool>(
    shares: &[[f32; WIDTH]],
    gradient: &mut [[f32; WIDTH]],
) {
    let mut means = [0.0; WIDTH];
    for (shares, gradient) in shares.iter().zip(&*gradient) {
        for ((mean, &share), &x) in means.iter_mut().zip(shares).zip(gradient) {
            *mean = fma::<FUSED>(share, x, *mean);
        }
    }
    for (shares, gradient) in shares.iter().zip(gradient) {
        for ((x, share), mean) in gradient.iter_mut().zip(shares).zip(&means) {
            *x = share * (*x - mean);
        }
    }
}
