//! Bringing collections to the current release of their model, in the background.
//!
//! A segment is embedded at a time, from a snapshot and without the right to change the collection, which is
//! taken for moments only: updates go on meanwhile. Threads of their own with the lowest priority do
//! it, and pause while somebody searches. Until all is done a collection answers for its release of before.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use covey_index::{IndexError, RecodeStep, RecodedPart};
use covey_protocol::ids::ModelId;

use super::slot::{Claim, Moving, Slot};
use super::{Collections, model_of};
use crate::api::ApiError;
use crate::background;
use crate::cancel::CancelFlag;
use crate::errors;
use crate::models::ModelHandle;

/// Chunks embedded at once: few, so that a search that comes waits for little.
const BATCH: usize = 16;
/// How often it is looked whether searches have ended, or somebody else's change.
const LOOK: Duration = Duration::from_millis(5);
/// The longest that one batch is put off for searches.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What searches, and whoever changes the model, tell those who embed in the background.
#[derive(Default)]
pub(super) struct Signals {
    searches: AtomicUsize,
    changes: AtomicU64,
}

/// Somebody searches as long as this is there.
pub(super) struct Searching<'a>(&'a AtomicUsize);

impl Signals {
    pub(super) fn searching(&self) -> Searching<'_> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        Searching(&self.searches)
    }

    /// Waits while somebody searches, but not for long, and not once it is `over`.
    pub(super) fn let_searches_pass(&self, over: impl Fn() -> bool) {
        let started = Instant::now();
        while self.searches.load(Ordering::Relaxed) > 0
            && started.elapsed() < LONGEST_PAUSE
            && !over()
        {
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Searching<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Collections {
    /// Waits while somebody searches, but not for long, and not once it is `over`: for work in the background.
    pub(crate) fn let_searches_pass(&self, over: impl Fn() -> bool) {
        self.signals.let_searches_pass(over);
    }

    /// The current model is another one now.
    pub(crate) fn model_changed(&self) {
        self.signals.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Brings every collection to the current release of its model, as far as that is possible; `stop` ends
    /// it, and what is done is kept. `false` where something went wrong, which a later call may find better.
    pub(crate) fn adopt(&self, stop: &CancelFlag) -> bool {
        let threads = match background::threads() {
            Ok(threads) => threads,
            Err(error) => {
                tracing::error!(%error, "cannot start threads to bring collections along");
                return false;
            }
        };
        loop {
            let changes = self.signals.changes.load(Ordering::Relaxed);
            let Ok(to) = self.models.current() else { return false };
            let (mut well, mut restart) = (true, false);
            for slot in self.slots() {
                let mut turn = Turn { all: self, slot, to: &to, stop, changes, done: 0 };
                match turn.take(&threads) {
                    Ok(Took::All) => {}
                    Ok(Took::Stopped) if stop.is_cancelled() => return true,
                    Ok(Took::Stopped) => restart = true,
                    Err(error) => {
                        well = false;
                        tracing::warn!(collection = %turn.slot.name, %error, "cannot bring a collection to the current release of its model");
                        turn.tell(Some(error.message));
                    }
                }
            }
            if !restart {
                return well;
            }
        }
    }
}

/// How far a turn came.
enum Took {
    /// There is nothing left to do.
    All,
    /// It was stopped, or the model changed.
    Stopped,
}

/// One collection's turn.
struct Turn<'a> {
    all: &'a Collections,
    slot: Arc<Slot>,
    to: &'a ModelHandle,
    stop: &'a CancelFlag,
    /// Changes of the model before this began.
    changes: u64,
    /// Chunks that have codes of the release.
    done: usize,
}

impl Turn<'_> {
    fn take(&mut self, threads: &rayon::ThreadPool) -> Result<Took, ApiError> {
        if !self.is_behind() {
            return self.forget_other_moves();
        }
        tracing::info!(collection = %self.slot.name, model = %self.to.name, "bringing a collection to another release of its model");
        loop {
            // It may have been removed and made anew meanwhile.
            if !self.is_behind() {
                return self.forget_other_moves();
            }
            let Some(step) = self.next()? else { return Ok(Took::Stopped) };
            let Some(step) = step else {
                match threads.install(|| self.finish())? {
                    Some(true) => return Ok(Took::All),
                    Some(false) => continue,
                    None => return Ok(Took::Stopped),
                }
            };
            let Some(part) = threads.install(|| self.embed(&step))? else {
                return Ok(Took::Stopped);
            };
            if part.stale() > 0 {
                tracing::warn!(collection = %self.slot.name, files = part.stale(), "files that changed or cannot be read were left out; `covey update` takes them in again");
            }
            if !threads.install(|| self.accept(part))? {
                return Ok(Took::Stopped);
            }
        }
    }

    fn is_behind(&self) -> bool {
        let (has, wants) = (self.slot.model(), self.to.id);
        self.slot.problem().is_none() && has.base == wants.base && has.release != wants.release
    }

    /// What was made for a release that is no longer wanted only takes space, and keeps segments apart.
    fn forget_other_moves(&self) -> Result<Took, ApiError> {
        let other = self.slot.moving().is_some_and(|moving| moving.to != self.to.id);
        if self.slot.model() != self.to.id || !other {
            return Ok(Took::All);
        }
        let Some(mut claim) = self.claim() else { return Ok(Took::Stopped) };
        if let Some(index) = &mut claim.index {
            index.abandon_recode().map_err(|error| self.failed(error))?;
        }
        self.slot.set_moving(None);
        Ok(Took::All)
    }

    /// What to embed next. The outer `None` says that it was stopped.
    #[expect(clippy::option_option, reason = "nothing left to do is not being stopped")]
    fn next(&mut self) -> Result<Option<Option<RecodeStep>>, ApiError> {
        let Some(claim) = self.claim() else { return Ok(None) };
        let Some(index) = &claim.index else { return Ok(None) };
        let (seed, encoder) = (self.all.options().seed, &*self.to.encoder);
        let step = index.recode_step(&*self.all.files, encoder, seed);
        let step = step.map_err(|error| self.failed(error))?;
        self.done = index.recoded(encoder.id()).0;
        drop(claim);
        self.tell(None);
        Ok(Some(step))
    }

    /// `None` where it was stopped.
    fn embed(&self, step: &RecodeStep) -> Result<Option<RecodedPart>, ApiError> {
        let mut told = 0;
        let mut progress = |at: covey_index::Progress| {
            if at.chunks_embedded != told {
                told = at.chunks_embedded;
                self.slot.advance(self.to.id, (self.done + told) as u64);
            }
            self.all.signals.let_searches_pass(|| self.is_over());
            if self.is_over() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        step.run(&*self.all.files, &*self.to.encoder, BATCH, &mut progress)
            .map_err(|error| self.failed(error))
    }

    /// `false` where it was stopped.
    fn accept(&self, part: RecodedPart) -> Result<bool, ApiError> {
        let Some(mut claim) = self.claim() else { return Ok(false) };
        if let Some(index) = &mut claim.index {
            index.accept(part).map_err(|error| self.failed(error))?;
        }
        Ok(true)
    }

    /// Whether the collection has come to the release; `None` where it was stopped.
    fn finish(&self) -> Result<Option<bool>, ApiError> {
        let Some(mut claim) = self.claim() else { return Ok(None) };
        let Some(index) = &mut claim.index else { return Ok(None) };
        let seed = self.all.options().seed;
        let done =
            index.finish_recode(&*self.to.encoder, seed).map_err(|error| self.failed(error))?;
        if done {
            let id = model_of(index);
            self.all.record_model(&self.slot, id)?;
            self.slot.set_moving(None);
            claim.publish();
            tracing::info!(collection = %self.slot.name, model = %self.to.name, "a collection has come to another release of its model");
        }
        Ok(Some(done))
    }

    /// The right to change the collection, once nobody else has it; `None` where it was stopped.
    fn claim(&self) -> Option<Claim> {
        loop {
            if self.is_over() {
                return None;
            }
            if let Some(claim) = self.slot.claim_quietly() {
                return Some(claim);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn is_over(&self) -> bool {
        let changes = self.all.signals.changes.load(Ordering::Relaxed);
        self.stop.is_cancelled() || changes != self.changes
    }

    fn tell(&self, problem: Option<String>) {
        let total = self.slot.stats();
        let total = (total.chunks + total.dead_chunks) as u64;
        let moving = Moving { to: self.to.id, done: self.done as u64, total, problem };
        self.slot.set_moving(Some(moving));
    }

    fn failed(&self, error: IndexError) -> ApiError {
        errors::index(&self.slot.name, error)
    }
}

impl Collections {
    /// Notes that a collection holds another release now.
    pub(super) fn record_model(&self, slot: &Slot, id: ModelId) -> Result<(), ApiError> {
        let mut record = slot.record();
        record.model = id;
        self.kv.write(vec![record.put(&slot.name)])?;
        slot.set_record(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn whoever_embeds_waits_until_nobody_searches() {
        let signals = Signals::default();
        let started = Instant::now();
        signals.let_searches_pass(|| false);
        let searching = signals.searching();
        signals.let_searches_pass(|| true);
        assert!(started.elapsed() < LONGEST_PAUSE, "nobody to wait for, and no more waiting");
        let (waited, passed) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                signals.let_searches_pass(|| false);
                waited.send(()).expect("somebody listens");
            });
            assert!(passed.recv_timeout(8 * LOOK).is_err(), "it went on during a search");
            drop(searching);
            passed.recv_timeout(LONGEST_PAUSE).expect("it goes on after the search");
        });
    }
}
