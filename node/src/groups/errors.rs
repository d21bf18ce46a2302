//! What went wrong with a group, for the person and for the peer that asked.

use covey_protocol::group::Rejection;
use covey_protocol::ids::Name;
use covey_protocol::wire::v1::group::GroupRefusal;

use super::ChangeError;
use crate::api::{ApiError, ErrorCode};

/// The group went away between two steps of one call.
pub(crate) fn gone() -> ApiError {
    ApiError::new(ErrorCode::NotFound, "the group is not on this node any more")
}

pub(crate) fn frozen(group: &Name) -> ApiError {
    let message = format!(
        "group {group} is frozen: its owner's key signed two different histories, so nobody can tell \
         which membership is right"
    );
    ApiError::new(ErrorCode::Frozen, message)
        .hint("make a new group and invite the members you trust")
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection {
            Rejection::NotAllowed | Rejection::OwnerStays | Rejection::OnlyByTransfer => {
                ErrorCode::Forbidden
            }
            Rejection::AlreadyMember
            | Rejection::NameTaken
            | Rejection::NoChange
            | Rejection::WrongRelease => ErrorCode::Exists,
            Rejection::BadPolicy => ErrorCode::Usage,
            Rejection::InviteReused => ErrorCode::BadInvite,
            Rejection::NoSuchMember => ErrorCode::NotFound,
            Rejection::GroupFull | Rejection::LogFull | Rejection::StaleRequest => ErrorCode::Usage,
            Rejection::Frozen => ErrorCode::Frozen,
            Rejection::Malformed
            | Rejection::UnknownVersion
            | Rejection::WrongGroup
            | Rejection::BadFirst
            | Rejection::BadSignature
            | Rejection::TimeWentBack
            | Rejection::BadRequestSignature
            | Rejection::RequestMismatch
            | Rejection::RequestReused => ErrorCode::Internal,
        };
        Self::new(code, rejection.to_string())
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Unknown => gone(),
            ChangeError::Rejected(rejection) => rejection.into(),
            ChangeError::Unconfirmed => Self::new(ErrorCode::Unreachable, error.to_string())
                .hint("keep the daemon running until one of them is online, then try again"),
            ChangeError::Store(error) => error.into(),
        }
    }
}

/// What a peer is told about a change that did not come about.
pub(super) fn refusal(error: ChangeError) -> GroupRefusal {
    match error {
        ChangeError::Unknown => GroupRefusal::NotAMember,
        ChangeError::Rejected(rejection) => GroupRefusal::Rejected(rejection),
        ChangeError::Unconfirmed => GroupRefusal::Busy,
        ChangeError::Store(error) => {
            tracing::error!(%error, "a change of a group could not be written down");
            GroupRefusal::Internal
        }
    }
}

/// What a refused group request means for the person whose call needed it.
pub(super) fn refused(refusal: GroupRefusal) -> ApiError {
    let message = refusal.to_string();
    match refusal {
        GroupRefusal::Rejected(rejection) => rejection.into(),
        GroupRefusal::Invite(_) => ApiError::new(ErrorCode::BadInvite, message),
        GroupRefusal::NotAMember | GroupRefusal::Removed | GroupRefusal::NotTheOwner { .. } => {
            ApiError::new(ErrorCode::Forbidden, message)
        }
        GroupRefusal::OwnerOffline | GroupRefusal::Busy => {
            ApiError::new(ErrorCode::Unreachable, message)
        }
        GroupRefusal::Forked => ApiError::new(ErrorCode::Frozen, message),
        GroupRefusal::BadRequest | GroupRefusal::Internal => {
            ApiError::new(ErrorCode::Internal, message)
        }
    }
}
