//! What this node's own collections hold on a question.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use covey_embedder::adapter::QueryAdapter;
use covey_index::{Filter, Grep, GrepOptions, SearchOptions, TimeLeft};
use covey_protocol::ids::{Name, NodeId, UnixMillis};
use covey_protocol::wire::PrivateText;
use covey_protocol::wire::v1::search::{Found, Revealed, Score};
use tokio::time::Instant;

use super::ask::{Asked, PATIENCE_MS, micros};
use crate::api::{
    ApiError, Coverage, ErrorCode, LineHit, SearchCall, SearchHit, SearchMode, SearchReport,
    Source, Stopped,
};
use crate::collections::{Collections, LocalHit, LocalSearch, Query, Vectors, embed};
use crate::env::Env;
use crate::models::{ModelHandle, Models};

/// The own part of an answer.
#[derive(Debug, Default)]
pub(super) struct OwnAnswer {
    /// Best first, up to `limit` of each collection.
    hits: Vec<LocalHit>,
    lines: Vec<LineHit>,
    limit: usize,
    mode: SearchMode,
    pub(super) recomputed: usize,
    pub(super) cached: usize,
    pub(super) visited: usize,
    pub(super) stale: usize,
    pub(super) stopped: Option<Stopped>,
    pub(super) bound: Option<f32>,
    pub(super) notes: Vec<String>,
    personal: bool,
}

/// Embeds the question.
pub(super) fn vector(model: &ModelHandle, asked: &Asked) -> Result<Vec<f32>, ApiError> {
    let vector = embed(model, asked.question.as_str())?;
    if vector.iter().all(|x| *x == 0.0) {
        let message = "the question holds no word that the model knows";
        return Err(ApiError::new(ErrorCode::Usage, message).hint("put it in other words"));
    }
    Ok(vector)
}

/// How own collections are searched when nobody else is asked.
pub(super) struct Wish {
    mode: SearchMode,
    only: Option<Name>,
    filter: Option<Filter>,
    deadline: Option<UnixMillis>,
    /// What questions are asked with besides the model.
    personal: Option<Arc<QueryAdapter>>,
}

impl Wish {
    /// What `call` wants of own collections; `now` is when it came.
    pub(super) fn check(call: &SearchCall, now: UnixMillis) -> Result<Self, ApiError> {
        let usage = |message: String| ApiError::new(ErrorCode::Usage, message);
        let now_ns = i64::try_from(u128::from(now.0) * 1_000_000).unwrap_or(i64::MAX);
        let filter = call.filter.as_deref().map(|text| Filter::parse(text, now_ns)).transpose();
        let filter = filter.map_err(|error| {
            usage(error.to_string()).hint("docs/spec/filters.md has the language with examples")
        })?;
        if call.latency_ms == Some(0) {
            return Err(usage("a search takes some time: allow at least 1 ms".to_owned()));
        }
        if call.latency_ms.is_some() && call.mode == SearchMode::Lexical {
            let message = "a search by words recomputes nothing, so there is no time to limit";
            return Err(usage(message.to_owned()));
        }
        let deadline = call.latency_ms.map(|latency| now.plus(latency.into()));
        let only = call.collection.clone();
        Ok(Self { mode: call.mode, only, filter, deadline, personal: None })
    }

    /// The same, asked with the person's own adapter.
    pub(super) fn with(self, personal: Option<Arc<QueryAdapter>>) -> Self {
        Self { personal, ..self }
    }

    /// Searches, where blocking is fine.
    pub(super) fn search(
        &self,
        collections: &Collections,
        models: &dyn Models,
        asked: &Asked,
        env: &Env,
    ) -> Result<OwnAnswer, ApiError> {
        let text = asked.question.as_str();
        match self.mode {
            SearchMode::Vector => {
                let model = models.current()?;
                let vector = vector(&model, asked)?;
                let (vectors, personal) = self.vectors(collections, models, model, vector, text)?;
                let found = self.run(collections, Query::Vector(&vectors), asked, env)?;
                Ok(OwnAnswer { personal, ..found })
            }
            SearchMode::Hybrid => {
                let model = models.current()?;
                // A question of words the model does not know still has words.
                let vector = embed(&model, text)?;
                let (vectors, personal) = self.vectors(collections, models, model, vector, text)?;
                let found = self.run(collections, Query::Both(&vectors, text), asked, env)?;
                Ok(OwnAnswer { personal, ..found })
            }
            SearchMode::Lexical => self.run(collections, Query::Words(text), asked, env),
            SearchMode::Grep => {
                let grep = Grep::new(text, &GrepOptions::default()).map_err(|error| {
                    ApiError::new(ErrorCode::Usage, error.to_string())
                        .hint("regular expressions are written as in Rust's regex crate; `\\` before a sign takes it literally")
                })?;
                self.run(collections, Query::Lines(&grep), asked, env)
            }
        }
    }

