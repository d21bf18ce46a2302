//! Reads BERT weights from safetensors into plain vectors, checking every shape.

use safetensors::tensor::{Dtype, SafeTensors};

use super::config::BertConfig;
use crate::adapter::{Adapter, AdapterError, AdapterFileError, Target};

/// Why files do not make a BERT model.
#[derive(Debug, thiserror::Error)]
pub enum BertError {
    /// `config.json` is not the expected JSON.
    #[error("config.json is malformed: {0}")]
    Config(#[source] serde_json::Error),
    /// `config.json` asks for something this implementation does not do.
    #[error("config.json says {field} = {found:?}, but only {supported:?} is supported")]
    Unsupported {
        /// Field of `config.json`.
        field: &'static str,
        /// Its value.
        found: String,
        /// The value that works.
        supported: &'static str,
    },
    /// A number in `config.json` is out of its range.
    #[error("config.json has an impossible {field} ({value})")]
    OutOfRange {
        /// Field of `config.json`.
        field: &'static str,
        /// Its value.
        value: usize,
    },
    /// `tokenizer.json` cannot be used.
    #[error("tokenizer.json is unusable: {0}")]
    Tokenizer(String),
    /// The weights are not a safetensors file.
    #[error("the weights are not valid safetensors: {0}")]
    Safetensors(String),
    /// A tensor is missing.
    #[error("the weights have no tensor {0}")]
    Missing(String),
    /// A tensor has another shape than the configuration asks for.
    #[error("tensor {name} has shape {found:?} where config.json asks for {expected:?}")]
    Shape {
        /// Name of the tensor.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape that the configuration implies.
        expected: Vec<usize>,
    },
    /// The adapter beside them cannot be used.
    #[error("the adapter does not fit: {0}")]
    Adapter(#[from] AdapterFileError),
    /// A tensor is stored in a type that is not floating point of 16 or 32 bits.
    #[error("tensor {name} is stored as {dtype}; only F32, F16 and BF16 are supported")]
    Dtype {
        /// Name of the tensor.
        name: String,
        /// Its type.
        dtype: String,
    },
}

/// A dense layer, its weight transposed to `[inputs, outputs]`.
pub(super) struct Linear {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

pub(super) struct LayerNorm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
}

pub(super) struct Layer {
    pub(super) query: Linear,
    pub(super) key: Linear,
    pub(super) value: Linear,
    pub(super) attention_out: Linear,
    pub(super) attention_norm: LayerNorm,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) output_norm: LayerNorm,
}

pub(super) struct Weights {
    /// `[vocab, hidden]`.
    pub(super) words: Vec<f32>,
    /// `[positions, hidden]`.
    pub(super) positions: Vec<f32>,
    /// The first of the token types, `[hidden]`: the only one a single text uses.
    pub(super) token_type: Vec<f32>,
    pub(super) norm: LayerNorm,
    pub(super) layers: Vec<Layer>,
}

impl Weights {
    /// Adds the one token type there is to every position.
    pub(super) fn fold_token_type(&mut self) {
        for position in self.positions.chunks_exact_mut(self.token_type.len()) {
            position.iter_mut().zip(&self.token_type).for_each(|(p, t)| *p += t);
        }
    }

