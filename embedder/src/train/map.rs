//! A linear map behind vectors, as training moves it: by the tensor library, and by [passes] of our own.

mod passes;

use burn::tensor::{Device, Gradients, Tensor, TensorData};

use super::Batch;
use super::learner::read;
use crate::EmbedError;
use crate::adapter::{AdapterConfig, Layout, LowRank, Place, Placed, Shape, WHOLE};
use crate::compute::Backend;

pub(super) use passes::{Pass, Passes};

/// What vectors are multiplied by, one factor after the other, beside the identity.
pub(super) struct Map {
    factors: Vec<Tensor<2>>,
    /// Tensors whose gradient is wanted, and where among all values it goes.
    leaves: Vec<(usize, Tensor<2>)>,
}

impl Map {
    /// The map that `values` are, of a head of `config`.
    pub(super) fn of(
        config: &AdapterConfig,
        layout: &Layout,
        shape: &Shape,
        values: &[f32],
        backend: &Backend,
    ) -> Self {
        let device = &backend.autodiff();
        let tensor = |placed: &Placed| {
            let data = values[placed.range.clone()].to_vec();
            let data = TensorData::new(data, [placed.shape[0], placed.shape[1]]);
            Tensor::<2>::from_data(data, device).require_grad()
        };
        let mut leaves = Vec::new();
        let mut leaf = |name: &str| {
            let placed = layout.get(name)?;
            let tensor = tensor(placed);
            leaves.push((placed.range.start, tensor.clone()));
            Some(tensor)
        };
        let factors = match leaf(WHOLE) {
            Some(whole) => vec![whole.transpose()],
            None => {
                let low = config.low_rank().expect("a map is full or low-rank");
                let place = &config.places(shape)[0];
                let a = leaf(&place.a()).unwrap_or_else(|| drawn(low, place, backend.device()));
                let b = leaf(&place.b()).expect("laid out");
                vec![a.transpose(), b.transpose() * low.scale]
            }
        };
        Self { factors, leaves }
    }

    /// Adds what `found` has for the map's tensors to the gradient of all values.
    pub(super) fn add_gradient(
        self,
        found: &mut Gradients,
        gradient: &mut [f32],
    ) -> Result<(), EmbedError> {
        for (start, leaf) in self.leaves {
            let Some(of_leaf) = leaf.grad_remove(found) else { continue };
            let of_leaf = read(of_leaf)?;
            gradient[start..].iter_mut().zip(of_leaf).for_each(|(sum, x)| *sum += x);
        }
        Ok(())
    }

    /// `rows`, `[rows, dim]`, mapped.
    pub(super) fn apply(&self, rows: Tensor<2>) -> Tensor<2> {
        let mapped = self.factors.iter().fold(rows.clone(), |rows, by| rows.matmul(by.clone()));
        mapped + rows
    }
}

/// About how many bytes the gradient of a batch of vectors takes.
pub(super) fn bytes(dim: usize, batch: &Batch) -> usize {
    let (rows, columns) = (batch.rows(), batch.columns.len());
    // Vectors, what the map makes of them, unit vectors and their gradients; scores, twice masked.
    (12 * (rows + columns) * dim + 8 * rows * (rows + columns)) * size_of::<f32>()
}

fn drawn(low: LowRank, place: &Place, device: &Device) -> Tensor<2> {
    let data = TensorData::new(low.draw_a(0, place), [low.rank, place.inputs]);
    Tensor::from_data(data, device)
}
