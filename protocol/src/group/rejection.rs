//! The numbered checks of docs/spec/group.md, as errors.

use serde::{Deserialize, Serialize};

/// Which check an entry or a wish fails. The number is the check's in the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// G1: the body decodes, is canonical and is not too long.
    #[error("the log entry is damaged")]
    Malformed,
    /// G2: the body's version is known.
    #[error("the log entry was written by a newer Covey: update this one")]
    UnknownVersion,
    /// G3: the entry is of this group.
    #[error("the log entry belongs to another group")]
    WrongGroup,
    /// G4: the first entry, and no other, creates the group.
    #[error("a membership log starts with one entry that creates the group")]
    BadFirst,
    /// G5: the owner of the time signed it.
    #[error("the log entry is not signed by the group's owner")]
    BadSignature,
    /// G6: time does not go backwards.
    #[error("the log entry is dated before the one that it follows")]
    TimeWentBack,
    /// G7: a wish is signed by its author.
    #[error("the request is not signed by its author")]
    BadRequestSignature,
    /// G8: a wish is of this group, and the entry does what it says.
    #[error("the entry does not do what its request asks for")]
    RequestMismatch,
    /// G9: a wish is dated within a day of its entry.
    #[error("the request is more than a day old or early: check both clocks and repeat it")]
    StaleRequest,
    /// G10: a wish is used once.
    #[error("the request has already been carried out")]
    RequestReused,
    /// G11: the author may do this.
    #[error("this needs a role that the author does not have: ask the owner or an admin")]
    NotAllowed,
    /// G12: who is added is not in.
    #[error("that node is a member already")]
    AlreadyMember,
    /// G13: names are unique.
    #[error("another member has that name: choose a different one")]
    NameTaken,
    /// G14: an invite lets in one member, once.
    #[error("the invite has let somebody in already: ask for a new one")]
    InviteReused,
    /// G15: a group has a largest size.
    #[error("the group is full")]
    GroupFull,
    /// G16: who is changed or removed is in.
    #[error("that node is not a member")]
    NoSuchMember,
    /// G17: the owner stays until the group is handed over.
    #[error(
        "the owner cannot leave or lose the role: hand the group over first (`covey group transfer`)"
    )]
    OwnerStays,
    /// G18: ownership moves by transfer only.
    #[error("a member becomes owner only when the owner hands the group over")]
    OnlyByTransfer,
    /// G19: an entry changes something.
    #[error("that is how it is already")]
    NoChange,
    /// G20: a log has a largest length.
    #[error("the membership log is full: make a new group")]
    LogFull,
    /// G21: a frozen log takes no entries.
    #[error(
        "the group is frozen, because its owner signed two different histories: make a new group"
    )]
    Frozen,
    /// G22: releases are numbered one after the other.
    #[error("a release has the number after the one before: look at the group again")]
    WrongRelease,
    /// G23: no more evaluations are demanded than a group has members.
    #[error("a quorum can be of a thousand members at most: take a smaller one")]
    BadPolicy,
}
