//! Recomputing the candidates that could still change the answer, and no others.
//!
//! A code says what its chunk's exact score is on average and how far off that may be. Where all
//! scores of the answer are to be exact, candidates are recomputed best first until the next one's
//! upper bound is below the `k`th exact score. Where only the order matters, those are recomputed
//! whose place above or below the `k`th is in doubt, the most doubtful first. A vector that the cache
//! still has is taken from there, once the file is seen to be as it was; that costs next to nothing, so
//! it is tried before anything is embedded.

use std::collections::HashMap;

use super::calibrate::Calibration;
use super::candidates::{Candidate, Found};
use super::pace::Pace;
use super::rule::{self, Exact, Open, Rule};
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

/// A candidate on its way into the answer; its place among the candidates, the best by code first, names it.
struct Runner {
    candidate: Candidate,
    state: State,
    hit: Option<Box<Hit>>,
    /// Whether the cache was asked.
    asked: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Only its code is known.
    Open,
    /// Its exact score is.
    Exact,
    /// Its file is not as it was.
    Gone,
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
        let rule = Rule { k, confidence: plan.confidence, exact: plan.exact };
        let new = |candidate| Runner { candidate, state: State::Open, hit: None, asked: false };
        let mut race = Race {
            runners: found.candidates.into_iter().map(new).collect(),
            first: 0,
            exact: Vec::new(),
            texts: HashMap::new(),
            calibration: None,
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
        for id in 0..race.runners.len() {
            if let Some(exact) = known.scores.get(&race.runners[id].candidate.key()) {
                race.settle(id, *exact);
            }
        }
        loop {
            let doubtful = rule.doubtful(&race.exact, race.open());
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
        let key = |id: usize| race.runners[id].candidate.key();
        known.scores.extend(race.exact.iter().map(|it| (key(it.id), it.score)));
        Ok(race.finish())
    }
}

struct Race<'a> {
    runners: Vec<Runner>,
    /// All before this one are open no more.
    first: usize,
    /// Those whose scores are known, best first.
    exact: Vec<Exact>,
    /// Scores of the texts that came out, by their hashes: copies have them too.
    texts: HashMap<[u8; 32], f32>,
    /// Of exact scores by codes.
    calibration: Option<Calibration>,
    k: usize,
    plan: &'a Plan<'a>,
    reading: Reading<'a>,
    pace: Pace<'a>,
    cache: Option<&'a Cache>,
    /// What goes into the cache.
    fresh: Vec<([u8; 32], Vec<f32>)>,
    result: SearchResult,
}

