//! The way back of a group of texts.
//!
//! One matrix goes down through the layers: the gradient of the states, which each residual connection hands on
//! and each projection adds to. Nothing below the lowest projection that learns is gone through.

use std::cell::RefCell;

use super::forward::{BLOCK, places};
use super::low_rank::{self, Gradient};
use super::trace::{Kept, Normed, Trace};
use super::{Adapted, AdaptedLayer, Each, Passes, Updated, attention};
use crate::adapter::Target;
use crate::bert::weights::LayerNorm;
use crate::kernels::matmul::Rows;
use crate::kernels::{back, rows};

thread_local! {
    /// Kept from one call to the next, as asking the system for memory anew takes time.
    static SCRATCH: RefCell<Room> = RefCell::default();
}

#[derive(Default)]
struct Room {
    /// The gradient of the states.
    slope: Vec<f32>,
    /// Of what attention gave.
    context: Vec<f32>,
    /// Of queries, keys and values.
    qkv: Vec<f32>,
    attention: attention::Buffers,
    thin: low_rank::Buffers,
    /// States of a block, computed again.
    narrow: Vec<f32>,
    /// Of what goes into GELU, for a block.
    risen: Vec<f32>,
    /// What GELU gave a block.
    wide: Vec<f32>,
}

/// A layer on the way back.
struct Descent<'a> {
    layer: &'a AdaptedLayer<'a>,
    kept: &'a Kept,
    /// Whether a layer below learns.
    below: bool,
}

impl Adapted<'_> {
    /// Adds what the group of `trace` gives, from the gradient of each of its means.
    pub(super) fn backward(&self, trace: &Trace, means: &[&[f32]], sum: &mut Updated<Gradient>) {
        let learns = |layer: &AdaptedLayer<'_>| layer.updates.iter().any(Option::is_some);
        let Some(lowest) = self.layers.iter().position(learns) else { return };
        SCRATCH.with_borrow_mut(|room| {
            self.passes.spread(&trace.lengths, means, &mut room.slope);
            for (number, layer) in self.layers.iter().enumerate().skip(lowest).rev() {
                let kept = &trace.layers[number];
                let descent = Descent { layer, kept, below: number > lowest };
                let sum = &mut sum[number];
                self.passes.leave(&descent, room, sum);
                if !descent.reaches_below(Target::AttentionOutput) {
                    return;
                }
                self.passes.attend_back(&trace.lengths, kept, room);
                for first in (0..room.slope.len() / self.passes.stride).step_by(BLOCK) {
                    self.entering(trace, number, first, &mut room.narrow);
                    self.passes.learn_entrance(layer, first, room, sum);
                }
                if descent.below {
                    self.passes.enter_back(layer, room);
                }
            }
        });
    }

    /// A block of what entered a layer.
    fn entering(&self, trace: &Trace, number: usize, first: usize, out: &mut Vec<f32>) {
        let Some(before) = number.checked_sub(1) else {
            let rows = &trace.embedded[first * self.passes.stride..];
            out.clear();
            out.extend_from_slice(&rows[..rows.len().min(BLOCK * self.passes.stride)]);
            return;
        };
        let norm = &self.layers[before].frozen.output_norm;
        self.passes.normed(&trace.layers[before].left, norm, first, out);
    }
}

impl Passes {
    /// The gradient of states from that of their means.
    fn spread(&self, lengths: &[usize], means: &[&[f32]], slope: &mut Vec<f32>) {
        slope.clear();
        slope.resize(lengths.iter().sum::<usize>() * self.stride, 0.0);
        let mut rows = slope.chunks_exact_mut(self.stride);
        for (&length, mean) in lengths.iter().zip(means) {
            for row in rows.by_ref().take(length) {
                row[..self.width].copy_from_slice(mean);
                rows::scale(self.level, row, 1.0 / length as f32);
            }
        }
    }

