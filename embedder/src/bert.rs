//! The `bert` family: MiniLM-class sentence encoders.
//!
//! A text becomes `[CLS] tokens [SEP]`, runs through the encoder of Devlin et al. 2019,
//! and the mean of the last layer over its own positions, scaled to unit length, is its
//! embedding (Reimers and Gurevych, "Sentence-BERT", 2019). Agreement with the reference
//! implementation is tested against golden/minilm.json.
//!
//! `fast` does that for searching and indexing, in the numbers that [`Precision`] names;
//! `encoder` does it on a tensor library, for distillation, to check the others, and on graphics cards; `passes` does it
//! for training on the processor, and knows the way back.

mod config;
mod encoder;
mod fast;
mod passes;
mod runner;
mod states;
mod weights;

use std::ops::Range;

use rayon::prelude::*;

pub(crate) use encoder::{Encoder, Update, Updates};
pub(crate) use passes::{Adapted, Each, Factors, Passes, Updated};
pub use runner::Precision;
pub use weights::BertError;

use crate::adapter::{Adapter, AdapterFileError, Shape};
use crate::compute::Backend;
use crate::id::{IdParts, ModelId, sha256};
use crate::tokens::ContentTokenizer;
use crate::vector::normalise;
use crate::{EmbedError, Embedder};
use config::BertConfig;
use runner::Runner;

/// `[CLS]` and `[SEP]`.
const MARKERS: usize = 2;

/// The files of a BERT model and the settings that no file of it holds.
pub(crate) struct BertFiles<'a> {
    pub(crate) name: &'a str,
    pub(crate) config: &'a [u8],
    pub(crate) tokenizer: &'a [u8],
    pub(crate) weights: &'a [u8],
    /// Content tokens that count; capped by the positions that the model has.
    pub(crate) max_tokens: usize,
    /// What the lineage started from, if not these very weights.
    pub(crate) root_weights: Option<[u8; 32]>,
    pub(crate) precision: Precision,
    pub(crate) backend: Backend,
    /// An adapter for the model that the other files make, in its own format.
    pub(crate) adapter: Option<&'a [u8]>,
}

/// A sentence encoder with its tokenizer.
pub struct BertModel {
    name: String,
    id: ModelId,
    weights_hash: [u8; 32],
    max_tokens: usize,
    cls: u32,
    sep: u32,
    tokenizer: ContentTokenizer,
    runner: Runner,
    shape: Shape,
    heads: usize,
}

impl BertModel {
    pub(crate) fn load(files: &BertFiles<'_>) -> Result<Self, BertError> {
        let config = BertConfig::parse(files.config)?;
        let tokenizer = ContentTokenizer::from_json(files.tokenizer)
            .map_err(|error| BertError::Tokenizer(error.to_string()))?;
        let marker = |token: &str| {
            tokenizer
                .id_of(token)
                .filter(|&id| (id as usize) < config.vocab_size)
                .ok_or_else(|| BertError::Tokenizer(format!("it has no {token} within the model")))
        };
        let (cls, sep) = (marker("[CLS]")?, marker("[SEP]")?);
        let most = config.max_position_embeddings - MARKERS;
        let max_tokens = files.max_tokens.clamp(1, most);
        let mut weights_hash = sha256(files.weights);
        let parts = IdParts {
            architecture: &config.describe(),
            tokenizer: sha256(files.tokenizer),
            root_weights: files.root_weights.unwrap_or(weights_hash),
            weights: weights_hash,
            max_tokens,
        };
        let mut id = ModelId::of(&parts);
        let mut weights = weights::read(&config, files.weights)?;
        if let Some(bytes) = files.adapter {
            let adapter = Adapter::from_bytes(bytes, id, config.shape())?;
            weights.adapt(&adapter).map_err(AdapterFileError::from)?;
            weights_hash = sha256(&[weights_hash, sha256(bytes)].concat());
            id = ModelId::of(&IdParts { weights: weights_hash, ..parts });
        }
        let runner = Runner::new(&config, weights, files.precision, files.backend.clone());
        let name = files.name.to_owned();
        let (shape, heads) = (config.shape(), config.num_attention_heads);
        Ok(Self { name, id, weights_hash, max_tokens, cls, sep, tokenizer, runner, shape, heads })
    }

    /// SHA-256 of the weights file; of an adapted model, of that hash and the adapter's.
    #[must_use]
    pub fn weights_hash(&self) -> [u8; 32] {
        self.weights_hash
    }

