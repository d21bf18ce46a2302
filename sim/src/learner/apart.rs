//! Which peers a model serves worst: each by the pairs that it holds out.

use std::collections::BTreeMap;

use covey_embedder::Embedder;
use covey_embedder::eval::{self, Document, Gaps, Judgements, Measures, Query, Set};
use covey_embedder::train::Pair;
use covey_node::rounds::never_learnt;

use super::worst_decile;
use crate::SimError;

/// Documents that measures look at.
const DEPTH: usize = 10;
/// Most held-out pairs of a peer, and of all of them together but for one each: every one is embedded whenever a model is judged.
const MOST_OF_ONE: usize = 8;
const MOST_OF_ALL: usize = 512;

/// What peers hold out, as one retrieval set: each asks its questions of everybody's answers.
pub(super) struct Apart {
    set: Set,
    /// Of each peer that holds out any, the ids of its questions.
    peers: Vec<Vec<String>>,
}

/// How good a model is for peers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Served {
    /// The mean over peers.
    pub(super) mean: Option<f64>,
    /// The mean over the tenth of them with the least.
    pub(super) worst_decile: Option<f64>,
}

impl Apart {
    /// Of what each peer has.
    pub(super) fn of(pairs: &[Vec<Pair>]) -> Self {
        let gaps = Gaps::default();
        let mut set =
            Set { documents: Vec::new(), queries: Vec::new(), judgements: Judgements::new(), gaps };
        let (mut answers, mut peers) = (BTreeMap::new(), Vec::new());
        let most = (MOST_OF_ALL / pairs.len().max(1)).clamp(1, MOST_OF_ONE);
        for (peer, pairs) in pairs.iter().enumerate() {
            let held_out = never_learnt(pairs, MOST_OF_ONE);
            let mut asked = Vec::new();
            for (number, (text, answer)) in held_out.into_iter().take(most).enumerate() {
                let next = answers.len();
                let document = *answers.entry(answer.clone()).or_insert(next);
                if document == next {
                    let id = document.to_string();
                    set.documents.push(Document { id, title: String::new(), text: answer });
                }
                let id = format!("{peer}-{number}");
                set.judgements.insert(id.clone(), [(document.to_string(), 1)].into());
                set.queries.push(Query { id: id.clone(), text });
                asked.push(id);
            }
            if !asked.is_empty() {
                peers.push(asked);
            }
        }
        Self { set, peers }
    }

    /// How much each finds: nDCG@10 over its questions.
    pub(super) fn judge(&self, model: &dyn Embedder) -> Result<Served, SimError> {
        if self.peers.is_empty() {
            return Ok(Served::default());
        }
        let run = eval::retrieve(model, &self.set, DEPTH, &mut |_, _| {});
        let run = run.map_err(|error| SimError::bad(&error))?;
        let measures = eval::evaluate(&run, &self.set.judgements, DEPTH);
        let one = |asked: &Vec<String>| {
            Measures::mean(asked.iter().filter_map(|id| measures.get(id))).ndcg
        };
        let each: Vec<f64> = self.peers.iter().map(one).collect();
        let mean = each.iter().sum::<f64>() / each.len() as f64;
        Ok(Served { mean: Some(mean), worst_decile: worst_decile(each) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_everybodys_and_questions_ones_own() {
        let pair = |peer: usize, number: usize| Pair {
            anchor: format!("question {number} of {peer}"),
            positive: format!("answer {number}"),
            ..Pair::default()
        };
        let pairs: Vec<Vec<Pair>> = (0..3)
            .map(|peer| (0..if peer == 2 { 0 } else { 100 }).map(|it| pair(peer, it)).collect())
            .collect();
        let apart = Apart::of(&pairs);
        assert_eq!(apart.peers.len(), 2, "one has nothing");
        assert!(apart.peers.iter().all(|asked| asked.len() == MOST_OF_ONE));
        assert_eq!(apart.set.queries.len(), 2 * MOST_OF_ONE);
        // The same documents are held out by both.
        assert_eq!(apart.set.documents.len(), MOST_OF_ONE);
        assert!(apart.set.queries.iter().all(|query| apart.set.judgements[&query.id].len() == 1));
    }
}
