//! Searching own collections.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use covey_crypto::Digest;
use covey_index::{
    EncoderId, Files, Grep, GrepResult, Hit, IndexError, SearchOptions, SearchResult, Snapshot,
    TimeLeft,
};
use covey_protocol::ids::{ModelId, Name};

use super::slot::{Slot, View};
use super::{Collections, Vectors};
use crate::api::{ApiError, ErrorCode, LineHit, Stopped};
use crate::errors;
use crate::models::ModelHandle;

/// A match in an own collection.
#[derive(Debug, Clone)]
pub struct LocalHit {
    /// Where.
    pub collection: Name,
    /// What.
    pub hit: Hit,
    /// The file's path inside the collection, with `/` between folders.
    pub inside: String,
    /// The headings above it, if any.
    pub heading: Option<String>,
}

/// What own collections hold on a question.
#[derive(Debug, Clone, Default)]
pub struct LocalSearch {
    /// Best first.
    pub hits: Vec<LocalHit>,
    /// Lines that match, where lines were searched.
    pub lines: Vec<LineHit>,
    /// Chunks embedded again to rank them exactly.
    pub recomputed: usize,
    /// Chunks ranked exactly by what an earlier question had embedded.
    pub cached: usize,
    /// Chunks looked at by their codes, or ranked by their words; files where lines were searched.
    pub visited: usize,
    /// Chunks passed over since their file changed; files where lines were searched.
    pub stale: usize,
    /// Why it ended, if anything limits it: of several collections, what limited most.
    pub stopped: Option<Stopped>,
    /// The largest score that what is not among the hits may have, if that is known.
    pub bound: Option<f32>,
    /// Collections left out and why, a sentence each.
    pub notes: Vec<String>,
}

