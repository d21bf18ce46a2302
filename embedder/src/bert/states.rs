//! What texts enter the layers as, and what is made of what leaves them: the same for both of our own passes.

use super::weights::LayerNorm;
use crate::EmbedError;
use crate::kernels::{Level, WIDTH, rows};

/// The embedding layer. States have a row for each token, one text after the other.
pub(super) struct Embedding {
    level: Level,
    width: usize,
    /// Entries from one row of states to the next: `width` in whole panels.
    stride: usize,
    epsilon: f32,
    words: Vec<f32>,
    /// Position embeddings with the token type already added.
    positions: Vec<f32>,
    norm: LayerNorm,
}

impl Embedding {
    /// Of these embeddings, the token type's among the positions'.
    pub(super) fn new(
        words: Vec<f32>,
        positions: Vec<f32>,
        norm: LayerNorm,
        epsilon: f32,
        level: Level,
    ) -> Self {
        let width = norm.gamma.len();
        let stride = width.next_multiple_of(WIDTH);
        Self { level, width, stride, epsilon, words, positions, norm }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.words.len() / self.width
    }

    /// The states that `texts` enter the first layer with.
    pub(super) fn embed(&self, texts: &[&[u32]], state: &mut Vec<f32>) -> Result<(), EmbedError> {
        let tokens: usize = texts.iter().map(|text| text.len()).sum();
        state.clear();
        state.resize(tokens * self.stride, 0.0);
        let places = texts.iter().flat_map(|text| text.iter().enumerate());
        for (row, (position, &token)) in state.chunks_exact_mut(self.stride).zip(places) {
            let row = &mut row[..self.width];
            let word = self.words.chunks_exact(self.width).nth(token as usize);
            row.copy_from_slice(
                word.ok_or(EmbedError::TokenOutOfRange { token, rows: self.vocab_size() })?,
            );
            let place = &self.positions[position * self.width..][..self.width];
            let LayerNorm { gamma, beta } = &self.norm;
            rows::add_norm(self.level, row, place, gamma, beta, self.epsilon);
        }
        Ok(())
    }

    /// The mean of `state` over the rows of each text, given their lengths: `[texts, width]`.
    pub(super) fn means(&self, lengths: impl Iterator<Item = usize>, state: &[f32]) -> Vec<f32> {
        let mut means = Vec::new();
        let mut rows = state.chunks_exact(self.stride);
        for length in lengths {
            let first = means.len();
            means.resize(first + self.width, 0.0);
            let mean = &mut means[first..];
            for row in rows.by_ref().take(length) {
                rows::add(self.level, mean, &row[..self.width]);
            }
            rows::scale(self.level, mean, 1.0 / length.max(1) as f32);
        }
        means
    }

    /// `state` without what lies between its rows.
    pub(super) fn narrow(&self, state: &[f32]) -> Vec<f32> {
        state.chunks_exact(self.stride).flat_map(|row| &row[..self.width]).copied().collect()
    }
}
