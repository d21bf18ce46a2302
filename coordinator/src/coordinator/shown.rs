//! How a coordinator stands, for who only looks.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_protocol::ids::UnixMillis;
use covey_protocol::round::{Phase, Start};

use super::{Inner, Status};
use crate::Campaign;
use crate::record::RoundRecord;
use crate::run::Run;

/// What there is to see.
pub(super) struct Shown {
    pub(super) status: Status,
    pub(super) at: Option<(u64, u32, Phase)>,
    pub(super) wake_at: Option<UnixMillis>,
    pub(super) recent: Arc<VecDeque<RoundRecord>>,
    /// What the campaign's next plan is made of: its round, and the values that it starts from.
    pub(super) planned: Option<(Campaign, u64, Start)>,
}

/// The inside of a coordinator, open to one thread. What is to be seen of it follows when it is let go.
pub(super) struct Open<'a> {
    pub(super) inner: MutexGuard<'a, Inner>,
    pub(super) shown: &'a Mutex<Shown>,
}

impl Deref for Open<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Open<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // While the inside is still closed to others: nobody is shown an earlier state after a later one.
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = self.inner.shown();
    }
}

impl Inner {
    pub(super) fn shown(&self) -> Shown {
        let state = &self.state;
        let at = state.current.as_ref().map(|current| {
            (state.round, current.attempt, self.run.as_ref().map_or(Phase::Over, Run::phase))
        });
        Shown {
            status: self.status(),
            at,
            wake_at: self.wake_at(),
            recent: Arc::clone(&self.recent),
            planned: self.planned(),
        }
    }

    fn planned(&self) -> Option<(Campaign, u64, Start)> {
        let (campaign, _) = self.state.campaign.as_ref()?;
        let start = self.state.checkpoint.as_ref()?.values;
        Some((campaign.clone(), self.state.round + 1, start))
    }

    fn status(&self) -> Status {
        let state = &self.state;
        let checkpoint = state.checkpoint.as_ref();
        let running = state.current.as_ref().zip(self.run.as_ref());
        let current = checkpoint.map(|checkpoint| checkpoint.values.digest);
        Status {
            left: state.campaign.as_ref().map(|(campaign, done)| campaign.rounds - done),
            running: running.map(|(current, run)| {
                let (all, done) = run.progress();
                (state.round, current.attempt, run.phase(), all, done)
            }),
            rounds: checkpoint.map_or(0, |checkpoint| checkpoint.rounds),
            participants: checkpoint.map_or(0, |checkpoint| checkpoint.participants),
            cost: checkpoint.and_then(|checkpoint| checkpoint.cost),
            unit: checkpoint.map(|checkpoint| checkpoint.unit),
            delta: checkpoint.map(|checkpoint| checkpoint.delta),
            release_every_ms: state.promotion.as_ref().and_then(|it| it.every_ms),
            candidate: state.candidate.as_ref().map(|candidate| candidate.stage.to_string()),
            released: state
                .releases
                .first()
                .map(|it| (it.number, Some(it.values.digest) == current)),
        }
    }
}
