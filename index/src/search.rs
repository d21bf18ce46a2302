//! Answering a query: codes find candidates and bound their scores, files give back the text of those
//! that could matter, the encoder their vectors.

mod calibrate;
mod candidates;
mod lines;
mod listing;
mod mask;
mod pace;
mod pool;
mod recompute;
pub(crate) mod rule;
mod texts;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::collection::Snapshot;
use crate::encoder::Encoder;
use crate::error::IndexError;
use crate::files::Files;
use crate::filter::Filter;

pub use lines::{GrepHit, GrepResult};
pub use listing::{Listed, ListedChunk, ListedFile};
pub(crate) use pool::Estimate;
pub(crate) use texts::{Reading, TextCache};

/// Tells how much time is left, as this crate reads no clock: never more than when it was asked before.
pub type TimeLeft<'a> = &'a (dyn Fn() -> Duration + Sync);

/// How to search. What is `None` is as the collection's [`Settings`](crate::Settings) have it.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
pub struct SearchOptions<'a> {
    /// Most chunks recomputed; never fewer than asked for where scores are to be exact.
    pub recompute: Option<usize>,
    /// Blocks scanned of each segment that has blocks.
    pub probes: Option<usize>,
    /// How sure to be that what is left out is no better, in standard deviations.
    pub confidence: Option<f32>,
    /// Whether every hit's score is recomputed, or only those whose place is in doubt.
    pub exact: Option<bool>,
    /// Which chunks may be found.
    pub filter: Option<&'a Filter>,
    /// How much time is left: asked often, as the search sizes its batches of recomputation by that and
    /// by what those before took, and ends with what it has when no other would fit.
    pub time_left: Option<TimeLeft<'a>>,
}

impl fmt::Debug for SearchOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchOptions")
            .field("recompute", &self.recompute)
            .field("probes", &self.probes)
            .field("confidence", &self.confidence)
            .field("exact", &self.exact)
            .field("filter", &self.filter)
            .field("time_left", &self.time_left.is_some())
            .finish()
    }
}

/// Why a search recomputed no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stopped {
    /// Nothing that was left out can belong to the answer, as sure as was asked for.
    #[default]
    Bound,
    /// As many chunks were recomputed as were allowed.
    Budget,
    /// No other would have fitted into the time.
    Time,
}

/// The answer to a query.
#[derive(Clone, Debug, Default)]
pub struct SearchResult {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Chunks whose vectors were recomputed.
    pub recomputed: usize,
    /// Chunks whose vectors were still there from an earlier search; they are no part of what may be
    /// recomputed.
    pub cached: usize,
    /// Chunks looked at by their codes.
    pub visited: usize,
    /// Chunks passed over since their file changed, vanished or cannot be read: update its folder.
    pub stale: usize,
    /// Why no more were recomputed.
    pub stopped: Stopped,
    /// The largest score that a chunk which is not among the hits may have, as sure as was asked for.
    pub bound: f32,
}

/// A chunk found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Inner product of the query with the chunk's vector.
    pub score: f32,
    /// How far off the score may be, as sure as was asked for; 0 for a recomputed one. (One whose vector
    /// was kept is off by less than .001.)
    pub margin: f32,
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
    /// The `k` chunks whose vectors have the largest inner product with `query`. `query` must have been
    /// made by the encoder the collection was built with.
    pub fn search(
        &self,
        query: &[f32],
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
        self.past_stale(k / 2 + 4, |sound, spares, known| {
            let wanted = k.saturating_add(spares);
            plan.keep = plan.keep.max(wanted);
            let found = sound.candidates(query, wanted, &plan);
            Ok(sound.race(query, k, found, &plan, known, files, encoder)?.0)
        })
    }

    /// Makes an attempt at an answer, for which there are some spares. Where more turned out to be stale than
    /// that, others were passed over too early, and another attempt is made without the files these are in.
    fn past_stale(
        &self,
        mut spares: usize,
        mut attempt: impl FnMut(&Self, usize, &mut Known) -> Result<SearchResult, IndexError>,
    ) -> Result<SearchResult, IndexError> {
        let (mut sound, mut known) = (self.clone(), Known::default());
        loop {
            let result = attempt(&sound, spares, &mut known)?;
            let hidden = result.stale - known.stale > spares && !known.stale_files.is_empty();
            if !hidden || result.stopped == Stopped::Time {
                return Ok(result);
            }
            sound = sound.without(std::mem::take(&mut known.stale_files));
            (known.recomputed, known.cached) = (result.recomputed, result.cached);
            known.stale = result.stale;
            spares = spares.saturating_mul(2);
        }
    }

    /// The options with the settings filled in.
    fn plan<'a>(&self, k: usize, options: &SearchOptions<'a>) -> Plan<'a> {
        let settings = self.settings();
        let chunks = self.parts().iter().map(|part| part.segment.len() as usize).sum();
        let exact = options.exact.unwrap_or(settings.exact);
        let budget = options.recompute.unwrap_or_else(|| settings.recompute_at(chunks));
        let confidence = options.confidence.filter(|z| z.is_finite() && *z >= 0.0);
        Plan {
            budget: if exact { budget.max(k) } else { budget },
            keep: k.max(budget.saturating_mul(2)).max(MIN_KEPT),
            probes: options.probes.or((settings.probes > 0).then_some(settings.probes as usize)),
            confidence: confidence.unwrap_or_else(|| settings.confidence_at(chunks)),
            exact,
            filter: options.filter,
            time_left: options.time_left,
        }
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

/// What attempts at an answer found out for those after them.
#[derive(Default)]
struct Known {
    /// Exact scores of chunks, by part and number.
    scores: HashMap<(usize, u32), f32>,
    /// Files that are not as they were, by part and number, of the last attempt.
    stale_files: BTreeSet<(usize, u32)>,
    /// Counts of a [`SearchResult`] of the attempts before the last.
    recomputed: usize,
    cached: usize,
    stale: usize,
}

/// Candidates that are kept at least.
const MIN_KEPT: usize = 128;

/// What one search may do.
struct Plan<'a> {
    budget: usize,
    /// Candidates kept.
    keep: usize,
    probes: Option<usize>,
    confidence: f32,
    exact: bool,
    filter: Option<&'a Filter>,
    time_left: Option<TimeLeft<'a>>,
}
