//! Text in, unit vectors out: the models behind Covey's search.
//!
//! Start from [`Embedder`], the one trait the rest of the system sees, and get one
//! from [`builtin`] (a small static English model inside the binary) or from a
//! [`ModelStore`] (a directory of models that were pulled, verified and recorded).
//! Two families implement it: [`StaticModel`], which looks tokens up in a table and
//! takes a weighted mean, and [`BertModel`], MiniLM-class encoders run in f32 or in whole
//! numbers ([`Precision`]), or on a graphics card ([`Compute`]). [`distill()`] makes the first from the second, on
//! `burn`'s flex backend; [`distill_and_train`] made the built-in one.
//!
//! This crate knows neither the index nor the network, and takes no part in
//! deciding which model a node or a group uses; it only names models exactly
//! ([`ModelId`]). Only [`ModelStore`] and [`testing`] touch files or processes.
//! The file format of static models is docs/spec/static-model-format.md.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod adapter;
pub mod bench;
mod bert;
mod builtin;
mod compute;
mod distill;
mod error;
pub mod eval;
mod id;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod kernels;
mod statics;
mod store;
pub mod testing;
mod tokens;
pub mod train;
mod vector;

use std::ops::Range;

pub use bert::{BertError, BertModel, Precision};
pub use builtin::{BUILTIN_NAME, builtin, builtin_model};
pub use compute::{Compute, ComputeError, ParseComputeError};
pub use distill::{
    ContrastOptions, ContrastProgress, DistillError, DistillOptions, DistillProgress, TextPair,
    distill, distill_and_train,
};
pub use error::EmbedError;
pub use id::{ModelId, ParseModelIdError};
pub use statics::{Bits, FormatError, StaticAbout, StaticModel, StaticParts};
pub use store::{
    Family, LearnerError, ModelError, ModelInfo, ModelStore, PullProgress, PullSource, PullStage,
    default_cache,
};

/// A model that maps texts to unit vectors whose dot product is their similarity.
///
/// Implementations are deterministic: a text gets the same vector alone or in any
/// batch, up to 1e-5 in each coordinate.
pub trait Embedder: Send + Sync {
    /// The exact model; vectors of different releases must not be compared.
    fn id(&self) -> ModelId;

    /// The name a person knows it by, such as `all-MiniLM-L6-v2`.
    fn name(&self) -> &str;

    /// Length of each vector.
    fn dim(&self) -> usize;

    /// How many content tokens of a text count (markers such as `[CLS]` excluded); what
    /// lies beyond is ignored by [`embed`](Self::embed).
    fn max_tokens(&self) -> usize;

    /// Embeds `texts` into `texts.len() * dim()` floats, row-major, each row of unit
    /// length. A text without tokens gets a row of zeros.
    ///
    /// # Errors
    ///
    /// When the tokenizer or the backend fails, or the text maps to a token that the
    /// weights do not have.
    fn embed(&self, texts: &[&str]) -> Result<Vec<f32>, EmbedError>;

    /// Byte range of each content token of the whole `text`, in order and without
    /// truncation, for cutting text into chunks.
    ///
    /// # Errors
    ///
    /// When the tokenizer fails.
    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EmbedError>;
}
