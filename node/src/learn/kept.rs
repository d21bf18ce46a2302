//! What is kept of an attempt while it is under way, so that a participant that is killed goes on with it.

use covey_net::Link;
use covey_protocol::ids::GroupId;
use covey_protocol::round::Participant;

use crate::api::ApiError;
use crate::node::Node;

impl<L: Link> Node<L> {
    pub(super) fn keep(&self, group: GroupId, participant: &Participant) -> Result<(), ApiError> {
        match participant.record() {
            Some(record) => Ok(self.learning.blobs.put(&record_file(group), &record)?),
            None => Ok(()),
        }
    }

    /// Deletes what is kept of an attempt: it goes on without this node.
    pub(super) fn forget_attempt(&self, group: GroupId) -> Result<(), ApiError> {
        // The record first: without it the masked vector is of no use.
        self.learning.blobs.remove(&record_file(group))?;
        Ok(self.learning.blobs.remove(&masked_file(group))?)
    }
}

pub(super) fn record_file(group: GroupId) -> String {
    format!("p{}-record", &group.to_string()[..16])
}

pub(super) fn masked_file(group: GroupId) -> String {
    format!("p{}-masked", &group.to_string()[..16])
}
