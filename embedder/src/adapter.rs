//! Adapters: the few parameters that training moves, on top of a model that stays as it is.
//!
//! - [`LoraConfig`] for the `bert` family: each chosen projection `W` becomes `W + (alpha / rank) B A`
//!   (Hu et al., "LoRA", 2021). With `freeze_a` only `B` moves (FFA-LoRA, Sun et al. 2024), so that a mean of
//!   updates is the update of the mean and noise is not multiplied with itself.
//! - [`HeadConfig`] for the `static` family: a pooled vector `x` becomes `x + D x`, where `D` is full or
//!   `(1 / rank) B A`, and each token may have a weight of its own.
//!
//! A head can also stand behind the vectors of questions alone, of a model of any family: a [`QueryAdapter`].
//!
//! What moves is one vector of f32, in the order that [`AdapterConfig::layout`] gives: that vector is what
//! an optimiser steps on, what a round clips, sums and noises, and what a file keeps.
//! An adapter whose `B`, `D` and weights are zero changes nothing.

mod draw;
mod file;
mod layout;
mod merge;
mod peft;
mod query;

use serde::{Deserialize, Serialize};

pub(crate) use draw::seeded;
pub use file::AdapterFileError;
pub use layout::{Layout, Placed, Shape};
pub(crate) use layout::{LowRank, Place, TOKEN_WEIGHTS, WHOLE};
pub use peft::PeftFiles;
pub use query::QueryAdapter;

/// Largest rank of a low-rank adapter.
pub const MAX_RANK: usize = 256;

/// A projection of a transformer's layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// What a position asks of the others.
    Query,
    /// What a position is found by.
    Key,
    /// What a position hands on.
    Value,
    /// The layer after attention.
    AttentionOutput,
    /// The first layer of the feed-forward part.
    Up,
    /// The second.
    Down,
}

impl Target {
    /// All of them, in the order they have in a layer.
    pub const ALL: [Self; 6] =
        [Self::Query, Self::Key, Self::Value, Self::AttentionOutput, Self::Up, Self::Down];

    /// Name of the module within a layer of a BERT model, as its weights file has it.
    #[must_use]
    pub fn module(self) -> &'static str {
        match self {
            Self::Query => "attention.self.query",
            Self::Key => "attention.self.key",
            Self::Value => "attention.self.value",
            Self::AttentionOutput => "attention.output.dense",
            Self::Up => "intermediate.dense",
            Self::Down => "output.dense",
        }
    }
}

/// Low-rank updates of a transformer's projections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraConfig {
    /// Rows of `A`, columns of `B`.
    pub rank: usize,
    /// The product `B A` counts `alpha / rank` times.
    pub alpha: f32,
    /// Projections that get one, in every layer.
    pub targets: Vec<Target>,
    /// Whether `A` stays as drawn, so that only `B` moves.
    pub freeze_a: bool,
    /// What `A` is drawn from.
    pub seed: u64,
}

impl Default for LoraConfig {
    /// Rank 8 on queries and values, as in the paper.
    fn default() -> Self {
        let targets = vec![Target::Query, Target::Value];
        Self { rank: 8, alpha: 16.0, targets, freeze_a: false, seed: 0 }
    }
}

/// A linear map behind a static model's sum.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadConfig {
    /// Rank of the map's update; without one it is full.
    pub rank: Option<usize>,
    /// Whether `A` stays as drawn, so that only `B` moves; of no effect on a full map.
    pub freeze_a: bool,
    /// Whether each token has a weight of its own that moves, as the logarithm of a factor.
    pub token_weights: bool,
    /// What `A` is drawn from.
    pub seed: u64,
}

impl Default for HeadConfig {
    /// A full map without weights of tokens.
    fn default() -> Self {
        Self { rank: None, freeze_a: false, token_weights: false, seed: 0 }
    }
}

/// What kind of adapter, and how large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AdapterConfig {
    /// For the `bert` family.
    Lora(LoraConfig),
    /// For the `static` family.
    Head(HeadConfig),
}

/// Why an adapter cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdapterError {
    /// A rank is zero or too large.
    #[error("an adapter's rank must be from 1 to {most} on this model, not {rank}")]
    Rank {
        /// The rank that was asked for.
        rank: usize,
        /// The largest that makes sense.
        most: usize,
    },
    /// `alpha` is no positive number.
    #[error("an adapter's alpha must be a positive number")]
    Alpha,
    /// No projection is chosen, one twice, or they are out of order.
    #[error(
        "an adapter's targets must be at least one projection, each once and in the order of a layer"
    )]
    Targets,
    /// The adapter is for models of another family.
    #[error("{adapter} adapters are for models of the {wanted} family, and this one is {found}")]
    Family {
        /// The kind of adapter.
        adapter: &'static str,
        /// The family it fits.
        wanted: &'static str,
        /// The model's family.
        found: &'static str,
    },
    /// Another number of parameters than the configuration asks for.
    #[error("the adapter has {found} parameters where its configuration asks for {expected}")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// Worked into the model, its values make weights that are infinite or no numbers.
    #[error("the adapter's values are too large for {0}")]
    Overflow(String),
    /// A parameter is infinite or not a number.
    #[error("parameter {0} of the adapter is not a finite number")]
    NotFinite(usize),
}

/// An adapter: its configuration, the shape of the model it is for, and the parameters that move.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    config: AdapterConfig,
    shape: Shape,
    values: Vec<f32>,
}

impl Adapter {
    /// An adapter that changes nothing yet.
    ///
    /// # Errors
    ///
    /// When the configuration does not fit the model.
    pub fn new(config: AdapterConfig, shape: Shape) -> Result<Self, AdapterError> {
        let values = config.start(&shape)?;
        Ok(Self { config, shape, values })
    }

    /// An adapter of these parameters.
    ///
    /// # Errors
    ///
    /// When the configuration does not fit the model, or the parameters do not fit it or are not all finite.
    pub fn with_values(
        config: AdapterConfig,
        shape: Shape,
        values: Vec<f32>,
    ) -> Result<Self, AdapterError> {
        let expected = config.layout(&shape)?.len();
        if values.len() != expected {
            return Err(AdapterError::Length { found: values.len(), expected });
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(AdapterError::NotFinite(place));
        }
        Ok(Self { config, shape, values })
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> &AdapterConfig {
        &self.config
    }

    /// The shape of the model that it is for.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The parameters that move, in the order of [`AdapterConfig::layout`].
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Where each tensor lies among the values.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.config.layout(&self.shape).expect("checked when the adapter was made")
    }
}

#[cfg(test)]
mod tests;
