//! Errors of embedding itself; those of obtaining a model are in `store`.

use crate::FormatError;

/// Why texts could not be embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The tokenizer rejected the text or its own configuration.
    #[error("the tokenizer failed: {0}")]
    Tokenizer(String),
    /// The tokenizer produced a token that the weights have no row for.
    #[error(
        "the tokenizer produced token {token}, but the model has {rows} rows; its files do not belong together"
    )]
    TokenOutOfRange {
        /// The token's number.
        token: u32,
        /// Rows in the model's table.
        rows: usize,
    },
    /// The tensor backend failed.
    #[error("the tensor backend failed: {0}")]
    Backend(String),
    /// The static model compiled into this program is damaged.
    #[error("the built-in model is damaged: {0}")]
    Builtin(#[from] FormatError),
}
