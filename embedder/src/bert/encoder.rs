//! The encoder's forward pass on `burn`: on its flex CPU backend the reference for `fast` and `passes`, and what
//! distillation runs on; on a graphics card what embeds, and what training differentiates.

mod unpack;

use burn::tensor::activation::gelu;
use burn::tensor::module::{attention, attention_fallback, layer_norm, linear};
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Device, Tensor, TensorData};

use super::config::BertConfig;
use super::weights::{self, Weights};
use crate::EmbedError;
use crate::adapter::Target;
use crate::compute::Backend;

pub(crate) struct Encoder {
    backend: Backend,
    width: usize,
    heads: usize,
    epsilon: f64,
    words: Vec<f32>,
    /// Position embeddings with the token type already added.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    /// Query, key and value side by side, so that one product makes all three.
    qkv: Dense,
    attention_out: Dense,
    attention_norm: Norm,
    up: Dense,
    down: Dense,
    output_norm: Norm,
}

/// A low-rank update of a projection, to be added to what it gives: `(x down) up`.
#[derive(Clone)]
pub(crate) struct Update {
    /// `[inputs, rank]`.
    pub(crate) down: Tensor<2>,
    /// `[rank, outputs]`, with the scale in it.
    pub(crate) up: Tensor<2>,
}

/// Updates of a layer's projections, in the order of [`Target::ALL`].
pub(crate) type Updates = [Option<Update>; Target::ALL.len()];

struct Dense {
    weight: Tensor<2>,
    bias: Tensor<1>,
}

struct Norm {
    gamma: Tensor<1>,
    beta: Tensor<1>,
}

impl Encoder {
    pub(super) fn new(config: &BertConfig, mut weights: Weights, backend: Backend) -> Self {
        let device = backend.device();
        let width = config.hidden_size;
        weights.fold_token_type();
        let layers = weights.layers.into_iter().map(|layer| Layer::new(layer, device));
        Self {
            width,
            heads: config.num_attention_heads,
            epsilon: config.layer_norm_eps,
            words: weights.words,
            positions: weights.positions,
            norm: Norm::new(weights.norm, device),
            layers: layers.collect(),
            backend,
        }
    }

    /// Where its tensors live.
    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.words.len() / self.width
    }

    /// Positions that a pass over `rows` texts costs, padding included.
    pub(crate) fn positions(&self, rows: usize, longest: usize) -> usize {
        self.backend.padded(rows, longest).into_iter().product()
    }

    /// The mean of the last layer over each row's own positions, `[rows, width]`.
    pub(super) fn pooled(&self, rows: &[&[u32]]) -> Result<Vec<f32>, EmbedError> {
        self.backend.guarded(|| read(self.means(rows, &[])?))
    }

    /// The same as a tensor, with the updates of each layer; none for layers that have none.
    pub(crate) fn means(
        &self,
        rows: &[&[u32]],
        updates: &[Updates],
    ) -> Result<Tensor<2>, EmbedError> {
        let [count, length] = self.backend.padded(rows.len(), longest(rows));
        // Copies of the last text, whose means are dropped below.
        let copies = rows.last().into_iter().cycle().take(count - rows.len());
        let padded: Vec<&[u32]> = rows.iter().chain(copies).copied().collect();
        let states = self.layers(&padded, self.embed(&padded, length)?, updates);
        let mut shares = Vec::with_capacity(count * length);
        for row in &padded {
            let share = 1.0 / row.len().max(1) as f32;
            shares.extend((0..length).map(|place| if place < row.len() { share } else { 0.0 }));
        }
        let shares = TensorData::new(shares, [count, length, 1]);
        let shares: Tensor<3> = Tensor::from_data(shares, self.backend.device());
        let means = (states * shares).sum_dim(1).squeeze_dim::<2>(1);
        Ok(if count == rows.len() { means } else { means.narrow(0, 0, rows.len()) })
    }

    /// The embedding layer's output and the last layer's, each `[rows, longest row, width]`
    /// flattened; what lies beyond a row's own length is padding.
    pub(super) fn outer_states(&self, rows: &[&[u32]]) -> Result<[Vec<f32>; 2], EmbedError> {
        self.backend.guarded(|| {
            let first = self.embed(rows, longest(rows))?;
            Ok([read(first.clone())?, read(self.layers(rows, first, &[]))?])
        })
    }

    fn layers(&self, rows: &[&[u32]], embedded: Tensor<3>, updates: &[Updates]) -> Tensor<3> {
        let [_, length, _] = embedded.dims();
        let mask = self.mask(rows, length);
        let none = Updates::default();
        self.layers.iter().enumerate().fold(embedded, |state, (number, layer)| {
            self.layer(layer, state, mask.clone(), updates.get(number).unwrap_or(&none))
        })
    }

    /// The embedding layer's output, each row padded to `length`.
    fn embed(&self, rows: &[&[u32]], length: usize) -> Result<Tensor<3>, EmbedError> {
        let mut sum = Vec::with_capacity(rows.len() * length * self.width);
        for row in rows {
            for (position, &token) in row.iter().enumerate() {
                let word = self
                    .words
                    .chunks_exact(self.width)
                    .nth(token as usize)
                    .ok_or(EmbedError::TokenOutOfRange { token, rows: self.vocab_size() })?;
                let place = &self.positions[position * self.width..][..self.width];
                sum.extend(word.iter().zip(place).map(|(w, p)| w + p));
            }
            sum.resize(sum.len() + (length - row.len()) * self.width, 0.0);
        }
        let data = TensorData::new(sum, [rows.len(), length, self.width]);
        Ok(self.norm.apply(Tensor::from_data(data, self.backend.device()), self.epsilon))
    }

    fn layer(
        &self,
        layer: &Layer,
        input: Tensor<3>,
        mask: Option<Tensor<4, Bool>>,
        updates: &Updates,
    ) -> Tensor<3> {
        let [query, key, value, attention_out, up, down] = updates;
        let [rows, length, width] = input.dims();
        let qkv = layer.qkv.apply(input.clone());
        let part = |number: usize, update| {
            let part = qkv.clone().narrow(2, number * width, width);
            updated(part, &input, update)
                .reshape([rows, length, self.heads, width / self.heads])
                .swap_dims(1, 2)
        };
        let options = AttentionModuleOptions::default();
        let (query, key, value) = (part(0, query), part(1, key), part(2, value));
        let context = if self.backend.is_cpu() {
            attention(query, key, value, mask, None, options)
        } else {
            // A card's fused kernels may multiply in f16.
            attention_fallback(query, key, value, mask, None, options)
        };
        let context = context.swap_dims(1, 2).reshape([rows, length, width]);
        let apply = |dense: &Dense, input: Tensor<3>, update| {
            updated(dense.apply(input.clone()), &input, update)
        };
        let attended = apply(&layer.attention_out, context, attention_out) + input;
        let attended = layer.attention_norm.apply(attended, self.epsilon);
        let inner = gelu(apply(&layer.up, attended.clone(), up));
        let output = apply(&layer.down, inner, down) + attended;
        layer.output_norm.apply(output, self.epsilon)
    }

    /// `true` where a key is padding; none is needed when all rows are of that length.
    fn mask(&self, rows: &[&[u32]], length: usize) -> Option<Tensor<4, Bool>> {
        if rows.iter().all(|row| row.len() == length) {
            return None;
        }
        let mut mask = Vec::with_capacity(rows.len() * length * length);
        for row in rows {
            for _query in 0..length {
                mask.extend((0..length).map(|key| key >= row.len()));
            }
        }
        let data = TensorData::new(mask, [rows.len(), 1, length, length]);
        Some(Tensor::from_data(data, self.backend.device()))
    }
}

