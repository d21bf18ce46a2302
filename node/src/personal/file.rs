//! The file of a person's own adapter: what it is and was learnt from, and the adapter, in one, so that one is never there without the other.

use std::path::PathBuf;
use std::sync::Arc;

use covey_embedder::adapter::QueryAdapter;
use covey_protocol::ids::{ModelId, Name, UnixMillis};
use serde::{Deserialize, Serialize};

use crate::api::PersonalLearnt;
use crate::models::{embedder_id, model_id};

const VERSION: u32 = 1;

/// What an adapter is, and was learnt from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    version: u32,
    /// The very model whose questions it is for.
    pub(super) model: ModelId,
    /// Length of that model's vectors.
    dim: usize,
    /// Whether the person wants it used.
    pub(super) on: bool,
    pub(super) trained: UnixMillis,
    pub(super) collections: Vec<Name>,
    pub(super) files: Vec<PathBuf>,
    pub(super) learnt: PersonalLearnt,
    /// The release of the model that it was last trained anew for, whatever came of it.
    pub(super) tried: ModelId,
}

/// An adapter that is kept.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) about: About,
    pub(super) adapter: Arc<QueryAdapter>,
}

impl Kept {
    /// Of an adapter that was trained just now.
    pub(super) fn new(
        adapter: QueryAdapter,
        dim: usize,
        trained: UnixMillis,
        (collections, files): (Vec<Name>, Vec<PathBuf>),
        learnt: PersonalLearnt,
    ) -> Self {
        let model = model_id(adapter.model());
        let about = About {
            version: VERSION,
            model,
            dim,
            on: true,
            trained,
            collections,
            files,
            learnt,
            tried: model,
        };
        Self { about, adapter: Arc::new(adapter) }
    }

    /// The length of what it is in JSON (four bytes, little-endian), that, and the adapter's file.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let about = serde_json::to_vec(&self.about).map_err(|error| error.to_string())?;
        let adapter = self.adapter.to_bytes().map_err(|error| error.to_string())?;
        let length = u32::try_from(about.len()).map_err(|error| error.to_string())?;
        Ok([&length.to_le_bytes()[..], &about, &adapter].concat())
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let short = || "it is cut short".to_owned();
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let (about, adapter) =
            rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
        let about: About = serde_json::from_slice(about).map_err(|error| error.to_string())?;
        if about.version != VERSION {
            return Err(format!("it has format version {}", about.version));
        }
        let adapter = QueryAdapter::from_bytes(adapter, embedder_id(about.model), about.dim);
        let adapter = Arc::new(adapter.map_err(|error| error.to_string())?);
        Ok(Self { about, adapter })
    }
}
