//! A linear map behind the vectors of questions alone.

use super::learner::{Learner, TrainError};
use super::map::{self, Pass, Passes};
use super::{Batch, Objective};
use crate::ModelId;
use crate::adapter::{Adapter, AdapterConfig, AdapterError, HeadConfig, Layout, QueryAdapter};
use crate::kernels::Level;

/// Embedded texts, of which those that are asked (the anchors) are mapped, and those that are found stay as they are: what
/// learns a [`QueryAdapter`], for a model of any family, without running it.
pub struct QueryLearner {
    id: ModelId,
    config: AdapterConfig,
    layout: Layout,
    start: Vec<f32>,
    dim: usize,
    /// `[texts, dim]`, of unit length each.
    vectors: Vec<f32>,
}

impl QueryLearner {
    /// Of texts that model `id` has made `vectors` of, `[texts, dim]`.
    ///
    /// # Errors
    ///
    /// When the map's rank does not fit vectors of that length, or they are no whole number of vectors.
    pub fn new(
        id: ModelId,
        head: HeadConfig,
        dim: usize,
        vectors: Vec<f32>,
    ) -> Result<Self, TrainError> {
        let shape = QueryAdapter::shape(dim);
        let config = AdapterConfig::Head(HeadConfig { token_weights: false, ..head });
        let layout = config.layout(&shape)?;
        if !vectors.len().is_multiple_of(dim) {
            let (found, expected) = (vectors.len(), vectors.len() / dim * dim);
            return Err(AdapterError::Length { found, expected }.into());
        }
        let start = Adapter::new(config.clone(), shape)?.values().to_vec();
        Ok(Self { id, config, layout, start, dim, vectors })
    }

    /// The adapter that these values make.
    ///
    /// # Errors
    ///
    /// As [`Learner::adapter`].
    pub fn query_adapter(&self, values: &[f32]) -> Result<QueryAdapter, AdapterError> {
        Ok(QueryAdapter::new(self.id, self.adapter(values)?))
    }

    /// The vector of a text, of unit length.
    #[must_use]
    pub fn vector(&self, text: usize) -> &[f32] {
        &self.vectors[text * self.dim..][..self.dim]
    }

    /// The vectors of texts, `[texts, dim]`.
    fn rows(&self, texts: &[usize]) -> Vec<f32> {
        texts.iter().flat_map(|&text| self.vector(text)).copied().collect()
    }

    /// The map, and the anchors of a batch, mapped.
    fn passed<'a>(&'a self, values: &'a [f32], batch: &Batch) -> (Passes<'a>, Pass) {
        let (level, shape) = (Level::best(), QueryAdapter::shape(self.dim));
        let map = Passes::of(level, &self.config, &self.layout, &shape, self.dim, values);
        let pass = map.forth(self.rows(&batch.anchors));
        (map, pass)
    }
}

impl Learner for QueryLearner {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn texts(&self) -> usize {
        self.vectors.len() / self.dim
    }

    fn identity(&self) -> String {
        format!("{} queries {:?}", self.id.full_hex(), self.config)
    }

    fn start(&self) -> Vec<f32> {
        self.start.clone()
    }

    fn adapter(&self, values: &[f32]) -> Result<Adapter, AdapterError> {
        let shape = QueryAdapter::shape(self.dim);
        Adapter::with_values(self.config.clone(), shape, values.to_vec())
    }

    fn bytes(&self, batch: &Batch) -> usize {
        map::bytes(self.dim, batch)
    }

    fn gradient(
        &self,
        values: &[f32],
        batch: &Batch,
        objective: &Objective,
        gradient: &mut [f32],
    ) -> Result<f64, TrainError> {
        let (map, pass) = self.passed(values, batch);
        let columns = self.rows(&batch.columns);
        let found = objective.slopes(Level::best(), batch, &pass.mapped, &columns);
        map.back(&pass, &found.anchors, gradient);
        Ok(found.loss)
    }

    fn loss(
        &self,
        values: &[f32],
        batch: &Batch,
        objective: &Objective,
    ) -> Result<f64, TrainError> {
        let (_, pass) = self.passed(values, batch);
        let columns = self.rows(&batch.columns);
        Ok(objective.loss_of(Level::best(), batch, &pass.mapped, &columns))
    }
}
