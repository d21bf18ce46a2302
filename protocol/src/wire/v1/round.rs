//! Messages of `/covey/round/1` (docs/spec/round.md, "Messages"): participants ask, the coordinator answers.

use covey_crypto::Digest;
use serde::{Deserialize, Serialize};

use super::secagg::{
    Advertisement, Agreement, Agreements, Choice, Dealing, Inbox, Neighbours, Opening, Place,
    Roster, Survivors, Upload,
};
use crate::ids::{GroupId, RequestId};
use crate::limits::MAX_PIECE;
use crate::round::{SignedManifest, SignedPlan};
use crate::wire::bounded;

/// What a member asks the coordinator.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoundRequest {
    /// Repeated by the reply.
    pub id: RequestId,
    /// The group.
    pub group: GroupId,
    /// What is asked.
    pub ask: RoundAsk,
}

/// See [`RoundRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub enum RoundAsk {
    /// What is going on?
    Status,
    /// A piece of the values that a plan or a release names.
    Values {
        /// Their digest.
        of: Digest,
        /// Bytes to leave out at the front; a multiple of [`MAX_PIECE`].
        offset: u64,
    },
    /// The manifest of a release, by its digest in the group's log.
    Manifest {
        /// The digest.
        of: Digest,
    },
    /// A participant's part in an attempt.
    Step {
        /// Digest of the attempt's terms.
        terms: Digest,
        /// What it has to say.
        message: Box<ClientMessage>,
    },
}

/// A participant's part in a secure sum, each message until it is answered by what it waits for.
#[derive(Debug, Serialize, Deserialize)]
pub enum ClientMessage {
    /// Checks in, and waits for the cohort.
    Keys(Advertisement),
    /// On a sparse graph: the neighbours it drew. Waits for their keys.
    Choice(Choice),
    /// Shares. Waits for those of others.
    Dealing(Dealing),
    /// What the masked vector will be. Waits for the place to go on from.
    Upload(Upload),
    /// The next bytes of the masked vector.
    Piece {
        /// Bytes before these.
        offset: u64,
        /// At most [`MAX_PIECE`].
        #[serde(
            serialize_with = "bounded::as_bytes",
            deserialize_with = "bounded::bytes::<MAX_PIECE, _>"
        )]
        bytes: Vec<u8>,
    },
    /// Agrees to the survivors. Waits for the others' agreements.
    Agreement(Agreement),
    /// Opens shares. Waits for what comes of it.
    Opening(Opening),
    /// Has been heard, and still waits.
    Waits(Awaited),
}

impl ClientMessage {
    /// What its sender waits for once it has been heard.
    pub const fn awaits(&self) -> Awaited {
        match self {
            Self::Keys(_) => Awaited::Cohort,
            Self::Choice(_) => Awaited::Neighbours,
            Self::Dealing(_) => Awaited::Inbox,
            Self::Upload(_) | Self::Piece { .. } => Awaited::Survivors,
            Self::Agreement(_) => Awaited::Agreements,
            Self::Opening(_) => Awaited::End,
            Self::Waits(awaited) => *awaited,
        }
    }
}

/// What a participant waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaited {
    /// [`ServerMessage::Roster`] or [`ServerMessage::Place`].
    Cohort,
    /// [`ServerMessage::Neighbours`].
    Neighbours,
    /// [`ServerMessage::Inbox`].
    Inbox,
    /// [`ServerMessage::Survivors`].
    Survivors,
    /// [`ServerMessage::Agreements`].
    Agreements,
    /// [`ServerMessage::Over`].
    End,
}

/// The coordinator's answer to a [`RoundRequest`].
#[derive(Debug, Serialize, Deserialize)]
pub struct RoundReply {
    /// The request's id.
    pub id: RequestId,
    /// The answer.
    pub answer: RoundAnswer,
}

/// See [`RoundReply`].
#[derive(Debug, Serialize, Deserialize)]
pub enum RoundAnswer {
    /// To [`RoundAsk::Status`]: the plan, if there is one.
    Status(Option<Box<Announced>>),
    /// To [`RoundAsk::Values`].
    Values {
        /// Bytes there are in all.
        total: u64,
        /// These, four a value, lowest first.
        #[serde(
            serialize_with = "bounded::as_bytes",
            deserialize_with = "bounded::bytes::<MAX_PIECE, _>"
        )]
        bytes: Vec<u8>,
    },
    /// To [`RoundAsk::Manifest`].
    Manifest(SignedManifest),
    /// To [`RoundAsk::Step`].
    Step(ServerMessage),
    /// No.
    Refused(RoundRefusal),
}

/// The round that is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// The plan.
    pub plan: SignedPlan,
    /// Which attempt at it, from 0.
    pub attempt: u32,
    /// Whether it still takes participants.
    pub open: bool,
}

/// The coordinator's part in a secure sum.
#[derive(Debug, Serialize, Deserialize)]
pub enum ServerMessage {
    /// Heard; come back for what is awaited.
    Later {
        /// In so many milliseconds.
        ms: u32,
    },
    /// The cohort, on a complete graph.
    Roster(Roster),
    /// The participant's place in it, on a sparse one.
    Place(Place),
    /// Keys of neighbours.
    Neighbours(Neighbours),
    /// Shares.
    Inbox(Inbox),
    /// Bytes of the masked vector that are there; the next piece starts there.
    Have(u64),
    /// The masked vector is in the sum. Wait for the survivors.
    Summed,
    /// Whose vectors are in the sum.
    Survivors(Survivors),
    /// Agreements to it.
    Agreements(Agreements),
    /// The attempt is over.
    Over(Over),
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// The sum is known.
    Done,
    /// It failed; another attempt may follow.
    Failed,
    /// It goes on without this participant, who was late or sent something wrong.
    Without,
}

/// Why the coordinator does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RoundRefusal {
    /// The bytes are no request of this version.
    #[error("it could not read the request; its version differs")]
    BadRequest,
    /// The asker is no member, or this node coordinates nothing for the group.
    #[error("it does not coordinate that group's rounds, or this node is no member of it")]
    NotHere,
    /// There is no such attempt any more, or not yet.
    #[error("that attempt is not under way")]
    NoSuchAttempt,
    /// There are no such values.
    #[error("it does not have these values, or that manifest")]
    NoSuchValues,
    /// Too much to do, or no room on disk.
    #[error("it is busy; try again later")]
    Busy,
}
