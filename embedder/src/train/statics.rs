//! A linear map behind a static model's sums, and weights of its tokens, differentiated by passes of our own or by the tensor library.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use super::learner::{Learner, TrainError, read, scalar};
use super::map::{self, Map, Pass, Passes};
use super::{Batch, Objective};
use crate::Embedder;
use crate::adapter::{Adapter, AdapterConfig, AdapterError, Layout, Shape, TOKEN_WEIGHTS};
use crate::compute::Backend;
use crate::kernels::{Level, rows};
use crate::statics::{StaticModel, StaticParts};

/// A static model whose sums are mapped, and whose tokens may get weights.
///
/// Without weights of tokens the sums never change, so a text is pooled once.
pub struct StaticLearner {
    model: Arc<StaticModel>,
    /// The device of the tensor library that it runs on; passes of our own without.
    backend: Option<Backend>,
    max_tokens: usize,
    config: AdapterConfig,
    layout: Layout,
    shape: Shape,
    start: Vec<f32>,
    /// Each text's tokens; empty where sums do.
    tokens: Vec<Vec<u32>>,
    /// Each text's sum of unit length, `[texts, dim]`; empty where tokens have weights.
    sums: Vec<f32>,
}

impl StaticLearner {
    /// Cuts `texts` into tokens, of which the first `max_tokens` count.
    ///
    /// # Errors
    ///
    /// When the adapter does not fit the model, or a text cannot be cut into tokens.
    pub fn new(
        model: &Arc<StaticModel>,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Self, TrainError> {
        let shape = model.shape();
        let layout = config.layout(&shape)?;
        let start = Adapter::new(config.clone(), shape.clone())?.values().to_vec();
        let mut tokens = model.token_ids(texts, max_tokens)?;
        let mut sums = Vec::new();
        if layout.get(TOKEN_WEIGHTS).is_none() {
            sums = sums_of(model.parts(), tokens.iter().map(Vec::as_slice), None);
            sums.chunks_exact_mut(model.dim()).for_each(crate::vector::normalise);
            tokens = vec![Vec::new(); tokens.len()];
        }
        let model = Arc::clone(model);
        Ok(Self { model, backend: None, max_tokens, config, layout, shape, start, tokens, sums })
    }

    /// The same by the tensor library: on a card, or as what the passes of our own are checked against.
    pub(crate) fn on(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The sums of `texts`, `[texts, dim]`.
    fn sums(&self, texts: &[usize], values: &[f32]) -> Vec<f32> {
        let dim = self.model.dim();
        match self.layout.get(TOKEN_WEIGHTS) {
            None => {
                texts.iter().flat_map(|text| &self.sums[text * dim..][..dim]).copied().collect()
            }
            Some(placed) => {
                let weights = &values[placed.range.clone()];
                let tokens = texts.iter().map(|&text| self.tokens[text].as_slice());
                sums_of(self.model.parts(), tokens, Some(weights))
            }
        }
    }

    fn forward(
        &self,
        backend: &Backend,
        values: &[f32],
        batch: &Batch,
        objective: &Objective,
    ) -> Forward {
        let (device, plain) = (&backend.autodiff(), backend.device());
        let map = Map::of(&self.config, &self.layout, &self.shape, values, backend);
        let moving = self.layout.get(TOKEN_WEIGHTS).is_some();
        let side = |texts: &[usize]| {
            let data = TensorData::new(self.sums(texts, values), [texts.len(), self.model.dim()]);
            if moving {
                let sums = Tensor::<2>::from_data(data, device).require_grad();
                (map.apply(sums.clone()), sums)
            } else {
                let sums = Tensor::<2>::from_data(data, plain);
                (map.apply(sums.clone()), sums)
            }
        };
        let (anchors, anchor_sums) = side(&batch.anchors);
        let (columns, column_sums) = side(&batch.columns);
        let loss = objective.loss(batch, &anchors, &columns);
        Forward { loss, map, sums: moving.then_some([anchor_sums, column_sums]) }
    }

    /// By passes of our own: the map, and the anchors and then the columns of a batch, mapped.
    fn passed<'a>(&'a self, values: &'a [f32], batch: &Batch) -> (Passes<'a>, Pass) {
        let (level, dim) = (Level::best(), self.model.dim());
        let map = Passes::of(level, &self.config, &self.layout, &self.shape, dim, values);
        let pass = map.forth(self.sums(&batch.texts(), values));
        (map, pass)
    }

    /// What the gradients of sums say of tokens' weights.
    fn add_weights(&self, values: &[f32], texts: &[usize], of_sums: &[f32], gradient: &mut [f32]) {
        let Some(placed) = self.layout.get(TOKEN_WEIGHTS) else { return };
        let weights = &values[placed.range.clone()];
        let gradient = &mut gradient[placed.range.clone()];
        let parts = self.model.parts();
        for (&text, of_sum) in texts.iter().zip(of_sums.chunks_exact(parts.dim)) {
            for &token in &self.tokens[text] {
                let token = token as usize;
                let row = &parts.rows[token * parts.dim..][..parts.dim];
                let dot: f32 =
                    row.iter().zip(of_sum).map(|(x, g)| f32::from(x.cast_signed()) * g).sum();
                gradient[token] += dot * parts.scales[token] * weights[token].exp();
            }
        }
    }
}

/// The sums of texts' rows, `[texts, dim]`.
fn sums_of<'a>(
    parts: &StaticParts,
    texts: impl Iterator<Item = &'a [u32]>,
    weights: Option<&[f32]>,
) -> Vec<f32> {
    let (level, mut sums) = (Level::best(), Vec::new());
    for tokens in texts {
        let start = sums.len();
        sums.resize(start + parts.dim, 0.0);
        for &token in tokens {
            let token = token as usize;
            let factor = weights.map_or(1.0, |weights| weights[token].exp());
            let scale = parts.scales[token] * factor;
            let row = &parts.rows[token * parts.dim..][..parts.dim];
            rows::add_bytes(level, &mut sums[start..], scale, row);
        }
    }
    sums
}

