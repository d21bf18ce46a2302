//! The measures, as trec_eval computes them.
//!
//! A document without a grade counts as one of grade 0. A query without relevant documents has 0 in every
//! measure and counts in the mean, as in trec_eval; so does a query that a run does not answer, as with
//! trec_eval's option `-c`.

use std::collections::BTreeMap;

use super::beir::{Grades, Judgements};
use super::run::Run;

/// What a query's ranking reaches among its first `k` documents, or the mean of that over queries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// Normalised discounted cumulative gain: trec_eval's `ndcg_cut`.
    pub ndcg: f64,
    /// Share of the relevant documents: trec_eval's `recall`.
    pub recall: f64,
    /// One over the rank of the first relevant document, or 0: trec_eval's `recip_rank`. Its mean is MRR.
    pub reciprocal_rank: f64,
}

impl Measures {
    /// The mean of each measure; zeros if there is nothing.
    pub fn mean<'a>(of: impl IntoIterator<Item = &'a Self>) -> Self {
        let (mut sum, mut count) = (Self::default(), 0.0);
        for one in of {
            sum.ndcg += one.ndcg;
            sum.recall += one.recall;
            sum.reciprocal_rank += one.reciprocal_rank;
            count += 1.0;
        }
        let over = |sum: f64| if count > 0.0 { sum / count } else { 0.0 };
        Self {
            ndcg: over(sum.ndcg),
            recall: over(sum.recall),
            reciprocal_rank: over(sum.reciprocal_rank),
        }
    }
}

/// The measures at `k` of every judged query, answered or not. What `run` says of other queries does not count.
#[must_use]
pub fn evaluate(run: &Run, judgements: &Judgements, k: usize) -> BTreeMap<String, Measures> {
    let score = |(query, grades): (&String, &Grades)| {
        let ranking: Vec<&str> =
            run.hits(query).iter().take(k).map(|hit| hit.document.as_str()).collect();
        (query.clone(), measure(&ranking, grades, k))
    };
    judgements.iter().map(score).collect()
}

/// The measures at `k` of one ranking, best document first and each once.
#[must_use]
pub fn measure<S: AsRef<str>>(ranking: &[S], grades: &Grades, k: usize) -> Measures {
    Measures {
        ndcg: ndcg(ranking, grades, k),
        recall: recall(ranking, grades, k),
        reciprocal_rank: reciprocal_rank(ranking, grades, k),
    }
}

/// nDCG@k with the grade itself as gain and a discount of log2(rank + 1) (Järvelin and Kekäläinen 2002, as
/// in trec_eval). Grades below 0 gain nothing.
#[must_use]
pub fn ndcg<S: AsRef<str>>(ranking: &[S], grades: &Grades, k: usize) -> f64 {
    let discounted = |grades: &mut dyn Iterator<Item = i32>| -> f64 {
        let gains = grades.take(k).enumerate();
        gains.map(|(at, grade)| f64::from(grade.max(0)) / (at as f64 + 2.0).log2()).sum()
    };
    let mut ideal: Vec<i32> = grades.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted(&mut ideal.into_iter());
    let found = discounted(&mut ranking.iter().map(|id| grade(grades, id)));
    if best > 0.0 { found / best } else { 0.0 }
}

/// Share of the relevant documents that are among the first `k`.
#[must_use]
pub fn recall<S: AsRef<str>>(ranking: &[S], grades: &Grades, k: usize) -> f64 {
    let relevant = grades.values().filter(|grade| **grade > 0).count();
    let found = ranking.iter().take(k).filter(|id| grade(grades, id) > 0).count();
    if relevant > 0 { found as f64 / relevant as f64 } else { 0.0 }
}

/// One over the rank of the first relevant document, or 0 if none is among the first `k`.
#[must_use]
pub fn reciprocal_rank<S: AsRef<str>>(ranking: &[S], grades: &Grades, k: usize) -> f64 {
    let first = ranking.iter().take(k).position(|id| grade(grades, id) > 0);
    first.map_or(0.0, |at| 1.0 / (at as f64 + 1.0))
}

fn grade<S: AsRef<str>>(grades: &Grades, document: &S) -> i32 {
    grades.get(document.as_ref()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grades(of: &[(&str, i32)]) -> Grades {
        of.iter().map(|(id, grade)| ((*id).to_owned(), *grade)).collect()
    }

    fn check(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }

    #[test]
    fn measures_agree_with_hand_computed_values() {
        let grades = grades(&[("a", 1), ("b", 2), ("c", 0), ("d", -3)]);
        let ranking = ["c", "a", "d", "b"];
        let ideal = 2.0 + 1.0 / 3f64.log2();
        check(ndcg(&ranking, &grades, 10), (1.0 / 3f64.log2() + 2.0 / 5f64.log2()) / ideal);
        check(ndcg(&ranking, &grades, 2), 1.0 / 3f64.log2() / ideal);
        check(ndcg(&ranking, &grades, 1), 0.0);
        check(recall(&ranking, &grades, 2), 0.5);
        check(recall(&ranking, &grades, 10), 1.0);
        check(reciprocal_rank(&ranking, &grades, 10), 0.5);
        check(reciprocal_rank(&ranking, &grades, 1), 0.0);
    }

    #[test]
    fn without_relevant_documents_or_a_ranking_everything_is_zero() {
        let zero = Measures::default();
        assert_eq!(measure(&["a"], &grades(&[("a", 0), ("b", -1)]), 10), zero);
        assert_eq!(measure::<&str>(&[], &grades(&[("a", 1)]), 10), zero);
        assert_eq!(Measures::mean([]), zero);
    }

    #[test]
    fn queries_that_are_not_answered_count_and_those_not_judged_do_not() {
        let mut run = Run::default();
        let hits = |id: &str| vec![crate::eval::Hit { document: id.to_owned(), score: 1.0 }];
        run.insert("answered", hits("a")).unwrap();
        run.insert("unjudged", hits("b")).unwrap();
        let judged = grades(&[("a", 1)]);
        let judgements: Judgements = [("answered", judged.clone()), ("silent", judged)]
            .map(|(id, it)| (id.to_owned(), it))
            .into();
        let found = evaluate(&run, &judgements, 10);
        assert_eq!(found.keys().collect::<Vec<_>>(), ["answered", "silent"]);
        let mean = Measures::mean(found.values());
        assert_eq!(mean, Measures { ndcg: 0.5, recall: 0.5, reciprocal_rank: 0.5 });
    }
}