    /// A question's vectors by every release that collections hold, and whether the person's own adapter had a part in them.
    fn vectors(
        &self,
        collections: &Collections,
        models: &dyn Models,
        model: ModelHandle,
        vector: Vec<f32>,
        text: &str,
    ) -> Result<(Vectors, bool), ApiError> {
        let vectors = Vectors::of(model, vector).with(collections.releases(), models, text)?;
        Ok(match &self.personal {
            Some(adapter) => vectors.adapted(adapter),
            None => (vectors, false),
        })
    }

    fn run(
        &self,
        collections: &Collections,
        query: Query<'_>,
        asked: &Asked,
        env: &Env,
    ) -> Result<OwnAnswer, ApiError> {
        if let Some(name) = &self.only {
            collections.check_searchable(name, query)?;
        }
        let only = self.only.clone().map(|name| [name].into());
        let late = AtomicBool::new(false);
        let deadline = self.deadline;
        let time_left = deadline.map(|deadline| {
            let late = &late;
            move || {
                let left = deadline.0.saturating_sub(env.now().0);
                late.fetch_or(left == 0, Ordering::Relaxed);
                Duration::from_millis(left)
            }
        });
        // To oneself, searches are as the collection's settings have them; where scores are exact, a
        // model that takes next to no time may recompute more.
        let mut options = SearchOptions::default();
        options.filter = self.filter.as_ref();
        options.time_left = time_left.as_ref().map(|left| left as TimeLeft<'_>);
        let limit = usize::from(asked.limit);
        let mut found = search_texts(collections, only.as_ref(), query, limit, &options);
        let cut = self.mode == SearchMode::Grep && late.load(Ordering::Relaxed);
        if cut {
            found.stopped = Some(Stopped::Time);
        }
        if found.stopped == Some(Stopped::Time) {
            found.notes.push(out_of_time_note(&found, self.mode));
        }
        if collections.is_empty() {
            found.notes.push("there is nothing to search yet: `covey add FOLDER`".to_owned());
        }
        Ok(OwnAnswer::new(found, limit, self.mode))
    }
}

/// Searches collections that belong to no node, where blocking is fine.
pub(crate) fn search_alone(
    call: &SearchCall,
    collections: &Collections,
    models: &dyn Models,
    env: &Env,
) -> Result<SearchReport, ApiError> {
    let started = Instant::now();
    let wish = Wish::check(call, env.now())?;
    let own = wish.search(collections, models, &Asked::check(call, PATIENCE_MS)?, env)?;
    let mut report = own.into_report(None);
    report.elapsed_us = micros(started.elapsed());
    Ok(report)
}

/// Most hits looked for where copies of a text stand before others.
const MOST_COPIES: usize = 1024;

/// Searches for `limit` texts that differ. Where copies of some take the places of others, more hits are looked for.
fn search_texts(
    collections: &Collections,
    only: Option<&BTreeSet<Name>>,
    query: Query<'_>,
    limit: usize,
    options: &SearchOptions<'_>,
) -> LocalSearch {
    let mut wanted = limit;
    loop {
        let mut found = collections.search(only, query, wanted, options);
        let all = found.hits.len();
        let mut texts = HashSet::new();
        found.hits.retain(|hit| texts.insert((hit.collection.clone(), hit.hit.text_hash)));
        let crowded = found.hits.len() < limit && all >= wanted;
        if !crowded || wanted >= MOST_COPIES || found.stopped == Some(Stopped::Time) {
            return found;
        }
        wanted = (wanted * 4).min(MOST_COPIES);
    }
}

fn out_of_time_note(found: &LocalSearch, mode: SearchMode) -> String {
    let done = match mode {
        SearchMode::Grep => format!("{} files were looked into", found.visited),
        SearchMode::Vector | SearchMode::Lexical | SearchMode::Hybrid => {
            format!(
                "{} passages were recomputed, the others' scores are estimates",
                found.recomputed
            )
        }
    };
    format!("the search ran out of time: {done}; there may be better results")
}

/// Searches all own collections for an embedded question whose answer is joined with that of others.
pub(super) fn search(
    collections: &Collections,
    models: &dyn Models,
    model: ModelHandle,
    vector: Vec<f32>,
    asked: &Asked,
) -> OwnAnswer {
    let limit = usize::from(asked.limit);
    let (options, alone) = (model.search_options(), Vectors::of(model, vector));
    let others = collections.releases();
    let vectors = match alone.clone().with(others, models, asked.question.as_str()) {
        Ok(vectors) => vectors.for_merging(),
        Err(error) => {
            tracing::warn!(%error, "cannot embed a question for the release before");
            alone
        }
    };
    let found = search_texts(collections, None, Query::Vector(&vectors), limit, &options);
    OwnAnswer::new(found, limit, SearchMode::Vector)
}

impl OwnAnswer {
    fn new(found: LocalSearch, limit: usize, mode: SearchMode) -> Self {
        Self {
            hits: found.hits,
            lines: found.lines,
            limit,
            mode,
            recomputed: found.recomputed,
            cached: found.cached,
            visited: found.visited,
            stale: found.stale,
            stopped: found.stopped,
            bound: found.bound,
            notes: found.notes,
            personal: false,
        }
    }

