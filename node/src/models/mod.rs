//! The embedding models of a node, as its services see them.
//!
//! [`Models`] is what a node is handed: the daemon gives it the folder of pulled models, tests and
//! the simulator give it [`OneModel`]. [`ModelHandle::new`] turns any embedder into what the
//! index understands.

mod adapter;
mod one;
mod stored;

use std::sync::Arc;

use covey_embedder::Embedder;
use covey_embedder::adapter::AdapterConfig;
use covey_embedder::train::Learner;
use covey_index::{Encoder, SearchOptions};
use covey_protocol::ids::ModelId;

pub use adapter::{embedder_id, model_id};
pub use one::OneModel;
pub use stored::{StoredModels, compute_error, model_entry, model_error};

use crate::api::{ApiError, ErrorCode, ModelEntry};

/// Chunks recomputed at most for a question with a static model, which takes microseconds each.
const STATIC_RECOMPUTE: usize = 512;

/// How far apart two honest nodes' scores for one text may lie, with a static model. It differs by
/// less than a hundredth of this from one processor to the next.
const STATIC_TOLERANCE: f32 = 5e-3;
/// The same with a transformer. Nodes compute with different numbers, each the fastest of its processor
/// (`covey_embedder::Precision`): a score was off by .002 to .003 (root mean square) from
/// f32, and by .014 at the most in some 50,000 pairs. This is twice that.
const TRANSFORMER_TOLERANCE: f32 = 3e-2;

/// A loaded model. Cheap to clone.
#[derive(Clone)]
pub struct ModelHandle {
    /// What it is, exactly.
    pub id: ModelId,
    /// The name a person knows it by.
    pub name: String,
    /// `static` or `bert`.
    pub family: String,
    /// Length of its vectors.
    pub dim: usize,
    /// Turns text into vectors.
    pub encoder: Arc<dyn Encoder>,
}

impl ModelHandle {
    /// Wraps a loaded embedder of `family`.
    pub fn new(embedder: Arc<dyn Embedder>, family: impl Into<String>) -> Self {
        Self {
            id: adapter::model_id(embedder.id()),
            name: embedder.name().to_owned(),
            family: family.into(),
            dim: embedder.dim(),
            encoder: Arc::new(adapter::Adapter(embedder)),
        }
    }

    /// How to search with this model: with exact scores, since members' scores are merged and
    /// checked. Looking vectors up in a table is cheap, so that model may recompute more.
    pub fn search_options(&self) -> SearchOptions<'static> {
        let mut options = SearchOptions::default();
        options.exact = Some(true);
        options.recompute = self.cheap_recompute();
        options
    }

    /// How many chunks may be recomputed at most whatever a collection's settings say, where its
    /// scores are to be exact: set for models that take next to no time.
    pub fn cheap_recompute(&self) -> Option<usize> {
        (self.family == "static").then_some(STATIC_RECOMPUTE)
    }

    /// How far another node's score for a text may lie from this one's without being forged.
    pub fn score_tolerance(&self) -> f32 {
        if self.family == "static" { STATIC_TOLERANCE } else { TRANSFORMER_TOLERANCE }
    }

    /// How it is listed.
    pub fn entry(&self, current: bool) -> ModelEntry {
        ModelEntry {
            name: self.name.clone(),
            id: self.id,
            family: self.family.clone(),
            dim: u32::try_from(self.dim).unwrap_or(u32::MAX),
            current,
        }
    }
}

/// The models at hand. Loading may take seconds; call it where blocking is fine.
pub trait Models: Send + Sync {
    /// The model for new collections and for questions, loaded.
    ///
    /// # Errors
    /// If it cannot be loaded; the message says which and what to do.
    fn current(&self) -> Result<ModelHandle, ApiError>;

    /// The model with exactly this id, if it is here and loads.
    fn get(&self, id: ModelId) -> Option<ModelHandle>;

    /// All models here, by name.
    ///
    /// # Errors
    /// If the models cannot be listed.
    fn list(&self) -> Result<Vec<ModelEntry>, ApiError>;

    /// Makes the model called `name` (or with that id, as text) the current one, for the life of
    /// this value; the node remembers the choice across restarts.
    ///
    /// # Errors
    /// If there is no such model or it does not load; the current one then stays.
    fn set_current(&self, name: &str) -> Result<ModelHandle, ApiError>;

    /// The model with exactly this id, with an adapter of `config` that has learnt nothing yet and `texts` at hand, of which the first
    /// `max_tokens` tokens count each.
    ///
    /// # Errors
    /// If it is not here, or the adapter does not fit it.
    fn learner(
        &self,
        model: ModelId,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Box<dyn Learner>, ApiError> {
        let _ = (model, config, texts, max_tokens);
        Err(ApiError::new(ErrorCode::WrongModel, "the models here cannot be trained"))
    }

    /// Adds the model that an adapter of `config` with these values makes of `base`, under a name of its own.
    ///
    /// # Errors
    /// If `base` is not here, the adapter does not fit it, or the name is taken.
    fn adapted(
        &self,
        base: ModelId,
        config: AdapterConfig,
        values: Vec<f32>,
        name: &str,
    ) -> Result<ModelHandle, ApiError> {
        let _ = (base, config, values, name);
        Err(ApiError::new(ErrorCode::WrongModel, "no models can be added here"))
    }

    /// Takes a model away.
    ///
    /// # Errors
    /// If it is not here, or cannot be taken away.
    fn remove(&self, name: &str) -> Result<(), ApiError> {
        let message = format!("{name} cannot be taken away");
        Err(ApiError::new(ErrorCode::WrongModel, message))
    }
}
