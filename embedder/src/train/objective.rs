//! The loss: InfoNCE (van den Oord, Li and Vinyals 2018) over the candidates of a batch, on cosines.

mod slopes;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::Batch;

/// What is masked out of a softmax.
const NEVER: f32 = -1e9;

/// Least squared length of a vector that is scaled to one, so that a text without tokens has no gradient that is
/// not finite.
const SHORTEST: f32 = 1e-12;

/// How the loss of a batch is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Cosines are divided by this.
    pub temperature: f32,
    /// Whether candidates must also find their anchors.
    pub symmetric: bool,
    /// Besides all dimensions, the first this many are to do alone (Kusupati et al., "Matryoshka
    /// Representation Learning", 2022); the loss is the mean over all lengths.
    pub matryoshka: Vec<usize>,
}

impl Default for Objective {
    /// Symmetric at .05, all dimensions.
    fn default() -> Self {
        Self { temperature: 0.05, symmetric: true, matryoshka: Vec::new() }
    }
}

/// Why an objective cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ObjectiveError {
    /// The temperature is no number from .001 to 10.
    #[error("the temperature must be from 0.001 to 10, not {0}")]
    Temperature(f32),
    /// A length is zero or not below the model's.
    #[error("a Matryoshka length must be from 1 to {most}, below the model's own, not {length}")]
    Matryoshka {
        /// The length that was asked for.
        length: usize,
        /// The largest there can be.
        most: usize,
    },
}

impl Objective {
    /// Checks it for vectors of `dim` entries.
    ///
    /// # Errors
    ///
    /// When the temperature or a length is out of its range.
    pub fn check(&self, dim: usize) -> Result<(), ObjectiveError> {
        if !(0.001..=10.0).contains(&self.temperature) {
            return Err(ObjectiveError::Temperature(self.temperature));
        }
        match self.matryoshka.iter().find(|&&length| !(1..dim).contains(&length)) {
            Some(&length) => Err(ObjectiveError::Matryoshka { length, most: dim - 1 }),
            None => Ok(()),
        }
    }

    /// The loss of a batch: `anchors` is `[rows, dim]` and `columns` is `[columns, dim]`, of any length each.
    pub(super) fn loss(
        &self,
        batch: &Batch,
        anchors: &Tensor<2>,
        columns: &Tensor<2>,
    ) -> Tensor<1> {
        let places = Places::new(batch, &anchors.device());
        let [_, dim] = anchors.dims();
        let losses = self.lengths(dim).map(|length| {
            let first = |all: &Tensor<2>| unit(all.clone().narrow(1, 0, length));
            let cosines = first(anchors).matmul(first(columns).transpose());
            self.of_scores(cosines / self.temperature, &places)
        });
        let count = self.matryoshka.len() + 1;
        losses.reduce(|a, b| a + b).expect("there is one length at least") / count as f32
    }

    /// The lengths of which the loss is the mean.
    fn lengths(&self, dim: usize) -> impl Iterator<Item = usize> {
        self.matryoshka.iter().copied().chain([dim])
    }

    fn of_scores(&self, scores: Tensor<2>, places: &Places) -> Tensor<1> {
        let forth = scores.clone().mask_fill(places.not_forth.clone(), NEVER);
        let forth = picked(forth, places.targets.clone());
        if !self.symmetric {
            return forth;
        }
        let back = scores.select(1, places.targets.clone()).transpose();
        let back = back.mask_fill(places.not_back.clone(), NEVER);
        (forth + picked(back, places.rows.clone())) / 2.0
    }
}

/// The mean of the negative log likelihood of `right`, one column for each row.
fn picked(scores: Tensor<2>, right: Tensor<1, Int>) -> Tensor<1> {
    let [rows, _] = scores.dims();
    log_softmax(scores, 1).gather(1, right.reshape([rows, 1])).mean().neg()
}

fn unit(rows: Tensor<2>) -> Tensor<2> {
    let lengths = (rows.clone() * rows.clone()).sum_dim(1).clamp_min(SHORTEST).sqrt();
    rows / lengths
}

/// A batch's places as tensors.
struct Places {
    targets: Tensor<1, Int>,
    rows: Tensor<1, Int>,
    /// `[rows, columns]`: what is not to be told from a row's target.
    not_forth: Tensor<2, Bool>,
    /// `[rows, rows]`: for the target of one row, the anchors of others that it belongs to too.
    not_back: Tensor<2, Bool>,
}

impl Places {
    fn new(batch: &Batch, device: &Device) -> Self {
        let (rows, columns) = (batch.rows(), batch.columns.len());
        let numbers = |all: Vec<i64>| {
            let count = all.len();
            Tensor::from_data(TensorData::new(all, [count]), device)
        };
        let mask = |all: Vec<bool>, width: usize| {
            Tensor::from_data(TensorData::new(all, [rows, width]), device)
        };
        let mut forth = batch.known.clone();
        let mut back = vec![false; rows * rows];
        for (row, &target) in batch.targets.iter().enumerate() {
            forth[row * columns + target] = false;
            for other in (0..rows).filter(|&other| other != row) {
                back[row * rows + other] = batch.known[other * columns + target];
            }
        }
        Self {
            targets: numbers(batch.targets.iter().map(|&place| place as i64).collect()),
            rows: numbers((0..rows as i64).collect()),
            not_forth: mask(forth, columns),
            not_back: mask(back, rows),
        }
    }
}
