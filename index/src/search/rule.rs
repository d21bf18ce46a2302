//! The stopping rule: which candidates to recompute next, and when no more.
//!
//! It knows scores and how far off they may be, and nothing of texts or models, so that the tuner can
//! run it on scores it made up.

/// Texts handed to the encoder at once: enough to share the work between threads, few enough to stop
/// soon after the bound is reached.
const BATCH: usize = 8;
/// Once there are many, one for so many that were recomputed: looking at all candidates each time has a price too.
const BATCH_SHARE: usize = 16;

/// What a search wants to be sure of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Hits wanted, at least 1.
    pub(crate) k: usize,
    /// How sure, in standard deviations.
    pub(crate) confidence: f32,
    /// Whether every hit's score is recomputed.
    pub(crate) exact: bool,
}

/// A candidate whose score is not known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) id: usize,
    /// What the score is on average, and its standard deviation.
    pub(crate) score: f32,
    pub(crate) sigma: f32,
}

/// A candidate whose score is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    pub(crate) id: usize,
    pub(crate) score: f32,
}

impl Rule {
    /// The candidates to recompute next; none if the answer can change no more. Both kinds come best first.
    pub(crate) fn doubtful(
        &self,
        exact: &[Exact],
        open: impl Iterator<Item = Open> + Clone,
    ) -> Vec<usize> {
        if self.exact { self.above(exact, open) } else { self.near(exact, open) }
    }

    /// Those that may belong to the answer.
    fn above(&self, exact: &[Exact], open: impl Iterator<Item = Open> + Clone) -> Vec<usize> {
        let z = self.confidence;
        let known = exact.len();
        let most = BATCH.max(self.k.saturating_sub(known)).max(known / BATCH_SHARE);
        let Some(bar) = exact.get(self.k - 1).map(|it| it.score) else {
            return open.map(|it| it.id).take(most).collect();
        };
        open.filter(|it| it.score + z * it.sigma > bar).map(|it| it.id).take(most).collect()
    }

    /// Those that may stand on the other side of the answer's end.
    fn near(&self, exact: &[Exact], open: impl Iterator<Item = Open> + Clone) -> Vec<usize> {
        let mut end = ranking(exact, open.clone()).skip(self.k - 1).map(|(_, score)| score);
        let (Some(last), Some(next)) = (end.next(), end.next()) else { return Vec::new() };
        let bar = (last + next) / 2.0;
        let doubts = open.map(|it| ((it.score - bar).abs() / it.sigma, it.id));
        let mut open: Vec<(f32, usize)> =
            doubts.filter(|(doubt, _)| *doubt < self.confidence).collect();
        let most = |a: &(f32, usize), b: &(f32, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        if open.len() > BATCH / 2 {
            open.select_nth_unstable_by(BATCH / 2 - 1, most);
            open.truncate(BATCH / 2);
        }
        open.sort_unstable_by(most);
        open.into_iter().map(|(_, id)| id).collect()
    }
}

/// Both kinds together, best first: who it is and what its score is as far as it is known.
pub(crate) fn ranking(
    exact: &[Exact],
    open: impl Iterator<Item = Open>,
) -> impl Iterator<Item = (usize, f32)> {
    let mut exact = exact.iter().map(|it| (it.id, it.score)).peekable();
    let mut open = open.map(|it| (it.id, it.score)).peekable();
    std::iter::from_fn(move || match (exact.peek(), open.peek()) {
        (Some(known), Some(guess)) if known.1 >= guess.1 => exact.next(),
        (Some(_), None) => exact.next(),
        _ => open.next(),
    })
}

/// Puts one whose score came out in its place.
pub(crate) fn settle(exact: &mut Vec<Exact>, new: Exact) {
    let before =
        |it: &Exact| it.score.total_cmp(&new.score).reverse().then(it.id.cmp(&new.id)).is_lt();
    exact.insert(exact.partition_point(before), new);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(scores: &[f32]) -> impl Iterator<Item = Open> + Clone {
        scores.iter().zip(0..).map(|(&score, id)| Open { id, score, sigma: 0.1 })
    }

    fn exact(scores: &[f32]) -> Vec<Exact> {
        let mut exact = Vec::new();
        scores.iter().zip(100..).for_each(|(&score, id)| settle(&mut exact, Exact { id, score }));
        exact
    }

    #[test]
    fn where_scores_are_exact_whatever_may_reach_the_answer_is_doubtful() {
        let rule = Rule { k: 2, confidence: 2.0, exact: true };
        let estimates = [0.9, 0.75, 0.65, 0.55, 0.5];
        assert_eq!(rule.doubtful(&[], open(&estimates)), [0, 1, 2, 3, 4], "nothing is known");
        assert_eq!(rule.doubtful(&exact(&[0.6, 0.8]), open(&estimates[1..])), [0, 1, 2, 3]);
        assert_eq!(rule.doubtful(&exact(&[0.8, 0.7]), open(&estimates[1..])), [0, 1, 2]);
        assert!(rule.doubtful(&exact(&[0.96, 0.95]), open(&estimates[1..])).is_empty());
        assert!(rule.doubtful(&exact(&[0.1, 0.2]), open(&[])).is_empty(), "all are known");
        let many = vec![0.5; 1000];
        let batch = |known| rule.doubtful(&exact(&vec![0.5; known]), open(&many)).len();
        assert_eq!((batch(0), batch(100), batch(800)), (8, 8, 50));
    }

    #[test]
    fn where_the_order_matters_what_is_nearest_to_the_end_is_doubtful() {
        let rule = Rule { k: 2, confidence: 2.0, exact: false };
        assert_eq!(rule.doubtful(&[], open(&[0.95, 0.75, 0.65, 0.3])), [1, 2]);
        assert_eq!(rule.doubtful(&exact(&[0.71]), open(&[0.95, 0.65, 0.6])), [1, 2]);
        assert!(rule.doubtful(&[], open(&[0.9, 0.8])).is_empty(), "there is no next one");
        assert!(rule.doubtful(&[], open(&[0.9, 0.8, 0.1])).is_empty(), "the gap is wide");
    }

    #[test]
    fn a_ranking_has_both_kinds_in_order() {
        let known = exact(&[0.3, 0.8, 0.5]);
        let ids: Vec<usize> = ranking(&known, open(&[0.9, 0.5, 0.1])).map(|(id, _)| id).collect();
        assert_eq!(ids, [0, 101, 102, 1, 100, 2]);
    }
}
