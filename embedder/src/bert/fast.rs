//! The encoder's forward pass on the CPU, without a tensor library.
//!
//! Weights are packed once. A batch is the tokens of its texts one after the other, each
//! text at its own length, so nothing is padded: dense layers see one matrix, attention
//! sees the texts. After attention a layer is finished in blocks of rows that stay in the cache.
//! [`Precision`](super::Precision) says in what numbers dense layers and attention multiply;
//! everything else is f32.

mod attention;
mod dense;
mod smooth;

use std::cell::RefCell;

use crate::EmbedError;
use crate::kernels::{Level, Numbers, rows};

use super::config::BertConfig;
use super::states::Embedding;
use super::weights::{self, LayerNorm, Weights};
pub(super) use attention::{Attention, Buffers};
use dense::{Dense, Input};
use smooth::Smooth;

/// Rows that a layer is finished for at a time after attention: the wide activations
/// between the last two products then fit the cache.
const BLOCK: usize = 96;

pub(super) struct FastEncoder {
    level: Level,
    width: usize,
    /// Entries from one row of activations to the next.
    stride: usize,
    epsilon: f32,
    embedding: Embedding,
    attention: Attention,
    layers: Vec<Layer>,
}

struct Layer {
    /// Where what enters is rounded to bytes.
    smooth_in: Option<Smooth>,
    /// Query, key and value side by side, the query already divided by the square root of its length.
    qkv: Dense,
    attention_out: Dense,
    attention_norm: LayerNorm,
    /// Where what goes up is rounded to bytes.
    smooth: Option<Smooth>,
    up: Dense,
    down: Dense,
    output_norm: LayerNorm,
}

