//! Steps of optimisers, on all values at once. In plain Rust, as [`rows`](super::rows).

#![allow(unsafe_code)]

use super::rows::fma;
use super::versions::versions;

/// The numbers of a step of AdamW.
#[derive(Clone, Copy)]
pub(crate) struct AdamW {
    /// Shares of the old means of gradients and of their squares.
    pub(crate) betas: [f32; 2],
    /// What takes the bias off either mean.
    pub(crate) unbias: [f32; 2],
    /// Added to the root.
    pub(crate) epsilon: f32,
    /// The learning rate.
    pub(crate) rate: f32,
    /// What values keep.
    pub(crate) keep: f32,
}

versions! {
    /// Takes a step of AdamW (Loshchilov and Hutter 2019), and says whether all values are finite after it. All are of one length.
    adamw = adamw_body(
        with: AdamW,
        gradient: &[f32],
        first: &mut [f32],
        second: &mut [f32],
        values: &mut [f32]
    ) -> bool
}

#[inline(always)]
fn adamw_body<const FUSED: bool>(
    with: AdamW,
    gradient: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    values: &mut [f32],
) -> bool {
    let AdamW { betas: [beta1, beta2], unbias: [unbias1, unbias2], epsilon, rate, keep } = with;
    let (share1, share2, rate) = (1.0 - beta1, 1.0 - beta2, rate * unbias1);
    let mut finite = true;
    let memory = first.iter_mut().zip(second);
    for ((value, (first, second)), &x) in values.iter_mut().zip(memory).zip(gradient) {
        *first = fma::<FUSED>(beta1, *first, share1 * x);
        *second = fma::<FUSED>(beta2, *second, share2 * x * x);
        let root = (*second * unbias2).sqrt() + epsilon;
        *value = fma::<FUSED>(*value, keep, -rate * *first / root);
        finite &= value.is_finite();
    }
    finite
}

versions! {
    /// Takes a step down a gradient with momentum, and says whether all values are finite after it. All are of one length.
    descend = descend_body(
        momentum: f32,
        rate: f32,
        gradient: &[f32],
        first: &mut [f32],
        values: &mut [f32]
    ) -> bool
}

#[inline(always)]
fn descend_body<const FUSED: bool>(
    momentum: f32,
    rate: f32,
    gradient: &[f32],
    first: &mut [f32],
    values: &mut [f32],
) -> bool {
    let mut finite = true;
    for ((value, first), x) in values.iter_mut().zip(first).zip(gradient) {
        *first = fma::<FUSED>(momentum, *first, *x);
        *value = fma::<FUSED>(-rate, *first, *value);
        finite &= value.is_finite();
    }
    finite
}
