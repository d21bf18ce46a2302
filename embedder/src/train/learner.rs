//! What can be trained.

use burn::tensor::Tensor;

use super::{Batch, Objective, ObjectiveError};
use crate::EmbedError;
use crate::adapter::{Adapter, AdapterError, Layout};

/// A frozen model with its texts at hand, and an adapter whose values are passed in.
///
/// Texts are named by their number in the list that the learner was made from.
pub trait Learner: Send + Sync {
    /// Where each tensor lies among the values.
    fn layout(&self) -> &Layout;

    /// Length of the vectors.
    fn dim(&self) -> usize;

    /// How many texts there are.
    fn texts(&self) -> usize;

    /// What is trained: the exact model, the adapter's configuration and how much of a text counts.
    fn identity(&self) -> String;

    /// Values with which the model stays as it is.
    fn start(&self) -> Vec<f32>;

    /// An adapter of these values.
    ///
    /// # Errors
    ///
    /// When they are too many, too few or not finite.
    fn adapter(&self, values: &[f32]) -> Result<Adapter, AdapterError>;

    /// About how many bytes [`gradient`](Self::gradient) needs for a batch.
    fn bytes(&self, batch: &Batch) -> usize;

    /// The loss of a batch, whose gradient is added to `gradient`.
    ///
    /// # Errors
    ///
    /// When the tensor backend fails, or a text does not fit the model.
    fn gradient(
        &self,
        values: &[f32],
        batch: &Batch,
        objective: &Objective,
        gradient: &mut [f32],
    ) -> Result<f64, TrainError>;

    /// The loss of a batch.
    ///
    /// # Errors
    ///
    /// As [`gradient`](Self::gradient).
    fn loss(&self, values: &[f32], batch: &Batch, objective: &Objective)
    -> Result<f64, TrainError>;
}

/// Why training cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// There is nothing to learn from.
    #[error("there are {0} pairs to learn from, and at least {1} are needed")]
    TooFew(usize, usize),
    /// An option is out of its range.
    #[error("{option} must be {wanted}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// What it may be.
        wanted: String,
    },
    /// The objective does not fit.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// The adapter does not fit.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A text does not fit the model, or the backend fails.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// A single pair needs more memory than the budget.
    #[error(
        "a pair and another to tell it from need about {needed} bytes to learn from, and the budget is {budget}; allow more memory or \
         shorten texts (fewer tokens)"
    )]
    TooLarge {
        /// About what it takes.
        needed: usize,
        /// What is allowed.
        budget: usize,
    },
    /// The model was not loaded to be trained.
    #[error("this model was loaded for inference only; load it to be trained")]
    NotTrainable,
    /// The texts are not those that the learner was made with.
    #[error("the learner has {found} texts and the examples have {expected}")]
    Texts {
        /// Texts of the learner.
        found: usize,
        /// Texts of the examples.
        expected: usize,
    },
    /// The mechanism that privacy rests on does not allow the step.
    #[error("the step is refused: {0}")]
    Refused(String),
    /// Documents would be coupled, or something else would break what is promised about one of them.
    #[error("documents cannot be protected one by one here: {0}")]
    Coupled(&'static str),
}

pub(super) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, EmbedError> {
    tensor.try_into_vec_as().map_err(|error| EmbedError::Backend(error.to_string()))
}

pub(super) fn scalar(tensor: Tensor<1>) -> Result<f64, TrainError> {
    let values = read(tensor)?;
    Ok(values.first().copied().map_or(f64::NAN, f64::from))
}