/// What is looked for.
#[derive(Clone, Copy)]
pub enum Query<'a> {
    /// What is close to a question's vector.
    Vector(&'a Vectors),
    /// What has these words.
    Words(&'a str),
    /// Both.
    Both(&'a Vectors, &'a str),
    /// Lines that match.
    Lines(&'a Grep),
}

impl<'a> Query<'a> {
    fn vectors(&self) -> Option<&'a Vectors> {
        match self {
            Self::Vector(vectors) | Self::Both(vectors, _) => Some(vectors),
            Self::Words(_) | Self::Lines(_) => None,
        }
    }

    fn needs_words(&self) -> bool {
        match self {
            Self::Words(_) | Self::Both(..) => true,
            Self::Vector(..) | Self::Lines(_) => false,
        }
    }
}

impl Collections {
    /// The `limit` best matches in each of the collections called `only` (all by default), or that
    /// many lines of all of them. A collection that cannot be searched is left out and named in the
    /// notes.
    pub fn search(
        &self,
        only: Option<&BTreeSet<Name>>,
        query: Query<'_>,
        limit: usize,
        options: &SearchOptions<'_>,
    ) -> LocalSearch {
        let _searching = self.signals.searching();
        let mut found = LocalSearch::default();
        let mut releases = Vec::new();
        let mut slots = self.slots();
        slots.retain(|slot| only.is_none_or(|only| only.contains(&slot.name)));
        for (at, slot) in slots.iter().enumerate() {
            let name = &slot.name;
            let snapshot = match ready(slot, &query) {
                Ok(snapshot) => snapshot,
                Err(Unfit { what, fix, .. }) => {
                    found.notes.push(format!("collection {name} was left out: {what}; {fix}"));
                    continue;
                }
            };
            let limited = options.time_left.filter(|_| query.vectors().is_some());
            let shared = limited.map(|left| share(left, slots.len() - at));
            let mut options = *options;
            if let Some(left) = &shared {
                options.time_left = Some(left);
            }
            // What the tuner chose was weighed against the time it takes.
            let settings = slot.settings().filter(|settings| settings.exact && !slot.is_tuned());
            if let Some(settings) = settings {
                let model = query.vectors().map(Vectors::model);
                let cheap = model.and_then(ModelHandle::cheap_recompute);
                let cheap = cheap.filter(|cheap| *cheap > settings.recompute as usize);
                options.recompute = options.recompute.or(cheap);
            }
            match self.search_one(&snapshot, query, limit, &options) {
                Ok(One::Chunks(result)) => {
                    found.take(slot, result, query.needs_words());
                    releases.resize(found.hits.len(), release(&snapshot));
                }
                Ok(One::Lines(lines)) => found.take_lines(name, limit, lines),
                Err(error) => {
                    found.notes.push(format!("collection {name} was left out: {error}"));
                }
            }
        }
        if let Query::Vector(vectors) = query {
            found.align(vectors, &releases);
        }
        found.hits.sort_by(|a, b| {
            let place =
                |hit: &LocalHit| (hit.collection.clone(), hit.hit.path.clone(), hit.hit.span.start);
            b.hit.score.total_cmp(&a.hit.score).then_with(|| place(a).cmp(&place(b)))
        });
        found
    }

    fn search_one(
        &self,
        snapshot: &Snapshot,
        query: Query<'_>,
        limit: usize,
        options: &SearchOptions<'_>,
    ) -> Result<One, IndexError> {
        let files: &dyn Files = &*self.files;
        let result = match query {
            Query::Vector(vectors) => {
                let (model, vector) = fitting(vectors, snapshot);
                snapshot.search(vector, limit, files, &*model.encoder, options)?
            }
            Query::Words(text) => snapshot.search_words(text, limit, files, options)?,
            Query::Both(vectors, text) => {
                let (model, vector) = fitting(vectors, snapshot);
                let encoder = &*model.encoder;
                snapshot.search_both(vector, text, None, limit, files, encoder, options)?
            }
            Query::Lines(grep) => {
                let late = || options.time_left.is_some_and(|left| left().is_zero());
                return Ok(One::Lines(snapshot.grep(grep, limit, files, options.filter, &late)));
            }
        };
        Ok(One::Chunks(result))
    }

    /// Checks that `name` is here, can be read, and fits the query.
    ///
    /// # Errors
    /// Otherwise, saying what to do.
    pub fn check_searchable(&self, name: &Name, query: Query<'_>) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        ready(&slot, &query).map(drop).map_err(|unfit| {
            let message = format!("collection {name} cannot be searched: {}", unfit.what);
            let hint = match unfit.code {
                ErrorCode::WrongModel => {
                    format!("{}, or go back with `covey model use`", unfit.fix)
                }
                _ => unfit.fix,
            };
            ApiError::new(unfit.code, message).hint(hint)
        })
    }
}

/// The time left to the first of `collections` that are still to be searched: what it leaves, the
/// others have.
fn share(left: TimeLeft<'_>, collections: usize) -> impl Fn() -> Duration + Sync + '_ {
    let all = left();
    let of_others = all - all / u32::try_from(collections).unwrap_or(u32::MAX);
    move || left().saturating_sub(of_others)
}

/// What one collection gave.
enum One {
    Chunks(SearchResult),
    Lines(GrepResult),
}

/// Why a collection does not suit a query.
struct Unfit {
    code: ErrorCode,
    what: String,
    fix: String,
}

/// The collection as it is to be searched.
fn ready(slot: &Slot, query: &Query<'_>) -> Result<Snapshot, Unfit> {
    let reindex = format!("rebuild it with `covey reindex {}`", slot.name);
    let View::Ready(snapshot) = slot.view() else {
        let what = slot.problem().unwrap_or_default();
        return Err(Unfit { code: ErrorCode::Corrupt, what, fix: reindex });
    };
    let has = release(&snapshot);
    if let Some(vectors) = query.vectors().filter(|vectors| vectors.get(has).is_none()) {
        let model = vectors.model();
        let (what, fix) = if model.id.base == has.base {
            let what = format!("it was built with another release of {}", model.name);
            (
                what,
                format!("the daemon brings it along, as does `covey index recode {}`", slot.name),
            )
        } else {
            (format!("it was built with another model than {}", model.name), reindex)
        };
        return Err(Unfit { code: ErrorCode::WrongModel, what, fix });
    }
    if query.needs_words() && !snapshot.has_words() {
        let what = "it cannot be searched by words".to_owned();
        return Err(Unfit { code: ErrorCode::Usage, what, fix: errors::make_words(&slot.name) });
    }
    Ok(snapshot)
}

/// The model and the vector that a snapshot is asked with.
fn fitting<'a>(vectors: &'a Vectors, snapshot: &Snapshot) -> (&'a ModelHandle, &'a [f32]) {
    // The snapshot refuses what does not fit.
    vectors.get(release(snapshot)).unwrap_or((vectors.model(), vectors.vector()))
}

