//! Recomputing the candidates that could still change the answer, and no others.
//!
//! A code says what its chunk's exact score is on average and how far off that may be. Where all
//! scores of the answer are to be exact, candidates are recomputed best first until the next one's
//! upper bound is below the `k`th exact score. Where only the order matters, those are recomputed
//! whose place above or below the `k`th is in doubt, the most doubtful first. A vector that the cache
//! still has is taken from there, once the file is seen to be as it was; that costs next to nothing, so
//! it is tried before anything is embedded.

use super::calibrate::Calibration;
use super::candidates::{Candidate, Found};
use super::pace::Pace;
use super::rule::{Rule, Standing};
use super::texts::Reading;
use super::{Hit, Known, Plan, SearchResult, Stopped};
use crate::cache::{Cache, MOST_AT_ONCE};
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
    /// Whether the cache was asked.
    asked: bool,
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
    #[expect(clippy::too_many_arguments, reason = "what is searched for, and what each step needs")]
    pub(super) fn race(
        &self,
        query: &[f32],
        k: usize,
        found: Found,
        plan: &Plan<'_>,
        known: &mut Known,
        files: &dyn Files,
        encoder: &dyn Encoder,
    ) -> Result<(SearchResult, Vec<(Key, f32)>), IndexError> {
        let mut calibration = None;
        let runners = found.candidates.into_iter().map(|candidate| {
            let Candidate { mean: score, sigma, .. } = candidate;
            let mut runner = Runner { candidate, score, sigma, hit: None, asked: false };
            if let Some(exact) = known.scores.get(&candidate.key()) {
                settle(&mut calibration, &mut runner, *exact);
            }
            runner
        });
        let rule = Rule { k, confidence: plan.confidence, exact: plan.exact };
        let mut race = Race {
            runners: runners.collect(),
            calibration,
            k,
            plan,
            reading: Reading::new(self, files),
            pace: Pace::new(plan.time_left),
            cache: self.cache(),
            fresh: Vec::new(),
            result: SearchResult {
                visited: found.visited,
                bound: found.beyond,
                recomputed: known.recomputed,
                cached: known.cached,
                stale: known.stale,
                ..SearchResult::default()
            },
        };
        race.recalibrate();
        loop {
            race.sort();
            let doubtful =
                rule.doubtful(&race.runners, race.result.recomputed + race.result.cached);
            if doubtful.is_empty() {
                race.result.stopped = Stopped::Bound;
                // The bound may hold for chunks that turn out to be gone.
                if race.is_settled(query) {
                    break;
                }
                continue;
            }
            let over = race.pace.is_over();
            if !over && race.look_up(&doubtful, query) {
                continue;
            }
            let allowed = plan.budget.saturating_sub(race.result.recomputed);
            let batch = if over { &[] } else { race.fitting(&doubtful) };
            let batch = &batch[..batch.len().min(allowed)];
            if batch.is_empty() {
                race.result.stopped = if allowed == 0 { Stopped::Budget } else { Stopped::Time };
                if race.is_settled(query) {
                    break;
                }
                continue;
            }
            race.run(batch, query, encoder)?;
        }
        if let Some(cache) = race.cache {
            cache.put(&race.fresh);
        }
        known.stale_files.extend(race.reading.stale());
        let exact = race.runners.iter().filter(|runner| runner.sigma == 0.0);
        known.scores.extend(exact.map(|runner| (runner.candidate.key(), runner.score)));
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
    pace: Pace<'a>,
    cache: Option<&'a Cache>,
    /// What goes into the cache.
    fresh: Vec<([u8; 32], Vec<f32>)>,
    /// Of exact scores by codes.
    calibration: Option<Calibration>,
    result: SearchResult,
}

/// The exact score of a candidate came out.
fn settle(calibration: &mut Option<Calibration>, runner: &mut Runner, exact: f32) {
    let Candidate { mean, sigma, .. } = runner.candidate;
    calibration.get_or_insert(Calibration::new(sigma)).note(exact - mean);
    (runner.score, runner.sigma) = (exact, 0.0);
}

