//! Checking scores: a peer that shows a whole text is taken at its text, not at its word.
//!
//! The best results are merged by the scores that peers claim; each fully revealed text among them
//! is embedded again and scored against the vector of the question. That score replaces the claim,
//! however near it is, and everything is merged anew, until all that is shown has been checked: a claim
//! decides only what is looked at. One that is off by more than rounding explains is forged, and a
//! peer with [`MAX_FORGED`] of these is left out altogether. Snippets and bare scores cannot be checked.
//!
//! A peer that is at another release scores with that. What it shows in full is scored here and merged like everything else; the rest
//! does not compare, and comes after it.

use std::collections::{BTreeMap, BTreeSet};

use covey_index::{EncodeError, Encoder};
use covey_protocol::group::Head;
use covey_protocol::ids::{ModelId, NodeId, UnixMillis};
use covey_protocol::limits::MAX_FULL_TEXT;
use covey_protocol::search::{Ask, Asker, Merged, Provider};
use covey_protocol::wire::v1::search::{Found, Revealed, Score, SearchReply, SearchRequest};

/// A peer with so many wrong scores in one answer is left out of it.
const MAX_FORGED: usize = 3;

/// What everybody found, before merging.
pub(super) struct Answers {
    pub(super) request: SearchRequest,
    pub(super) model: ModelId,
    pub(super) head: Head,
    /// This node's own, with exact scores.
    pub(super) own: Vec<Found>,
    pub(super) peers: BTreeMap<NodeId, Vec<Found>>,
    /// The release that a peer scored with; this node's where nothing else is said.
    pub(super) releases: BTreeMap<NodeId, ModelId>,
    /// How far an honest claim may lie from the score computed here.
    pub(super) tolerance: f32,
}

/// What is worth showing.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Best first.
    pub(super) results: Vec<Merged>,
    /// Peers whose claims were further off than honest ones may be, and how many.
    pub(super) corrected: BTreeMap<NodeId, usize>,
    /// Peers that were left out.
    pub(super) left_out: BTreeSet<NodeId>,
}

impl Answers {
    /// Merges and checks, against the question's `vector`.
    pub(super) fn check(
        mut self,
        encoder: &dyn Encoder,
        vector: &[f32],
    ) -> Result<Checked, EncodeError> {
        let mut checked = Checked::default();
        let mut known: BTreeMap<String, f32> = BTreeMap::new();
        for found in &self.own {
            if let Revealed::Full { text, .. } = &found.revealed {
                known.insert(text.as_str().to_owned(), found.score.get());
            }
        }
        loop {
            self.correct(&known, &mut checked);
            checked.results = self.merge();
            let texts = self.unknown(&checked.results, &known);
            if texts.is_empty() {
                break;
            }
            let views: Vec<&str> = texts.iter().map(String::as_str).collect();
            let rows = encoder.encode(&views)?;
            for (text, row) in texts.iter().zip(rows.chunks_exact(vector.len())) {
                let score = row.iter().zip(vector).map(|(a, b)| a * b).sum();
                known.insert(text.clone(), score);
            }
        }
        Ok(checked)
    }

    /// Merges what is there, by the rules of the protocol's asker. Its clock stands still before
    /// both deadlines, so that it waits for everybody.
    fn merge(&self) -> Vec<Merged> {
        let here = self.merged(&self.own, |node, found| {
            (!self.is_elsewhere(node) || checkable(found).is_some()).then_some(self.model)
        });
        let elsewhere = self.merged(&[], |node, found| {
            let release = self.releases.get(node).copied().filter(|of| *of != self.model);
            release.filter(|_| checkable(found).is_none())
        });
        let limit = usize::from(self.request.limit);
        here.into_iter().chain(elsewhere).take(limit).collect()
    }

    /// Whether a peer scored with another release than this node's.
    fn is_elsewhere(&self, node: &NodeId) -> bool {
        self.releases.get(node).is_some_and(|of| *of != self.model)
    }

