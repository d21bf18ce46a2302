//! A single model, such as the one inside the binary: for tests, the simulator and benchmarks.

use covey_embedder::Embedder;
use covey_embedder::adapter::AdapterConfig;
use covey_embedder::train::{Learner, StaticLearner};
use covey_protocol::ids::ModelId;

use super::{ModelHandle, Models};
use crate::api::{ApiError, ErrorCode, ModelEntry};

/// One model and no other.
#[derive(Clone)]
pub struct OneModel(ModelHandle);

impl OneModel {
    /// `model` alone.
    pub fn of(model: ModelHandle) -> Self {
        Self(model)
    }

    /// The static English model in the binary.
    ///
    /// # Errors
    /// If the bytes in the binary do not load, which is a bug.
    pub fn builtin() -> Result<Self, ApiError> {
        covey_embedder::builtin()
            .map(|embedder| Self(ModelHandle::new(embedder, "static")))
            .map_err(|error| ApiError::new(ErrorCode::Internal, format!("built-in model: {error}")))
    }
}

impl Models for OneModel {
    fn current(&self) -> Result<ModelHandle, ApiError> {
        Ok(self.0.clone())
    }

    fn get(&self, id: ModelId) -> Option<ModelHandle> {
        (id == self.0.id).then(|| self.0.clone())
    }

    fn list(&self) -> Result<Vec<ModelEntry>, ApiError> {
        Ok(vec![self.0.entry(true)])
    }

    fn set_current(&self, name: &str) -> Result<ModelHandle, ApiError> {
        if name == self.0.name || name == self.0.id.to_string() {
            return self.current();
        }
        Err(ApiError::new(ErrorCode::NotFound, format!("there is no model called {name} here"))
            .hint("list the models with `covey model list`, or get one with `covey model pull`"))
    }

    fn learner(
        &self,
        model: ModelId,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Box<dyn Learner>, ApiError> {
        let internal = |error: &dyn std::fmt::Display| {
            ApiError::new(ErrorCode::Internal, format!("the model cannot be trained: {error}"))
        };
        let builtin = covey_embedder::builtin_model().map_err(|error| internal(&error))?;
        if model != self.0.id || super::model_id(builtin.id()) != model {
            return Err(ApiError::new(ErrorCode::WrongModel, "that model is not here"));
        }
        let learner = StaticLearner::new(&builtin, config, texts, max_tokens);
        Ok(Box::new(learner.map_err(|error| internal(&error))?))
    }
}
