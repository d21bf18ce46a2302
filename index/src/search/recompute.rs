//! Recomputing the candidates that could still change the answer, and no others.
//!
//! A code says what its chunk's exact score is on average and how far off that may be. Where all
//! scores of the answer are to be exact, candidates are recomputed best first until the next one's
//! upper bound is below the `k`th exact score. Where only the order matters, those are recomputed
//! whose place above or below the `k`th is in doubt, the most doubtful first.

use super::candidates::{Candidate, Found};
use super::rule::{Rule, Standing};
use super::texts::Reading;
use super::{Hit, Plan, SearchResult, Stopped};
use crate::collection::Snapshot;
use crate::encoder::{Encoder, encode_checked};
use crate::error::IndexError;
use crate::files::Files;
use crate::vectors::{Rows, dot, sanitize};

/// A chunk by part and number.
type Key = (usize, u32);

/// A candidate on its way into the answer.
struct Runner {
    candidate: Candidate,
    /// The score as far as it is known, and its standard deviation: 0 once it is recomputed.
    score: f32,
    sigma: f32,
    hit: Option<Hit>,
}

impl Standing for Runner {
    fn score(&self) -> f32 {
        self.score
    }

    fn sigma(&self) -> f32 {
        self.sigma
    }
}

impl Snapshot {
    /// The `k` best of the candidates whose files are as they were; and all candidates, best first,
    /// with their scores as far as they are known.
    pub(super) fn race(
        &self,
        query: &[f32],
        k: usize,
        found: Found,
        plan: &Plan<'_>,
        files: &dyn Files,
        encoder: &dyn Encoder,
    ) -> Result<(SearchResult, Vec<(Key, f32)>), IndexError> {
        let runners = found.candidates.into_iter().map(|candidate| Runner {
            candidate,
            score: candidate.mean,
            sigma: candidate.sigma,
            hit: None,
        });
        let rule = Rule { k, confidence: plan.confidence, exact: plan.exact };
        let mut race = Race {
            runners: runners.collect(),
            k,
            plan,
            reading: Reading::new(self, files),
            result: SearchResult { visited: found.visited, ..SearchResult::default() },
        };
        loop {
            race.sort();
            let doubtful = rule.doubtful(&race.runners, race.result.recomputed);
            if doubtful.is_empty() {
                // The bound may hold for chunks that turn out to be gone.
                if race.load_hits() {
                    break;
                }
                continue;
            }
            let left = plan.budget.saturating_sub(race.result.recomputed);
            let late = race.result.recomputed > 0 && plan.out_of_time.is_some_and(|late| late());
            if left == 0 || late {
                race.result.stopped = if late { Stopped::Time } else { Stopped::Budget };
                if race.load_hits() {
                    break;
                }
                continue;
            }
            let batch = &doubtful[..doubtful.len().min(left)];
            race.run(batch, query, encoder)?;
        }
        let ranking =
            race.runners.iter().map(|runner| (runner.candidate.key(), runner.score)).collect();
        Ok((race.finish(), ranking))
    }
}

struct Race<'a> {
    /// Best first.
    runners: Vec<Runner>,
    k: usize,
    plan: &'a Plan<'a>,
    reading: Reading<'a>,
    result: SearchResult,
}

impl Race<'_> {
    fn sort(&mut self) {
        self.runners.sort_by(|a, b| {
            let ties =
                (a.candidate.part, a.candidate.chunk).cmp(&(b.candidate.part, b.candidate.chunk));
            b.score.total_cmp(&a.score).then(ties)
        });
    }

    /// Recomputes these; those whose files are not as they were drop out.
    fn run(
        &mut self,
        batch: &[usize],
        query: &[f32],
        encoder: &dyn Encoder,
    ) -> Result<(), IndexError> {
        let gone = self.load(batch);
        let fresh: Vec<usize> = batch.iter().copied().filter(|i| !gone.contains(i)).collect();
        let texts: Vec<&str> = fresh
            .iter()
            .filter_map(|&i| self.runners[i].hit.as_ref().map(|hit| hit.text.as_str()))
            .collect();
        let mut rows = encode_checked(encoder, &texts)?;
        sanitize(&mut rows, query.len());
        for (&i, row) in fresh.iter().zip(Rows::new(&rows, query.len()).iter()) {
            let runner = &mut self.runners[i];
            (runner.score, runner.sigma) = (dot(query, row), 0.0);
        }
        self.result.recomputed += fresh.len();
        self.drop(&gone);
        Ok(())
    }

    /// Reads the texts of the answer; `false` if some dropped out and others take their places.
    fn load_hits(&mut self) -> bool {
        let answer: Vec<usize> = (0..self.runners.len().min(self.k)).collect();
        let gone = self.load(&answer);
        self.drop(&gone);
        gone.is_empty()
    }

    /// Reads texts; gives back those that cannot be read as they were.
    fn load(&mut self, which: &[usize]) -> Vec<usize> {
        let mut gone = Vec::new();
        for &i in which {
            if self.runners[i].hit.is_none() {
                let Candidate { part, chunk, .. } = self.runners[i].candidate;
                match self.reading.hit(part, chunk) {
                    Some(hit) => self.runners[i].hit = Some(hit),
                    None => gone.push(i),
                }
            }
        }
        gone
    }

    fn drop(&mut self, gone: &[usize]) {
        self.result.stale += gone.len();
        let mut at = 0;
        self.runners.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }

    fn finish(mut self) -> SearchResult {
        let z = self.plan.confidence;
        let rest = self.runners.split_off(self.runners.len().min(self.k));
        let upper = rest.iter().map(|runner| runner.score + z * runner.sigma);
        self.result.bound = upper.fold(f32::NEG_INFINITY, f32::max);
        let hits = self.runners.into_iter().filter_map(|runner| {
            let margin = z * runner.sigma;
            runner.hit.map(|hit| Hit { score: runner.score, margin, ..hit })
        });
        self.result.hits = hits.collect();
        self.result
    }
}
