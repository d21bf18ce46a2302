//! Answering a query: codes find candidates, files give back their text, the encoder their vectors.

mod candidates;
mod recompute;
mod texts;

use std::ops::Range;
use std::path::PathBuf;

use crate::collection::Snapshot;
use crate::encoder::Encoder;
use crate::error::IndexError;
use crate::files::Files;

pub(crate) use texts::TextCache;

/// How to search.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SearchOptions {
    /// How many candidates are embedded again and ranked exactly; never fewer than asked for.
    pub rerank: usize,
    /// Width of the beam that walks the graph; never below `rerank`.
    pub beam: usize,
    /// How candidates are found.
    pub traversal: Traversal,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self { rerank: 96, beam: 192, traversal: Traversal::Auto }
    }
}

/// How candidates are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traversal {
    /// By whichever is cheaper for a segment of its size.
    Auto,
    /// By walking the graph.
    Graph,
    /// By estimating every chunk from its code.
    Scan,
}

/// The answer to a query.
#[derive(Clone, Debug, Default)]
pub struct SearchResult {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Chunks whose vectors were recomputed.
    pub recomputed: usize,
    /// Chunks looked at by their codes.
    pub visited: usize,
    /// Chunks passed over since their file changed, vanished or cannot be read: update its folder.
    pub stale: usize,
}

/// A chunk found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Inner product of the query with the chunk's recomputed vector.
    pub score: f32,
    /// The file.
    pub path: PathBuf,
    /// The headings the chunk stands under, or the file's name below its root.
    pub title: String,
    /// Where the chunk lies in the file's extracted text, in bytes.
    pub span: Range<usize>,
    /// The chunk's text: exactly what was embedded.
    pub text: String,
    /// SHA-256 of that text.
    pub text_hash: [u8; 32],
}

impl Snapshot {
    /// The `k` chunks whose vectors have the largest inner product with `query`, with the exact
    /// scores. `query` must have been made by the encoder the collection was built with.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        files: &dyn Files,
        encoder: &dyn Encoder,
        options: &SearchOptions,
    ) -> Result<SearchResult, IndexError> {
        self.check_encoder(encoder)?;
        self.check_query(query)?;
        if k == 0 {
            return Ok(SearchResult::default());
        }
        let wanted = options.rerank.max(k);
        let (candidates, visited) = self.candidates(query, wanted, options);
        let mut result = self.recompute(query, &candidates, wanted, files, encoder)?;
        result.visited = visited;
        result.hits.truncate(k);
        Ok(result)
    }

    fn check_query(&self, query: &[f32]) -> Result<(), IndexError> {
        let bad = |what: String| Err(IndexError::BadQuery { what });
        if query.len() != self.dim() {
            return bad(format!("it has {} dimensions, not {}", query.len(), self.dim()));
        }
        if !query.iter().all(|x| x.is_finite()) {
            return bad("it is not made of finite numbers".into());
        }
        Ok(())
    }
}
