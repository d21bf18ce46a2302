//! The `static` family: a table of token vectors, summed and normalised.
//!
//! A token's vector is a row of whole numbers (one byte each, fewer bits in a file) times an f32 scale that already holds the token's
//! frequency weight, so the sum of rows is the weighted mean up to its length, which
//! normalising removes. This is the inference side of Model2Vec (Minish Lab, 2024) with
//! the weighting of Arora, Liang and Ma, "A simple but tough-to-beat baseline for
//! sentence embeddings" (ICLR 2017).

mod bits;
mod format;

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

pub use bits::Bits;
pub use format::FormatError;

use crate::adapter::{Adapter, Shape};
use crate::id::{IdParts, ModelId, sha256};
use crate::kernels::{Level, rows};
use crate::tokens::ContentTokenizer;
use crate::vector::normalise;
use crate::{EmbedError, Embedder};

/// Everything that a static model is made of; [`StaticModel::new`] checks it.
#[derive(Clone, Debug, PartialEq)]
pub struct StaticParts {
    /// Name and origin, shown to people; no part of the model's id but its own.
    pub about: StaticAbout,
    /// SHA-256 of the weights that the lineage started from: the teacher's.
    pub root_weights: [u8; 32],
    /// Length of each vector.
    pub dim: usize,
    /// Tokens of a text that count.
    pub max_tokens: usize,
    /// Word pieces; continuations start with `##`.
    pub vocabulary: Vec<String>,
    /// One factor per token: quantization step times frequency weight.
    pub scales: Vec<f32>,
    /// Bits that an entry of a row takes in a file.
    pub bits: Bits,
    /// `vocabulary.len() * dim` entries, row-major, one byte each as `i8`, that fit `bits`.
    pub rows: Cow<'static, [u8]>,
}

/// What a person is told about a static model.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticAbout {
    /// Name of the model.
    pub name: String,
    /// Licence that it may be used under.
    pub licence: String,
    /// Name of the model it was distilled from.
    pub teacher: String,
}

/// A table of quantized token vectors with its tokenizer.
pub struct StaticModel {
    parts: StaticParts,
    id: ModelId,
    tokenizer: ContentTokenizer,
    level: Level,
}

impl StaticModel {
    /// Checks the parts against each other and builds the tokenizer.
    ///
    /// # Errors
    ///
    /// When a length, a limit or a value is not allowed by the format.
    pub fn new(parts: StaticParts) -> Result<Self, FormatError> {
        format::check(&parts)?;
        format::check_entries(&parts)?;
        Self::checked(parts)
    }

    fn read(parts: StaticParts) -> Result<Self, FormatError> {
        format::check(&parts)?;
        Self::checked(parts)
    }

    fn checked(parts: StaticParts) -> Result<Self, FormatError> {
        let tokenizer = ContentTokenizer::word_piece(parts.vocabulary.iter().map(String::as_str))
            .map_err(|error| FormatError::Vocabulary(error.to_string()))?;
        let id = id_of(&parts);
        Ok(Self { parts, id, tokenizer, level: Level::best() })
    }

    /// Reads a file in the static model format.
    ///
    /// # Errors
    ///
    /// When the bytes are not a complete, undamaged file of a known version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let (mut parts, rows) = format::decode(bytes)?;
        parts.rows = Cow::Owned(rows.into_owned());
        Self::read(parts)
    }

    /// The same for bytes that live as long as the program: rows of whole bytes are not copied.
    pub(crate) fn from_static(bytes: &'static [u8]) -> Result<Self, FormatError> {
        let (mut parts, rows) = format::decode(bytes)?;
        parts.rows = rows;
        Self::read(parts)
    }

    /// Writes the static model format; [`from_bytes`](Self::from_bytes) reads it back.
    ///
    /// # Errors
    ///
    /// Never for parts that [`new`](Self::new) accepted, unless the description cannot
    /// be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        format::encode(&self.parts)
    }

    /// What the model is made of.
    #[must_use]
    pub fn parts(&self) -> &StaticParts {
        &self.parts
    }

    /// What an adapter needs to know.
    #[must_use]
    pub fn shape(&self) -> Shape {
        Shape::Static { dim: self.parts.dim, tokens: self.parts.vocabulary.len() }
    }

    /// Numbers of each text's words, of at most `max_tokens`; words that the table has not are left out.
    pub(crate) fn token_ids(
        &self,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Vec<Vec<u32>>, EmbedError> {
        let max_tokens = self.parts.max_tokens.min(max_tokens);
        let ids = |text: &String| {
            let mut ids = Vec::new();
            self.tokenizer.each_id(text, max_tokens, |token| {
                if (token as usize) < self.parts.scales.len() {
                    ids.push(token);
                }
            })?;
            Ok(ids)
        };
        texts.par_iter().map(ids).collect()
    }

    /// The model that an adapter for this one makes of it, under another name: of the same lineage, its
    /// rows mapped and rounded to bytes anew.
    ///
    /// # Errors
    ///
    /// When the adapter is for a model of another shape.
    pub fn adapted(&self, adapter: &Adapter, name: &str) -> Result<Self, FormatError> {
        if *adapter.shape() != self.shape() {
            return Err(FormatError::Length("the adapter's model"));
        }
        Self::new(adapter.merged(&self.parts, name))
    }

    fn embed_into(&self, text: &str, sum: &mut [f32]) -> Result<(), EmbedError> {
        self.tokenizer.each_id(text, self.parts.max_tokens, |token| {
            // The tokenizer marks unknown words with the number after the last row.
            let token = token as usize;
            let Some(&scale) = self.parts.scales.get(token) else { return };
            let row = &self.parts.rows[token * sum.len()..][..sum.len()];
            rows::add_bytes(self.level, sum, scale, row);
        })?;
        normalise(sum);
        Ok(())
    }
}

impl Embedder for StaticModel {
    fn id(&self) -> ModelId {
        self.id
    }

    fn name(&self) -> &str {
        &self.parts.about.name
    }

    fn dim(&self) -> usize {
        self.parts.dim
    }

    fn max_tokens(&self) -> usize {
        self.parts.max_tokens
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<f32>, EmbedError> {
        let mut out = vec![0.0; texts.len() * self.parts.dim];
        // Below this, handing work to other threads costs more than it saves.
        const SHARE: usize = 16;
        let places = out.par_chunks_mut(self.parts.dim).zip(texts).with_min_len(SHARE);
        if texts.len() <= SHARE {
            let mut places = out.chunks_mut(self.parts.dim).zip(texts);
            places.try_for_each(|(row, text)| self.embed_into(text, row))?;
        } else {
            places.try_for_each(|(row, text)| self.embed_into(text, row))?;
        }
        Ok(out)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EmbedError> {
        self.tokenizer.spans(text)
    }
}

fn id_of(parts: &StaticParts) -> ModelId {
    let mut weights: Vec<u8> = parts.scales.iter().flat_map(|scale| scale.to_le_bytes()).collect();
    weights.extend_from_slice(&sha256(&parts.rows));
    ModelId::of(&IdParts {
        architecture: &format!("static bert-uncased-wordpiece dim={}", parts.dim),
        tokenizer: sha256(parts.vocabulary.join("\n").as_bytes()),
        root_weights: parts.root_weights,
        weights: sha256(&weights),
        max_tokens: parts.max_tokens,
    })
}

#[cfg(test)]
mod tests;
