//! What a node is there for.

use crate::api::{ApiError, Call, ErrorCode};

/// What a node is there for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    #[default]
    Full,
    /// Groups and their rounds: it indexes nothing, answers no questions and learns from nothing.
    Coordinator,
}

impl Role {
    /// Whether a node of this role carries `call` out.
    ///
    /// # Errors
    /// That it does not, and what to do.
    pub(super) fn check(self, call: &Call) -> Result<(), ApiError> {
        if self == Self::Full || !wants_collections(call) {
            return Ok(());
        }
        let message = "this node runs as a coordinator alone: it indexes nothing, answers no questions and learns from nothing";
        Err(ApiError::new(ErrorCode::Forbidden, message)
            .hint("run it in full: `covey stop`, then `covey daemon`"))
    }
}

/// Whether a call is about own collections, or asks others for theirs.
const fn wants_collections(call: &Call) -> bool {
    match call {
        Call::Add { .. }
        | Call::Refresh { .. }
        | Call::Remove { .. }
        | Call::Reindex { .. }
        | Call::IndexInfo { .. }
        | Call::IndexVerify { .. }
        | Call::IndexCompact { .. }
        | Call::IndexRecode { .. }
        | Call::IndexProfile { .. }
        | Call::Tune(_)
        | Call::TuneOff { .. }
        | Call::IndexExport { .. }
        | Call::Search(_)
        | Call::Mine(_)
        | Call::OpenedAdd(_)
        | Call::PersonalTrain(_)
        | Call::Share { .. }
        | Call::TrainOptIn(_) => true,
        Call::Status
        | Call::OpenedList
        | Call::OpenedClear
        | Call::PersonalShow
        | Call::PersonalUse { .. }
        | Call::PersonalRemove
        | Call::Unshare { .. }
        | Call::GroupCreate { .. }
        | Call::GroupList
        | Call::GroupMembers { .. }
        | Call::GroupLeave { .. }
        | Call::GroupRemove { .. }
        | Call::GroupTransfer { .. }
        | Call::GroupRole { .. }
        | Call::GroupCoordinator { .. }
        | Call::GroupPolicy { .. }
        | Call::TrainOptOut { .. }
        | Call::TrainLimits(_)
        | Call::TrainStatus { .. }
        | Call::RoundsStart(_)
        | Call::RoundsStop { .. }
        | Call::ModelRelease { .. }
        | Call::ModelReleases { .. }
        | Call::ModelFollow { .. }
        | Call::ModelAdopt { .. }
        | Call::ModelRollback { .. }
        | Call::PrivacyReport
        | Call::Invite { .. }
        | Call::Join { .. }
        | Call::Peers
        | Call::AuditList { .. }
        | Call::AuditVerify
        | Call::ModelList
        | Call::ModelUse { .. }
        | Call::Doctor
        | Call::Stop => false,
    }
}
