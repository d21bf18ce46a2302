//! The local API: what a person's commands ask of their node, and what it answers.
//!
//! The same types travel over the unix socket and print as `--json`; docs/spec/local-api.md
//! documents them. Fields may be added within one [`API_VERSION`]; none is renamed or removed.

mod audit;
mod bench;
pub mod client;
mod eval;
mod index;
mod learn;
mod local;
mod lossy;
mod mine;
mod personal;
mod reply;
mod schedule;
pub mod server;
#[cfg(test)]
mod tests;
mod train;
mod tune;
mod watched;

pub use audit::*;
pub use bench::*;
pub use eval::*;
pub use index::*;
pub use learn::*;
pub use local::*;
pub use mine::*;
pub use personal::*;
pub use reply::*;
pub use schedule::*;
pub use train::*;
pub use tune::*;
pub use watched::*;

use std::path::PathBuf;

use covey_protocol::ids::Name;
use serde::{Deserialize, Serialize};

/// Version of the calls, replies and of every `--json` output.
pub const API_VERSION: u32 = 1;

/// What a person asks of their node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Who this node is, its collections, groups and connections.
    Status,
    /// Indexes `path` (absolute) into `collection`, or brings it up to date.
    Add {
        /// File or folder.
        path: PathBuf,
        /// The collection's name; by default the folder's.
        collection: Option<Name>,
        /// The settings of a new collection; the balanced ones by default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        profile: Option<Profile>,
    },
    /// Brings `path`, a file or folder of `collection`, up to date; never makes a collection or adds to one.
    Refresh {
        /// The collection.
        collection: Name,
        /// One of its files or folders, as the status has it.
        path: PathBuf,
    },
    /// Forgets `path` of `collection`, or the whole collection with its shares. Files stay untouched.
    Remove {
        /// The collection.
        collection: Name,
        /// Only this root of it.
        path: Option<PathBuf>,
    },
    /// Rebuilds a collection with the current model.
    Reindex {
        /// The collection; all of them by default.
        collection: Option<Name>,
    },
    /// What a collection's index holds and takes.
    IndexInfo {
        /// The collection.
        collection: Name,
    },
    /// Reads a collection's index again and checks it.
    IndexVerify {
        /// The collection.
        collection: Name,
    },
    /// Makes a collection's index as small as it gets, embedding nothing.
    IndexCompact {
        /// The collection.
        collection: Name,
    },
    /// Codes every chunk of a collection anew, at its settings.
    IndexRecode {
        /// The collection.
        collection: Name,
    },
    /// Gives a collection the settings of a profile.
    IndexProfile {
        /// The collection.
        collection: Name,
        /// The profile.
        profile: Profile,
        /// Bytes for embeddings kept from earlier questions, 0 for none; by default as the profile has
        /// them, and none with a model that is fast anyway.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache_bytes: Option<u64>,
    },
    /// Finds settings that fit goals for a collection, and keeps it at them.
    Tune(TuneCall),
    /// Forgets the goals of a collection; its settings stay.
    TuneOff {
        /// The collection.
        collection: Name,
    },
    /// Writes out what a collection's index knows.
    IndexExport {
        /// The collection.
        collection: Name,
        /// Where to, and what.
        export: ExportCall,
    },
    /// Searches own files or a group's.
    Search(SearchCall),
    /// Writes out pairs of texts of own files that belong together.
    Mine(MineCall),
    /// Remembers that the person opened a result.
    OpenedAdd(OpenedCall),
    /// The results that the person opened, oldest first.
    OpenedList,
    /// Forgets them.
    OpenedClear,
    /// Trains the person's own adapter for questions, which is used from then on if it does better.
    PersonalTrain(PersonalTrain),
    /// The person's own adapter.
    PersonalShow,
    /// Says whether it is used.
    PersonalUse {
        /// Whether it is.
        on: bool,
    },
    /// Deletes it.
    PersonalRemove,
    /// Lets members of `group` search `collection`.
    Share {
        /// The collection.
        collection: Name,
        /// The group.
        group: Name,
        /// How much of a match they see.
        reveal: Reveal,
    },
    /// Takes a share back.
    Unshare {
        /// The collection.
        collection: Name,
        /// The group.
        group: Name,
    },
    /// Founds a group with this node as its owner.
    GroupCreate {
        /// The group's name.
        group: Name,
        /// The name members see for this node.
        member: Option<Name>,
    },
    /// The groups of this node.
    GroupList,
    /// The members of one group.
    GroupMembers {
        /// The group.
        group: Name,
    },
    /// Leaves a group.
    GroupLeave {
        /// The group.
        group: Name,
    },
    /// Removes a member.
    GroupRemove {
        /// The group.
        group: Name,
        /// Name or node id (or a unique prefix of it).
        member: String,
    },
    /// Hands ownership over.
    GroupTransfer {
        /// The group.
        group: Name,
        /// Name or node id (or a unique prefix of it).
        member: String,
    },
    /// Makes a member an admin, or an admin a plain member.
    GroupRole {
        /// The group.
        group: Name,
        /// Name or node id (or a unique prefix of it).
        member: String,
        /// `true` for admin.
        admin: bool,
    },
    /// Says who coordinates a group's rounds of learning.
    GroupCoordinator {
        /// The group.
        group: Name,
        /// Name or node id (or a unique prefix of it); null for nobody.
        member: Option<String>,
    },
    /// Says how many members have to evaluate a release before it becomes the group's.
    GroupPolicy {
        /// The group.
        group: Name,
        /// So many at least; 0 to ask nobody.
        quorum: u32,
    },
    /// Takes part in a group's rounds from now on.
    TrainOptIn(OptIn),
    /// Takes no part in a group's rounds any more; training that is under way ends.
    TrainOptOut {
        /// The group.
        group: Name,
    },
    /// The terms on which this node takes part in a group's rounds, changed where that is asked for.
    TrainLimits(ChangeLimits),
    /// How learning stands.
    TrainStatus {
        /// The group; all by default.
        group: Option<Name>,
    },
    /// As the coordinator: begins rounds.
    RoundsStart(StartRounds),
    /// As the coordinator: ends them, the one under way included.
    RoundsStop {
        /// The group.
        group: Name,
    },
    /// As the coordinator: makes the checkpoint the group's next release.
    ModelRelease {
        /// The group.
        group: Name,
    },
    /// The current release of a group's model and the one before.
    ModelReleases {
        /// The group.
        group: Name,
        /// Keep so many old ones from now on, besides those in use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keep: Option<u32>,
    },
    /// Says what becomes of new releases of a group's model here.
    ModelFollow {
        /// The group.
        group: Name,
        /// What.
        adopt: Adopt,
    },
    /// Fetches, checks and uses a group's current release.
    ModelAdopt {
        /// The group.
        group: Name,
        /// Also if it does worse on pairs of own files.
        #[serde(default)]
        force: bool,
    },
    /// Goes back to the model before a group's current release.
    ModelRollback {
        /// The group.
        group: Name,
    },
    /// What learning together has cost in privacy so far.
    PrivacyReport,
    /// Makes a one-use invite.
    Invite {
        /// The group.
        group: Name,
        /// Life in seconds; a day by default.
        expires_s: Option<u64>,
    },
    /// Joins the group that `code` invites to.
    Join {
        /// The pasted code.
        code: String,
        /// The name members see for this node.
        member: Option<Name>,
        /// How long to keep trying while the inviter is unreachable, in seconds; 30 by default.
        wait_s: Option<u64>,
    },
    /// Connected peers and known members.
    Peers,
    /// Answers given to others, newest last.
    AuditList {
        /// At most so many of the newest.
        limit: Option<u32>,
    },
    /// Checks the audit chain from its first record to its last.
    AuditVerify,
    /// Models here, and which is in use.
    ModelList,
    /// Makes a model the one for new collections and questions.
    ModelUse {
        /// Name or id.
        model: String,
    },
    /// Checks everything this node can check of itself.
    Doctor,
    /// Ends the daemon.
    Stop,
}

