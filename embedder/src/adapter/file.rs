//! An adapter's file: safetensors, one tensor for each of the layout, and one entry of metadata that says
//! what it is an adapter of.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use super::{Adapter, AdapterConfig, AdapterError, Shape};
use crate::ModelId;

/// Key of the metadata entry; there is one only, so that equal adapters have equal bytes.
const KEY: &str = "covey.adapter";
/// The same of an adapter for questions alone, so that neither is taken for the other.
pub(super) const QUERY_KEY: &str = "covey.query-adapter";
const VERSION: u32 = 1;

/// Why bytes are no adapter for a model.
#[derive(Debug, thiserror::Error)]
pub enum AdapterFileError {
    /// Not a safetensors file, or cut short.
    #[error("the adapter is not valid safetensors: {0}")]
    Safetensors(String),
    /// It says nothing of an adapter, or something that cannot be read.
    #[error("the file does not say what it is an adapter of: {0}")]
    Metadata(String),
    /// Of a version that this program does not know.
    #[error("adapter format version {0} is not known here; a newer covey may read it")]
    Version(u32),
    /// Made for another model.
    #[error("the adapter is for model {wanted}, not for {found}")]
    Base {
        /// What the file names.
        wanted: String,
        /// What it was to be used with.
        found: ModelId,
    },
    /// A tensor is missing, or has another shape or type.
    #[error("the adapter's tensor {0} is missing, or has another shape or type than it should")]
    Tensor(String),
    /// It has tensors that no such adapter has.
    #[error("the adapter has {found} tensors where its configuration asks for {expected}")]
    Count {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// It says what an adapter's file says, but not byte by byte as it should.
    #[error("the adapter's file is not in its canonical form; write it anew with covey")]
    NotCanonical,
    /// The configuration does not fit the model, or a value is not finite.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    version: u32,
    /// The model that it is for, by its full id.
    base: String,
    config: AdapterConfig,
}

impl Adapter {
    /// Writes the adapter of model `base` as safetensors; equal adapters give equal bytes.
    ///
    /// # Errors
    ///
    /// Never, unless the tensors exceed what the format can hold.
    pub fn to_bytes(&self, base: ModelId) -> Result<Vec<u8>, AdapterFileError> {
        self.write(KEY, base)
    }

    pub(super) fn write(&self, key: &str, base: ModelId) -> Result<Vec<u8>, AdapterFileError> {
        let about =
            Metadata { version: VERSION, base: base.full_hex(), config: self.config.clone() };
        let about = serde_json::to_string(&about)
            .map_err(|error| AdapterFileError::Metadata(error.to_string()))?;
        let bytes = le_bytes(&self.values);
        let layout = self.layout();
        let views = layout.tensors().iter().map(|tensor| {
            let data = &bytes[tensor.range.start * 4..tensor.range.end * 4];
            TensorView::new(Dtype::F32, tensor.shape.clone(), data)
                .map(|view| (tensor.name.as_str(), view))
        });
        let views: Vec<_> = views.collect::<Result<_, _>>().map_err(broken)?;
        safetensors::serialize(views, Some(HashMap::from([(key.to_owned(), about)])))
            .map_err(broken)
    }

    /// Reads an adapter of model `base`, which has this shape.
    ///
    /// # Errors
    ///
    /// When the bytes are no adapter, are of another version, or are for another model.
    pub fn from_bytes(bytes: &[u8], base: ModelId, shape: Shape) -> Result<Self, AdapterFileError> {
        Self::read(KEY, bytes, base, shape)
    }

    pub(super) fn read(
        key: &str,
        bytes: &[u8],
        base: ModelId,
        shape: Shape,
    ) -> Result<Self, AdapterFileError> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
        let about = header.metadata().as_ref().and_then(|all| all.get(key));
        let about =
            about.ok_or_else(|| AdapterFileError::Metadata(format!("there is no {key}")))?;
        let about: Metadata = serde_json::from_str(about)
            .map_err(|error| AdapterFileError::Metadata(error.to_string()))?;
        if about.version != VERSION {
            return Err(AdapterFileError::Version(about.version));
        }
        if about.base != base.full_hex() {
            return Err(AdapterFileError::Base { wanted: about.base, found: base });
        }
        let layout = about.config.layout(&shape)?;
        let file = SafeTensors::deserialize(bytes).map_err(broken)?;
        let (found, expected) = (file.len(), layout.tensors().len());
        if found != expected {
            return Err(AdapterFileError::Count { found, expected });
        }
        let mut values = Vec::with_capacity(layout.len());
        for tensor in layout.tensors() {
            let wrong = || AdapterFileError::Tensor(tensor.name.clone());
            let view = file.tensor(&tensor.name).map_err(|_| wrong())?;
            if view.dtype() != Dtype::F32 || view.shape() != tensor.shape {
                return Err(wrong());
            }
            values.extend(view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        }
        let adapter = Self::with_values(about.config, shape, values)?;
        // A model's id has the file's hash in it, so what is the same must be so to the byte.
        let canonical = adapter.write(key, base)? == bytes;
        if canonical { Ok(adapter) } else { Err(AdapterFileError::NotCanonical) }
    }
}

pub(super) fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn broken(error: safetensors::SafeTensorError) -> AdapterFileError {
    AdapterFileError::Safetensors(error.to_string())
}
