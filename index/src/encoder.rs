//! The model, as this crate sees it: text in, unit vectors out.

use std::error::Error;
use std::fmt;
use std::ops::Range;

/// Which model made a vector: the base (architecture, tokenizer, starting weights) and the release
/// of it (what federated training has since added). Vectors of two ids are never compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncoderId {
    /// Hash of the base model.
    pub base: [u8; 32],
    /// Hash of the release of that base.
    pub release: [u8; 32],
}

impl fmt::Debug for EncoderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", short(&self.base), short(&self.release))
    }
}

/// The first eight hex digits of a hash, enough for a person to compare two.
pub(crate) fn short(hash: &[u8; 32]) -> String {
    hash[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Turns text into vectors. The node adapts its embedder to this trait; tests use a small one.
pub trait Encoder: Send + Sync {
    /// The model's identity; an index refuses any other.
    fn id(&self) -> EncoderId;

    /// Length of a vector.
    fn dim(&self) -> usize;

    /// The most tokens the model reads of one text, its own special tokens included.
    fn max_tokens(&self) -> usize;

    /// One L2-normalised row of [`dim`](Self::dim) numbers per text, row-major.
    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError>;

    /// Where the model's tokens lie in `text`, as byte ranges in order.
    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError>;
}

/// The model could not encode.
#[derive(Debug, thiserror::Error)]
#[error(
    "the embedding model failed ({0}); try again, or fetch the model anew or choose another one"
)]
pub struct EncodeError(#[source] Box<dyn Error + Send + Sync>);

impl EncodeError {
    /// Wraps the model's own error, or a message.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Encodes and checks the shape, so that a faulty model is an error and never a slice out of range.
pub(crate) fn encode_checked(
    encoder: &dyn Encoder,
    texts: &[&str],
) -> Result<Vec<f32>, EncodeError> {
    let rows = encoder.encode(texts)?;
    let expected = texts.len() * encoder.dim();
    if rows.len() != expected {
        return Err(EncodeError::new(format!(
            "{} numbers came back for {} texts, {expected} expected",
            rows.len(),
            texts.len()
        )));
    }
    Ok(rows)
}
