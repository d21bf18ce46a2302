//! Recomputing candidates: their text from the files, their vectors from the encoder.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::candidates::Candidate;
use super::{Hit, SearchResult};
use crate::collection::Snapshot;
use crate::encoder::{Encoder, encode_checked};
use crate::error::IndexError;
use crate::files::Files;
use crate::vectors::{Rows, dot, sanitize};

/// Texts handed to the encoder at once.
const BATCH: usize = 64;

impl Snapshot {
    /// Exact scores of the first `wanted` candidates whose files are as they were, best first.
    pub(super) fn recompute(
        &self,
        query: &[f32],
        candidates: &[Candidate],
        wanted: usize,
        files: &dyn Files,
        encoder: &dyn Encoder,
    ) -> Result<SearchResult, IndexError> {
        let mut result = SearchResult::default();
        let mut fresh: Vec<Hit> = Vec::new();
        let mut rest = candidates;
        while fresh.len() < wanted && !rest.is_empty() {
            let (now, later) = rest.split_at((wanted - fresh.len()).min(rest.len()));
            rest = later;
            let before = fresh.len();
            fresh.extend(self.load(now, files));
            result.stale += now.len() - (fresh.len() - before);
        }
        for batch in fresh.chunks_mut(BATCH) {
            let texts: Vec<&str> = batch.iter().map(|hit| hit.text.as_str()).collect();
            let mut rows = encode_checked(encoder, &texts)?;
            sanitize(&mut rows, self.dim());
            for (hit, row) in batch.iter_mut().zip(Rows::new(&rows, self.dim()).iter()) {
                hit.score = dot(query, row);
            }
        }
        result.recomputed = fresh.len();
        fresh.sort_by(|a, b| b.score.total_cmp(&a.score));
        result.hits = fresh;
        Ok(result)
    }

    /// The chunks whose files are as they were, in order, still without scores. Each file is read
    /// once, and its text dropped before the next is read.
    fn load(&self, candidates: &[Candidate], files: &dyn Files) -> Vec<Hit> {
        let mut by_file: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
        for (at, candidate) in candidates.iter().enumerate() {
            let file = self.parts()[candidate.part].segment.file_of(candidate.chunk);
            by_file.entry((candidate.part, file)).or_default().push(at);
        }
        let mut hits: Vec<(usize, Hit)> = Vec::new();
        for ((part, file), places) in by_file {
            let part = &self.parts()[part];
            let Some(text) = self.texts().current(part, file as u32, files) else {
                continue;
            };
            for at in places {
                let chunk = candidates[at].chunk;
                let hit = part.segment.chunk(chunk).and_then(|chunk| {
                    let piece = text.get(chunk.span.clone())?;
                    let file = &part.segment.files()[file];
                    Some(Hit {
                        score: 0.0,
                        path: file.path.clone(),
                        title: chunk.title.map_or_else(|| file.name(), str::to_owned),
                        span: chunk.span,
                        text: piece.to_owned(),
                        text_hash: Sha256::digest(piece.as_bytes()).into(),
                    })
                });
                hits.extend(hit.map(|hit| (at, hit)));
            }
        }
        hits.sort_unstable_by_key(|(at, _)| *at);
        hits.into_iter().map(|(_, hit)| hit).collect()
    }
}
