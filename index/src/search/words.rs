//! Searching by words, and by words and vectors together.

use std::collections::HashMap;

use super::candidates::Candidate;
use super::mask::Mask;
use super::texts::Reading;
use super::{Hit, Known, SearchOptions, SearchResult};
use crate::collection::Snapshot;
use crate::encoder::Encoder;
use crate::error::IndexError;
use crate::files::Files;
use crate::hybrid::{DEFAULT_ALPHA, fuse};

/// Chunks by part and number, with their scores.
type Ranking = Vec<((usize, u32), f32)>;

/// The best of each ranking that are joined.
const JOINED: usize = 100;
/// How many more than twice as many as are asked for are ranked, as some may turn out to be stale.
const SPARES: usize = 16;

impl Snapshot {
    /// Whether chunks can be searched by their words.
    pub fn has_words(&self) -> bool {
        self.words().is_some()
    }

    /// The `k` chunks that fit the words of `text` best, by BM25; scores of one answer compare with
    /// each other only. An error where the collection has no lexical index.
    pub fn search_words(
        &self,
        text: &str,
        k: usize,
        files: &dyn Files,
        options: &SearchOptions<'_>,
    ) -> Result<SearchResult, IndexError> {
        self.past_stale(SPARES.saturating_add(k), |sound, spares, known| {
            let ranked = sound.rank_words(text, k.saturating_add(spares), options)?;
            Ok(sound.read_hits(ranked, k, known, files))
        })
    }

    /// The `k` best chunks by their vectors and their words: a convex combination of both scores,
    /// between 0 and 1, in which the vectors' share is `alpha` ([`Self::VECTOR_SHARE`] by default).
    /// A chunk that the search by vectors did not recompute counts with its estimate.
    #[expect(clippy::too_many_arguments, reason = "both kinds of query, and what each needs")]
    pub fn search_both(
        &self,
        query: &[f32],
        text: &str,
        alpha: Option<f32>,
        k: usize,
        files: &dyn Files,
        encoder: &dyn Encoder,
        options: &SearchOptions<'_>,
    ) -> Result<SearchResult, IndexError> {
        self.check_encoder(encoder)?;
        self.check_query(query)?;
        if k == 0 {
            return Ok(SearchResult::default());
        }
        let mut plan = self.plan(k, options);
        self.past_stale(SPARES.saturating_add(k), |sound, spares, known| {
            let wanted = JOINED.max(k.saturating_add(spares));
            plan.keep = plan.keep.max(wanted);
            let found = sound.candidates(query, wanted, &plan);
            // Before the race, which uses up the time there is.
            let lexical = sound.rank_words(text, wanted, options)?;
            let (result, dense) = sound.race(query, k, found, &plan, known, files, encoder)?;
            let dense: Ranking = dense.into_iter().take(wanted).collect();
            let ranked = fuse(&dense, &lexical, alpha.unwrap_or(DEFAULT_ALPHA));
            let joined = sound.read_hits(ranked, k, known, files);
            Ok(SearchResult { hits: joined.hits, stale: result.stale.max(joined.stale), ..result })
        })
    }

    /// The share of the vectors' scores in [`search_both`](Self::search_both) by default.
    pub const VECTOR_SHARE: f32 = DEFAULT_ALPHA;

    /// Chunks by part and number, with their BM25 scores.
    fn rank_words(
        &self,
        text: &str,
        k: usize,
        options: &SearchOptions<'_>,
    ) -> Result<Ranking, IndexError> {
        let words = self.words().ok_or(IndexError::NoWords)?;
        let chunks = self.parts().iter().map(|part| part.segment.len() as usize).sum::<usize>();
        let k = k.min(chunks).max(1);
        let parts: HashMap<u64, (usize, Mask<'_>)> = self
            .parts()
            .iter()
            .enumerate()
            .map(|(at, part)| (part.id, (at, Mask::new(part, options.filter))))
            .collect();
        let live = |segment: u64, chunk: u32| {
            parts.get(&segment).is_some_and(|(_, mask)| mask.passes(chunk))
        };
        let hits = words.search(text, k, &live)?;
        let ranked = hits.into_iter().filter_map(|hit| {
            let (at, _) = parts.get(&hit.segment)?;
            Some(((*at, hit.chunk), hit.score))
        });
        Ok(ranked.collect())
    }

    /// The first `k` of a ranking whose files are as they were.
    fn read_hits(
        &self,
        ranked: Ranking,
        k: usize,
        known: &mut Known,
        files: &dyn Files,
    ) -> SearchResult {
        let mut reading = Reading::new(self, files);
        let (visited, stale) = (ranked.len(), known.stale);
        let mut result = SearchResult { visited, stale, ..SearchResult::default() };
        for ((part, chunk), score) in ranked {
            if result.hits.len() == k {
                break;
            }
            match reading.hit(part, chunk) {
                Some(hit) => result.hits.push(Hit { score, ..hit }),
                None => result.stale += 1,
            }
        }
        known.stale_files.extend(reading.stale());
        result
    }
}

impl Candidate {
    pub(super) fn key(&self) -> (usize, u32) {
        (self.part, self.chunk)
    }
}