impl FastEncoder {
    /// Multiplies `numbers`, and words within attention where these are whole.
    pub(super) fn new(
        config: &BertConfig,
        mut weights: Weights,
        numbers: Numbers,
        level: Level,
    ) -> Self {
        let width = config.hidden_size;
        weights.fold_token_type();
        let head = width / config.num_attention_heads;
        // What enters attention is where rounding to bytes hurts most, the more the later.
        let in_bytes = if level.pairs_bytes() { 0 } else { weights.layers.len() / 3 };
        let entrance = |layer: usize| match numbers {
            Numbers::Bytes if layer >= in_bytes => Numbers::Words,
            other => other,
        };
        let mut layers: Vec<Layer> = Vec::with_capacity(weights.layers.len());
        for layer in weights.layers {
            let before = layers.last().map_or(&weights.norm, |layer| &layer.output_norm);
            let layer = Layer::new(layer, before, head, [entrance(layers.len()), numbers], level);
            layers.push(layer);
        }
        let epsilon = config.layer_norm_eps as f32;
        let Weights { words, positions, norm, .. } = weights;
        let embedding = Embedding::new(words, positions, norm, epsilon, level);
        Self {
            level,
            width,
            stride: embedding.stride(),
            epsilon,
            embedding,
            attention: Attention {
                heads: config.num_attention_heads,
                head,
                width,
                whole: numbers != Numbers::F32,
            },
            layers,
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.embedding.vocab_size()
    }

    /// The mean of the last layer over each text's own positions, `[texts, width]`, not normalised.
    pub(super) fn pooled(&self, texts: &[&[u32]]) -> Result<Vec<f32>, EmbedError> {
        let (mut texts, mut out) = (texts, Vec::with_capacity(texts.len() * self.width));
        SCRATCH.with_borrow_mut(|scratch| {
            let mut state = Vec::new();
            while !texts.is_empty() {
                let (pass, rest) = texts.split_at(first_pass(texts));
                self.embedding.embed(pass, &mut state)?;
                self.layers(pass, &mut state, scratch);
                let lengths = pass.iter().map(|text| text.len());
                out.extend(self.embedding.means(lengths, &state));
                texts = rest;
            }
            Ok(out)
        })
    }

    /// The embedding layer's output and the last layer's, `[tokens of all texts, width]`.
    pub(super) fn outer_states(&self, texts: &[&[u32]]) -> Result<[Vec<f32>; 2], EmbedError> {
        let mut first = Vec::new();
        self.embedding.embed(texts, &mut first)?;
        let mut last = first.clone();
        self.layers(texts, &mut last, &mut Scratch::default());
        Ok([first, last].map(|state| self.embedding.narrow(&state)))
    }

    fn layers(&self, texts: &[&[u32]], state: &mut [f32], scratch: &mut Scratch) {
        let tokens = state.len() / self.stride;
        let Scratch { qkv, context, attention, block, steps } = scratch;
        for layer in &self.layers {
            qkv.resize(tokens * layer.qkv.stride(), 0.0);
            context.resize(tokens * self.stride, 0.0);
            let entering = match &layer.smooth_in {
                Some(smooth) => {
                    smooth.apply(self.level, state, self.stride, &mut block.smoothed);
                    block.smoothed.as_slice()
                }
                None => &*state,
            };
            let input = Input { data: entering, stride: self.stride };
            layer.qkv.apply(self.level, input, rows::Activation::Linear, qkv, steps);
            let mut first = 0;
            for text in texts {
                let next = first + text.len();
                let qkv = &qkv[first * layer.qkv.stride()..next * layer.qkv.stride()];
                let context = &mut context[first * self.stride..next * self.stride];
                let strides = [layer.qkv.stride(), self.stride];
                self.attention.attend(self.level, qkv, context, strides, attention);
                first = next;
            }
            let blocks = state.chunks_mut(BLOCK * self.stride);
            for (number, state) in blocks.enumerate() {
                let context = &context[number * BLOCK * self.stride..][..state.len()];
                self.finish(layer, context, state, block, steps);
            }
        }
    }

    /// What follows attention, for a block of rows.
    fn finish(
        &self,
        layer: &Layer,
        context: &[f32],
        state: &mut [f32],
        block: &mut Block,
        steps: &mut dense::Steps,
    ) {
        use rows::Activation::{Gelu, Linear};
        let (level, stride) = (self.level, self.stride);
        let input = |data| Input { data, stride };
        let rows = state.len() / stride;
        let Block { narrow, smoothed, wide } = block;
        narrow.resize(rows * stride, 0.0);
        layer.attention_out.apply(level, input(context), Linear, narrow, steps);
        self.swap_norm(state, narrow, &layer.attention_norm);
        wide.resize(rows * layer.up.stride(), 0.0);
        let risen = match &layer.smooth {
            Some(smooth) => {
                smooth.apply(level, state, stride, smoothed);
                input(smoothed.as_slice())
            }
            None => input(&*state),
        };
        layer.up.apply(level, risen, Gelu, wide, steps);
        let inner = Input { data: wide, stride: layer.up.stride() };
        layer.down.apply(level, inner, Linear, narrow, steps);
        self.swap_norm(state, narrow, &layer.output_norm);
    }

    /// Adds `update` to `state` and normalises.
    fn swap_norm(&self, state: &mut [f32], update: &[f32], norm: &LayerNorm) {
        let rows = state.chunks_exact_mut(self.stride).zip(update.chunks_exact(self.stride));
        for (row, update) in rows {
            self.add_norm(&mut row[..self.width], &update[..self.width], norm);
        }
    }

    fn add_norm(&self, row: &mut [f32], residual: &[f32], norm: &LayerNorm) {
        rows::add_norm(self.level, row, residual, &norm.gamma, &norm.beta, self.epsilon);
    }
}

impl Layer {
    /// What enters, which `before` has normalised, is multiplied in numbers of its own.
    fn new(
        layer: weights::Layer,
        before: &LayerNorm,
        head: usize,
        [entrance, numbers]: [Numbers; 2],
        level: Level,
    ) -> Self {
        let mut query = layer.query;
        let scale = 1.0 / (head as f32).sqrt();
        query.weight.iter_mut().chain(&mut query.bias).for_each(|x| *x *= scale);
        let mut qkv = weights::side_by_side([query, layer.key, layer.value]);
        let smooth_in = (entrance == Numbers::Bytes).then(|| Smooth::new(before, &mut qkv));
        let dense = |linear| Dense::new(linear, numbers, level);
        let mut up = layer.up;
        let smooth =
            (numbers == Numbers::Bytes).then(|| Smooth::new(&layer.attention_norm, &mut up));
        Self {
            smooth_in,
            qkv: Dense::new(qkv, entrance, level),
            attention_out: dense(layer.attention_out),
            attention_norm: layer.attention_norm,
            smooth,
            up: dense(up),
            down: dense(layer.down),
            output_norm: layer.output_norm,
        }
    }
}

/// Tokens of texts that go through the layers together: their activations fit the cache. A longer text goes alone.
const PASS: usize = 320;

/// How many of `texts` go first.
fn first_pass(texts: &[&[u32]]) -> usize {
    let mut tokens = 0;
    let fit = texts.iter().take_while(|text| {
        tokens += text.len();
        tokens <= PASS
    });
    fit.count().max(1)
}

thread_local! {
    /// Kept from one call to the next, as asking the system for memory anew takes time.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Buffers that passes use again and again; some MiB for a text of the most tokens.
#[derive(Default)]
struct Scratch {
    qkv: Vec<f32>,
    context: Vec<f32>,
    attention: attention::Buffers,
    block: Block,
    steps: dense::Steps,
}

#[derive(Default)]
struct Block {
    narrow: Vec<f32>,
    smoothed: Vec<f32>,
    wide: Vec<f32>,
}
