//! `config.json` of a BERT encoder, checked before anything is allocated from it.

use serde::Deserialize;

use super::{BertError, MARKERS};
use crate::adapter::Shape;

/// Largest value believed for any count in the file.
const MAX_COUNT: usize = 1 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct BertConfig {
    model_type: String,
    hidden_act: String,
    #[serde(default = "absolute")]
    position_embedding_type: String,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) max_position_embeddings: usize,
    pub(super) type_vocab_size: usize,
    pub(super) vocab_size: usize,
    pub(super) layer_norm_eps: f64,
}

impl BertConfig {
    pub(super) fn parse(json: &[u8]) -> Result<Self, BertError> {
        let config: Self = serde_json::from_slice(json).map_err(BertError::Config)?;
        config.check()?;
        Ok(config)
    }

    /// The fields that shape the computation, in one line for the model's id.
    pub(super) fn describe(&self) -> String {
        format!(
            "bert hidden={} intermediate={} heads={} layers={} positions={} types={} vocab={} \
             eps={:e} act=gelu pooling=mean normalise=l2",
            self.hidden_size,
            self.intermediate_size,
            self.num_attention_heads,
            self.num_hidden_layers,
            self.max_position_embeddings,
            self.type_vocab_size,
            self.vocab_size,
            self.layer_norm_eps,
        )
    }

    /// What an adapter needs to know.
    pub(super) fn shape(&self) -> Shape {
        Shape::Bert {
            width: self.hidden_size,
            inner: self.intermediate_size,
            layers: self.num_hidden_layers,
        }
    }

    fn check(&self) -> Result<(), BertError> {
        let kinds = [
            ("model_type", self.model_type.as_str(), "bert"),
            ("hidden_act", self.hidden_act.as_str(), "gelu"),
            ("position_embedding_type", self.position_embedding_type.as_str(), "absolute"),
        ];
        for (field, found, supported) in kinds {
            if found != supported {
                let found = found.chars().take(40).collect();
                return Err(BertError::Unsupported { field, found, supported });
            }
        }
        let counts = [
            ("hidden_size", self.hidden_size, 1..=8_192),
            ("intermediate_size", self.intermediate_size, 1..=65_536),
            ("num_attention_heads", self.num_attention_heads, 1..=256),
            ("num_hidden_layers", self.num_hidden_layers, 1..=96),
            ("max_position_embeddings", self.max_position_embeddings, MARKERS + 1..=32_768),
            ("type_vocab_size", self.type_vocab_size, 1..=16),
            ("vocab_size", self.vocab_size, 1..=MAX_COUNT),
        ];
        for (field, value, allowed) in counts {
            if !allowed.contains(&value) {
                return Err(BertError::OutOfRange { field, value });
            }
        }
        if !self.hidden_size.is_multiple_of(self.num_attention_heads) {
            let value = self.num_attention_heads;
            return Err(BertError::OutOfRange { field: "num_attention_heads", value });
        }
        if !(self.layer_norm_eps > 0.0 && self.layer_norm_eps < 1.0) {
            return Err(BertError::OutOfRange { field: "layer_norm_eps", value: 0 });
        }
        Ok(())
    }
}

fn absolute() -> String {
    "absolute".to_owned()
}
