//! An encoder that remembers: every text is embedded once, over all runs of a benchmark.
//!
//! Embedding is deterministic, so results are those of the encoder itself; only its time is saved.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use covey_crypto::Digest;
use covey_index::{EncodeError, Encoder, EncoderId};

/// An encoder with a memory of what it embedded.
pub struct Remembering {
    inner: Arc<dyn Encoder>,
    known: Mutex<Known>,
}

/// Vectors by the digest of their text, and the file they are also in: digest and vector, in turn.
struct Known {
    vectors: HashMap<Digest, Vec<f32>>,
    file: File,
}

impl Remembering {
    /// Remembers in a file of `folder`, named after the encoder.
    pub fn new(inner: Arc<dyn Encoder>, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let name = Digest::from_bytes(inner.id().release);
        let path = folder.join(format!("{name}.f32"));
        let vectors = read(&path, inner.dim()).with_context(|| path.display().to_string())?;
        let whole = vectors.len() * (32 + 4 * inner.dim());
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        // A run that was killed may have left half an entry.
        file.set_len(whole as u64)?;
        Ok(Self { inner, known: Mutex::new(Known { vectors, file }) })
    }
}

fn read(path: &Path, dim: usize) -> Result<HashMap<Digest, Vec<f32>>> {
    let mut vectors = HashMap::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vectors),
        Err(error) => return Err(error.into()),
    };
    let mut reader = BufReader::new(file);
    let (mut digest, mut bytes) = ([0; 32], vec![0; 4 * dim]);
    while reader.read_exact(&mut digest).is_ok() && reader.read_exact(&mut bytes).is_ok() {
        let values = bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value));
        vectors.insert(Digest::from_bytes(digest), values.collect());
    }
    Ok(vectors)
}

impl Known {
    fn remember(&mut self, digest: Digest, vector: &[f32]) -> std::io::Result<()> {
        if self.vectors.insert(digest, vector.to_vec()).is_none() {
            let mut entry = digest.as_bytes().to_vec();
            entry.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
            self.file.write_all(&entry)?;
        }
        Ok(())
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
        let digests: Vec<Digest> =
            texts.iter().map(|text| Digest::sha256(text.as_bytes())).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let new: Vec<usize> =
            (0..texts.len()).filter(|row| !known.vectors.contains_key(&digests[*row])).collect();
        if !new.is_empty() {
            let unknown: Vec<&str> = new.iter().map(|row| texts[*row]).collect();
            let vectors = self.inner.encode(&unknown)?;
            for (row, vector) in new.iter().zip(vectors.chunks_exact(self.dim())) {
                known.remember(digests[*row], vector).map_err(EncodeError::new)?;
            }
        }
        Ok(digests.iter().flat_map(|digest| known.vectors[digest].iter().copied()).collect())
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        self.inner.token_spans(text)
    }
}