impl Race<'_> {
    /// What came out about others: how much more than their means open candidates have, and the least standard
    /// deviation.
    fn learnt(&self) -> (f32, f32) {
        self.calibration.map_or((0.0, 0.0), |it| (it.shift(), it.sigma()))
    }

    /// The open candidates, best first, as what came out about others says.
    fn open(&self) -> impl Iterator<Item = Open> + Clone {
        let (shift, least) = self.learnt();
        let runners = (self.first..).zip(&self.runners[self.first..]);
        let open = runners.filter(|(_, runner)| runner.state == State::Open);
        open.map(move |(id, runner)| Open {
            id,
            score: runner.candidate.mean + shift,
            sigma: runner.candidate.sigma.max(least),
        })
    }

    /// All but those that are gone, best first.
    fn ranking(&self) -> impl Iterator<Item = (usize, f32)> {
        rule::ranking(&self.exact, self.open())
    }

    /// The exact score of a candidate came out.
    fn settle(&mut self, id: usize, score: f32) {
        let Runner { candidate: Candidate { mean, sigma, .. }, hit, .. } = &self.runners[id];
        let (mean, sigma) = (*mean, *sigma);
        if let Some(hit) = hit {
            self.texts.insert(hit.text_hash, score);
        }
        self.calibration.get_or_insert(Calibration::new(sigma)).note(score - mean);
        rule::settle(&mut self.exact, Exact { id, score });
        self.close(id, State::Exact);
    }

    fn close(&mut self, id: usize, state: State) {
        self.runners[id].state = state;
        let closed = self.runners[self.first..].iter();
        self.first += closed.take_while(|runner| runner.state != State::Open).count();
    }

    /// Reads the texts of these, lets those whose files are not as they were drop out, and takes the
    /// scores that a copy of the text or the cache can tell. Whether anything changed.
    fn look_up(&mut self, which: &[usize], query: &[f32]) -> bool {
        let mut changed = self.load(which);
        for &id in which {
            let runner = &mut self.runners[id];
            let Some(hit) = runner.hit.as_ref().filter(|_| runner.state == State::Open) else {
                continue;
            };
            if let Some(&score) = self.texts.get(&hit.text_hash) {
                self.settle(id, score);
                changed = true;
                continue;
            }
            if std::mem::replace(&mut runner.asked, true) {
                continue;
            }
            if let Some(row) = self.cache.and_then(|cache| cache.get(&hit.text_hash)) {
                self.settle(id, dot(query, &row));
                self.result.cached += 1;
                changed = true;
            }
        }
        changed
    }

    /// The first of these, as many as there is time for.
    fn fitting<'b>(&self, which: &'b [usize]) -> &'b [usize] {
        let length = |&id: &usize| self.runners[id].hit.as_ref().map_or(0, |hit| hit.text.len());
        let lengths: Vec<usize> = which.iter().map(length).collect();
        let answer = self.ranking().take(self.k);
        let unread = answer.filter(|(id, _)| self.runners[*id].hit.is_none()).count();
        &which[..self.pace.next(&lengths, unread)]
    }

    /// Recomputes these, whose texts are read.
    fn run(
        &mut self,
        batch: &[usize],
        query: &[f32],
        encoder: &dyn Encoder,
    ) -> Result<(), IndexError> {
        let hits = batch.iter().filter_map(|&id| self.runners[id].hit.as_ref());
        let texts: Vec<&str> = hits.map(|hit| hit.text.as_str()).collect();
        let bytes = texts.iter().map(|text| text.len()).sum();
        let mut rows = self.pace.embed(texts.len(), bytes, || encode_checked(encoder, &texts))?;
        sanitize(&mut rows, query.len());
        for (&id, row) in batch.iter().zip(Rows::new(&rows, query.len()).iter()) {
            self.settle(id, dot(query, row));
            if let Some(hit) = self.runners[id].hit.as_ref().filter(|_| self.cache.is_some())
                && self.fresh.len() < MOST_AT_ONCE
            {
                self.fresh.push((hit.text_hash, row.to_vec()));
            }
        }
        self.result.recomputed += batch.len();
        Ok(())
    }

    /// Reads the texts of the answer; `false` if that changed it. Where only the order matters, scores that
    /// are sure enough stay estimates: others would bring new doubts.
    fn is_settled(&mut self, query: &[f32]) -> bool {
        let answer: Vec<usize> = self.ranking().map(|(id, _)| id).take(self.k).collect();
        let changed =
            if self.plan.exact { self.look_up(&answer, query) } else { self.load(&answer) };
        !changed
    }

    /// Reads texts; those that cannot be read as they were drop out. Whether any did.
    fn load(&mut self, which: &[usize]) -> bool {
        let before = self.result.stale;
        for &id in which {
            if self.runners[id].hit.is_some() {
                continue;
            }
            let Candidate { part, chunk, .. } = self.runners[id].candidate;
            if let Some(hit) = self.pace.read(|| self.reading.hit(part, chunk)) {
                self.runners[id].hit = Some(Box::new(hit));
            } else {
                self.result.stale += 1;
                self.exact.retain(|it| it.id != id);
                self.close(id, State::Gone);
            }
        }
        self.result.stale > before
    }

    /// The answer, and all that are not gone, best first.
    fn finish(mut self) -> (SearchResult, Vec<(Key, f32)>) {
        let ranking: Vec<(usize, f32)> = self.ranking().collect();
        let (z, (_, least)) = (self.plan.confidence, self.learnt());
        let margin = |runner: &Runner| match runner.state {
            State::Open => z * runner.candidate.sigma.max(least),
            State::Exact | State::Gone => 0.0,
        };
        let (answer, rest) = ranking.split_at(ranking.len().min(self.k));
        let upper = rest.iter().map(|(id, score)| score + margin(&self.runners[*id]));
        self.result.bound = upper.fold(self.result.bound, f32::max);
        for &(id, score) in answer {
            let runner = &mut self.runners[id];
            let (margin, hit) = (margin(runner), runner.hit.take());
            self.result.hits.extend(hit.map(|hit| Hit { score, margin, ..*hit }));
        }
        let key = |(id, score): (usize, f32)| (self.runners[id].candidate.key(), score);
        (self.result, ranking.into_iter().map(key).collect())
    }
}
