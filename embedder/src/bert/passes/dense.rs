//! A dense layer whose weights are packed to go forward and back.

use super::low_rank::LowRank;
use crate::bert::weights::Linear;
use crate::kernels::matmul::{self, Panels, Rows};
use crate::kernels::rows::{self, Activation};
use crate::kernels::{Level, TILE, WIDTH};

#[derive(Clone)]
pub(super) struct Dense {
    /// Of `[inputs, outputs]`.
    forth: Panels,
    /// Of the transpose.
    back: Panels,
    /// In whole panels.
    bias: Vec<f32>,
}

impl Dense {
    /// Packs a layer whose outputs are to be multiplied with `factor`.
    pub(super) fn new(linear: &Linear, factor: f32) -> Self {
        let outputs = linear.bias.len();
        let inputs = linear.weight.len() / outputs;
        let scaled = |all: &[f32]| -> Vec<f32> { all.iter().map(|x| x * factor).collect() };
        let weight = scaled(&linear.weight);
        let mut bias = scaled(&linear.bias);
        bias.resize(outputs.next_multiple_of(WIDTH), 0.0);
        Self {
            forth: Panels::pack(&weight, inputs, outputs),
            back: Panels::pack_transposed(&weight, outputs, inputs),
            bias,
        }
    }

    /// The same with an update added to its weights.
    pub(super) fn updated(&self, level: Level, update: &LowRank) -> Self {
        let mut updated = self.clone();
        update.add_to(level, &mut updated.forth, &mut updated.back);
        updated
    }

    /// Entries from one row of output to the next where nothing else lies between.
    pub(super) fn stride(&self) -> usize {
        self.bias.len()
    }

    /// Writes the outputs of all rows of `input`, whose length is a multiple of its stride, `stride` entries
    /// apart. What lies between the last output and the next multiple of [`WIDTH`] becomes zero.
    pub(super) fn apply(&self, level: Level, input: Rows<'_>, out: &mut [f32], stride: usize) {
        for (number, (panel, bias)) in self.forth.iter().zip(self.bias.as_chunks().0).enumerate() {
            let tiles = input.data.chunks(TILE * input.stride);
            for (left, out) in tiles.zip(out.chunks_mut(TILE * stride)) {
                let (count, out) = (left.len() / input.stride, &mut out[number * WIDTH..]);
                let left = Rows { data: left, stride: input.stride };
                matmul::panel(level, left, count, panel, out, stride);
                rows::finish(level, out, stride, bias, Activation::Linear);
            }
        }
    }

    /// Writes the gradients of the inputs from those of the outputs, for `count` rows.
    pub(super) fn back(
        &self,
        level: Level,
        gradient: Rows<'_>,
        count: usize,
        out: &mut [f32],
        stride: usize,
    ) {
        for (number, panel) in self.back.iter().enumerate() {
            matmul::panel(level, gradient, count, panel, &mut out[number * WIDTH..], stride);
        }
    }

    /// The same, added to what `out` has.
    pub(super) fn back_onto(
        &self,
        level: Level,
        gradient: Rows<'_>,
        count: usize,
        out: &mut [f32],
        stride: usize,
    ) {
        for (number, panel) in self.back.iter().enumerate() {
            matmul::panel_onto(level, gradient, count, panel, &mut out[number * WIDTH..], stride);
        }
    }
}
