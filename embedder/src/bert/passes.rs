//! The encoder's passes for training on the CPU: forward, keeping what the way back needs, and back, on the
//! kernels that inference runs on.
//!
//! Start from [`Passes`], which packs the frozen weights once for each direction, and [`Passes::with`],
//! which works low-rank updates into copies of the projections that have one: forward and back are then
//! products with whole matrices, and what an update adds to a projection costs nothing by position. Only
//! the gradients of its factors are products of their own, and thin ones ([`low_rank`]).
//!
//! Texts go through in groups of some hundred tokens, one after the other at their own lengths, as in
//! [`fast`](super::fast). Groups run in parallel; their gradients are summed in an order that depends on
//! the texts alone. What is cheap (norms' outputs, GELU, shares of attention) is computed again on the way
//! back rather than kept.

mod attention;
mod backward;
mod dense;
mod forward;
mod low_rank;
mod trace;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::fast::Attention;
use super::states::Embedding;
use super::weights::{self, LayerNorm, Weights};
use crate::EmbedError;
use crate::adapter::Target;
use crate::kernels::Level;
use dense::Dense;
use low_rank::LowRank;
pub(crate) use low_rank::{Factors, Gradient};
use trace::Trace;

/// Tokens of texts that go through the layers together. A longer text goes alone.
const GROUP: usize = 384;

/// What belongs to the projections of a layer, in the order of [`Target::ALL`].
pub(crate) type Each<T> = [T; Target::ALL.len()];

/// Something for each projection that has an update, by layer.
pub(crate) type Updated<T> = Vec<Each<Option<T>>>;

/// Frozen weights of an encoder.
pub(crate) struct Passes {
    level: Level,
    width: usize,
    /// Entries from one row of states to the next.
    stride: usize,
    epsilon: f32,
    embedding: Embedding,
    attention: Attention,
    layers: Vec<Layer>,
    /// Traces to be used again, as asking the system for memory anew takes time: as many as the largest batch had groups.
    spare: Mutex<Vec<Trace>>,
}

struct Layer {
    /// The query is already divided by the square root of its length.
    dense: Each<Dense>,
    attention_norm: LayerNorm,
    output_norm: LayerNorm,
}

/// An encoder with updates worked in.
pub(crate) struct Adapted<'a> {
    passes: &'a Passes,
    layers: Vec<AdaptedLayer<'a>>,
}

struct AdaptedLayer<'a> {
    frozen: &'a Layer,
    dense: Each<Cow<'a, Dense>>,
    updates: Each<Option<LowRank>>,
}

/// What a forward pass leaves for the way back, group by group.
pub(crate) struct Traces(Vec<Trace>);