impl Race<'_> {
    fn sort(&mut self) {
        self.runners.sort_by(|a, b| {
            let ties =
                (a.candidate.part, a.candidate.chunk).cmp(&(b.candidate.part, b.candidate.chunk));
            b.score.total_cmp(&a.score).then(ties)
        });
    }

    /// Reads the texts of these, lets those whose files are not as they were drop out, and takes the
    /// scores that the cache can tell. Whether anything changed.
    fn look_up(&mut self, which: &[usize], query: &[f32]) -> bool {
        let gone = self.load(which);
        let mut changed = !gone.is_empty();
        if let Some(cache) = self.cache {
            for &i in which {
                let runner = &mut self.runners[i];
                let Some(hit) = runner.hit.as_ref().filter(|_| !runner.asked) else { continue };
                runner.asked = true;
                if runner.sigma == 0.0 {
                    continue;
                }
                if let Some(row) = cache.get(&hit.text_hash) {
                    settle(&mut self.calibration, runner, dot(query, &row));
                    self.result.cached += 1;
                    changed = true;
                }
            }
        }
        self.recalibrate();
        self.drop(&gone);
        changed
    }

    /// The first of these, as many as there is time for.
    fn fitting<'b>(&self, which: &'b [usize]) -> &'b [usize] {
        let length = |&i: &usize| self.runners[i].hit.as_ref().map_or(0, |hit| hit.text.len());
        let lengths: Vec<usize> = which.iter().map(length).collect();
        let answer = self.runners.iter().take(self.k);
        let unread = answer.filter(|runner| runner.hit.is_none()).count();
        &which[..self.pace.next(&lengths, unread)]
    }

    /// Recomputes these, whose texts are read.
    fn run(
        &mut self,
        batch: &[usize],
        query: &[f32],
        encoder: &dyn Encoder,
    ) -> Result<(), IndexError> {
        let hits = batch.iter().filter_map(|&i| self.runners[i].hit.as_ref());
        let texts: Vec<&str> = hits.map(|hit| hit.text.as_str()).collect();
        let bytes = texts.iter().map(|text| text.len()).sum();
        let mut rows = self.pace.embed(texts.len(), bytes, || encode_checked(encoder, &texts))?;
        sanitize(&mut rows, query.len());
        for (&i, row) in batch.iter().zip(Rows::new(&rows, query.len()).iter()) {
            let runner = &mut self.runners[i];
            settle(&mut self.calibration, runner, dot(query, row));
            if let Some(hit) = runner.hit.as_ref().filter(|_| self.cache.is_some())
                && self.fresh.len() < MOST_AT_ONCE
            {
                self.fresh.push((hit.text_hash, row.to_vec()));
            }
        }
        self.result.recomputed += batch.len();
        self.recalibrate();
        Ok(())
    }

    /// Takes the open candidates' estimates as what came out about others says.
    fn recalibrate(&mut self) {
        let Some(calibration) = self.calibration else { return };
        let (shift, sigma) = (calibration.shift(), calibration.sigma());
        for runner in self.runners.iter_mut().filter(|runner| runner.sigma > 0.0) {
            runner.score = runner.candidate.mean + shift;
            runner.sigma = sigma.max(runner.candidate.sigma);
        }
    }

    /// Reads the texts of the answer; `false` if that changed it. Where only the order matters, scores that
    /// are sure enough stay estimates: others would bring new doubts.
    fn is_settled(&mut self, query: &[f32]) -> bool {
        let answer: Vec<usize> = (0..self.runners.len().min(self.k)).collect();
        if self.plan.exact {
            return !self.look_up(&answer, query);
        }
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
                match self.pace.read(|| self.reading.hit(part, chunk)) {
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
        self.result.bound = upper.fold(self.result.bound, f32::max);
        let hits = self.runners.into_iter().filter_map(|runner| {
            let margin = z * runner.sigma;
            runner.hit.map(|hit| Hit { score: runner.score, margin, ..hit })
        });
        self.result.hits = hits.collect();
        self.result
    }
}
