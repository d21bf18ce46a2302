//! Exact retrieval: every document is scored for every query.
//!
//! Vectors of documents are scored as they are made and then dropped, so memory holds those of the
//! queries, one batch of documents, and the best so far.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use super::beir::Set;
use super::run::{Hit, Run, RunError};
use crate::{EmbedError, Embedder};

/// Texts embedded at once.
const BATCH: usize = 512;
/// Products that are summed side by side.
const LANES: usize = 16;

/// Why a set's queries could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    /// The model failed.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// The model gives numbers that cannot be ordered.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// The best `depth` documents of `set` for each of its queries, by the dot product of what `model` makes of query
/// and document. Equal scores are ordered by id, the greater first, as in a [`Run`].
///
/// `progress` is told texts embedded and texts in all, at the start and after every batch.
///
/// # Errors
/// If the model fails, or its numbers are not finite.
pub fn retrieve(
    model: &dyn Embedder,
    set: &Set,
    depth: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Run, RetrieveError> {
    let (queries, documents) = (&set.queries, &set.documents);
    let total = queries.len() + documents.len();
    let mut done = 0;
    progress(done, total);
    let mut asked = Vec::with_capacity(queries.len() * model.dim());
    for batch in queries.chunks(BATCH) {
        let texts: Vec<&str> = batch.iter().map(|query| query.text.as_str()).collect();
        asked.extend(model.embed(&texts)?);
        done += batch.len();
        progress(done, total);
    }
    let places = places(set);
    let mut best: Vec<Best> = queries.iter().map(|_| Best::new(depth)).collect();
    for (batch, places) in documents.chunks(BATCH).zip(places.chunks(BATCH)) {
        let texts: Vec<String> = batch.iter().map(|document| document.full_text()).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let rows = model.embed(&texts)?;
        asked.par_chunks(model.dim()).zip(&mut best).for_each(|(query, best)| {
            for (row, place) in rows.chunks(model.dim()).zip(places) {
                best.offer(dot(query, row), *place);
            }
        });
        done += batch.len();
        progress(done, total);
    }
    let mut ids: Vec<&str> = vec![""; documents.len()];
    for (document, place) in documents.iter().zip(&places) {
        ids[*place] = &document.id;
    }
    let mut run = Run::default();
    for (query, best) in queries.iter().zip(best) {
        let hit = |Reverse(it): Reverse<Scored>| Hit {
            document: ids[it.place].to_owned(),
            score: it.score,
        };
        run.insert(&query.id, best.heap.into_iter().map(hit).collect())?;
    }
    Ok(run)
}

/// For each document, its place in the order of ids.
fn places(set: &Set) -> Vec<usize> {
    let mut order: Vec<usize> = (0..set.documents.len()).collect();
    order.sort_unstable_by(|a, b| set.documents[*a].id.cmp(&set.documents[*b].id));
    let mut places = vec![0; order.len()];
    for (place, document) in order.into_iter().enumerate() {
        places[document] = place;
    }
    places
}

/// A document's score and its place in the order of ids; of equal scores the later place is better.
#[derive(Clone, Copy)]
struct Scored {
    score: f32,
    place: usize,
}

impl Ord for Scored {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.score.total_cmp(&other.score).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Scored {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scored {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Scored {}

/// The best documents for a query so far, the worst of them on top.
struct Best {
    depth: usize,
    heap: BinaryHeap<Reverse<Scored>>,
}

impl Best {
    fn new(depth: usize) -> Self {
        Self { depth, heap: BinaryHeap::new() }
    }

    fn offer(&mut self, score: f32, place: usize) {
        let offered = Scored { score, place };
        if self.heap.len() < self.depth {
            self.heap.push(Reverse(offered));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && offered > worst.0
        {
            *worst = Reverse(offered);
        }
    }
}

/// The dot product, summed in an order that is the same on every processor; never -0, as sums start from 0.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::ModelId;
    use crate::eval::{Document, Gaps, Judgements, Query};

    /// Embeds a text of numbers as those numbers.
    struct Numbers(usize);

    impl Embedder for Numbers {
        fn id(&self) -> ModelId {
            crate::builtin().unwrap().id()
        }

        fn name(&self) -> &str {
            "numbers"
        }

        fn dim(&self) -> usize {
            self.0
        }

        fn max_tokens(&self) -> usize {
            self.0
        }

        fn embed(&self, texts: &[&str]) -> Result<Vec<f32>, EmbedError> {
            Ok(texts.iter().flat_map(|it| it.split(' ')).map(|it| it.parse().unwrap()).collect())
        }

        fn token_spans(&self, _: &str) -> Result<Vec<Range<usize>>, EmbedError> {
            Ok(Vec::new())
        }
    }

    fn set(queries: &[&str], documents: &[(&str, String)]) -> Set {
        let query =
            |(at, text): (usize, &&str)| Query { id: format!("q{at}"), text: (*text).to_owned() };
        let document = |(id, text): &(&str, String)| Document {
            id: (*id).to_owned(),
            title: String::new(),
            text: text.clone(),
        };
        Set {
            queries: queries.iter().enumerate().map(query).collect(),
            documents: documents.iter().map(document).collect(),
            judgements: Judgements::new(),
            gaps: Gaps::default(),
        }
    }

    fn ids<'a>(run: &'a Run, query: &str) -> Vec<&'a str> {
        run.hits(query).iter().map(|hit| hit.document.as_str()).collect()
    }

    #[test]
    fn the_best_are_found_and_equal_scores_go_by_id_also_at_the_cut() {
        let documents = [
            ("a", "1 0"),
            ("c", "1 0"),
            ("b", "1 0"),
            ("best", "2 0"),
            ("zero", "0 1"),
            ("minus", "-1 0"),
        ]
        .map(|(id, text)| (id, text.to_owned()));
        let set = set(&["1 0", "0 0"], &documents);
        let mut steps = Vec::new();
        let run = retrieve(&Numbers(2), &set, 3, &mut |done, all| steps.push((done, all))).unwrap();
        assert_eq!(ids(&run, "q0"), ["best", "c", "b"]);
        assert!(dot(&[0.0], &[-1.0]).is_sign_positive(), "-0 would come after 0");
        assert_eq!(ids(&run, "q1"), ["zero", "minus", "c"]);
        assert_eq!(steps, [(0, 8), (2, 8), (8, 8)]);
        let all = retrieve(&Numbers(2), &set, 100, &mut |_, _| ()).unwrap();
        assert_eq!(ids(&all, "q0"), ["best", "c", "b", "a", "zero", "minus"]);
    }

    #[test]
    fn it_agrees_with_sorting_all_scores() {
        let dim = 19;
        let text = |seed: usize| {
            let number =
                |at: usize| ((seed * 31 + at * 17) * 2_654_435_761 % 1_000) as f32 / 500.0 - 1.0;
            (0..dim).map(|at| number(at).to_string()).collect::<Vec<_>>().join(" ")
        };
        let names: Vec<String> = (0..1_500).map(|it| format!("d{it}")).collect();
        let documents: Vec<(&str, String)> =
            names.iter().enumerate().map(|(at, id)| (id.as_str(), text(at % 700))).collect();
        let asked = [text(5_000), text(6_000)];
        let set = set(&[&asked[0], &asked[1]], &documents);
        let run = retrieve(&Numbers(dim), &set, 40, &mut |_, _| ()).unwrap();
        let model = Numbers(dim);
        for (at, query) in asked.iter().enumerate() {
            let query = model.embed(&[query]).unwrap();
            let score = |text: &str| dot(&query, &model.embed(&[text]).unwrap());
            let mut expected: Vec<(f32, &str)> =
                documents.iter().map(|(id, text)| (score(text), *id)).collect();
            expected.sort_by(|a, b| b.partial_cmp(a).unwrap());
            let expected: Vec<&str> = expected.iter().take(40).map(|(_, id)| *id).collect();
            assert_eq!(ids(&run, &format!("q{at}")), expected);
        }
    }

    #[test]
    fn a_model_without_sound_numbers_is_an_error() {
        let set = set(&["1"], &[("a", "NaN".to_owned())]);
        let error = retrieve(&Numbers(1), &set, 3, &mut |_, _| ()).unwrap_err();
        assert!(matches!(error, RetrieveError::Run(RunError::Score { .. })), "{error}");
    }
}
