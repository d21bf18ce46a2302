//! What a participant sends of what it learnt, before it is encoded.

use covey_privacy::encode::{EncodeError, Encoded, Encoding};
use covey_privacy::rng::Randomness;
use covey_protocol::round::Checked;

/// What training came to, by what the plan protects.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// How the values moved, times their weight: the peer's as a whole.
    Whole(Vec<f32>),
    /// Minus the gradient of each document, of any length; at most as many as the plan says.
    Documents(Vec<Vec<f32>>),
}

impl Update {
    /// What is sent where there is nothing to send.
    pub(crate) fn nothing(plan: &Checked) -> Self {
        match plan.plan().learning.documents {
            0 => Self::Whole(vec![0.0; plan.layout().dimension]),
            _ => Self::Documents(Vec::new()),
        }
    }

    /// Multiplies all of it.
    pub fn scale(&mut self, factor: f32) {
        let parts = match self {
            Self::Whole(update) => std::slice::from_mut(update),
            Self::Documents(documents) => documents.as_mut_slice(),
        };
        parts.iter_mut().flatten().for_each(|value| *value *= factor);
    }

    /// As the plan's words, without noise: clipped and rounded as a whole, or document by document.
    ///
    /// # Errors
    /// If it is not of the plan's sizes; and, as a whole, where a number is not finite.
    pub fn encode<'a, R: Randomness>(
        &self,
        encoding: &'a Encoding,
        extras: &[f64],
        rng: &mut R,
    ) -> Result<Encoded<'a>, EncodeError> {
        match self {
            Self::Whole(update) => encoding.encode(update, extras, rng),
            Self::Documents(documents) => encoding.encode_units(documents, rng),
        }
    }
}