/// The release that a snapshot answers for.
fn release(snapshot: &Snapshot) -> ModelId {
    let EncoderId { base, release } = snapshot.encoder_id();
    ModelId { base: Digest::from_bytes(base), release: Digest::from_bytes(release) }
}

impl LocalSearch {
    /// Makes scores of several releases comparable.
    fn align(&mut self, vectors: &Vectors, releases: &[ModelId]) {
        match vectors.align(&mut self.hits, releases) {
            Ok(None) => {}
            Ok(Some(embedded)) => {
                self.recomputed += embedded;
                // What was left out is bounded by scores of its own release only.
                self.bound = None;
            }
            Err(error) => self.notes.push(format!("scores may not compare: {error}")),
        }
    }

    fn take(&mut self, slot: &Slot, result: SearchResult, by_words: bool) {
        self.recomputed += result.recomputed;
        self.cached += result.cached;
        self.visited += result.visited;
        self.stale += result.stale;
        if result.recomputed + result.cached > 0 || !by_words {
            self.stopped = self.stopped.max(Some(result.stopped.into()));
        }
        // Scores of words are bounded by nothing; of an answer without a rest there is no bound.
        if !by_words && result.bound.is_finite() {
            self.bound = Some(self.bound.map_or(result.bound, |bound| bound.max(result.bound)));
        }
        let roots = slot.record().roots();
        self.hits.extend(result.hits.into_iter().map(|hit| placed(&slot.name, &roots, hit)));
    }

    fn take_lines(&mut self, name: &Name, limit: usize, found: GrepResult) {
        self.visited += found.files;
        self.stale += found.stale;
        let left = limit - self.lines.len().min(limit);
        let more = found.more || found.hits.len() > left;
        self.stopped = self.stopped.max(more.then_some(Stopped::Budget));
        self.lines.extend(found.hits.into_iter().take(left).map(|hit| LineHit {
            collection: name.clone(),
            path: hit.path,
            line: hit.line.line_number,
            text: hit.line.line,
        }));
    }
}

impl From<covey_index::Stopped> for Stopped {
    fn from(stopped: covey_index::Stopped) -> Self {
        match stopped {
            covey_index::Stopped::Bound => Self::Bound,
            covey_index::Stopped::Budget => Self::Budget,
            covey_index::Stopped::Time => Self::Time,
        }
    }
}

/// Names a hit by its place inside the collection, which says nothing of where that lies.
fn placed(collection: &Name, roots: &[PathBuf], hit: Hit) -> LocalHit {
    let innermost = roots
        .iter()
        .filter(|root| hit.path.starts_with(root))
        .max_by_key(|root| root.as_os_str().len());
    let relative = innermost.and_then(|root| hit.path.strip_prefix(root).ok());
    let relative = relative.filter(|path| !path.as_os_str().is_empty());
    let inside = match relative {
        Some(path) => path.to_string_lossy().into_owned(),
        None => hit.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    let heading = (hit.title != inside).then(|| hit.title.clone());
    LocalHit { collection: collection.clone(), hit, inside, heading }
}
