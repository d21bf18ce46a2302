//! `model.json`: what a model's folder holds, written once at installation.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::error::io_at;
use super::{ModelError, ModelInfo};
use crate::ModelId;
use crate::id::{parse_hash, sha256};

pub(super) const MANIFEST: &str = "model.json";
pub(super) const STATIC_MODEL: &str = "model.cvst";
pub(super) const CONFIG: &str = "config.json";
pub(super) const TOKENIZER: &str = "tokenizer.json";
pub(super) const WEIGHTS: &str = "model.safetensors";
/// Present where an adapter makes it another model.
pub(super) const ADAPTER: &str = "adapter.safetensors";
/// What a model of the `bert` family consists of.
pub(super) const BERT_FILES: [&str; 3] = [CONFIG, TOKENIZER, WEIGHTS];

const VERSION: u32 = 1;
const MAX_MANIFEST: u64 = 64 << 10;
/// Most bytes set aside on the word of a header alone.
const TRUSTED: u64 = 128 << 20;

/// How a model computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// A table of token vectors.
    Static,
    /// A BERT encoder with mean pooling.
    Bert,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Static => "static",
            Self::Bert => "bert",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    version: u32,
    pub(super) family: Family,
    id: String,
    dim: usize,
    pub(super) max_tokens: usize,
    licence: String,
    source: String,
    /// SHA-256 of the weights that the lineage started from, if not these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_weights: Option<String>,
    files: BTreeMap<String, FileRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileRecord {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl FileRecord {
    pub(super) fn of(content: &[u8]) -> Self {
        Self { bytes: content.len() as u64, sha256: HEXLOWER.encode(&sha256(content)) }
    }
}

impl Manifest {
    pub(super) fn new(
        info: &ModelInfo,
        files: impl IntoIterator<Item = (&'static str, FileRecord)>,
    ) -> Self {
        Self {
            version: VERSION,
            family: info.family,
            id: info.id.full_hex(),
            dim: info.dim,
            max_tokens: info.max_tokens,
            licence: info.licence.clone(),
            source: info.source.clone(),
            root_weights: None,
            files: files.into_iter().map(|(name, record)| (name.to_owned(), record)).collect(),
        }
    }

    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(MANIFEST);
        let wrong = |reason: String| ModelError::Manifest { path: path.clone(), reason };
        let bytes = read_limited(&path, MAX_MANIFEST)?;
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if manifest.version != VERSION {
            return Err(wrong(format!("version {} is not known here", manifest.version)));
        }
        if manifest.id.parse::<ModelId>().is_err() {
            return Err(wrong("the id is malformed".to_owned()));
        }
        Ok(manifest)
    }

    pub(super) fn to_json(&self) -> Result<Vec<u8>, ModelError> {
        let path = MANIFEST.into();
        let json = serde_json::to_vec_pretty(self);
        json.map_err(|error| ModelError::Manifest { path, reason: error.to_string() })
    }

    pub(super) fn info(&self, name: &str) -> ModelInfo {
        ModelInfo {
            name: name.to_owned(),
            id: self.id.parse().unwrap_or(ModelId { base: [0; 32], release: [0; 32] }),
            family: self.family,
            dim: self.dim,
            max_tokens: self.max_tokens,
            bytes: self.files.values().map(|file| file.bytes).fold(0, u64::saturating_add),
            licence: self.licence.clone(),
            source: self.source.clone(),
            builtin: false,
        }
    }

    pub(super) fn root_weights(&self) -> Result<Option<[u8; 32]>, ModelError> {
        let Some(hex) = &self.root_weights else { return Ok(None) };
        let wrong = || ModelError::Manifest {
            path: MANIFEST.into(),
            reason: "root_weights is not a SHA-256 in lower-case hex".to_owned(),
        };
        parse_hash(hex).map(Some).ok_or_else(wrong)
    }

    /// Whether the model has such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// What is known of one of the model's files.
    pub(super) fn file(&self, name: &str) -> Option<FileRecord> {
        self.files.get(name).cloned()
    }

    /// Reads one of the model's files and checks it against its record.
    pub(super) fn read_file(&self, folder: &Path, name: &str) -> Result<Vec<u8>, ModelError> {
        let path = folder.join(name);
        let record = self.files.get(name).ok_or_else(|| ModelError::Manifest {
            path: folder.join(MANIFEST),
            reason: format!("it does not record {name}"),
        })?;
        let bytes = read_limited(&path, limit_of(name))?;
        expect(&path.display().to_string(), &bytes, &record.sha256)?;
        Ok(bytes)
    }

    pub(super) fn expect_id(&self, folder: &Path, id: ModelId) -> Result<(), ModelError> {
        if self.id == id.full_hex() {
            return Ok(());
        }
        let reason = format!("it records the id {}, but the files make {id}", self.id);
        Err(ModelError::Manifest { path: folder.join(MANIFEST), reason })
    }
}

/// Whether `name` is safe as the name of a model's folder.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(allowed)
}

/// The most bytes that a model's file may have.
pub(super) fn limit_of(name: &str) -> u64 {
    match name {
        WEIGHTS => 2 << 30,
        STATIC_MODEL | ADAPTER => 256 << 20,
        TOKENIZER => 64 << 20,
        _ => 1 << 20,
    }
}

/// Checks that `content` has the SHA-256 `expected`.
pub(super) fn expect(file: &str, content: &[u8], expected: &str) -> Result<(), ModelError> {
    let found = HEXLOWER.encode(&sha256(content));
    if found == expected {
        return Ok(());
    }
    let (file, expected) = (file.to_owned(), expected.to_owned());
    Err(ModelError::Mismatch { file, expected, found })
}

/// Reads a whole file that must not exceed `limit` bytes.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    let file = File::open(path).map_err(io_at(path))?;
    let size = file.metadata().map_err(io_at(path))?.len();
    read_stream(file, &path.display().to_string(), size, limit).map_err(|error| match error {
        StreamError::Io(source) => io_at(path)(source),
        StreamError::TooLarge(error) => error,
    })
}

pub(super) enum StreamError {
    Io(std::io::Error),
    TooLarge(ModelError),
}

/// Reads a stream that claims `size` bytes and must not exceed `limit`.
pub(super) fn read_stream(
    stream: impl Read,
    file: &str,
    size: u64,
    limit: u64,
) -> Result<Vec<u8>, StreamError> {
    let too_large = || StreamError::TooLarge(ModelError::TooLarge { file: file.to_owned(), limit });
    if size > limit {
        return Err(too_large());
    }
    let mut content = Vec::with_capacity(usize::try_from(size.min(TRUSTED)).unwrap_or(0));
    stream.take(limit + 1).read_to_end(&mut content).map_err(StreamError::Io)?;
    if content.len() as u64 > limit { Err(too_large()) } else { Ok(content) }
}
