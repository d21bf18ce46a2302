//! Messages of `/covey/group/1` (docs/spec/group.md, "Messages").

use serde::{Deserialize, Serialize};

use crate::group::{
    Entry, Equivocation, Head, InviteRefusal, InviteSecret, Rejection, SignedRequest,
};
use crate::ids::{GroupId, Name, NodeId, RequestId};
use crate::limits::{MAX_ENTRIES_PER_PUSH, MAX_ENTRIES_PER_REPLY, MAX_HINTS};
use crate::wire::bounded;

/// What one node asks another about a group. The transport says who asks.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupRequest {
    /// To the issuer of an invite: let me in.
    Redeem {
        /// Repeated by the reply.
        id: RequestId,
        /// The group of the invite.
        group: GroupId,
        /// The invite's one-use secret.
        secret: InviteSecret,
        /// The name the new member would like to be shown under.
        name: Name,
        /// Where the new member can be reached.
        #[serde(deserialize_with = "bounded::addresses")]
        addresses: Vec<String>,
    },
    /// To any member: what follows my head?
    Sync {
        /// Repeated by the reply.
        id: RequestId,
        /// The group.
        group: GroupId,
        /// The last entry that the asker holds.
        head: Head,
        /// Where the asker can be reached.
        #[serde(deserialize_with = "bounded::addresses")]
        addresses: Vec<String>,
    },
    /// To any member: entries that it may not have yet.
    Push {
        /// Repeated by the reply.
        id: RequestId,
        /// The group.
        group: GroupId,
        /// Consecutive entries, oldest first.
        #[serde(deserialize_with = "bounded::list::<MAX_ENTRIES_PER_PUSH, _, _>")]
        entries: Vec<Entry>,
        /// The sender's head; later than the last entry when there is more to pull.
        head: Head,
    },
    /// To the owner, who sequences: a change that the author wishes for.
    Submit {
        /// Repeated by the reply.
        id: RequestId,
        /// The group.
        group: GroupId,
        /// The author's signed wish.
        request: SignedRequest,
    },
    /// To any member: the owner signed two successors of one entry.
    Evidence {
        /// Repeated by the reply.
        id: RequestId,
        /// The group.
        group: GroupId,
        /// The proof.
        evidence: Box<Equivocation>,
    },
}

/// The reply to a [`GroupRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupReply {
    /// To `Redeem`: the log from its first entry. Where `head` is later than the last entry here,
    /// the rest is fetched with `Sync`; the new member's own entry may be in that rest.
    Joined {
        /// The request's id.
        id: RequestId,
        /// The log's first page.
        #[serde(deserialize_with = "bounded::list::<MAX_ENTRIES_PER_REPLY, _, _>")]
        entries: Vec<Entry>,
        /// The issuer's head.
        head: Head,
        /// Where members were last reached.
        #[serde(deserialize_with = "bounded::list::<MAX_HINTS, _, _>")]
        hints: Vec<Hint>,
    },
    /// To `Sync`: what follows the asker's head; nothing if the replier holds no more.
    Entries {
        /// The request's id.
        id: RequestId,
        /// Consecutive entries, oldest first.
        #[serde(deserialize_with = "bounded::list::<MAX_ENTRIES_PER_REPLY, _, _>")]
        entries: Vec<Entry>,
        /// The replier's head, as far as the asker may know it.
        head: Head,
        /// Where members were last reached.
        #[serde(deserialize_with = "bounded::list::<MAX_HINTS, _, _>")]
        hints: Vec<Hint>,
    },
    /// To `Push`, `Submit` and `Evidence`: taken; this is the replier's head now.
    Accepted {
        /// The request's id.
        id: RequestId,
        /// The replier's head.
        head: Head,
    },
    /// To any request: no.
    Refused {
        /// The request's id.
        id: RequestId,
        /// Why.
        refusal: GroupRefusal,
    },
    /// To any member's request: the group is frozen, and here is the proof.
    Frozen {
        /// The request's id.
        id: RequestId,
        /// The proof.
        evidence: Box<Equivocation>,
    },
}

/// Where a member was last reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The member.
    pub node: NodeId,
    /// Its addresses, best first.
    #[serde(deserialize_with = "bounded::addresses")]
    pub addresses: Vec<String>,
}

/// Why a group request is refused. `Display` says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum GroupRefusal {
    /// The asker is no member, or there is no such group here: an outsider cannot tell which.
    #[error(
        "that node knows no such group with you in it: ask a member for an invite, or sync and retry"
    )]
    NotAMember,
    /// The asker was removed.
    #[error("you were removed from this group: ask an admin for a new invite")]
    Removed,
    /// The asker's head is not on the replier's chain.
    #[error("the two membership logs differ; compare them from the first entry")]
    Forked,
    /// The invite is not honoured.
    #[error(transparent)]
    Invite(#[from] InviteRefusal),
    /// The replier would pass the wish to the owner, who cannot be reached now.
    #[error("the group's owner must be online to confirm this and cannot be reached: retry later")]
    OwnerOffline,
    /// The replier does not sequence this group; this node does, as far as it knows.
    #[error("only the group's owner can do this")]
    NotTheOwner {
        /// The owner in the replier's log.
        owner: NodeId,
    },
    /// The wish or entry breaks a rule of the log.
    #[error("{0}")]
    Rejected(Rejection),
    /// Too many requests.
    #[error("that node is busy: retry in a moment")]
    Busy,
    /// The request makes no sense.
    #[error("that node could not read the request: both sides may need the same Covey version")]
    BadRequest,
    /// The replier failed.
    #[error("that node failed on its side: its owner finds the reason in `covey logs`")]
    Internal,
}

impl GroupRequest {
    /// The id that the reply repeats.
    pub fn id(&self) -> RequestId {
        match self {
            Self::Redeem { id, .. }
            | Self::Sync { id, .. }
            | Self::Push { id, .. }
            | Self::Submit { id, .. }
            | Self::Evidence { id, .. } => *id,
        }
    }

    /// The group it is about.
    pub fn group(&self) -> GroupId {
        match self {
            Self::Redeem { group, .. }
            | Self::Sync { group, .. }
            | Self::Push { group, .. }
            | Self::Submit { group, .. }
            | Self::Evidence { group, .. } => *group,
        }
    }
}

impl GroupReply {
    /// The id of the request it replies to.
    pub fn id(&self) -> RequestId {
        match self {
            Self::Joined { id, .. }
            | Self::Entries { id, .. }
            | Self::Accepted { id, .. }
            | Self::Refused { id, .. }
            | Self::Frozen { id, .. } => *id,
        }
    }
}
