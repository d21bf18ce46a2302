//! The way forward of a group of texts.

use std::cell::RefCell;
use std::ops::Range;

use super::trace::{Kept, Normed, Trace};
use super::{Adapted, AdaptedLayer, Passes};
use crate::EmbedError;
use crate::adapter::Target;
use crate::bert::fast;
use crate::bert::weights::LayerNorm;
use crate::kernels::back;
use crate::kernels::matmul::Rows;

/// Rows that are taken from one product to the next at a time, so that what lies between stays in the cache.
pub(super) const BLOCK: usize = 96;

thread_local! {
    /// Kept from one call to the next, as asking the system for memory anew takes time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

#[derive(Default)]
struct Scratch {
    /// Of passes that need no way back; of one layer.
    trace: Trace,
    room: Room,
}

#[derive(Default)]
struct Room {
    state: Vec<f32>,
    context: Vec<f32>,
    attention: fast::Buffers,
    narrow: Vec<f32>,
    wide: Vec<f32>,
}

impl Adapted<'_> {
    /// The mean of the last layer over each text's positions, `[texts, width]`. Without a trace, there is no
    /// way back.
    pub(super) fn forward(
        &self,
        texts: &[&[u32]],
        trace: Option<&mut Trace>,
    ) -> Result<Vec<f32>, EmbedError> {
        self.pass(texts, trace, |lengths, state| {
            self.passes.embedding.means(lengths.iter().copied(), state)
        })
    }

    /// The embedding layer's output and the last layer's, `[tokens of all texts, width]`.
    pub(super) fn states(&self, texts: &[&[u32]]) -> Result<[Vec<f32>; 2], EmbedError> {
        let mut first = Vec::new();
        self.passes.embedding.embed(texts, &mut first)?;
        let last = self.pass(texts, None, |_, state| state.to_vec())?;
        Ok([first, last].map(|state| self.passes.embedding.narrow(&state)))
    }

    /// Goes through the layers and gives what is made of the texts' lengths and last states.
    fn pass<T>(
        &self,
        texts: &[&[u32]],
        trace: Option<&mut Trace>,
        then: impl FnOnce(&[usize], &[f32]) -> T,
    ) -> Result<T, EmbedError> {
        SCRATCH.with_borrow_mut(|Scratch { trace: own, room }| {
            let keeps = trace.is_some();
            let trace = trace.unwrap_or(own);
            trace.begin(texts, if keeps { self.layers.len() } else { 1 });
            self.passes.embedding.embed(texts, &mut room.state)?;
            if keeps {
                trace.embedded.clone_from(&room.state);
            }
            for (number, layer) in self.layers.iter().enumerate() {
                let kept = &mut trace.layers[if keeps { number } else { 0 }];
                self.passes.enter(layer, &trace.lengths, room, kept);
                if keeps && layer.updates[Target::AttentionOutput as usize].is_some() {
                    kept.context.clone_from(&room.context);
                }
                self.passes.finish(layer, room, kept);
            }
            Ok(then(&trace.lengths, &room.state))
        })
    }
}

impl Passes {
    /// Projections and attention.
    fn enter(&self, layer: &AdaptedLayer<'_>, lengths: &[usize], room: &mut Room, kept: &mut Kept) {
        let (level, stride) = (self.level, self.stride);
        let Room { state, context, attention, .. } = room;
        kept.begin(state.len() / stride, stride, layer.dense(Target::Up).stride());
        for (part, target) in [Target::Query, Target::Key, Target::Value].into_iter().enumerate() {
            let out = &mut kept.qkv[part * stride..];
            layer.dense(target).apply(level, Rows { data: state, stride }, out, 3 * stride);
        }
        context.resize(state.len(), 0.0);
        for text in places(lengths) {
            let qkv = &kept.qkv[text.start * 3 * stride..text.end * 3 * stride];
            let context = &mut context[text.start * stride..text.end * stride];
            self.attention.attend(level, qkv, context, [3 * stride, stride], attention);
        }
    }

    /// What follows attention, in blocks of rows.
    fn finish(&self, layer: &AdaptedLayer<'_>, room: &mut Room, kept: &mut Kept) {
        let (level, stride) = (self.level, self.stride);
        let [out, up, down] =
            [Target::AttentionOutput, Target::Up, Target::Down].map(|target| layer.dense(target));
        let Room { state, context, narrow, wide, .. } = room;
        for (number, state) in state.chunks_mut(BLOCK * stride).enumerate() {
            let (first, count) = (number * BLOCK, state.len() / stride);
            narrow.resize(state.len(), 0.0);
            let context = Rows { data: &context[first * stride..][..state.len()], stride };
            out.apply(level, context, narrow, stride);
            self.swap_norm(state, narrow, &layer.frozen.attention_norm, &mut kept.attended, first);
            let risen = &mut kept.risen[first * up.stride()..][..count * up.stride()];
            up.apply(level, Rows { data: state, stride }, risen, up.stride());
            wide.resize(risen.len(), 0.0);
            back::activate(level, risen, wide);
            down.apply(level, Rows { data: wide, stride: up.stride() }, narrow, stride);
            self.swap_norm(state, narrow, &layer.frozen.output_norm, &mut kept.left, first);
        }
    }

    /// Adds `update` to `state` and normalises; the rows are those of `kept` from `first` on.
    fn swap_norm(
        &self,
        state: &mut [f32],
        update: &[f32],
        norm: &LayerNorm,
        kept: &mut Normed,
        first: usize,
    ) {
        let kept_rows = kept.rows[first * self.stride..].chunks_exact_mut(self.stride);
        let kept = kept_rows.zip(&mut kept.scales[first..]);
        let rows = state.chunks_exact_mut(self.stride).zip(update.chunks_exact(self.stride));
        for ((row, update), (kept, scale)) in rows.zip(kept) {
            let (row, kept) = (&mut row[..self.width], &mut kept[..self.width]);
            *scale = back::standardise(self.level, row, &update[..self.width], self.epsilon, kept);
            back::affine(self.level, kept, &norm.gamma, &norm.beta, row);
        }
    }
}

/// Where each text's rows lie.
pub(super) fn places(lengths: &[usize]) -> impl Iterator<Item = Range<usize>> {
    lengths.iter().scan(0, |next, length| {
        let first = *next;
        *next += length;
        Some(first..*next)
    })
}