    /// Merges `own` and what `release` says belongs in, as scored with the release it gives.
    fn merged(
        &self,
        own: &[Found],
        release: impl Fn(&NodeId, &Found) -> Option<ModelId>,
    ) -> Vec<Merged> {
        let ask = Ask {
            request: self.request.clone(),
            peers: self.peers.keys().copied().collect(),
            soft_ms: 1,
            hard_ms: 1,
        };
        let now = UnixMillis(0);
        let Ok((mut asker, _effects)) = Asker::new(ask, true, now) else { return Vec::new() };
        for (node, results) in &self.peers {
            let models = results.iter().filter_map(|found| Some((release(node, found)?, found)));
            let (models, results): (Vec<ModelId>, Vec<Found>) =
                models.map(|(model, found)| (model, found.clone())).unzip();
            let (id, head) = (self.request.id, self.head);
            let model = models.first().copied().unwrap_or(self.model);
            asker.reply(*node, SearchReply::Answer { id, model, head, results }, now);
        }
        asker.own(self.model, own.to_vec(), now);
        asker.finish(now).results
    }

    /// Texts among the best results, as peers sent them, whose true score is not known yet: at
    /// most as many as results are wanted.
    fn unknown(&self, results: &[Merged], known: &BTreeMap<String, f32>) -> Vec<String> {
        let wanted = usize::from(self.request.limit);
        let cut = match results.last() {
            Some(last) if results.len() >= wanted => last.score,
            Some(_) | None => match Score::new(-1.0) {
                Ok(lowest) => lowest,
                Err(_) => return Vec::new(),
            },
        };
        let all = self.peers.values().flatten().filter(|found| found.score >= cut);
        let mut unknown: Vec<(&Score, &str)> = all
            .filter_map(|found| Some((&found.score, checkable(found)?)))
            .filter(|(_, text)| !known.contains_key(*text))
            .collect();
        unknown.sort_by(|a, b| b.0.cmp(a.0).then_with(|| a.1.cmp(b.1)));
        unknown.dedup_by(|a, b| a.1 == b.1);
        unknown.into_iter().take(wanted.max(1)).map(|(_, text)| text.to_owned()).collect()
    }

    /// Puts true scores in the place of claims, and drops peers with too many that are off.
    fn correct(&mut self, known: &BTreeMap<String, f32>, checked: &mut Checked) {
        for (node, results) in &mut self.peers {
            for found in results.iter_mut() {
                let truth = checkable(found).and_then(|text| known.get(text));
                let Some(truth) = truth.and_then(|truth| Score::new(*truth).ok()) else { continue };
                let claimed = std::mem::replace(&mut found.score, truth);
                let other = self.releases.get(node).is_some_and(|of| *of != self.model);
                if !other && (claimed.get() - truth.get()).abs() > self.tolerance {
                    *checked.corrected.entry(*node).or_default() += 1;
                }
            }
        }
        for (node, count) in &checked.corrected {
            if *count >= MAX_FORGED && self.peers.remove(node).is_some() {
                checked.left_out.insert(*node);
            }
        }
    }
}

/// The text by which a result can be checked, if it shows all of it.
fn checkable(found: &Found) -> Option<&str> {
    match &found.revealed {
        // One that fills its place may have been cut, and then scores differently.
        Revealed::Full { text, .. } if text.as_str().len() + 4 <= MAX_FULL_TEXT => {
            Some(text.as_str())
        }
        Revealed::Full { .. } | Revealed::Snippet { .. } | Revealed::Score => None,
    }
}

/// Whether the score of a merged result was checked on this node.
pub(super) fn is_verified(merged: &Merged) -> bool {
    let own = merged.sources.iter().any(|source| source.provider == Provider::Own);
    match &merged.revealed {
        Revealed::Full { text, .. } => own || text.as_str().len() + 4 <= MAX_FULL_TEXT,
        Revealed::Snippet { .. } | Revealed::Score => own,
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