struct Forward {
    loss: Tensor<1>,
    map: Map,
    /// Sums of anchors and columns, where tokens have weights.
    sums: Option<[Tensor<2>; 2]>,
}

impl Learner for StaticLearner {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn texts(&self) -> usize {
        self.tokens.len()
    }

    fn identity(&self) -> String {
        format!("{} {:?} max_tokens={}", self.model.id().full_hex(), self.config, self.max_tokens)
    }

    fn start(&self) -> Vec<f32> {
        self.start.clone()
    }

    fn adapter(&self, values: &[f32]) -> Result<Adapter, AdapterError> {
        Adapter::with_values(self.config.clone(), self.shape.clone(), values.to_vec())
    }

    fn bytes(&self, batch: &Batch) -> usize {
        map::bytes(self.model.dim(), batch)
    }

    fn gradient(
        &self,
        values: &[f32],
        batch: &Batch,
        objective: &Objective,
        gradient: &mut [f32],
    ) -> Result<f64, TrainError> {
        let Some(backend) = &self.backend else {
            let (map, pass) = self.passed(values, batch);
            let (anchors, columns) = pass.mapped.split_at(batch.rows() * self.model.dim());
            let mut found = objective.slopes(Level::best(), batch, anchors, columns);
            found.anchors.append(&mut found.columns);
            map.back(&pass, &found.anchors, gradient);
            if self.layout.get(TOKEN_WEIGHTS).is_some() {
                let of_sums = map.to_rows(&found.anchors);
                self.add_weights(values, &batch.texts(), &of_sums, gradient);
            }
            return Ok(found.loss);
        };
        backend.guarded(|| {
            let Forward { loss, map, sums } = self.forward(backend, values, batch, objective);
            let mut found = loss.backward();
            map.add_gradient(&mut found, gradient)?;
            for (sums, texts) in sums.iter().flatten().zip([&batch.anchors, &batch.columns]) {
                if let Some(of_sums) = sums.grad_remove(&mut found) {
                    self.add_weights(values, texts, &read(of_sums)?, gradient);
                }
            }
            scalar(loss)
        })
    }

    fn loss(
        &self,
        values: &[f32],
        batch: &Batch,
        objective: &Objective,
    ) -> Result<f64, TrainError> {
        let Some(backend) = &self.backend else {
            let (_, pass) = self.passed(values, batch);
            let (anchors, columns) = pass.mapped.split_at(batch.rows() * self.model.dim());
            return Ok(objective.loss_of(Level::best(), batch, anchors, columns));
        };
        backend.guarded(|| scalar(self.forward(backend, values, batch, objective).loss))
    }
}
