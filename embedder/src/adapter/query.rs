//! An adapter for questions alone: what a person's own questions mean, where passages keep the vectors that they have.
//!
//! A question's vector `q` becomes `q + D q`, scaled to unit length, `D` full or low-rank as behind a static model. Passages are not
//! touched, so no index is built anew, and it works with a model of any family (query-side fine-tuning, as in Lee et al.,
//! "Learning Dense Representations of Phrases at Scale", 2021).

use super::file::QUERY_KEY;
use super::{Adapter, AdapterConfig, AdapterFileError, Shape};
use crate::ModelId;

/// An adapter for the questions to one model.
#[derive(Clone, Debug)]
pub struct QueryAdapter {
    model: ModelId,
    adapter: Adapter,
}

impl QueryAdapter {
    /// The shape of its adapter: a head's, behind no table.
    pub(crate) const fn shape(dim: usize) -> Shape {
        Shape::Static { dim, tokens: 0 }
    }

    /// For questions to `model`, a head of these values.
    pub(crate) fn new(model: ModelId, adapter: Adapter) -> Self {
        Self { model, adapter }
    }

    /// The exact model whose questions it is for.
    #[must_use]
    pub fn model(&self) -> ModelId {
        self.model
    }

    /// Parameters that were learnt.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.adapter.values().len()
    }

    /// Maps the vector of a question, `[dim]`. One of zeros stays zeros; the others are of unit length after it.
    ///
    /// # Panics
    ///
    /// When the vector is of another length than the model's.
    pub fn apply(&self, vector: &mut [f32]) {
        let dim = vector.len();
        assert_eq!(*self.adapter.shape(), Self::shape(dim), "the adapter is for other vectors");
        let mapped: Vec<f32> =
            self.adapter.moved(vector).iter().zip(&*vector).map(|(d, x)| x + d).collect();
        // What maps to nothing, or to what f32 cannot hold, is asked as it is.
        if mapped.iter().all(|x| x.is_finite()) && mapped.iter().any(|x| *x != 0.0) {
            vector.copy_from_slice(&mapped);
            crate::vector::normalise(vector);
        }
    }

    /// As a file: as a head's, under a key of its own (docs/spec/adapter-format.md).
    ///
    /// # Errors
    ///
    /// Never, unless the tensors exceed what the format can hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, AdapterFileError> {
        self.adapter.write(QUERY_KEY, self.model)
    }

    /// Reads one for questions to `model`, whose vectors have `dim` entries.
    ///
    /// # Errors
    ///
    /// When the bytes are no head for that model.
    pub fn from_bytes(bytes: &[u8], model: ModelId, dim: usize) -> Result<Self, AdapterFileError> {
        let adapter = Adapter::read(QUERY_KEY, bytes, model, Self::shape(dim))?;
        match adapter.config() {
            AdapterConfig::Head(head) if !head.token_weights => Ok(Self::new(model, adapter)),
            AdapterConfig::Head(_) | AdapterConfig::Lora(_) => {
                Err(AdapterFileError::Tensor(super::TOKEN_WEIGHTS.to_owned()))
            }
        }
    }
}
