//! Activations that rounding to bytes hurts less: where one direction ranges much wider than
//! others, all are rounded in its steps. Part of what a direction ranges over is moved into the
//! weights it is multiplied with, which changes no product (Xiao et al. 2023, `SmoothQuant`).
//! How far activations range is known without any: they come from a layer norm.

use crate::bert::weights::{LayerNorm, Linear};
use crate::kernels::{Level, rows};

/// How much of the range goes into the weights; of .3, .5, .7 and .9 the best for `MiniLM`.
const SHARE: f32 = 0.7;
/// Standard deviations that a norm's outputs range over, about.
const RANGE: f32 = 3.0;

/// What each direction of a norm's outputs is multiplied with.
pub(super) struct Smooth {
    factors: Vec<f32>,
}

impl Smooth {
    /// For the outputs of `norm` on their way into `linear`, whose weights become larger by as much as they
    /// become smaller.
    pub(super) fn new(norm: &LayerNorm, linear: &mut Linear) -> Self {
        let outputs = linear.bias.len();
        let rows = linear.weight.chunks_exact_mut(outputs);
        let factors = rows.zip(norm.gamma.iter().zip(&norm.beta)).map(|(row, (gamma, beta))| {
            let range = beta.abs() + RANGE * gamma.abs();
            let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            let growth = range.powf(SHARE) / largest.powf(1.0 - SHARE);
            if !growth.is_normal() {
                return 1.0;
            }
            row.iter_mut().for_each(|x| *x *= growth);
            1.0 / growth
        });
        Self { factors: factors.collect() }
    }

    /// Writes rows, `stride` entries apart, as they go into the layer.
    pub(super) fn apply(&self, level: Level, input: &[f32], stride: usize, out: &mut Vec<f32>) {
        out.resize(input.len(), 0.0);
        for (row, out) in input.chunks_exact(stride).zip(out.chunks_exact_mut(stride)) {
            rows::products(level, row, &self.factors, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_stay_and_ranges_draw_nearer() {
        let norm = LayerNorm { gamma: vec![1.0, 20.0, 0.0, 1.0], beta: vec![0.0, 1.0, 0.0, -1.0] };
        let weight = vec![0.5, -0.25, 0.5, 0.5, 0.1, 0.2, 0.0, 0.0];
        let mut linear = Linear { weight: weight.clone(), bias: vec![0.0; 2] };
        let smooth = Smooth::new(&norm, &mut linear);
        let row = [3.0, 60.0, 0.0, 4.0, 7.0];
        let mut out = Vec::new();
        smooth.apply(Level::best(), &row, 5, &mut out);
        let product = |row: &[f32], weight: &[f32], output: usize| -> f32 {
            row.iter().zip(weight.chunks(2)).map(|(x, weights)| x * weights[output]).sum()
        };
        for output in 0..2 {
            let expected = product(&row, &weight, output);
            assert!((product(&out, &linear.weight, output) - expected).abs() < 1e-4);
        }
        assert!(out[1] / out[0] < 3.0, "{out:?}, from 3 and 60");
        assert_eq!(smooth.factors[2..], [1.0; 2], "nothing to share");
    }
}
