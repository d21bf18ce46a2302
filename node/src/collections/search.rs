//! Searching own collections.

use std::collections::BTreeSet;
use std::path::PathBuf;

use covey_index::{Files, Hit};
use covey_protocol::ids::Name;

use super::Collections;
use super::slot::View;
use crate::api::{ApiError, ErrorCode};
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
    /// Chunks embedded again to rank them exactly.
    pub recomputed: usize,
    /// Chunks passed over since their file changed.
    pub stale: usize,
    /// Collections left out and why, a sentence each.
    pub notes: Vec<String>,
}

/// Embeds a question.
///
/// # Errors
/// If the model fails.
pub fn embed(model: &ModelHandle, question: &str) -> Result<Vec<f32>, ApiError> {
    model
        .encoder
        .encode(&[question])
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("{}: {error}", model.name)))
}

impl Collections {
    /// The `limit` best matches for `vector`, which `model` made, in each of the collections called
    /// `only` (all by default). A collection that cannot be searched is left out and named in the notes.
    pub fn search(
        &self,
        only: Option<&BTreeSet<Name>>,
        model: &ModelHandle,
        vector: &[f32],
        limit: usize,
    ) -> LocalSearch {
        let mut found = LocalSearch::default();
        for slot in self.slots() {
            if only.is_some_and(|only| !only.contains(&slot.name)) {
                continue;
            }
            let name = &slot.name;
            let View::Ready(snapshot) = slot.view() else {
                let problem = slot.problem().unwrap_or_default();
                found.notes.push(format!(
                    "collection {name} was left out: {problem}; rebuild it with `covey reindex {name}`"
                ));
                continue;
            };
            if slot.model() != model.id {
                found.notes.push(format!(
                    "collection {name} was left out: it was built with another model than {}; \
                     rebuild it with `covey reindex {name}`",
                    model.name
                ));
                continue;
            }
            let files: &dyn Files = &*self.files;
            let options = model.search_options();
            match snapshot.search(vector, limit, files, &*model.encoder, &options) {
                Ok(result) => {
                    found.recomputed += result.recomputed;
                    found.stale += result.stale;
                    let roots = slot.record().roots();
                    let hits = result.hits.into_iter();
                    found.hits.extend(hits.map(|hit| placed(name, &roots, hit)));
                }
                Err(error) => {
                    found.notes.push(format!("collection {name} was left out: {error}"));
                }
            }
        }
        found.hits.sort_by(|a, b| {
            let place =
                |hit: &LocalHit| (hit.collection.clone(), hit.hit.path.clone(), hit.hit.span.start);
            b.hit.score.total_cmp(&a.hit.score).then_with(|| place(a).cmp(&place(b)))
        });
        found
    }

    /// Checks that `name` is here, can be read, and fits `model`.
    ///
    /// # Errors
    /// Otherwise, saying what to do.
    pub fn check_searchable(&self, name: &Name, model: &ModelHandle) -> Result<(), ApiError> {
        let slot = self.slot(name)?;
        let reindex = format!("rebuild it with `covey reindex {name}`");
        if let Some(problem) = slot.problem() {
            let message = format!("collection {name} cannot be searched: {problem}");
            return Err(ApiError::new(ErrorCode::Corrupt, message).hint(reindex));
        }
        if slot.model() != model.id {
            let message =
                format!("collection {name} was built with another model than {}", model.name);
            return Err(ApiError::new(ErrorCode::WrongModel, message)
                .hint(format!("{reindex}, or go back with `covey model use`")));
        }
        Ok(())
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
