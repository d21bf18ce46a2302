//! For tests of this and other crates that need a real transformer.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use crate::{Embedder, ModelError, ModelStore, PullSource, default_cache};

/// Name of the model that [`minilm`] loads.
pub const MINILM_NAME: &str = "all-MiniLM-L6-v2";

/// all-MiniLM-L6-v2 from the model cache, pulled into it at first use.
///
/// Where no source can be reached this prints one line starting with `SKIPPED` to
/// standard error and returns `None`, on which a test should return early. With
/// `COVEY_REQUIRE_MODELS=1` in the environment it panics instead, so that a skip fails.
///
/// # Panics
///
/// As said, and only then.
#[must_use]
pub fn minilm() -> Option<Arc<dyn Embedder>> {
    static MODEL: OnceLock<Option<Arc<dyn Embedder>>> = OnceLock::new();
    MODEL.get_or_init(|| obtain().map_err(report).ok()).clone()
}

/// The store that [`minilm`] uses, for tests that need the model's files; `None` exactly
/// when it returns `None`.
#[must_use]
pub fn store_with_minilm() -> Option<ModelStore> {
    minilm()?;
    ModelStore::open(&default_cache()?).ok()
}

fn obtain() -> Result<Arc<dyn Embedder>, String> {
    let cache = default_cache().ok_or("neither COVEY_MODEL_CACHE nor HOME is set")?;
    let load = || -> Result<Arc<dyn Embedder>, ModelError> {
        let store = ModelStore::open(&cache)?;
        if let Ok(model) = store.load(MINILM_NAME) {
            return Ok(model);
        }
        store.pull(&PullSource::MiniLm, &mut |_| ())?;
        store.load(MINILM_NAME)
    };
    load().map_err(|error| error.to_string())
}

fn report(reason: String) {
    let line = format!("SKIPPED (MiniLM unavailable: {reason})\n");
    let required = std::env::var_os("COVEY_REQUIRE_MODELS").is_some_and(|value| value == "1");
    assert!(!required, "COVEY_REQUIRE_MODELS=1, but {line}");
    // Straight to the stream: a passing test's captured output is never shown.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