/// A question.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchCall {
    /// The question, in the person's words.
    pub question: String,
    /// Ask this group as well as the own shared collections; only own files when absent.
    #[serde(default)]
    pub group: Option<Name>,
    /// Only this own collection (local searches only).
    #[serde(default)]
    pub collection: Option<Name>,
    /// How to search own collections; a group is searched by vectors.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: SearchMode,
    /// Only what passes this filter (docs/spec/filters.md; local searches only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The answer is to be there after so many milliseconds: no more is recomputed than fits (local
    /// searches only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u32>,
    /// By the shared model alone, without the person's own adapter, which searches of own files use if there is one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub no_personal: bool,
    /// Results wanted; 10 by default and at most 100, or 100 and 1000 where they are lines.
    #[serde(default)]
    pub limit: Option<u16>,
    /// After so many milliseconds stragglers are no longer waited for once anybody answered; 1500 by
    /// default, 20000 with a transformer.
    #[serde(default)]
    pub soft_ms: Option<u32>,
    /// After so many milliseconds the answer is what there is; 10000 by default, 60000 with a
    /// transformer.
    #[serde(default)]
    pub hard_ms: Option<u32>,
}

/// How to search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SearchMode {
    /// By meaning: the model's vectors.
    #[default]
    Vector,
    /// By words (BM25).
    Lexical,
    /// By both, their scores joined.
    Hybrid,
    /// Lines that match a regular expression.
    Grep,
}

