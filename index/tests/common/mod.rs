//! What the integration tests share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

#[path = "../../src/fixture.rs"]
mod fixture;

use std::ops::ControlFlow;
use std::path::Path;

use covey_index::{
    Collection, Encoder, Files, SearchOptions, SearchResult, UpdateOptions, UpdateReport,
};

pub use fixture::WordEncoder;

/// Updates a root with the defaults.
pub fn update(
    collection: &mut Collection,
    root: impl AsRef<Path>,
    files: &dyn Files,
    encoder: &dyn Encoder,
) -> UpdateReport {
    let options = UpdateOptions::default();
    collection
        .update(root.as_ref(), files, encoder, &options, &mut |_| ControlFlow::Continue(()))
        .expect("updates")
}

/// Searches for a text with the defaults.
pub fn ask(
    collection: &Collection,
    question: &str,
    k: usize,
    files: &dyn Files,
    encoder: &WordEncoder,
) -> SearchResult {
    let query = encoder.one(question);
    collection.search(&query, k, files, encoder, &SearchOptions::default()).expect("searches")
}
