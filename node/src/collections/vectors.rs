//! A question's vectors: one for each release of the model that own collections hold.

use std::collections::BTreeSet;

use covey_embedder::adapter::QueryAdapter;
use covey_protocol::ids::ModelId;

use super::slot::View;
use super::{Collections, LocalHit};
use crate::api::{ApiError, ErrorCode};
use crate::models::{ModelHandle, Models, model_id};

/// A question's vectors. Scores of two releases are never compared: where both have hits, those of the
/// other releases are scored anew by the first one.
#[derive(Clone)]
pub struct Vectors {
    /// At least one.
    all: Vec<(ModelHandle, Vec<f32>)>,
    /// Whether all scores have to be of the first release, as others' scores are.
    for_merging: bool,
}

impl Vectors {
    /// Of one release only.
    pub fn of(model: ModelHandle, vector: Vec<f32>) -> Self {
        Self { all: vec![(model, vector)], for_merging: false }
    }

    /// Also embeds the question for `others`, those releases of the same model that are here.
    ///
    /// # Errors
    /// If a model fails.
    pub fn with(
        mut self,
        others: BTreeSet<ModelId>,
        models: &dyn Models,
        question: &str,
    ) -> Result<Self, ApiError> {
        let first = self.model().id;
        for id in others {
            let sibling = id.base == first.base && id != first;
            if let Some(model) = sibling.then(|| models.get(id)).flatten() {
                let vector = embed(&model, question)?;
                self.all.push((model, vector));
            }
        }
        Ok(self)
    }

    /// Maps the vector by the model that `adapter` is for, if one is by that, and says so.
    #[must_use]
    pub fn adapted(mut self, adapter: &QueryAdapter) -> (Self, bool) {
        let id = model_id(adapter.model());
        let of_it = self.all.iter_mut().find(|(model, _)| model.id == id);
        let there = of_it.map(|(_, vector)| adapter.apply(vector)).is_some();
        (self, there)
    }

    /// Every score has to be one of the first release.
    #[must_use]
    pub fn for_merging(self) -> Self {
        Self { for_merging: true, ..self }
    }

    /// The first release.
    pub fn model(&self) -> &ModelHandle {
        &self.all[0].0
    }

    /// The vector by the first release.
    pub fn vector(&self) -> &[f32] {
        &self.all[0].1
    }

    /// The release that a collection holds.
    pub(super) fn get(&self, id: ModelId) -> Option<(&ModelHandle, &[f32])> {
        self.all.iter().find(|(model, _)| model.id == id).map(|(model, vector)| (model, &**vector))
    }

    /// Scores hits of other releases by the first one, where `releases` says that these do not compare. Gives
    /// the number of chunks embedded, or `None` where there is nothing to do.
    pub(super) fn align(
        &self,
        hits: &mut [LocalHit],
        releases: &[ModelId],
    ) -> Result<Option<usize>, ApiError> {
        let first = self.model().id;
        let mixed = releases.windows(2).any(|pair| pair[0] != pair[1]);
        let foreign: Vec<usize> = (0..hits.len()).filter(|&i| releases[i] != first).collect();
        if foreign.is_empty() || !(mixed || self.for_merging) {
            return Ok(None);
        }
        let texts: Vec<&str> = foreign.iter().map(|&i| hits[i].hit.text.as_str()).collect();
        let rows = encode(self.model(), &texts)?;
        for (&i, row) in foreign.iter().zip(rows.chunks_exact(self.vector().len())) {
            hits[i].hit.score = row.iter().zip(self.vector()).map(|(a, b)| a * b).sum();
            hits[i].hit.margin = 0.0;
        }
        Ok(Some(foreign.len()))
    }
}

/// Embeds a question.
///
/// # Errors
/// If the model fails.
pub fn embed(model: &ModelHandle, question: &str) -> Result<Vec<f32>, ApiError> {
    encode(model, &[question])
}

fn encode(model: &ModelHandle, texts: &[&str]) -> Result<Vec<f32>, ApiError> {
    model
        .encoder
        .encode(texts)
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("{}: {error}", model.name)))
}

impl Collections {
    /// The releases that collections which can be searched hold.
    pub fn releases(&self) -> BTreeSet<ModelId> {
        let slots = self.slots().into_iter();
        slots
            .filter(|slot| matches!(slot.view(), View::Ready(_)))
            .map(|slot| slot.model())
            .collect()
    }
}
