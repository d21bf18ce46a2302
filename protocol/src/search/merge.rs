//! Many answers made one list: by raw score, duplicates removed, provenance kept.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use covey_crypto::Digest;

use crate::ids::{ModelId, Name, NodeId, reorders};
use crate::wire::PrivateText;
use crate::wire::v1::search::{Found, Revealed, Score};

/// One result of the merged list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The best score among its sources.
    pub score: Score,
    /// The release that gave the score.
    pub model: ModelId,
    /// What may be shown, fit for a terminal: control characters are replaced.
    pub revealed: Revealed,
    /// Who holds it, best score first. Never empty.
    pub sources: Vec<Source>,
}

/// One holder of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Whose it is.
    pub provider: Provider,
    /// The collection.
    pub collection: Name,
    /// The score that this holder gave it.
    pub score: Score,
}

/// Where a result is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// The asker's own collections.
    Own,
    /// A member's.
    Peer(NodeId),
}

/// What makes two results one: equal text. A bare score equals nothing but itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Text(Digest),
    Snippet(Digest),
    Only(usize),
}

/// Collects answers. What comes out does not depend on the order in which they came in.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    found: Vec<(Provider, ModelId, Found)>,
}

impl Pool {
    pub(super) fn add(&mut self, provider: Provider, model: ModelId, results: Vec<Found>) {
        self.found.extend(results.into_iter().map(|found| (provider, model, found)));
    }

    /// The best `limit` results. Scores of different releases do not compare: results of the
    /// release that is first in `preferred` come first, then those of the next.
    pub(super) fn merge(self, preferred: &[ModelId], limit: usize) -> Vec<Merged> {
        let mut found = self.found;
        let rank = |model: &ModelId| preferred.iter().position(|m| m == model);
        found.sort_by(|(p, m, a), (q, n, b)| {
            rank(m)
                .cmp(&rank(n))
                .then_with(|| b.score.cmp(&a.score))
                .then_with(|| (p, &a.collection).cmp(&(q, &b.collection)))
        });

        let mut places: BTreeMap<Key, usize> = BTreeMap::new();
        let mut merged: Vec<Merged> = Vec::new();
        for (at, (provider, model, Found { score, collection, revealed })) in
            found.into_iter().enumerate()
        {
            let source = Source { provider, collection, score };
            match places.entry(key(&revealed, at)) {
                Slot::Occupied(place) => merged[*place.get()].sources.push(source),
                Slot::Vacant(place) => {
                    place.insert(merged.len());
                    let revealed = clean(revealed);
                    merged.push(Merged { score, model, revealed, sources: vec![source] });
                }
            }
        }
        merged.truncate(limit);
        merged
    }
}

fn key(revealed: &Revealed, at: usize) -> Key {
    match revealed {
        Revealed::Full { text, .. } => Key::Text(Digest::sha256(text.as_str().trim().as_bytes())),
        Revealed::Snippet { snippet, .. } => {
            Key::Snippet(Digest::sha256(snippet.as_str().trim().as_bytes()))
        }
        Revealed::Score => Key::Only(at),
    }
}

/// Replaces what could steer a terminal: a peer chose these texts.
fn clean(revealed: Revealed) -> Revealed {
    match revealed {
        Revealed::Score => Revealed::Score,
        Revealed::Snippet { title, snippet } => {
            Revealed::Snippet { title: line(&title), snippet: lines(&snippet) }
        }
        Revealed::Full { title, text } => {
            Revealed::Full { title: line(&title), text: lines(&text) }
        }
    }
}

fn line<const MAX: usize>(text: &PrivateText<MAX>) -> PrivateText<MAX> {
    replace(text, |c| c.is_control() || reorders(c))
}

fn lines<const MAX: usize>(text: &PrivateText<MAX>) -> PrivateText<MAX> {
    replace(text, |c| (c.is_control() && !matches!(c, '\n' | '\t')) || reorders(c))
}

fn replace<const MAX: usize>(
    text: &PrivateText<MAX>,
    bad: impl Fn(char) -> bool,
) -> PrivateText<MAX> {
    let cleaned: String = text.as_str().chars().map(|c| if bad(c) { ' ' } else { c }).collect();
    PrivateText::clipped(&cleaned)
}
