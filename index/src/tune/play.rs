//! One search played with estimates and a truth that are known, by the rule of the real one.

use super::pool::Pool;
use crate::search::rule::{self, Exact, Open, Rule};

/// Scores that differ by less are of chunks that say the same.
pub(super) const SAME: f32 = 1e-5;

/// Candidates that play beyond those that may be recomputed, the best by estimate.
const MARGIN: usize = 512;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    /// The share of the best that the answer has.
    pub(super) recall: f64,
    pub(super) recomputed: usize,
}

/// Plays a question whose chunks have these estimates, and tells for each of `caps`, ascending, how it
/// ends where no more than so many may be recomputed.
pub(super) fn play(
    rule: Rule,
    estimates: &[f32],
    sigma: f32,
    pool: &Pool,
    caps: &[usize],
) -> Vec<Outcome> {
    let mut open: Vec<(u32, f32)> = (0u32..).zip(estimates.iter().copied()).collect();
    let best_first = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    let keep = caps.last().map_or(0, |most| most + MARGIN).max(2 * rule.k);
    if open.len() > keep {
        open.select_nth_unstable_by(keep - 1, best_first);
        open.truncate(keep);
    }
    open.sort_by(best_first);
    let mut game = Game { rule, open, sigma, exact: Vec::new(), pool };
    let mut outcomes = Vec::with_capacity(caps.len());
    loop {
        let batch = rule.doubtful(&game.exact, game.open());
        for &id in &batch {
            while caps.get(outcomes.len()) == Some(&game.exact.len()) {
                outcomes.push(game.outcome());
            }
            if outcomes.len() == caps.len() {
                return outcomes;
            }
            game.settle(id);
        }
        if batch.is_empty() {
            outcomes.resize(caps.len(), game.outcome());
            return outcomes;
        }
    }
}

struct Game<'a> {
    rule: Rule,
    /// Chunks by number with their estimates, best first.
    open: Vec<(u32, f32)>,
    sigma: f32,
    exact: Vec<Exact>,
    pool: &'a Pool,
}

impl Game<'_> {
    fn open(&self) -> impl Iterator<Item = Open> + Clone {
        let sigma = self.sigma;
        self.open.iter().map(move |&(id, score)| Open { id: id as usize, score, sigma })
    }

    fn settle(&mut self, id: usize) {
        self.open.retain(|(other, _)| *other as usize != id);
        rule::settle(&mut self.exact, Exact { id, score: self.pool.truth[id] });
    }

    fn outcome(&self) -> Outcome {
        // Of chunks with the same text one is as good as another.
        let good = |(id, _): &(usize, f32)| self.pool.truth[*id] >= self.pool.bar - SAME;
        let answer = rule::ranking(&self.exact, self.open()).take(self.rule.k);
        let found = answer.filter(good).count();
        Outcome {
            recall: found as f64 / self.pool.best.max(1) as f64,
            recomputed: self.exact.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hundred chunks, each a hundredth worse than the one before.
    fn pool() -> Pool {
        let truth: Vec<f32> = (0..100).map(|i| 1.0 - i as f32 / 100.0).collect();
        Pool { sampled: vec![None; truth.len()], bar: truth[9], truth, best: 10 }
    }

    #[test]
    fn estimates_that_are_right_need_no_more_than_the_answer_or_nothing_at_all() {
        let pool = pool();
        let play = |exact| {
            let rule = Rule { k: 10, confidence: 3.0, exact };
            play(rule, &pool.truth, 1e-6, &pool, &[10, 50])
        };
        assert_eq!(play(true), [Outcome { recall: 1.0, recomputed: 10 }; 2]);
        assert_eq!(play(false), [Outcome { recall: 1.0, recomputed: 0 }; 2]);
    }

    #[test]
    fn each_cap_ends_it_where_the_real_search_would_end() {
        let pool = pool();
        // The best are estimated worst.
        let backwards: Vec<f32> = pool.truth.iter().map(|x| 1.0 - x).collect();
        for exact in [true, false] {
            let rule = Rule { k: 10, confidence: 4.0, exact };
            let caps = [10, 13, 40, 100, 200];
            let outcomes = play(rule, &backwards, 1.0, &pool, &caps);
            let counts: Vec<usize> = outcomes.iter().map(|it| it.recomputed).collect();
            assert_eq!(counts, [10, 13, 40, 100, 100], "exact: {exact}");
            assert_eq!(outcomes[3].recall, 1.0, "all are known");
            let alone = play(rule, &backwards, 1.0, &pool, &[13]);
            assert_eq!(alone[0], outcomes[1], "other caps change nothing");
        }
    }
}
