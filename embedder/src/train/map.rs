//! A linear map behind vectors, as training moves it.

use burn::tensor::{Device, Tensor, TensorData};

use crate::adapter::{AdapterConfig, Layout, LowRank, Place, Placed, Shape, WHOLE};
use crate::compute::Backend;

/// What vectors are multiplied by, one factor after the other, beside the identity.
pub(super) struct Map {
    factors: Vec<Tensor<2>>,
    /// Tensors whose gradient is wanted, and where among all values it goes.
    pub(super) leaves: Vec<(usize, Tensor<2>)>,
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

    /// `rows`, `[rows, dim]`, mapped.
    pub(super) fn apply(&self, rows: Tensor<2>) -> Tensor<2> {
        let mapped = self.factors.iter().fold(rows.clone(), |rows, by| rows.matmul(by.clone()));
        mapped + rows
    }
}

fn drawn(low: LowRank, place: &Place, device: &Device) -> Tensor<2> {
    let data = TensorData::new(low.draw_a(0, place), [low.rank, place.inputs]);
    Tensor::from_data(data, device)
}