/// How much of a match a member of a group sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reveal {
    /// That something matches, and how well.
    Score,
    /// Also its title and the best few lines.
    Snippet,
    /// Also the whole passage.
    Full,
}

/// One line from the node to whoever called: progress, then exactly one end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Work under way.
    Progress(Progress),
    /// The call succeeded.
    Done {
        /// Always [`API_VERSION`].
        version: u32,
        /// Its result.
        reply: Reply,
    },
    /// The call failed.
    Failed {
        /// Always [`API_VERSION`].
        version: u32,
        /// What happened, why, and what to do.
        error: ApiError,
    },
}

/// How far a long call has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done, such as "indexing".
    pub stage: String,
    /// Units done.
    pub done: u64,
    /// Units in all, if known.
    pub total: Option<u64>,
    /// The item at hand.
    pub item: Option<String>,
}

/// What went wrong, in a form that scripts can match on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The kind; it also decides the exit code.
    pub code: ErrorCode,
    /// What happened and why.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl ApiError {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Kinds of failure. Each has its own exit code, see [`ErrorCode::exit_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// A bug of ours, or something nobody expected.
    Internal,
    /// The command or one of its values makes no sense.
    Usage,
    /// No such collection, group, member, model or path.
    NotFound,
    /// It is there already.
    Exists,
    /// Not allowed for this node: no member, no admin, not the owner.
    Forbidden,
    /// An invite that is forged, expired or used.
    BadInvite,
    /// Nobody who was needed could be reached.
    Unreachable,
    /// Out of time.
    Timeout,
    /// The models do not match.
    WrongModel,
    /// The disk: full, read-only, not permitted.
    Storage,
    /// A file of Covey's own is damaged.
    Corrupt,
    /// Another process holds the home or the port.
    Busy,
    /// The group's log was forked; it stands still.
    Frozen,
    /// Interrupted by the person.
    Cancelled,
}

impl ErrorCode {
    /// The process's exit code: 2 for usage, as shells expect, the others from 10 on; 130 when interrupted.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::NotFound => 10,
            Self::Exists => 11,
            Self::Forbidden => 12,
            Self::BadInvite => 13,
            Self::Unreachable => 14,
            Self::Timeout => 15,
            Self::WrongModel => 16,
            Self::Storage => 17,
            Self::Corrupt => 18,
            Self::Busy => 19,
            Self::Frozen => 20,
            Self::Cancelled => 130,
        }
    }
}

/// Whether a field may be left out when it is written.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
