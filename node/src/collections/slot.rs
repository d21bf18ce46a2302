//! One collection: many readers of a snapshot, at most one writer.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use covey_crypto::Digest;
use covey_index::{Collection, CollectionStats, Settings, Snapshot};
use covey_protocol::ids::{ModelId, Name};

use super::record::Record;
use crate::api::{ApiError, ErrorCode};

/// A collection as the node holds it.
pub(super) struct Slot {
    pub(super) name: Name,
    inner: Mutex<Inner>,
    /// Told when a claim of the background ends.
    released: Condvar,
}

struct Inner {
    record: Record,
    view: View,
    /// As of the last finished change; none while there is no index to open.
    settings: Option<Settings>,
    writer: Writer,
    moving: Option<Moving>,
}

/// How far a collection is on its way to another release of its model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moving {
    /// The release.
    pub to: ModelId,
    /// Chunks that are embedded for it.
    pub done: u64,
    /// Chunks in all.
    pub total: u64,
    /// Why it does not go on, if so.
    pub problem: Option<String>,
}

/// What searches see.
#[derive(Clone)]
pub(super) enum View {
    /// The index as of its last finished change.
    Ready(Snapshot),
    /// There is no index yet: its first indexing was cut short, or lies ahead.
    Unmade,
    /// It cannot be read, and why.
    Broken(String),
}

enum Writer {
    /// Nobody writes. The opened index, unless it is broken.
    Idle(Option<Box<Collection>>),
    /// Somebody holds a [`Claim`]; in the background it is for a moment.
    Busy { background: bool },
}

/// The right to change a collection. Dropping it gives the right back, whatever happened.
pub(super) struct Claim {
    slot: Arc<Slot>,
    /// The opened index; `None` while it is broken or not made yet.
    pub(super) index: Option<Collection>,
}

impl Slot {
    pub(super) fn new(
        name: Name,
        record: Record,
        opened: Result<Option<Collection>, String>,
    ) -> Self {
        let (view, index) = match opened {
            Ok(Some(index)) => (View::Ready(index.snapshot()), Some(index)),
            Ok(None) => (View::Unmade, None),
            Err(problem) => (View::Broken(problem), None),
        };
        let settings = index.as_ref().map(Collection::settings);
        let moving = index.as_ref().and_then(moving_of);
        let writer = Writer::Idle(index.map(Box::new));
        let inner = Mutex::new(Inner { record, view, settings, writer, moving });
        Self { name, inner, released: Condvar::new() }
    }

    pub(super) fn record(&self) -> Record {
        self.lock().record.clone()
    }

    pub(super) fn set_record(&self, record: Record) {
        self.lock().record = record;
    }

    pub(super) fn view(&self) -> View {
        self.lock().view.clone()
    }

    pub(super) fn settings(&self) -> Option<Settings> {
        self.lock().settings
    }

    pub(super) fn model(&self) -> ModelId {
        self.lock().record.model
    }

    /// Whether its settings are those that the tuner found.
    pub(super) fn is_tuned(&self) -> bool {
        self.lock().record.tuned.is_some()
    }

    pub(super) fn stats(&self) -> CollectionStats {
        match self.view() {
            View::Ready(snapshot) => snapshot.stats(),
            View::Unmade | View::Broken(_) => CollectionStats::default(),
        }
    }

    pub(super) fn problem(&self) -> Option<String> {
        match self.view() {
            View::Ready(_) => None,
            View::Unmade => Some("it has not been indexed here to the end yet".to_owned()),
            View::Broken(problem) => Some(problem),
        }
    }

    pub(super) fn moving(&self) -> Option<Moving> {
        self.lock().moving.clone()
    }

    pub(super) fn set_moving(&self, moving: Option<Moving>) {
        self.lock().moving = moving;
    }

    /// Notes how many chunks are embedded for a release by now.
    pub(super) fn advance(&self, to: ModelId, done: u64) {
        if let Some(moving) = self.lock().moving.as_mut().filter(|moving| moving.to == to) {
            moving.done = done.min(moving.total);
        }
    }

    /// Becomes the one writer. What has it in the background is waited for.
    pub(super) fn claim(self: &Arc<Self>) -> Result<Claim, ApiError> {
        let inner = self.lock();
        let background =
            |inner: &mut Inner| matches!(inner.writer, Writer::Busy { background: true });
        let mut inner =
            self.released.wait_while(inner, background).unwrap_or_else(PoisonError::into_inner);
        self.take(&mut inner, false).ok_or_else(|| {
            let message = format!("collection {} is being changed by another command", self.name);
            ApiError::new(ErrorCode::Busy, message).hint("wait for it to end, or stop it")
        })
    }

    /// Becomes the one writer for a moment, in the background, unless there is one.
    pub(super) fn claim_quietly(self: &Arc<Self>) -> Option<Claim> {
        self.take(&mut self.lock(), true)
    }

    fn take(self: &Arc<Self>, inner: &mut Inner, background: bool) -> Option<Claim> {
        if let Writer::Busy { .. } = inner.writer {
            return None;
        }
        match std::mem::replace(&mut inner.writer, Writer::Busy { background }) {
            Writer::Idle(index) => {
                Some(Claim { slot: Arc::clone(self), index: index.map(|index| *index) })
            }
            Writer::Busy { .. } => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    pub(super) fn slot(&self) -> &Arc<Slot> {
        &self.slot
    }

    /// Lets searches see the index as it is now.
    pub(super) fn publish(&self) {
        if let Some(index) = &self.index {
            let mut inner = self.slot.lock();
            inner.view = View::Ready(index.snapshot());
            inner.settings = Some(index.settings());
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.publish();
        self.slot.lock().writer = Writer::Idle(self.index.take().map(Box::new));
        self.slot.released.notify_all();
    }
}

/// What an interrupted move left.
fn moving_of(index: &Collection) -> Option<Moving> {
    let to = index.moving_to()?;
    let (done, total) = index.recoded(to);
    let to = ModelId { base: Digest::from_bytes(to.base), release: Digest::from_bytes(to.release) };
    Some(Moving { to, done: done as u64, total: total as u64, problem: None })
}
