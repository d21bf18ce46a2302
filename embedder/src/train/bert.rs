//! Low-rank updates of a transformer, differentiated by passes of our own or by the tensor library.

mod kernels;

use burn::tensor::{Int, Tensor, TensorData};

use super::learner::{Learner, TrainError, read, scalar};
use super::{Batch, Objective};
use crate::adapter::{Adapter, AdapterConfig, AdapterError, Layout, Shape};
use crate::bert::{Encoder, Update, Updates};
use crate::{BertModel, Embedder};

/// A transformer whose projections get low-rank updates. Make the model with
/// [`ModelStore::load_bert`](crate::ModelStore::load_bert).
pub struct BertLearner {
    model: BertModel,
    config: AdapterConfig,
    layout: Layout,
    shape: Shape,
    start: Vec<f32>,
    texts: Vec<Vec<u32>>,
    max_tokens: usize,
}

impl BertLearner {
    /// Cuts `texts` into tokens, of which the first `max_tokens` count.
    ///
    /// # Errors
    ///
    /// When the adapter does not fit the model, the model is not loaded for training, or a text cannot be
    /// cut into tokens.
    pub fn new(
        model: BertModel,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Self, TrainError> {
        Self::reference(model.for_training()?, config, texts, max_tokens)
    }

    /// The same by the tensor library: slower, and what the passes of our own are checked against.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn reference(
        model: BertModel,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Self, TrainError> {
        let shape = model.shape();
        if model.passes().is_none() && model.encoder().is_none() {
            return Err(TrainError::NotTrainable);
        }
        let layout = config.layout(&shape)?;
        let start = Adapter::new(config.clone(), shape.clone())?.values().to_vec();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mut texts = model.marked(&texts, max_tokens)?;
        texts
            .iter_mut()
            .filter(|text| text.is_empty())
            .for_each(|text| *text = model.markers().into());
        Ok(Self { model, config, layout, shape, start, texts, max_tokens })
    }

    /// The values as tensors that remember what is done with them, and what they make of each layer.
    fn updates(&self, encoder: &Encoder, values: &[f32]) -> (Vec<Leaf>, Vec<Updates>) {
        let device = encoder.backend().autodiff();
        let low = self.config.low_rank().expect("LoRA is low-rank");
        let mut leaves = Vec::new();
        let mut updates = vec![Updates::default(); self.layers()];
        for (number, place) in self.config.places(&self.shape).iter().enumerate() {
            let mut leaf = |name: &str| {
                let placed = self.layout.get(name).expect("laid out");
                let data = values[placed.range.clone()].to_vec();
                let data = TensorData::new(data, [placed.shape[0], placed.shape[1]]);
                let tensor = Tensor::<2>::from_data(data, &device).require_grad();
                leaves.push(Leaf { start: placed.range.start, tensor: tensor.clone() });
                tensor
            };
            let a = if low.freeze_a {
                let data = TensorData::new(low.draw_a(number, place), [low.rank, place.inputs]);
                Tensor::<2>::from_data(data, encoder.backend().device())
            } else {
                leaf(&place.a())
            };
            let update =
                Update { down: a.transpose(), up: leaf(&place.b()).transpose() * low.scale };
            if let Some(target) = place.target {
                updates[place.layer][target as usize] = Some(update);
            }
        }
        (leaves, updates)
    }

    fn encoder(&self) -> Result<&Encoder, TrainError> {
        self.model.encoder().ok_or(TrainError::NotTrainable)
    }

    fn layers(&self) -> usize {
        match self.shape {
            Shape::Bert { layers, .. } => layers,
            Shape::Static { .. } => 0,
        }
    }

    /// Means over the positions of `texts`, in their order. Texts of like length go through the layers together.
    fn means(
        &self,
        encoder: &Encoder,
        texts: &[usize],
        updates: &[Updates],
    ) -> Result<Tensor<2>, TrainError> {
        let most = encoder.backend().trained_positions();
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&place| self.texts[texts[place]].len());
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for &place in &order {
            let length = self.texts[texts[place]].len();
            match groups.last_mut() {
                Some(group) if encoder.positions(group.len() + 1, length) <= most => {
                    group.push(place);
                }
                _ => groups.push(vec![place]),
            }
        }
        let means = groups.iter().map(|group| {
            let rows: Vec<&[u32]> =
                group.iter().map(|&place| self.texts[texts[place]].as_slice()).collect();
            encoder.means(&rows, updates)
        });
        let means = Tensor::cat(means.collect::<Result<Vec<_>, _>>()?, 0);
        let mut back = vec![0_i64; order.len()];
        for (row, &place) in order.iter().enumerate() {
            back[place] = row as i64;
        }
        let back: Tensor<1, Int> =
            Tensor::from_data(TensorData::new(back, [order.len()]), &means.device());
        Ok(means.select(0, back))
    }

    fn tensor_loss(
        &self,
        encoder: &Encoder,
        batch: &Batch,
        objective: &Objective,
        updates: &[Updates],
    ) -> Result<Tensor<1>, TrainError> {
        let anchors = self.means(encoder, &batch.anchors, updates)?;
        let columns = self.means(encoder, &batch.columns, updates)?;
        Ok(objective.loss(batch, &anchors, &columns))
    }
}

/// A tensor whose gradient is wanted, and where it goes.
struct Leaf {
    start: usize,
    tensor: Tensor<2>,
}

impl Learner for BertLearner {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn dim(&self) -> usize {
        self.model.dim()
    }

    fn texts(&self) -> usize {
        self.texts.len()
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
        let Shape::Bert { width, inner, layers } = self.shape else { return 0 };
        let heads = self.model.heads();
        let kernels = self.model.passes().is_some();
        // What a layer keeps for the way back, of each position: states, products, and by the tensor library
        // the weights of attention.
        let of_text = |text: &usize| {
            let tokens = self.texts[*text].len();
            let position = match kernels {
                true => 6 * width + inner,
                false => 12 * width + 3 * inner + 3 * heads * tokens,
            };
            tokens * position * layers * size_of::<f32>()
        };
        batch.anchors.iter().chain(&batch.columns).map(of_text).sum()
    }

    fn gradient(
        &self,
        values: &[f32],
        batch: &Batch,
        objective: &Objective,
        gradient: &mut [f32],
    ) -> Result<f64, TrainError> {
        if let Some(passes) = self.model.passes() {
            return kernels::gradient(self, passes, values, batch, objective, gradient);
        }
        let encoder = self.encoder()?;
        encoder.backend().guarded(|| {
            let (leaves, updates) = self.updates(encoder, values);
            let loss = self.tensor_loss(encoder, batch, objective, &updates)?;
            let mut gradients = loss.backward();
            for leaf in leaves {
                let Some(found) = leaf.tensor.grad_remove(&mut gradients) else { continue };
                let found: Vec<f32> = read(found)?;
                gradient[leaf.start..].iter_mut().zip(found).for_each(|(sum, x)| *sum += x);
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
        if let Some(passes) = self.model.passes() {
            return kernels::loss(self, passes, values, batch, objective);
        }
        let encoder = self.encoder()?;
        let plain = |update: Option<Update>| {
            update.map(|Update { down, up }| Update { down: down.inner(), up: up.inner() })
        };
        encoder.backend().guarded(|| {
            let (_, updates) = self.updates(encoder, values);
            let updates: Vec<Updates> = updates.into_iter().map(|layer| layer.map(plain)).collect();
            scalar(self.tensor_loss(encoder, batch, objective, &updates)?)
        })
    }
}
