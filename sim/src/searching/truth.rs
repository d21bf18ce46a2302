//! What there is to find in a group: every passage's vector, compared exactly.

use std::collections::BTreeSet;
use std::sync::Arc;

use covey_node::models::Models;

use crate::SimError;

/// Passages that a question should find.
pub(super) const WANTED: usize = 10;

/// A group's passages.
pub(super) struct Truth {
    models: Arc<dyn Models>,
    passages: Vec<Passage>,
}

struct Passage {
    peer: usize,
    text: String,
    vector: Vec<f32>,
}

impl Truth {
    pub(super) fn new(models: Arc<dyn Models>) -> Self {
        Self { models, passages: Vec::new() }
    }

    /// A peer shares a passage.
    pub(super) fn add(&mut self, peer: usize, text: String) -> Result<(), SimError> {
        let vector = self.embed(&text)?;
        self.passages.push(Passage { peer, text: text.trim().to_owned(), vector });
        Ok(())
    }

    /// A peer has gone.
    pub(super) fn forget(&mut self, peer: usize) {
        self.passages.retain(|passage| passage.peer != peer);
    }

    /// The passages that others than that peer share: different texts.
    pub(super) fn of_others(&self, peer: usize) -> BTreeSet<&str> {
        let others = self.passages.iter().filter(|passage| passage.peer != peer);
        others.map(|passage| passage.text.as_str()).collect()
    }

    /// The best passages for a question, those of who asks among them: different texts.
    pub(super) fn best(&self, question: &str) -> Result<BTreeSet<&str>, SimError> {
        let asked = self.embed(question)?;
        let score = |passage: &Passage| -> f32 {
            passage.vector.iter().zip(&asked).map(|(a, b)| a * b).sum()
        };
        let mut scored: Vec<(f32, &str)> =
            self.passages.iter().map(|passage| (score(passage), passage.text.as_str())).collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let mut best = BTreeSet::new();
        for (_, text) in scored {
            if best.len() == WANTED {
                break;
            }
            best.insert(text);
        }
        Ok(best)
    }

    fn embed(&self, text: &str) -> Result<Vec<f32>, SimError> {
        let model = self.models.current().map_err(SimError::Model)?;
        model.encoder.encode(&[text]).map_err(|error| SimError::bad(&error))
    }
}
