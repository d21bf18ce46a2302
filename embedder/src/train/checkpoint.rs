//! Training as a file, to go on from later exactly as if nothing had happened.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::optimizer::Moments;
use super::trainer::{Marks, State};
use super::{Examples, Learner, TrainError, TrainOptions, Trainer};

const KEY: &str = "covey.checkpoint";
const VERSION: u32 = 1;
const TENSORS: [&str; 5] = ["values", "origin", "first", "second", "best"];

/// Why training cannot go on from a file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not a safetensors file, or cut short.
    #[error("the checkpoint is not valid safetensors: {0}")]
    Safetensors(String),
    /// It does not say what it is, or is of another version.
    #[error("the file is no checkpoint of training that this program knows: {0}")]
    Metadata(String),
    /// A tensor is missing or of another length than the others.
    #[error("the checkpoint's tensor {0} is missing, damaged or of a wrong length")]
    Tensor(&'static str),
    /// It is of another model, adapter or length of texts.
    #[error(
        "the checkpoint is of another model, adapter or length of texts; start anew, or go on with those"
    )]
    Learner,
    /// The pairs are not those that it was made with.
    #[error("the checkpoint was made with other pairs; start anew, or go on with those")]
    Examples,
    /// The options or the adapter do not fit.
    #[error(transparent)]
    Train(#[from] TrainError),
}

/// Training between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    options: TrainOptions,
    learner: String,
    examples: String,
    state: State,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    version: u32,
    options: TrainOptions,
    learner: String,
    examples: String,
    step: usize,
    moments: u64,
    marks: Marks,
}

impl Checkpoint {
    /// The options that training was begun with.
    #[must_use]
    pub fn options(&self) -> &TrainOptions {
        &self.options
    }

    /// Writes it as safetensors.
    ///
    /// # Errors
    ///
    /// Never, unless the tensors exceed what the format can hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CheckpointError> {
        let about = Metadata {
            version: VERSION,
            options: self.options.clone(),
            learner: self.learner.clone(),
            examples: self.examples.clone(),
            step: self.state.step,
            moments: self.state.moments.steps,
            marks: self.state.marks,
        };
        let about = serde_json::to_string(&about)
            .map_err(|error| CheckpointError::Metadata(error.to_string()))?;
        let State { values, origin, best, moments, .. } = &self.state;
        let tensors = [values, origin, &moments.first, &moments.second, best];
        let bytes = tensors
            .map(|tensor| tensor.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
        let views = TENSORS.iter().zip(&bytes).map(|(name, data)| {
            TensorView::new(Dtype::F32, vec![data.len() / 4], data).map(|view| (*name, view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(broken)?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), about)])))
            .map_err(broken)
    }

    /// Reads it back.
    ///
    /// # Errors
    ///
    /// When the bytes are no checkpoint, or are damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let about = header.metadata().as_ref().and_then(|all| all.get(KEY));
        let about = about.ok_or_else(|| CheckpointError::Metadata("it says nothing".to_owned()))?;
        let about: Metadata = serde_json::from_str(about)
            .map_err(|error| CheckpointError::Metadata(error.to_string()))?;
        if about.version != VERSION {
            return Err(CheckpointError::Metadata(format!("it has version {}", about.version)));
        }
        let file = SafeTensors::deserialize(bytes).map_err(broken)?;
        if file.len() != TENSORS.len() {
            return Err(CheckpointError::Metadata("it has other tensors".to_owned()));
        }
        let read = |name: &'static str| -> Result<Vec<f32>, CheckpointError> {
            let whole =
                |view: &TensorView<'_>| view.dtype() == Dtype::F32 && view.shape().len() == 1;
            let view = file.tensor(name).ok().filter(whole).ok_or(CheckpointError::Tensor(name))?;
            let values = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
            let values: Vec<f32> = values.collect();
            let finite = values.iter().all(|value| value.is_finite());
            if finite { Ok(values) } else { Err(CheckpointError::Tensor(name)) }
        };
        let [values, origin, first, second, best] = TENSORS.map(read);
        let (values, moments) =
            (values?, Moments { steps: about.moments, first: first?, second: second? });
        let state = State {
            step: about.step,
            origin: origin?,
            best: best?,
            marks: about.marks,
            moments,
            values,
        };
        let lengths = [
            ("origin", state.origin.len(), false),
            ("first", state.moments.first.len(), false),
            ("second", state.moments.second.len(), true),
            ("best", state.best.len(), true),
        ];
        for (name, length, may_be_empty) in lengths {
            if length != state.values.len() && !(may_be_empty && length == 0) {
                return Err(CheckpointError::Tensor(name));
            }
        }
        if state.marks.best.is_some() == state.best.is_empty() {
            return Err(CheckpointError::Tensor("best"));
        }
        let losses = [state.marks.before, state.marks.best];
        let sound = losses.into_iter().flatten().all(f64::is_finite)
            && state.marks.worse <= state.step
            && state.moments.steps <= state.step as u64;
        if !sound {
            return Err(CheckpointError::Metadata("its counts contradict each other".to_owned()));
        }
        let Metadata { options, learner, examples, .. } = about;
        Ok(Self { options, learner, examples, state })
    }
}

impl<'a> Trainer<'a> {
    /// Training as it is now.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        let (options, state) = (self.options.clone(), self.state.clone());
        let (learner, examples) = (self.learner.identity(), fingerprint(self.examples));
        Checkpoint { options, learner, examples, state }
    }

    /// Goes on from a checkpoint that was made with the same pairs.
    ///
    /// # Errors
    ///
    /// When the pairs are others, or the adapter or an option does not fit.
    pub fn resume(
        learner: &'a dyn Learner,
        examples: &'a Examples,
        checkpoint: Checkpoint,
    ) -> Result<Self, CheckpointError> {
        let Checkpoint { options, learner: of, examples: made_with, state } = checkpoint;
        if of != learner.identity() {
            return Err(CheckpointError::Learner);
        }
        if made_with != fingerprint(examples) {
            return Err(CheckpointError::Examples);
        }
        let second = options.optimizer.begin(state.values.len()).second.len();
        if state.moments.second.len() != second {
            return Err(CheckpointError::Tensor("second"));
        }
        // Checks the options, and that values fit the adapter.
        let fresh = Self::new(learner, examples, options, Some(state.values.clone()))?;
        Ok(Self::with_state(learner, examples, fresh.options, state))
    }
}

/// What tells one set of pairs from another.
fn fingerprint(examples: &Examples) -> String {
    let mut hasher = Sha256::new();
    for text in &examples.texts {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    for part in [&examples.train, &examples.held_out] {
        hasher.update((part.len() as u64).to_le_bytes());
        for example in part {
            let negatives = example.negatives.iter();
            let numbers = [&example.anchor, &example.positive, &example.document];
            for number in numbers.into_iter().chain(negatives) {
                hasher.update((*number as u64).to_le_bytes());
            }
            hasher.update(u64::MAX.to_le_bytes());
        }
    }
    data_encoding::HEXLOWER.encode(&hasher.finalize())
}

fn broken(error: safetensors::SafeTensorError) -> CheckpointError {
    CheckpointError::Safetensors(error.to_string())
}
