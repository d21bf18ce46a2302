//! What the node answers, one type per call.

use std::path::PathBuf;

use covey_protocol::ids::{Epoch, GroupId, ModelId, Name, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

use super::{
    AuditEntry, BackupInfo, DemoReport, EvalReport, IndexCompacted, IndexExported, IndexInfo,
    IndexRecoded, IndexVerified, Initialised, LogInfo, MineReport, ModelBench, OpenInfo,
    OpenedInfo, Reveal, SearchMode, ServiceInfo, TrainReport, TuneInfo, TunedInfo, lossy,
};

/// The result of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply {
    /// Nothing to tell but success.
    Ok,
    /// To [`super::Call::Status`].
    Status(Box<Status>),
    /// To [`super::Call::Add`] and [`super::Call::Refresh`], and to [`super::Call::Reindex`] of one collection.
    Added(Added),
    /// To [`super::Call::Reindex`] of all collections.
    Reindexed {
        /// One each, by name.
        collections: Vec<Added>,
    },
    /// To [`super::Call::IndexInfo`] and [`super::Call::IndexProfile`].
    Index(IndexInfo),
    /// To [`super::Call::IndexVerify`].
    IndexVerified(IndexVerified),
    /// To [`super::Call::IndexCompact`].
    IndexCompacted(IndexCompacted),
    /// To [`super::Call::IndexRecode`].
    IndexRecoded(IndexRecoded),
    /// To [`super::Call::Tune`].
    Tuned(Box<TuneInfo>),
    /// To [`super::Call::IndexExport`].
    IndexExported(IndexExported),
    /// To [`super::Call::Search`].
    Search(SearchReport),
    /// To [`super::Call::Mine`].
    Mined(MineReport),
    /// Printed by `covey model near`.
    Near(super::NearReport),
    /// To [`super::Call::OpenedList`].
    Opened {
        /// Oldest first.
        results: Vec<OpenedInfo>,
    },
    /// To [`super::Call::PersonalTrain`], [`super::Call::PersonalShow`] and [`super::Call::PersonalUse`].
    Personal(Box<super::PersonalInfo>),
    /// To [`super::Call::TrainOptIn`], [`super::Call::TrainStatus`] and [`super::Call::RoundsStart`].
    Learning {
        /// The groups, by name.
        groups: Vec<super::LearnInfo>,
    },
    /// To [`super::Call::TrainLimits`].
    Limits(Box<super::OptIn>),
    /// Printed by `covey train watch`, one for each change.
    Watched(super::Watched),
    /// To [`super::Call::ModelRelease`], [`super::Call::ModelReleases`] and [`super::Call::ModelFollow`].
    Releases(super::ReleaseList),
    /// To [`super::Call::ModelAdopt`].
    Adopted(super::AdoptedRelease),
    /// To [`super::Call::PrivacyReport`].
    Privacy {
        /// Every account, this peer's own first.
        accounts: Vec<super::PrivacyAccount>,
    },
    /// To [`super::Call::GroupCreate`], [`super::Call::Join`].
    Group(GroupInfo),
    /// To [`super::Call::GroupList`].
    Groups {
        /// By name.
        groups: Vec<GroupInfo>,
    },
    /// To [`super::Call::GroupMembers`].
    Members {
        /// The group.
        group: GroupInfo,
        /// Owner first, then by name.
        members: Vec<MemberInfo>,
    },
    /// To [`super::Call::Invite`].
    Invite {
        /// To paste on the other machine.
        code: String,
        /// When it stops working.
        expires: UnixMillis,
    },
    /// To [`super::Call::Peers`].
    Peers {
        /// Connected peers and known members.
        peers: Vec<PeerInfo>,
    },
    /// To [`super::Call::AuditList`].
    Audit {
        /// Oldest first.
        records: Vec<AuditEntry>,
    },
    /// To [`super::Call::AuditVerify`].
    AuditVerified {
        /// Records checked.
        records: u64,
        /// Digest of the last one.
        head: String,
    },
    /// To [`super::Call::ModelList`].
    Models {
        /// By name.
        models: Vec<ModelEntry>,
    },
    /// To [`super::Call::Doctor`].
    Doctor {
        /// What was checked.
        checks: Vec<Check>,
    },
    /// Printed by `covey init`.
    Initialised(Initialised),
    /// Printed by `covey backup`.
    BackedUp(BackupInfo),
    /// Printed by `covey restore`.
    Restored(BackupInfo),
    /// Printed by `covey model pull` and `covey model distill`.
    Model(ModelEntry),
    /// Printed by `covey model bench`.
    ModelBench(ModelBench),
    /// Printed by `covey eval`.
    Evaluated(Box<EvalReport>),
    /// Printed by `covey model train`.
    Trained(Box<TrainReport>),
    /// Printed by `covey privacy plan`.
    PrivacyPlan(Box<super::PrivacyPlan>),
    /// Printed by `covey open`.
    Open(OpenInfo),
    /// Printed by `covey service`.
    Service(ServiceInfo),
    /// Printed by `covey logs`.
    Log(LogInfo),
    /// Printed by `covey demo`.
    Demo(DemoReport),
}