impl Passes {
    /// For weights with so many heads.
    pub(super) fn new(heads: usize, epsilon: f64, mut weights: Weights, level: Level) -> Self {
        weights.fold_token_type();
        let Weights { words, positions, norm, .. } = weights;
        let epsilon = epsilon as f32;
        let embedding = Embedding::new(words, positions, norm, epsilon, level);
        let (width, stride) = (embedding.width(), embedding.stride());
        let head = width / heads;
        let factor = query_factor(head);
        Self {
            level,
            width,
            stride,
            epsilon,
            embedding,
            attention: Attention { heads, head, width: stride, whole: false },
            layers: weights.layers.into_iter().map(|layer| Layer::new(layer, factor)).collect(),
            spare: Mutex::default(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.embedding.vocab_size()
    }

    /// The encoder with these updates; none for layers that have none.
    pub(crate) fn with(&self, updates: &Updated<Factors<'_>>) -> Adapted<'_> {
        let layers = self.layers.iter().enumerate().map(|(number, frozen)| {
            let updates = Target::ALL.map(|target| {
                let factors = updates.get(number)?[target as usize].as_ref()?;
                let factor = match target {
                    Target::Query => query_factor(self.attention.head),
                    Target::Key
                    | Target::Value
                    | Target::AttentionOutput
                    | Target::Up
                    | Target::Down => 1.0,
                };
                Some(LowRank::new(factors, factor))
            });
            let dense = std::array::from_fn(|at| match &updates[at] {
                Some(update) => Cow::Owned(frozen.dense[at].updated(self.level, update)),
                None => Cow::Borrowed(&frozen.dense[at]),
            });
            AdaptedLayer { frozen, dense, updates }
        });
        Adapted { passes: self, layers: layers.collect() }
    }

    fn take_trace(&self) -> Trace {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, trace: Trace) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(trace);
    }
}

impl Adapted<'_> {
    /// The mean of the last layer over each text's positions, `[texts, width]`.
    pub(crate) fn means(&self, texts: &[&[u32]]) -> Result<Vec<f32>, EmbedError> {
        let groups = groups(texts).into_par_iter().map(|group| self.forward(group, None));
        Ok(groups.collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// The embedding layer's output and the last layer's, `[tokens of all texts, width]`.
    pub(crate) fn outer_states(&self, texts: &[&[u32]]) -> Result<[Vec<f32>; 2], EmbedError> {
        let mut outer = [Vec::new(), Vec::new()];
        for group in groups(texts) {
            for (all, some) in outer.iter_mut().zip(self.states(group)?) {
                all.extend(some);
            }
        }
        Ok(outer)
    }

    /// As [`means`](Self::means), keeping what [`gradient`](Self::gradient) needs.
    pub(crate) fn traced(&self, texts: &[&[u32]]) -> Result<(Vec<f32>, Traces), EmbedError> {
        let groups = groups(texts).into_par_iter().map(|group| {
            let mut trace = self.passes.take_trace();
            let means = self.forward(group, Some(&mut trace))?;
            Ok((means, trace))
        });
        let (means, traces): (Vec<_>, _) =
            groups.collect::<Result<Vec<_>, EmbedError>>()?.into_iter().unzip();
        Ok((means.concat(), Traces(traces)))
    }

    /// The gradient of the updates' factors from that of the means.
    pub(crate) fn gradient(&self, traces: Traces, means: &[f32]) -> Updated<Gradient> {
        let mut means = means.chunks_exact(self.passes.width);
        let groups = traces.0.into_iter().map(|trace| {
            let of_group: Vec<&[f32]> = means.by_ref().take(trace.lengths.len()).collect();
            (trace, of_group)
        });
        self.summed(groups.collect())
    }

    /// The sum over groups, in halves: a fixed order, in which few gradients are there at a time.
    fn summed(&self, mut groups: Vec<(Trace, Vec<&[f32]>)>) -> Updated<Gradient> {
        if groups.len() > 1 {
            let second = groups.split_off(groups.len() / 2);
            let (mut sum, second) = rayon::join(|| self.summed(groups), || self.summed(second));
            for (sum, second) in sum.iter_mut().flatten().zip(second.into_iter().flatten()) {
                if let (Some(sum), Some(second)) = (sum, second) {
                    sum.add(self.passes.level, &second);
                }
            }
            return sum;
        }
        let mut sum: Updated<Gradient> = self.layers.iter().map(AdaptedLayer::nothing).collect();
        for (trace, means) in groups {
            self.backward(&trace, &means, &mut sum);
            self.passes.give_back(trace);
        }
        sum
    }
}

impl Layer {
    fn new(layer: weights::Layer, query_factor: f32) -> Self {
        let dense = |linear| Dense::new(&linear, 1.0);
        Self {
            dense: [
                Dense::new(&layer.query, query_factor),
                dense(layer.key),
                dense(layer.value),
                dense(layer.attention_out),
                dense(layer.up),
                dense(layer.down),
            ],
            attention_norm: layer.attention_norm,
            output_norm: layer.output_norm,
        }
    }
}

impl AdaptedLayer<'_> {
    fn dense(&self, target: Target) -> &Dense {
        &self.dense[target as usize]
    }

    /// Gradients of zero.
    fn nothing(&self) -> Each<Option<Gradient>> {
        std::array::from_fn(|at| self.updates[at].as_ref().map(LowRank::nothing))
    }
}

/// What scores are multiplied with (Vaswani et al. 2017).
fn query_factor(head: usize) -> f32 {
    1.0 / (head as f32).sqrt()
}

/// Texts in order, as many together as [`GROUP`] allows.
fn groups<'a, 'b>(texts: &'a [&'b [u32]]) -> Vec<&'a [&'b [u32]]> {
    let mut rest = texts;
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let mut tokens = 0;
        let fit = rest.iter().take_while(|text| {
            tokens += text.len();
            tokens <= GROUP
        });
        let (group, others) = rest.split_at(fit.count().max(1));
        groups.push(group);
        rest = others;
    }
    groups
}
