//! Encoders that a benchmark hands to the index in place of a model, or around one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use covey_index::{EncodeError, Encoder, EncoderId};
use covey_node::models::ModelHandle;
use serde_json::json;

use super::meter;
use super::sets::Model;

/// Tokens that a record is cut into where vectors are looked up: fewer than a chunk's most.
const PIECES: usize = 200;

/// The real model behind a set.
pub fn model(model: Model) -> Result<Arc<dyn Encoder>> {
    let handle = match model {
        Model::Static => ModelHandle::new(covey_embedder::builtin()?, "static"),
        Model::Minilm => {
            let minilm = covey_embedder::testing::minilm();
            let minilm = minilm.ok_or_else(|| anyhow!("MiniLM cannot be fetched, see above"))?;
            ModelHandle::new(minilm, "bert")
        }
    };
    Ok(handle.encoder)
}

/// Finds vectors by their text. Every text is one chunk.
pub struct Lookup {
    rows: HashMap<String, usize>,
    vectors: Vec<f32>,
    dim: usize,
}

impl Lookup {
    /// `texts` in the order of `vectors`; they are found without the spaces around them too.
    pub fn new(texts: &[String], vectors: Vec<f32>, dim: usize) -> Result<Self> {
        if vectors.len() != texts.len() * dim {
            bail!("there are {} texts for {} vectors", texts.len(), vectors.len() / dim);
        }
        let trimmed = texts.iter().enumerate().map(|(row, text)| (text.trim().to_owned(), row));
        Ok(Self { rows: trimmed.collect(), vectors, dim })
    }
}

impl Encoder for Lookup {
    fn id(&self) -> EncoderId {
        LOOKED_UP
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn max_tokens(&self) -> usize {
        PIECES + 2
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        let mut rows = Vec::with_capacity(texts.len() * self.dim);
        for text in texts {
            let row = self.rows.get(text.trim());
            let row = row.ok_or_else(|| EncodeError::new("a chunk is not one of the records"))?;
            rows.extend_from_slice(&self.vectors[row * self.dim..][..self.dim]);
        }
        Ok(rows)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        let step = text.len().div_ceil(PIECES).max(1);
        let (mut spans, mut start) = (Vec::new(), 0);
        while start < text.len() {
            let end = text.ceil_char_boundary((start + step).min(text.len()));
            spans.push(start..end);
            start = end;
        }
        Ok(spans)
    }
}

const LOOKED_UP: EncoderId = EncoderId { base: [1; 32], release: [1; 32] };

/// A model that answers for the vectors of a [`Lookup`], which it made.
pub struct Posing(pub Arc<dyn Encoder>);

impl Encoder for Posing {
    fn id(&self) -> EncoderId {
        LOOKED_UP
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn max_tokens(&self) -> usize {
        self.0.max_tokens()
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        self.0.encode(texts)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.0.token_spans(text)
    }
}

/// Keeps account of the time that encoding and splitting into tokens take, so that it can be left out, and
/// writes every vector to a file where one is given.
pub struct Watched {
    inner: Arc<dyn Encoder>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    wall: Duration,
    cpu: Duration,
    chunks: u64,
    bytes: u64,
    vectors: Option<BufWriter<File>>,
    texts: Option<BufWriter<File>>,
}

impl Watched {
    pub fn new(inner: Arc<dyn Encoder>) -> Self {
        Self { inner, seen: Mutex::default() }
    }

    /// Writes all vectors to one file, and all texts, as records, to another.
    pub fn writing(self, vectors: &Path, texts: Option<&Path>) -> Result<Self> {
        let mut seen = self.seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        seen.vectors = Some(BufWriter::new(File::create(vectors)?));
        seen.texts = texts.map(File::create).transpose()?.map(BufWriter::new);
        Ok(Self { inner: self.inner, seen: Mutex::new(seen) })
    }

    /// Wall and CPU time of encoding.
    pub fn time(&self) -> (Duration, Duration) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.wall, seen.cpu)
    }

    /// Texts encoded, and their bytes.
    pub fn texts(&self) -> (u64, u64) {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.chunks, seen.bytes)
    }

    /// Makes sure that all is in the files.
    pub fn finish(&self) -> Result<()> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let files = [seen.vectors.take(), seen.texts.take()];
        Ok(files.into_iter().flatten().try_for_each(|mut file| file.flush())?)
    }
}

impl Encoder for Watched {
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
        let (start, cpu) = (Instant::now(), meter::cpu());
        let rows = self.inner.encode(texts)?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut seen.vectors {
            for value in &rows {
                file.write_all(&value.to_le_bytes()).map_err(EncodeError::new)?;
            }
        }
        if let Some(file) = &mut seen.texts {
            for text in texts {
                writeln!(file, "{}", json!({ "text": text })).map_err(EncodeError::new)?;
            }
        }
        seen.chunks += texts.len() as u64;
        seen.bytes += texts.iter().map(|text| text.len() as u64).sum::<u64>();
        seen.wall += start.elapsed();
        seen.cpu += meter::cpu().saturating_sub(cpu);
        Ok(rows)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        let (start, cpu) = (Instant::now(), meter::cpu());
        let spans = self.inner.token_spans(text);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.wall += start.elapsed();
        seen.cpu += meter::cpu().saturating_sub(cpu);
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_found_by_text_and_watched() {
        let texts = ["one".to_owned(), " two\n".to_owned()];
        assert!(Lookup::new(&texts, vec![0.0; 3], 2).is_err());
        let lookup = Lookup::new(&texts, vec![1.0, 0.0, 0.0, 1.0], 2).expect("it fits");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("vectors.f32");
        let records = folder.path().join("chunks.jsonl");
        let watched = Watched::new(Arc::new(lookup)).writing(&path, Some(&records)).expect("files");
        assert_eq!(watched.encode(&["two", "one"]).expect("known"), [0.0, 1.0, 1.0, 0.0]);
        assert!(watched.encode(&["three"]).is_err());
        watched.finish().expect("written");
        assert_eq!(std::fs::read(&path).expect("there").len(), 16);
        let records = std::fs::read_to_string(&records).expect("there");
        assert_eq!(records, "{\"text\":\"two\"}\n{\"text\":\"one\"}\n");
        assert_eq!(watched.texts(), (2, 6));
    }

    #[test]
    fn a_record_has_fewer_tokens_than_a_chunk_may() {
        let lookup = Lookup::new(&[], Vec::new(), 2).expect("nothing");
        for text in ["", "é", "a longer text ", &"wörter ".repeat(999)] {
            let spans = lookup.token_spans(text).expect("spans");
            assert!(spans.len() <= PIECES);
            assert_eq!(spans.iter().map(ExactSizeIterator::len).sum::<usize>(), text.len());
        }
    }
}