impl Layer {
    fn new(layer: weights::Layer, device: &Device) -> Self {
        let qkv = weights::side_by_side([layer.query, layer.key, layer.value]);
        Self {
            qkv: Dense::new(qkv, device),
            attention_out: Dense::new(layer.attention_out, device),
            attention_norm: Norm::new(layer.attention_norm, device),
            up: Dense::new(layer.up, device),
            down: Dense::new(layer.down, device),
            output_norm: Norm::new(layer.output_norm, device),
        }
    }
}

impl Dense {
    fn new(layer: weights::Linear, device: &Device) -> Self {
        let outputs = layer.bias.len();
        let inputs = layer.weight.len() / outputs;
        let weight = TensorData::new(layer.weight, [inputs, outputs]);
        let bias = TensorData::new(layer.bias, [outputs]);
        Self { weight: Tensor::from_data(weight, device), bias: Tensor::from_data(bias, device) }
    }

    fn apply(&self, input: Tensor<3>) -> Tensor<3> {
        linear(input, self.weight.clone(), Some(self.bias.clone()))
    }
}

impl Norm {
    fn new(norm: weights::LayerNorm, device: &Device) -> Self {
        let width = norm.gamma.len();
        Self {
            gamma: Tensor::from_data(TensorData::new(norm.gamma, [width]), device),
            beta: Tensor::from_data(TensorData::new(norm.beta, [width]), device),
        }
    }

    fn apply(&self, input: Tensor<3>, epsilon: f64) -> Tensor<3> {
        layer_norm(input, self.gamma.clone(), Some(self.beta.clone()), epsilon)
    }
}

fn updated(output: Tensor<3>, input: &Tensor<3>, update: &Option<Update>) -> Tensor<3> {
    match update {
        Some(Update { down, up }) => {
            output + linear(linear(input.clone(), down.clone(), None), up.clone(), None)
        }
        None => output,
    }
}

fn longest(rows: &[&[u32]]) -> usize {
    rows.iter().map(|row| row.len()).max().unwrap_or(0)
}

fn read<const D: usize>(state: Tensor<D>) -> Result<Vec<f32>, EmbedError> {
    state.try_into_vec_as().map_err(|error| EmbedError::Backend(error.to_string()))
}
