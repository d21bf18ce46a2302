//! Answers that a model is near to as it is, and what it takes for answers that are none.
//!
//! A model that is good already unlearns from loose judgements, which large sets are full of, as it is pulled towards answers that it has no means to find. From those that it is near to, told from
//! what it ranks beside them, it learns (round-trip consistency: Dai et al., "Promptagator", 2022, section 3.2; hard negatives: Xiong et al., "ANCE", 2021).

use std::collections::HashMap;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::{Document, Gaps, Judgements, Query, RetrieveError, Run, Set, retrieve};
use crate::Embedder;
use crate::train::{MAX_NEGATIVES, Pair};

/// Places in a ranking that negatives are taken from: the first often answer though nobody has said so.
const NEGATIVES: Range<usize> = 5..40;

/// A query with a document that answers it.
#[derive(Clone, Copy, Debug)]
pub struct Near<'a> {
    /// The query.
    pub query: &'a Query,
    /// What answers it.
    pub document: &'a Document,
    /// What does not, by the judgements, and ranks high for it, if there is anything.
    pub negative: Option<&'a Document>,
}

impl Near<'_> {
    /// To learn from.
    #[must_use]
    pub fn pair(&self) -> Pair {
        Pair {
            anchor: self.query.text.clone(),
            positive: self.document.full_text(),
            negatives: self.negative.iter().map(|it| it.full_text()).collect(),
            document: self.document.id.clone(),
            ..Pair::default()
        }
    }
}

/// What there is to learn from a set: all its answers, or with a model those that it finds among so many as it is, each with a negative.
///
/// # Errors
/// If the model cannot rank the set's documents.
pub fn answers<'a>(
    set: &'a Set,
    found: Option<(&dyn Embedder, usize)>,
) -> Result<Vec<Near<'a>>, RetrieveError> {
    let Some((model, most)) = found else {
        let all = set.answers();
        return Ok(all.map(|(query, document)| Near { query, document, negative: None }).collect());
    };
    let run = retrieve(model, set, most.max(NEGATIVES.end), &mut |_, _| ())?;
    Ok(near(set, &run, most))
}

