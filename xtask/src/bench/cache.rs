//! An encoder that remembers: within one benchmark every text is embedded once.
//!
//! Recomputation is deterministic, so results are those of the encoder itself; only its time is saved.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use covey_index::{EncodeError, Encoder, EncoderId};

pub struct Remembering {
    inner: Arc<dyn Encoder>,
    known: Mutex<HashMap<String, Vec<f32>>>,
}

impl Remembering {
    pub fn new(inner: Arc<dyn Encoder>) -> Self {
        Self { inner, known: Mutex::default() }
    }
}

impl Encoder for Remembering {
    fn id(&self) -> EncoderId {
        self.inner.id()
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn max_tokens(&self) -> usize {
        self.inner.max_tokens()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new: Vec<&str> =
            texts.iter().copied().filter(|text| !known.contains_key(*text)).collect();
        new.sort_unstable();
        new.dedup();
        if !new.is_empty() {
            let vectors = self.inner.encode(&new)?;
            for (text, vector) in new.iter().zip(vectors.chunks_exact(self.dim())) {
                known.insert((*text).to_owned(), vector.to_vec());
            }
        }
        Ok(texts.iter().flat_map(|text| known[*text].iter().copied()).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.inner.token_spans(text)
    }
}
