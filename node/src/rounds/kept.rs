//! What is kept of a group's rounds: which plans were followed, and an attempt while it is under way, so that a participant that is killed goes
//! on with it.

use std::sync::Arc;

use covey_protocol::ids::GroupId;
use covey_protocol::limits::MAX_PIECE;
use covey_protocol::round::Participant;

use super::{PrivacyLedger, Seen};
use crate::api::{ApiError, ErrorCode};
use crate::store::Blobs;

/// What one participant keeps of one group's rounds.
#[derive(Clone)]
pub struct Kept {
    blobs: Arc<dyn Blobs>,
    /// What taking part has cost, in this group and in others.
    pub ledger: Arc<PrivacyLedger>,
    group: GroupId,
}

impl Kept {
    /// In these stores.
    pub fn new(blobs: Arc<dyn Blobs>, ledger: Arc<PrivacyLedger>, group: GroupId) -> Self {
        Self { blobs, ledger, group }
    }

    /// What is remembered of plans.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    pub fn seen(&self) -> Result<Seen, ApiError> {
        match self.blobs.get(&self.file("seen"))? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("what is remembered of rounds is damaged: {error}");
                ApiError::new(ErrorCode::Corrupt, message)
                    .hint("without it this node takes no part in this group's rounds")
            }),
            None => Ok(Seen::default()),
        }
    }

    /// Remembers it; it survives a loss of power.
    pub(super) fn note(&self, seen: &Seen) -> Result<(), ApiError> {
        let bytes = serde_json::to_vec(seen).expect("every key in it is a string");
        Ok(self.blobs.put(&self.file("seen"), &bytes)?)
    }

    /// The record of the attempt that is under way, if this participant has masked for it.
    pub(super) fn record(&self) -> Result<Option<Vec<u8>>, ApiError> {
        Ok(self.blobs.get(&self.file("record"))?)
    }

    /// Keeps it, in the stages that have one.
    pub(super) fn keep(&self, participant: &Participant) -> Result<(), ApiError> {
        match participant.record() {
            Some(record) => Ok(self.blobs.put(&self.file("record"), &record)?),
            None => Ok(()),
        }
    }

    /// Keeps the masked vector, the only bytes of it that ever leave.
    pub(super) fn keep_masked(&self, bytes: &[u8]) -> Result<(), ApiError> {
        Ok(self.blobs.put(&self.file("masked"), bytes)?)
    }

    /// A piece of the masked vector; nothing where that is over.
    pub(super) fn masked(&self, offset: u64) -> Result<Vec<u8>, ApiError> {
        Ok(self.blobs.read(&self.file("masked"), offset, MAX_PIECE)?)
    }

    /// Deletes what is kept of an attempt: it goes on without this participant.
    pub(crate) fn forget_attempt(&self) -> Result<(), ApiError> {
        // The record first: without it the masked vector is of no use.
        self.blobs.remove(&self.file("record"))?;
        Ok(self.blobs.remove(&self.file("masked"))?)
    }

    fn file(&self, of: &str) -> String {
        format!("p{}-{of}", &self.group.to_string()[..16])
    }
}
