//! One search played with estimates and a truth that are known, by the rule of the real one.

use super::pool::Pool;
use crate::search::{Rule, Standing};

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

struct Runner {
    id: u32,
    score: f32,
    sigma: f32,
}

fn best_first(a: &Runner, b: &Runner) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.id.cmp(&b.id))
}

impl Standing for Runner {
    fn score(&self) -> f32 {
        self.score
    }

    fn sigma(&self) -> f32 {
        self.sigma
    }
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
    let runners = (0u32..).zip(estimates).map(|(id, &score)| Runner { id, score, sigma });
    let mut runners: Vec<Runner> = runners.collect();
    let keep = caps.last().map_or(0, |most| most + MARGIN).max(2 * rule.k);
    if runners.len() > keep {
        runners.select_nth_unstable_by(keep - 1, best_first);
        runners.truncate(keep);
    }
    runners.sort_by(best_first);
    let (mut outcomes, mut recomputed) = (Vec::with_capacity(caps.len()), 0);
    loop {
        let doubtful = rule.doubtful(&runners, recomputed);
        let batch: Vec<u32> = doubtful.into_iter().map(|at| runners[at].id).collect();
        for &id in &batch {
            while caps.get(outcomes.len()) == Some(&recomputed) {
                outcomes.push(outcome(rule, &runners, pool, recomputed));
            }
            if outcomes.len() == caps.len() {
                return outcomes;
            }
            settle(&mut runners, id, pool.truth[id as usize]);
            recomputed += 1;
        }
        if batch.is_empty() {
            let end = outcome(rule, &runners, pool, recomputed);
            outcomes.resize(caps.len(), end);
            return outcomes;
        }
    }
}

/// Gives a runner its exact score and its place.
fn settle(runners: &mut Vec<Runner>, id: u32, score: f32) {
    let Some(at) = runners.iter().position(|runner| runner.id == id) else { return };
    runners.remove(at);
    let place = runners
        .partition_point(|runner| runner.score > score || runner.score == score && runner.id < id);
    runners.insert(place, Runner { id, score, sigma: 0.0 });
}

fn outcome(rule: Rule, runners: &[Runner], pool: &Pool, recomputed: usize) -> Outcome {
    // Of chunks with the same text one is as good as another.
    let good = |runner: &&Runner| pool.truth[runner.id as usize] >= pool.bar - SAME;
    let found = runners.iter().take(rule.k).filter(good).count();
    Outcome { recall: found as f64 / pool.best.max(1) as f64, recomputed }
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