/// Who this node is and what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Covey's version.
    pub version: String,
    /// This node.
    pub node: NodeId,
    /// Whether a daemon answered (or the command opened the home itself).
    pub daemon: bool,
    /// The model for new collections and questions.
    pub model: ModelEntry,
    /// Where the node can be reached.
    pub addresses: Vec<String>,
    /// By name.
    pub collections: Vec<CollectionInfo>,
    /// By name.
    pub groups: Vec<GroupInfo>,
    /// Peers connected now.
    pub connected: u32,
    /// What is done for rounds of learning.
    #[serde(default)]
    pub learning: Vec<super::LearningNow>,
    /// Whether own files are asked with the person's own adapter.
    #[serde(default)]
    pub personal: bool,
}

/// A collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollectionInfo {
    /// Its name.
    pub name: Name,
    /// Files and folders in it.
    #[serde(serialize_with = "lossy::list")]
    pub roots: Vec<PathBuf>,
    /// Files indexed.
    pub files: u64,
    /// Chunks that can be found.
    pub chunks: u64,
    /// Bytes of index on disk, without the index of words.
    pub index_bytes: u64,
    /// Bytes of the index of words; 0 where there is none.
    #[serde(default)]
    pub lexical_bytes: u64,
    /// Bytes of text indexed.
    #[serde(default)]
    pub text_bytes: u64,
    /// Chunks of changed or removed files that still take space.
    #[serde(default)]
    pub dead_chunks: u64,
    /// The model it was built with.
    pub model: ModelId,
    /// How far it is on its way to the current release of its model, if it holds another one, by which it
    /// answers until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<MovingInfo>,
    /// Why it cannot be searched, if so.
    pub problem: Option<String>,
    /// The goals it is kept at, if the person gave some.
    #[serde(default)]
    pub tuned: Option<TunedInfo>,
    /// Who may search it.
    pub shares: Vec<ShareInfo>,
}

/// A move to another release of the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovingInfo {
    /// The release.
    pub to: ModelId,
    /// Chunks embedded for it.
    pub done: u64,
    /// Chunks in all.
    pub total: u64,
    /// Why it does not go on, if so; it is tried again.
    pub problem: Option<String>,
}

/// A share of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareInfo {
    /// With this group.
    pub group: Name,
    /// So much.
    pub reveal: Reveal,
}

/// What indexing did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// The collection.
    pub collection: Name,
    /// Files new in the index.
    pub added: u64,
    /// Files whose content changed.
    pub changed: u64,
    /// Files that are gone.
    pub removed: u64,
    /// Files left as they were.
    pub unchanged: u64,
    /// Chunks embedded in this run.
    pub embedded: u64,
    /// Chunks in the collection now.
    pub chunks: u64,
    /// Files skipped, with the reason; at most the first 1,000.
    pub skipped: Vec<Skipped>,
    /// How many were skipped in all.
    pub skipped_total: u64,
    /// Time taken.
    pub elapsed_ms: u64,
}

