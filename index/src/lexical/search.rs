//! Asking the index.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use tantivy::columnar::Column;
use tantivy::query::{
    Bm25StatisticsProvider, BooleanQuery, EnableScoring, Occur, Query, TermQuery, Weight,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{Searcher, SegmentReader, Term};

use super::analysis::analyzer;
use super::error::guarded;
use super::{LexicalError, layout::Fields};

/// The longest part of a query that is read, in bytes.
const MAX_QUERY_BYTES: usize = 16 << 10;
/// The most words of a query that are searched for.
const MAX_QUERY_WORDS: usize = 128;

/// A chunk that shares words with the query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LexicalHit {
    /// Number of its segment.
    pub(crate) segment: u64,
    /// Its number in the segment.
    pub(crate) chunk: u32,
    /// BM25: above 0, without an upper bound, comparable within one query only.
    pub(crate) score: f32,
}

/// What one commit holds; it goes on answering, unchanged, while the index is written.
#[derive(Clone)]
pub(crate) struct LexicalReader {
    searcher: Searcher,
    fields: Fields,
    tokens: u64,
    documents: u64,
}

impl LexicalReader {
    pub(super) fn new(searcher: Searcher, fields: Fields) -> Result<Self, LexicalError> {
        guarded(|| {
            let tokens = searcher.total_num_tokens(fields.body)?;
            let documents = searcher.total_num_docs()?;
            Ok(Self { searcher, fields, tokens, documents })
        })
    }

    /// The `k` best chunks among those that `live` lets pass, best first, equal scores in order of
    /// segment and chunk. Any text is a query: its words are searched for as a set, each for
    /// itself, and there is no syntax in it. No words, no hits.
    pub(crate) fn search(
        &self,
        query: &str,
        k: usize,
        live: &dyn Fn(u64, u32) -> bool,
    ) -> Result<Vec<LexicalHit>, LexicalError> {
        let words = self.words(query);
        if words.is_empty() || k == 0 {
            return Ok(Vec::new());
        }
        guarded(|| {
            let any = words.into_iter().map(|word| {
                let query: Box<dyn Query> =
                    Box::new(TermQuery::new(word, IndexRecordOption::WithFreqs));
                (Occur::Should, query)
            });
            let weight = BooleanQuery::new(any.collect())
                .weight(EnableScoring::enabled_from_statistics_provider(self, &self.searcher))?;
            let mut best = Best { k, heap: BinaryHeap::new() };
            for part in self.searcher.segment_readers() {
                collect(part, &*weight, live, &mut best)?;
            }
            Ok(best.hits())
        })
    }

    /// The query's words, each as often as it stands there, as documents have them.
    fn words(&self, query: &str) -> Vec<Term> {
        let mut analyzer = analyzer();
        let mut words = Vec::new();
        let query = &query[..query.floor_char_boundary(MAX_QUERY_BYTES)];
        let mut stream = analyzer.token_stream(query);
        while words.len() < MAX_QUERY_WORDS && stream.advance() {
            words.push(Term::from_field_text(self.fields.body, &stream.token().text));
        }
        words
    }
}

/// The statistics of the whole index.
impl Bm25StatisticsProvider for LexicalReader {
    fn total_num_tokens(&self, _: Field) -> tantivy::Result<u64> {
        Ok(self.tokens)
    }

    fn total_num_docs(&self) -> tantivy::Result<u64> {
        Ok(self.documents)
    }

    fn doc_freq(&self, term: &Term) -> tantivy::Result<u64> {
        self.searcher.doc_freq(term)
    }
}

/// Offers every live chunk of one part that can still be among the best.
fn collect(
    part: &SegmentReader,
    weight: &dyn Weight,
    live: &dyn Fn(u64, u32) -> bool,
    best: &mut Best,
) -> Result<(), LexicalError> {
    let segments: Column<u64> = part.fast_fields().u64("segment")?;
    let chunks: Column<u64> = part.fast_fields().u64("chunk")?;
    let alive = part.alive_bitset();
    let threshold = best.threshold();
    weight.for_each_pruning(threshold, part, &mut |doc, score| {
        let key = (segments.first(doc), chunks.first(doc));
        if alive.is_none_or(|alive| alive.is_alive(doc))
            && let (Some(segment), Some(chunk)) = key
            && let Ok(chunk) = u32::try_from(chunk)
            && live(segment, chunk)
        {
            best.offer(LexicalHit { segment, chunk, score });
        }
        best.threshold()
    })?;
    Ok(())
}

/// The best `k` so far, the worst of them on top of the heap.
struct Best {
    k: usize,
    heap: BinaryHeap<Reverse<Ranked>>,
}

impl Best {
    /// Only a score above this can change the result; it is just below the worst one kept, so that
    /// of equal scores the earlier chunk wins, in whatever order they come.
    fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(Reverse(worst)) if self.heap.len() >= self.k => worst.0.score.next_down(),
            _ => f32::MIN,
        }
    }

    fn offer(&mut self, hit: LexicalHit) {
        self.heap.push(Reverse(Ranked(hit)));
        if self.heap.len() > self.k {
            self.heap.pop();
        }
    }

    fn hits(self) -> Vec<LexicalHit> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse(ranked)| ranked.0).collect()
    }
}

/// Better is greater.
struct Ranked(LexicalHit);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |hit: &LexicalHit| (hit.segment, hit.chunk);
        self.0.score.total_cmp(&other.0.score).then_with(|| key(&other.0).cmp(&key(&self.0)))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}
