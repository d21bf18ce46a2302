//! One collection: many readers of a snapshot, at most one writer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_index::{Collection, CollectionStats, Settings, Snapshot};
use covey_protocol::ids::{ModelId, Name};

use super::record::Record;
use crate::api::{ApiError, ErrorCode};

/// A collection as the node holds it.
pub(super) struct Slot {
    pub(super) name: Name,
    inner: Mutex<Inner>,
}

struct Inner {
    record: Record,
    view: View,
    /// As of the last finished change; none while there is no index to open.
    settings: Option<Settings>,
    writer: Writer,
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
    /// Somebody holds a [`Claim`].
    Busy,
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
        let inner = Inner { record, view, settings, writer: Writer::Idle(index.map(Box::new)) };
        Self { name, inner: Mutex::new(inner) }
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

    /// Becomes the one writer.
    pub(super) fn claim(self: &Arc<Self>) -> Result<Claim, ApiError> {
        let mut inner = self.lock();
        match std::mem::replace(&mut inner.writer, Writer::Busy) {
            Writer::Idle(index) => {
                Ok(Claim { slot: Arc::clone(self), index: index.map(|index| *index) })
            }
            Writer::Busy => {
                let message =
                    format!("collection {} is being changed by another command", self.name);
                Err(ApiError::new(ErrorCode::Busy, message).hint("wait for it to end, or stop it"))
            }
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
    }
}