/// Those pairs whose positive `model` finds among its first `most` for their anchor as it is, of all positives that there are, in their order. Each gets one more negative, if
/// there is any: a positive of other anchors that ranks high. `progress` is told texts embedded and texts in all.
///
/// # Errors
/// If the model cannot rank the positives.
pub fn near_pairs(
    pairs: Vec<Pair>,
    model: &dyn Embedder,
    most: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Pair>, RetrieveError> {
    let (set, places) = set_of(&pairs);
    let run = retrieve(model, &set, most.max(NEGATIVES.end), progress)?;
    let found: HashMap<(&str, &str), Option<&Document>> = near(&set, &run, most)
        .into_iter()
        .map(|it| ((it.query.id.as_str(), it.document.id.as_str()), it.negative))
        .collect();
    let kept = pairs.into_iter().zip(&places).filter_map(|(mut pair, (query, document))| {
        let negative = found.get(&(query.as_str(), document.as_str()))?;
        if let Some(negative) = negative
            && pair.negatives.len() < MAX_NEGATIVES
            && !pair.negatives.contains(&negative.text)
        {
            pair.negatives.push(negative.text.clone());
        }
        Some(pair)
    });
    Ok(kept.collect())
}

/// Different anchors as queries, different positives as documents, and of each pair the ids of both.
fn set_of(pairs: &[Pair]) -> (Set, Vec<(String, String)>) {
    let (mut queries, mut documents) = (Vec::new(), Vec::new());
    let (mut asked, mut known) = (HashMap::new(), HashMap::new());
    let (mut judgements, mut places) = (Judgements::new(), Vec::with_capacity(pairs.len()));
    for pair in pairs {
        let query = asked.entry(pair.anchor.as_str()).or_insert_with(|| {
            let id = queries.len().to_string();
            queries.push(Query { id: id.clone(), text: pair.anchor.clone() });
            id
        });
        let document = known.entry(pair.positive.as_str()).or_insert_with(|| {
            let (id, text) = (documents.len().to_string(), pair.positive.clone());
            documents.push(Document { id: id.clone(), title: String::new(), text });
            id
        });
        judgements.entry(query.clone()).or_default().insert(document.clone(), 1);
        places.push((query.clone(), document.clone()));
    }
    (Set { documents, queries, judgements, gaps: Gaps::default() }, places)
}

/// Those of the set's answers that are among the first `most` of their query in `run`, in the order of [`Set::answers`]. Which of the documents that rank high
/// becomes an answer's negative follows from both ids.
fn near<'a>(set: &'a Set, run: &Run, most: usize) -> Vec<Near<'a>> {
    let documents: HashMap<&str, &Document> =
        set.documents.iter().map(|it| (it.id.as_str(), it)).collect();
    let mut all = Vec::new();
    for (query, document) in set.answers() {
        let hits = run.hits(&query.id);
        if !hits.iter().take(most).any(|hit| hit.document == document.id) {
            continue;
        }
        let judged = set.judgements.get(&query.id);
        let is_negative = |id: &str| judged.is_none_or(|of| of.get(id).is_none_or(|it| *it <= 0));
        let ranked = hits.iter().take(NEGATIVES.end).skip(NEGATIVES.start);
        let negatives: Vec<&&Document> = ranked
            .filter(|hit| is_negative(&hit.document))
            .filter_map(|hit| documents.get(hit.document.as_str()))
            .collect();
        let hash = Sha256::digest(format!("{}\n{}", query.id, document.id));
        let drawn = u64::from_le_bytes(hash[..8].try_into().expect("eight bytes"));
        let place = (drawn % negatives.len().max(1) as u64) as usize;
        all.push(Near { query, document, negative: negatives.get(place).map(|it| **it) });
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::Hit;
    use super::*;

    #[test]
    fn pairs_that_a_model_is_near_to_keep_their_order_and_get_something_that_ranks_high() {
        let model = crate::builtin().expect("loads");
        let pair = |anchor: &str, positive: &str, document: &str| Pair {
            anchor: anchor.to_owned(),
            positive: positive.to_owned(),
            document: document.to_owned(),
            ..Pair::default()
        };
        let mut pairs: Vec<Pair> = (0..50)
            .map(|number| {
                pair(
                    &format!("recipe {number}"),
                    &format!("bake cake number {number} slowly"),
                    "book",
                )
            })
            .collect();
        pairs.insert(
            0,
            pair("how do comets get tails", "a comet's tail is gas that the sun drives off", "sky"),
        );
        // Twice the same, of two documents; and one that nobody would find.
        pairs.push(pair(
            "how do comets get tails",
            "a comet's tail is gas that the sun drives off",
            "stars",
        ));
        pairs.push(pair(
            "how do comets get tails",
            "the committee met on Tuesday to discuss parking",
            "minutes",
        ));
        let mut told = Vec::new();
        let near =
            near_pairs(pairs, &*model, 1, &mut |done, all| told.push((done, all))).expect("ranks");
        let of: Vec<&str> =
            near.iter().filter(|it| it.document != "book").map(|it| it.document.as_str()).collect();
        assert_eq!(of, ["sky", "stars"], "in their order");
        for it in &near {
            assert_eq!(it.negatives.len(), 1, "{it:?}");
            assert!(it.negatives[0] != it.positive);
        }
        assert_eq!(told.last(), Some(&(51 + 52, 51 + 52)));
        assert!(near_pairs(Vec::new(), &*model, 3, &mut |_, _| ()).expect("nothing").is_empty());
    }

    #[test]
    fn answers_that_rank_high_come_with_what_ranks_high_and_is_none() {
        let document = |number: usize| Document {
            id: format!("d{number}"),
            title: String::new(),
            text: format!("text {number}"),
        };
        let query = Query { id: "q".to_owned(), text: "question".to_owned() };
        let judged = [("d2", 1), ("d7", 1), ("d8", 0), ("d50", 1)];
        let judged = judged.into_iter().map(|(id, grade)| (id.to_owned(), grade)).collect();
        let set = Set {
            queries: vec![query],
            documents: (0..60).map(document).collect(),
            judgements: [("q".to_owned(), judged)].into(),
            gaps: super::super::Gaps::default(),
        };
        let hit = |number: usize| Hit {
            document: format!("d{number}"),
            score: 1.0 / (number + 1) as f32,
        };
        let mut run = Run::default();
        run.insert("q", (0..60).map(hit).collect()).expect("finite");
        let found = near(&set, &run, 30);
        let ids: Vec<&str> = found.iter().map(|it| it.document.id.as_str()).collect();
        assert_eq!(ids, ["d2", "d7"], "the third is too far down");
        for it in &found {
            let negative = it.negative.expect("there are some");
            let place: usize = negative.id[1..].parse().expect("a number");
            assert!(NEGATIVES.contains(&place) && place != 7, "{negative:?}");
        }
        assert_ne!(found[0].negative.map(|it| &it.id), found[1].negative.map(|it| &it.id));
        // A ranking that ends before has none.
        let mut short = Run::default();
        short.insert("q", (0..3).map(hit).collect()).expect("finite");
        assert!(near(&set, &short, 30).iter().all(|it| it.negative.is_none()));
    }
}