/// A file that was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The file.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchReport {
    /// Best first.
    pub results: Vec<SearchHit>,
    /// The group asked, if any.
    pub group: Option<Name>,
    /// Who was asked and what came of it.
    pub coverage: Coverage,
    /// Time taken, in microseconds.
    pub elapsed_us: u64,
    /// Embeddings recomputed on this node.
    pub recomputed: u64,
    /// Embeddings that were still there from an earlier question, so that they were not recomputed.
    #[serde(default)]
    pub cached: u64,
    /// Own matches passed over as their file has changed since it was indexed.
    pub stale: u64,
    /// Things the person should know, such as a collection left out.
    pub notes: Vec<String>,
    /// How own collections were searched, which says what the scores are.
    #[serde(default)]
    pub mode: SearchMode,
    /// Own chunks that were looked at by their codes, or ranked by their words; files where lines
    /// were searched.
    #[serde(default)]
    pub visited: u64,
    /// Why the search of own collections ended; null where nothing limits it.
    #[serde(default)]
    pub stopped: Option<Stopped>,
    /// The largest score that an own chunk which is not among the results may have, as sure as the
    /// collection's settings want; by vectors only.
    #[serde(default)]
    pub bound: Option<f32>,
    /// Lines found, by file, where a regular expression was searched for.
    #[serde(default)]
    pub lines: Vec<LineHit>,
    /// Whether own collections were asked with the person's own adapter, which scores are of then.
    #[serde(default)]
    pub personal: bool,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// Nothing that was left out can belong to the results.
    Bound,
    /// As many chunks were recomputed as the settings allow, or as many lines found as asked for.
    Budget,
    /// It ran out of time.
    Time,
}

/// A line that matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineHit {
    /// The collection.
    pub collection: Name,
    /// The file.
    #[serde(serialize_with = "lossy::path")]
    pub path: PathBuf,
    /// The line's number in the file's text, from 1.
    pub line: u64,
    /// The line, or the part of it around its first match.
    pub text: String,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Cosine similarity of question and passage; as the report's `mode` says for own results.
    pub score: f32,
    /// How far off the score of an own result may be, as sure as the collection's settings want; 0
    /// where it is exact.
    #[serde(default)]
    pub margin: f32,
    /// Everyone who holds it, best score first.
    pub from: Vec<Source>,
    /// Title, where revealed.
    pub title: Option<String>,
    /// Some lines or the whole passage, where revealed.
    pub text: Option<String>,
    /// The file, for own results.
    #[serde(serialize_with = "lossy::option")]
    pub path: Option<PathBuf>,
    /// Whether the score was checked by re-embedding text on this node.
    pub verified: bool,
}

/// Who holds a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The node.
    pub node: NodeId,
    /// Its member name, or "you".
    pub member: String,
    /// The collection, as its owner calls it.
    pub collection: String,
}

/// Who was asked and what came of it. The counts add up to `asked`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// Other members asked.
    pub asked: u32,
    /// Gave an answer (perhaps an empty one).
    pub answered: u32,
    /// Said no, or answered with something invalid.
    pub refused: u32,
    /// Reached, but too slow or gone in the middle.
    pub timed_out: u32,
    /// Could not be reached.
    pub offline: u32,
    /// One line each.
    pub members: Vec<MemberOutcome>,
}

/// What came of asking one member.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberOutcome {
    /// The node.
    pub node: NodeId,
    /// Its member name.
    pub member: String,
    /// `answered`, `refused`, `timed_out` or `offline`.
    pub outcome: String,
    /// The reason, unless it answered.
    pub reason: Option<String>,
    /// Results it gave.
    pub results: u32,
    /// Time until it answered or gave up, in microseconds.
    pub elapsed_us: u64,
}

/// A group of this node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupInfo {
    /// Its id.
    pub id: GroupId,
    /// Its name here.
    pub name: Name,
    /// Changes of the membership so far.
    pub epoch: Epoch,
    /// Members now.
    pub members: u32,
    /// This node's role: `owner`, `admin`, `member`, or `removed`.
    pub role: String,
    /// Whether its log was forked and it stands still.
    pub frozen: bool,
    /// The fewest members that have to evaluate a release of the shared model; 0 if nobody is asked.
    #[serde(default)]
    pub quorum: u32,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: Name,
    /// `owner`, `admin` or `member`.
    pub role: String,
    /// When it joined.
    pub since: UnixMillis,
    /// Whether it is connected now, or is this node.
    pub online: bool,
    /// Whether it is this node.
    pub you: bool,
}

/// A peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// The node.
    pub node: NodeId,
    /// `group/name` for each group in common.
    pub members_of: Vec<String>,
    /// Whether it is connected now.
    pub connected: bool,
    /// The address in use, or known ones.
    pub addresses: Vec<String>,
    /// Whether a relay is in between.
    pub relayed: bool,
    /// Round trip, if measured.
    pub rtt_us: Option<u64>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: ModelId,
    /// `static` or `bert`.
    pub family: String,
    /// Dimensions.
    pub dim: u32,
    /// Whether it is the one for new collections and questions.
    pub current: bool,
}

/// One check of `covey doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// Whether it is fine.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do, if it is not fine.
    pub fix: Option<String>,
}
