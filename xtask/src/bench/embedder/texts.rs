//! What is embedded: pieces of a retrieval set.

use std::path::Path;

use anyhow::{Context, Result};
use covey_embedder::bench::{CHUNK, QUERY, cut};
use covey_embedder::builtin;
use covey_embedder::eval::Set;

/// Chunks of the largest batch.
pub const BATCH: usize = 32;
/// Chunks for what takes microseconds.
const MANY: usize = 2_000;
/// Documents, and questions as many, whose vectors are compared.
const COMPARED: usize = 100;

/// Texts of several kinds. Tokens are those of uncased WordPiece over BERT's vocabulary, which all models here share.
pub struct Texts {
    /// Chunks of exactly 256 tokens, markers included.
    pub chunks: Vec<String>,
    /// A question of exactly 12.
    pub query: String,
    /// Documents and questions as they are.
    pub compared: Vec<String>,
}

impl Texts {
    /// Takes them from the set in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let set = Set::read(folder, "test")?;
        let model = builtin()?;
        let documents: Vec<&str> = set.documents.iter().map(|it| it.text.as_str()).collect();
        let chunks = cut(model.as_ref(), &documents.join("\n"), CHUNK - 2, MANY)?;
        let mut query = None;
        for question in &set.queries {
            if model.token_spans(&question.text)?.len() == QUERY - 2 {
                query = Some(question.text.clone());
                break;
            }
        }
        let questions = set.queries.iter().take(COMPARED).map(|it| it.text.clone());
        let compared = documents.iter().take(COMPARED).map(|it| (*it).to_owned());
        let compared = compared.chain(questions).filter(|text| !text.trim().is_empty()).collect();
        anyhow::ensure!(chunks.len() >= BATCH, "the set has fewer than {BATCH} chunks of text");
        let query = query.with_context(|| format!("no question has {QUERY} tokens"))?;
        Ok(Self { chunks, query, compared })
    }
}