    /// Stands for a search that has not ended in time.
    pub(super) fn late() -> Self {
        let note = "your own collections are left out: searching them took too long";
        Self { notes: vec![note.to_owned()], ..Self::default() }
    }

    /// As the asker merges it: to oneself everything is revealed.
    pub(super) fn found(&self) -> Vec<Found> {
        let found = |hit: &LocalHit| {
            let text = PrivateText::clipped(&hit.hit.text);
            let title = PrivateText::clipped(&title(hit));
            Some(Found {
                score: Score::new(hit.hit.score).ok()?,
                collection: hit.collection.clone(),
                revealed: Revealed::Full { title, text },
            })
        };
        self.hits.iter().take(self.limit).filter_map(found).collect()
    }

    /// The file of the own hit with this score.
    pub(super) fn path(&self, collection: &Name, score: Score) -> Option<PathBuf> {
        let is_it = |hit: &&LocalHit| {
            hit.collection == *collection && Score::new(hit.hit.score) == Ok(score)
        };
        self.hits.iter().find(is_it).map(|hit| hit.hit.path.clone())
    }

    /// The report of a search that asked nobody else. Equal texts are one result. Collections of no node
    /// are nobody's.
    pub(super) fn into_report(self, me: Option<NodeId>) -> SearchReport {
        let mut places: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        let mut results: Vec<SearchHit> = Vec::new();
        for hit in self.hits {
            let source = me.map(|me| own_source(me, &hit.collection));
            if let Some(place) = places.get(&hit.hit.text_hash) {
                let from = &mut results[*place].from;
                from.extend(source.filter(|source| !from.contains(source)));
                continue;
            }
            if results.len() == self.limit {
                continue;
            }
            places.insert(hit.hit.text_hash, results.len());
            results.push(SearchHit {
                score: hit.hit.score,
                margin: hit.hit.margin,
                from: source.into_iter().collect(),
                title: Some(title(&hit)),
                text: Some(hit.hit.text),
                path: Some(hit.hit.path),
                verified: hit.hit.margin == 0.0,
            });
        }
        SearchReport {
            results,
            group: None,
            coverage: Coverage::default(),
            elapsed_us: 0,
            recomputed: self.recomputed as u64,
            cached: self.cached as u64,
            stale: self.stale as u64,
            notes: self.notes,
            mode: self.mode,
            visited: self.visited as u64,
            stopped: self.stopped,
            bound: self.bound,
            lines: self.lines,
            personal: self.personal,
        }
    }
}

/// How an own collection stands among the sources of a result.
pub(super) fn own_source(me: NodeId, collection: &Name) -> Source {
    Source { node: me, member: "you".to_owned(), collection: collection.to_string() }
}

fn title(hit: &LocalHit) -> String {
    match &hit.heading {
        Some(heading) => format!("{} › {heading}", hit.inside),
        None => hit.inside.clone(),
    }
}
