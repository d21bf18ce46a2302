//! The weights back out of the tensor library.

use super::{Dense, Encoder, Layer, Norm, read};
use crate::EmbedError;
use crate::bert::weights::{self, LayerNorm, Linear, Weights};

impl Encoder {
    /// Its heads, the epsilon of its norms, and its weights.
    pub(in crate::bert) fn unpack(self) -> Result<(usize, f64, Weights), EmbedError> {
        let layers = self.layers.into_iter().map(Layer::unpack);
        let weights = Weights {
            words: self.words,
            positions: self.positions,
            // Added to the positions already.
            token_type: vec![0.0; self.width],
            norm: self.norm.unpack()?,
            layers: layers.collect::<Result<_, EmbedError>>()?,
        };
        Ok((self.heads, self.epsilon, weights))
    }
}

impl Layer {
    fn unpack(self) -> Result<weights::Layer, EmbedError> {
        let [_, outputs] = self.qkv.weight.dims();
        let width = outputs / 3;
        let part = |number: usize| {
            let weight = self.qkv.weight.clone().narrow(1, number * width, width);
            let bias = self.qkv.bias.clone().narrow(0, number * width, width);
            Dense { weight, bias }.unpack()
        };
        Ok(weights::Layer {
            query: part(0)?,
            key: part(1)?,
            value: part(2)?,
            attention_out: self.attention_out.unpack()?,
            attention_norm: self.attention_norm.unpack()?,
            up: self.up.unpack()?,
            down: self.down.unpack()?,
            output_norm: self.output_norm.unpack()?,
        })
    }
}

impl Dense {
    fn unpack(self) -> Result<Linear, EmbedError> {
        Ok(Linear { weight: read(self.weight)?, bias: read(self.bias)? })
    }
}

impl Norm {
    fn unpack(self) -> Result<LayerNorm, EmbedError> {
        Ok(LayerNorm { gamma: read(self.gamma)?, beta: read(self.beta)? })
    }
}
