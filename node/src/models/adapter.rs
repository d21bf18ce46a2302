//! Lets the index use an embedder: the two crates do not know each other.

use std::ops::Range;
use std::sync::Arc;

use covey_crypto::Digest;
use covey_embedder::Embedder;
use covey_index::{EncodeError, Encoder, EncoderId};
use covey_protocol::ids::ModelId;

/// An embedder seen as an encoder.
pub(super) struct Adapter(pub(super) Arc<dyn Embedder>);

impl Encoder for Adapter {
    fn id(&self) -> EncoderId {
        let id = self.0.id();
        EncoderId { base: id.base, release: id.release }
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        self.0.embed(texts).map_err(EncodeError::new)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.0.token_spans(text).map_err(EncodeError::new)
    }
}

/// The id as it goes over the wire.
pub fn model_id(id: covey_embedder::ModelId) -> ModelId {
    ModelId { base: Digest::from_bytes(id.base), release: Digest::from_bytes(id.release) }
}

/// The id as the embedder has it.
pub fn embedder_id(id: ModelId) -> covey_embedder::ModelId {
    covey_embedder::ModelId { base: *id.base.as_bytes(), release: *id.release.as_bytes() }
}
