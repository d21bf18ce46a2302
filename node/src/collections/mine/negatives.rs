//! Texts that seem to answer an anchor and do not: what the model in use ranks high for it in other documents.
//!
//! Some of what ranks high does answer it. As in NV-Retriever (Moreira et al. 2024, "TopK-PercPos") a text counts only if
//! its score is at most 95% of that of the pair's own text; the very first ranks are passed over as well, and so are
//! copies of the pair's own text, what stands under the same heading, and what the person opened for the question.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use covey_index::{SearchOptions, anchor, passage, title_anchor};
use covey_protocol::ids::Name;

use super::super::{Collections, LocalHit, Query, Vectors, embed};
use crate::api::{ApiError, OpenedInfo};
use crate::models::ModelHandle;

/// The first so many ranks of other documents are no negatives.
const SKIPPED: usize = 3;
/// A negative's score is at most this share of the pair's own text's.
const MOST_OF_POSITIVE: f32 = 0.95;
/// Ranks looked at beyond those that are wanted or skipped.
const SPARE: usize = 24;
/// A line of so many bytes in two texts makes one a copy of a part of the other.
const COPIED: usize = 32;

/// A pair that is to have negatives.
pub(super) struct Anchored<'a> {
    pub(super) anchor: &'a str,
    pub(super) positive: &'a str,
    pub(super) path: &'a Path,
    /// The number of the record that it is, where the file is a list of records.
    pub(super) record: Option<usize>,
}

/// Finds negatives in some collections.
pub(super) struct Negatives<'a> {
    collections: &'a Collections,
    names: BTreeSet<Name>,
    model: ModelHandle,
    wanted: usize,
    /// What the person opened for a question, by hash.
    opened: BTreeMap<String, Vec<[u8; 32]>>,
}

impl<'a> Negatives<'a> {
    /// The `wanted` best ones of the collections called `names`, which must be searchable with the current model.
    pub(super) fn new(
        collections: &'a Collections,
        names: &BTreeSet<Name>,
        wanted: usize,
        all_opened: &[OpenedInfo],
    ) -> Result<Self, ApiError> {
        let model = collections.models.current()?;
        let mut opened: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for entry in all_opened {
            if let Ok(question) = anchor(&entry.question) {
                opened.entry(question).or_default().push(*entry.chunk.as_bytes());
            }
        }
        let this = Self { collections, names: names.clone(), model, wanted, opened };
        let vectors = this.vectors("anything", vec![0.0; this.model.dim])?;
        for name in names {
            collections.check_searchable(name, Query::Vector(&vectors))?;
        }
        Ok(this)
    }

    /// Those of a pair, best first; fewer where there are no more.
    pub(super) fn of(&self, pair: &Anchored<'_>) -> Result<Vec<String>, ApiError> {
        let vector = embed(&self.model, pair.anchor)?;
        let own = embed(&self.model, pair.positive)?;
        let most = MOST_OF_POSITIVE * vector.iter().zip(&own).map(|(a, b)| a * b).sum::<f32>();
        // Of a text without a known word nothing is near.
        if most <= 0.0 {
            return Ok(Vec::new());
        }
        let vectors = self.vectors(pair.anchor, vector)?;
        let (query, limit) = (Query::Vector(&vectors), SKIPPED + 2 * self.wanted + SPARE);
        let options = SearchOptions::default();
        let found = self.collections.search(Some(&self.names), query, limit, &options);
        let answers = self.opened.get(pair.anchor).map_or(&[][..], Vec::as_slice);
        let others = found.hits.iter().filter(|hit| is_other(hit, pair));
        let mut texts: Vec<String> = Vec::new();
        for hit in others.skip(SKIPPED) {
            let near = hit.hit.score + hit.hit.margin > most;
            if near || answers.contains(&hit.hit.text_hash) || is_copy(&hit.hit.text, pair.positive)
            {
                continue;
            }
            if let Ok(text) = passage(&hit.hit.text)
                && !texts.contains(&text)
            {
                texts.push(text);
            }
            if texts.len() == self.wanted {
                break;
            }
        }
        Ok(texts)
    }

    fn vectors(&self, question: &str, vector: Vec<f32>) -> Result<Vectors, ApiError> {
        let models = &*self.collections.models;
        Vectors::of(self.model.clone(), vector).with(self.collections.releases(), models, question)
    }
}

/// Whether a hit is from another document, and not under the same heading there.
fn is_other(hit: &LocalHit, pair: &Anchored<'_>) -> bool {
    let heading = hit.heading.as_deref().unwrap_or_default();
    let same_heading = title_anchor(heading) == pair.anchor;
    !same_heading && (pair.record.is_some() || hit.hit.path != pair.path)
}

/// Whether two texts are the same, or have a long line in common.
fn is_copy(a: &str, b: &str) -> bool {
    let lines = |text: &'_ str| -> BTreeSet<String> {
        let long = text.lines().map(str::trim).filter(|line| line.len() >= COPIED);
        long.map(str::to_owned).collect()
    };
    a.trim() == b.trim() || !lines(a).is_disjoint(&lines(b))
}

#[cfg(test)]
mod tests {
    use super::is_copy;

    #[test]
    fn a_copy_shares_a_long_line_whatever_else_it_has() {
        let line = "Hives stand in the sun for most of the day.";
        assert!(is_copy("Short.", " Short.\n"));
        assert!(is_copy(&format!("# Bees\n\n{line}\nMore."), &format!("{line}\nOther.")));
        assert!(!is_copy("Short.\nMore.", "Short.\nOther."));
        assert!(!is_copy(line, "Hives stand in the shade."));
    }
}