    /// What followed attention, in blocks of rows: from the gradient of a layer's output to that of what attention
    /// gave, and of what goes around it.
    fn leave(&self, descent: &Descent<'_>, room: &mut Room, sum: &mut Each<Option<Gradient>>) {
        use Target::{AttentionOutput, Down, Up};
        let Descent { layer, kept, .. } = descent;
        let (level, stride) = (self.level, self.stride);
        let [out, up, down] = [AttentionOutput, Up, Down].map(|target| layer.dense(target));
        let inner = up.stride();
        let Room { slope, context, thin, narrow, risen: inner_slope, wide, .. } = room;
        context.resize(slope.len(), 0.0);
        for (number, slope) in slope.chunks_mut(BLOCK * stride).enumerate() {
            let (first, count) = (number * BLOCK, slope.len() / stride);
            let mut learn = |target: Target, inputs: Rows<'_>, outputs: Rows<'_>| {
                let at = target as usize;
                if let (Some(update), Some(sum)) = (&layer.updates[at], &mut sum[at]) {
                    update.learn(level, inputs, outputs, count, sum, thin);
                }
            };
            let learns = |target: Target| layer.updates[target as usize].is_some();
            let risen = &kept.risen[first * inner..][..count * inner];
            self.norm_back(&kept.left, &layer.frozen.output_norm, first, slope);
            if learns(Down) {
                wide.resize(risen.len(), 0.0);
                back::activate(level, risen, wide);
                let wide = Rows { data: wide, stride: inner };
                learn(Down, wide, Rows { data: slope, stride });
            }
            if !descent.reaches_below(Down) {
                continue;
            }
            inner_slope.resize(risen.len(), 0.0);
            down.back(level, Rows { data: slope, stride }, count, inner_slope, inner);
            back::activate_back(level, risen, inner_slope);
            let inner_slope = Rows { data: inner_slope, stride: inner };
            if learns(Up) {
                self.normed(&kept.attended, &layer.frozen.attention_norm, first, narrow);
                learn(Up, Rows { data: narrow, stride }, inner_slope);
            }
            if !descent.reaches_below(Up) {
                continue;
            }
            up.back_onto(level, inner_slope, count, slope, stride);
            self.norm_back(&kept.attended, &layer.frozen.attention_norm, first, slope);
            let slope = Rows { data: slope, stride };
            if learns(AttentionOutput) {
                let context = Rows { data: &kept.context[first * stride..], stride };
                learn(AttentionOutput, context, slope);
            }
            if descent.reaches_below(AttentionOutput) {
                out.back(level, slope, count, &mut context[first * stride..], stride);
            }
        }
    }

    /// From the gradient of what attention gave to that of queries, keys and values.
    fn attend_back(&self, lengths: &[usize], kept: &Kept, room: &mut Room) {
        let stride = self.stride;
        let Room { context, qkv, attention, .. } = room;
        qkv.resize(kept.qkv.len(), 0.0);
        for text in places(lengths) {
            let range = text.start * 3 * stride..text.end * 3 * stride;
            let context = &context[text.start * stride..text.end * stride];
            let strides = [3 * stride, stride];
            let (before, out) = (&kept.qkv[range.clone()], &mut qkv[range]);
            attention::back(&self.attention, self.level, before, context, out, strides, attention);
        }
    }

    /// What queries, keys and values learn of a block of what entered, which lies in `narrow`.
    fn learn_entrance(
        &self,
        layer: &AdaptedLayer<'_>,
        first: usize,
        room: &mut Room,
        sum: &mut Each<Option<Gradient>>,
    ) {
        let stride = self.stride;
        let Room { qkv, thin, narrow, .. } = room;
        let count = narrow.len() / stride;
        let entering = Rows { data: narrow, stride };
        for (part, target) in [Target::Query, Target::Key, Target::Value].into_iter().enumerate() {
            let at = target as usize;
            let Some((update, sum)) = layer.updates[at].as_ref().zip(sum[at].as_mut()) else {
                continue;
            };
            let qkv = &qkv[(3 * first + part) * stride..];
            let outputs = Rows { data: qkv, stride: 3 * stride };
            update.learn(self.level, entering, outputs, count, sum, thin);
        }
    }

    /// Adds the gradient of what entered.
    fn enter_back(&self, layer: &AdaptedLayer<'_>, room: &mut Room) {
        let stride = self.stride;
        let Room { slope, qkv, .. } = room;
        let count = slope.len() / stride;
        for (part, target) in [Target::Query, Target::Key, Target::Value].into_iter().enumerate() {
            let gradient = Rows { data: &qkv[part * stride..], stride: 3 * stride };
            layer.dense(target).back_onto(self.level, gradient, count, slope, stride);
        }
    }

    /// Takes the gradient of a block of a norm's outputs to that of what went into it.
    fn norm_back(&self, kept: &Normed, norm: &LayerNorm, first: usize, slope: &mut [f32]) {
        let rows = kept.rows[first * self.stride..].chunks_exact(self.stride);
        let kept = rows.zip(&kept.scales[first..]);
        for (slope, (row, scale)) in slope.chunks_exact_mut(self.stride).zip(kept) {
            let (row, slope) = (&row[..self.width], &mut slope[..self.width]);
            back::norm_back(self.level, row, *scale, &norm.gamma, slope);
        }
    }

    /// A block of a norm's outputs.
    fn normed(&self, kept: &Normed, norm: &LayerNorm, first: usize, out: &mut Vec<f32>) {
        let rows = &kept.rows[first * self.stride..];
        let rows = &rows[..rows.len().min(BLOCK * self.stride)];
        out.resize(rows.len(), 0.0);
        for (out, row) in out.chunks_exact_mut(self.stride).zip(rows.chunks_exact(self.stride)) {
            let (row, out) = (&row[..self.width], &mut out[..self.width]);
            back::affine(self.level, row, &norm.gamma, &norm.beta, out);
        }
    }
}

impl Descent<'_> {
    /// Whether anything learns that comes before a projection.
    fn reaches_below(&self, target: Target) -> bool {
        self.below || self.layer.updates[..target as usize].iter().any(Option::is_some)
    }
}