    pub(crate) fn vocabulary(&self) -> impl Iterator<Item = (u32, String)> + '_ {
        let ids = 0..u32::try_from(self.runner.vocab_size()).unwrap_or(u32::MAX);
        ids.filter_map(|id| self.tokenizer.token_of(id).map(|token| (id, token)))
    }

    /// Runs `[CLS] id [SEP]` for each id and returns the hidden state at the id's
    /// position as it leaves the embedding layer and as it leaves the last one: two
    /// matrices of `ids.len()` rows.
    pub(crate) fn token_states(&self, ids: &[u32]) -> Result<[Vec<f32>; 2], EmbedError> {
        let rows: Vec<[u32; 3]> = ids.iter().map(|&id| [self.cls, id, self.sep]).collect();
        let rows: Vec<&[u32]> = rows.iter().map(<[u32; 3]>::as_slice).collect();
        let width = self.runner.width();
        let middle = |state: Vec<f32>| {
            state.chunks_exact(3 * width).flat_map(|row| &row[width..2 * width]).copied().collect()
        };
        Ok(self.runner.outer_states(&rows)?.map(middle))
    }

    /// What an adapter needs to know.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape.clone()
    }

    /// What a text without tokens consists of.
    pub(crate) fn markers(&self) -> [u32; MARKERS] {
        [self.cls, self.sep]
    }

    /// Heads of attention.
    pub(crate) fn heads(&self) -> usize {
        self.heads
    }

    /// The pass that can be differentiated, if the model was loaded with it.
    pub(crate) fn encoder(&self) -> Option<&Encoder> {
        match &self.runner {
            Runner::Reference(encoder) => Some(encoder),
            Runner::Fast(_) | Runner::Training(_) => None,
        }
    }

    /// Passes of our own with a way back, if the model is [for training](Self::for_training).
    pub(crate) fn passes(&self) -> Option<&Passes> {
        match &self.runner {
            Runner::Training(passes) => Some(passes),
            Runner::Reference(_) | Runner::Fast(_) => None,
        }
    }

    /// The model for training, if it was loaded with a pass that can be differentiated; else as it is.
    pub(crate) fn for_training(self) -> Result<Self, EmbedError> {
        Ok(Self { runner: self.runner.for_training()?, ..self })
    }

    /// Token rows with their markers, of at most `max_tokens` tokens besides; a text without tokens
    /// stays empty.
    pub(crate) fn marked(
        &self,
        texts: &[&str],
        max_tokens: usize,
    ) -> Result<Vec<Vec<u32>>, EmbedError> {
        let max_tokens = self.max_tokens.min(max_tokens);
        let row = |text: &&str| {
            let ids = self.tokenizer.ids(text, max_tokens)?;
            if ids.is_empty() {
                return Ok(ids);
            }
            Ok([self.cls].into_iter().chain(ids).chain([self.sep]).collect())
        };
        texts.par_iter().map(row).collect()
    }

    /// Groups the non-empty rows, by number, into batches of similar length.
    fn batches(&self, rows: &[Vec<u32>]) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..rows.len()).filter(|&row| !rows[row].is_empty()).collect();
        order.sort_by_key(|&row| rows[row].len());
        let mut out: Vec<Vec<usize>> = Vec::new();
        let most = self.runner.most_rows();
        let mut tokens = 0;
        for row in order {
            // In ascending order the newest row is the longest, so it sets the padded size.
            let length = rows[row].len();
            tokens += length;
            match out.last_mut() {
                Some(batch) if self.runner.rows(batch.len() + 1, length, tokens) <= most => {
                    batch.push(row);
                }
                _ => {
                    out.push(vec![row]);
                    tokens = length;
                }
            }
        }
        out
    }
}

impl Embedder for BertModel {
    fn id(&self) -> ModelId {
        self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.runner.width()
    }

    fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<f32>, EmbedError> {
        let width = self.runner.width();
        let mut out = vec![0.0; texts.len() * width];
        let rows = self.marked(texts, self.max_tokens)?;
        let batches = self.batches(&rows);
        let pooled = |batch: &Vec<usize>| {
            let tokens: Vec<&[u32]> = batch.iter().map(|&text| rows[text].as_slice()).collect();
            self.runner.pooled(&tokens)
        };
        let pooled: Vec<Vec<f32>> = if self.runner.is_parallel() {
            batches.par_iter().map(pooled).collect::<Result<_, _>>()?
        } else {
            batches.iter().map(pooled).collect::<Result<_, _>>()?
        };
        for (batch, pooled) in batches.iter().zip(&pooled) {
            for (&text, row) in batch.iter().zip(pooled.chunks_exact(width)) {
                let out = &mut out[text * width..][..width];
                out.copy_from_slice(row);
                normalise(out);
            }
        }
        Ok(out)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EmbedError> {
        self.tokenizer.spans(text)
    }
}

#[cfg(test)]
pub(crate) mod tests;
