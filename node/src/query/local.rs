//! What this node's own collections hold on a question.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use covey_protocol::ids::{Name, NodeId};
use covey_protocol::wire::PrivateText;
use covey_protocol::wire::v1::search::{Found, Revealed, Score};

use super::ask::Asked;
use crate::api::{ApiError, Coverage, ErrorCode, SearchHit, SearchReport, Source};
use crate::collections::{Collections, LocalHit, embed};
use crate::models::ModelHandle;

/// The own part of an answer.
#[derive(Debug, Default)]
pub(super) struct OwnAnswer {
    /// Best first, up to `limit` of each collection.
    hits: Vec<LocalHit>,
    limit: usize,
    pub(super) recomputed: usize,
    pub(super) stale: usize,
    pub(super) notes: Vec<String>,
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

/// Searches the collections called `only` (all by default) for an embedded question.
pub(super) fn search(
    collections: &Collections,
    model: &ModelHandle,
    vector: &[f32],
    limit: u16,
    only: Option<&BTreeSet<Name>>,
) -> OwnAnswer {
    let limit = usize::from(limit);
    let found = collections.search(only, model, vector, limit);
    OwnAnswer {
        hits: found.hits,
        limit,
        recomputed: found.recomputed,
        stale: found.stale,
        notes: found.notes,
    }
}

impl OwnAnswer {
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

    /// The report of a search that asked nobody else. Equal texts are one result.
    pub(super) fn into_report(self, me: NodeId) -> SearchReport {
        let mut places: BTreeMap<[u8; 32], usize> = BTreeMap::new();
        let mut results: Vec<SearchHit> = Vec::new();
        for hit in self.hits {
            let source = own_source(me, &hit.collection);
            if let Some(place) = places.get(&hit.hit.text_hash) {
                let from = &mut results[*place].from;
                if !from.contains(&source) {
                    from.push(source);
                }
                continue;
            }
            if results.len() == self.limit {
                continue;
            }
            places.insert(hit.hit.text_hash, results.len());
            results.push(SearchHit {
                score: hit.hit.score,
                from: vec![source],
                title: Some(title(&hit)),
                text: Some(hit.hit.text),
                path: Some(hit.hit.path),
                verified: true,
            });
        }
        SearchReport {
            results,
            group: None,
            coverage: Coverage::default(),
            elapsed_us: 0,
            recomputed: self.recomputed as u64,
            stale: self.stale as u64,
            notes: self.notes,
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