    /// Works an adapter's updates into the projections.
    pub(super) fn adapt(&mut self, adapter: &Adapter) -> Result<(), AdapterError> {
        for (number, layer) in self.layers.iter_mut().enumerate() {
            for target in Target::ALL {
                let module = format!("encoder.layer.{number}.{}", target.module());
                let weight = &mut layer.projection(target).weight;
                adapter.add_to(&module, weight);
                if weight.iter().any(|x| !x.is_finite()) {
                    return Err(AdapterError::Overflow(module));
                }
            }
        }
        Ok(())
    }
}

impl Layer {
    pub(super) fn projection(&mut self, target: Target) -> &mut Linear {
        match target {
            Target::Query => &mut self.query,
            Target::Key => &mut self.key,
            Target::Value => &mut self.value,
            Target::AttentionOutput => &mut self.attention_out,
            Target::Up => &mut self.up,
            Target::Down => &mut self.down,
        }
    }
}

pub(super) fn read(config: &BertConfig, bytes: &[u8]) -> Result<Weights, BertError> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| BertError::Safetensors(error.to_string()))?;
    // Files saved from a model with a task head prefix every name.
    let prefix = ["", "bert."]
        .into_iter()
        .find(|prefix| file.tensor(&format!("{prefix}embeddings.word_embeddings.weight")).is_ok())
        .unwrap_or("");
    let source = Source { file, prefix };
    let (hidden, inner) = (config.hidden_size, config.intermediate_size);
    let table =
        |name: &str, rows| source.tensor(&format!("embeddings.{name}.weight"), &[rows, hidden]);
    let mut token_type = table("token_type_embeddings", config.type_vocab_size)?;
    token_type.truncate(hidden);
    let layer = |number: usize| {
        let at = |part: &str| format!("encoder.layer.{number}.{part}");
        Ok(Layer {
            query: source.linear(&at("attention.self.query"), hidden, hidden)?,
            key: source.linear(&at("attention.self.key"), hidden, hidden)?,
            value: source.linear(&at("attention.self.value"), hidden, hidden)?,
            attention_out: source.linear(&at("attention.output.dense"), hidden, hidden)?,
            attention_norm: source.norm(&at("attention.output.LayerNorm"), hidden)?,
            up: source.linear(&at("intermediate.dense"), hidden, inner)?,
            down: source.linear(&at("output.dense"), inner, hidden)?,
            output_norm: source.norm(&at("output.LayerNorm"), hidden)?,
        })
    };
    Ok(Weights {
        words: table("word_embeddings", config.vocab_size)?,
        positions: table("position_embeddings", config.max_position_embeddings)?,
        token_type,
        norm: source.norm("embeddings.LayerNorm", hidden)?,
        layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_, BertError>>()?,
    })
}

/// The layer that makes all three outputs at once, side by side.
pub(super) fn side_by_side(parts: [Linear; 3]) -> Linear {
    let width = parts[0].bias.len();
    let row = |input: usize| {
        let range = input * width..(input + 1) * width;
        parts.iter().flat_map(move |part| part.weight[range.clone()].iter().copied())
    };
    let weight = (0..parts[0].weight.len() / width).flat_map(row).collect();
    let bias = parts.iter().flat_map(|part| part.bias.iter().copied()).collect();
    Linear { weight, bias }
}

struct Source<'a> {
    file: SafeTensors<'a>,
    prefix: &'static str,
}

impl Source<'_> {
    fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Result<Linear, BertError> {
        let weight = self.tensor(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Ok(Linear { weight: transpose(&weight, outputs, inputs), bias })
    }

    fn norm(&self, name: &str, width: usize) -> Result<LayerNorm, BertError> {
        let gamma = self.tensor(&format!("{name}.weight"), &[width])?;
        let beta = self.tensor(&format!("{name}.bias"), &[width])?;
        Ok(LayerNorm { gamma, beta })
    }

    fn tensor(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, BertError> {
        let name = format!("{}{name}", self.prefix);
        let view = self.file.tensor(&name).map_err(|_| BertError::Missing(name.clone()))?;
        if view.shape() != expected {
            let (found, expected) = (view.shape().to_vec(), expected.to_vec());
            return Err(BertError::Shape { name, found, expected });
        }
        let data = view.data();
        match view.dtype() {
            Dtype::F32 => Ok(data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
            Dtype::F16 => Ok(halves(data, |b| half::f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Ok(halves(data, |b| half::bf16::from_le_bytes(b).to_f32())),
            other => Err(BertError::Dtype { name, dtype: format!("{other:?}") }),
        }
    }
}

fn halves(data: &[u8], widen: impl Fn([u8; 2]) -> f32) -> Vec<f32> {
    data.as_chunks().0.iter().map(|bytes| widen(*bytes)).collect()
}

fn transpose(matrix: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(matrix.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| matrix[row * columns + column]));
    }
    out
}
