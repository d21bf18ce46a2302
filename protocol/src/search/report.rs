//! Who was asked, and what became of it.

use crate::group::Head;
use crate::ids::NodeId;
use crate::wire::v1::search::SearchRefusal;

/// Every peer that was asked, counted once.
///
/// `asked` is the sum of the five counts that follow it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Peers that the question was for.
    pub asked: usize,
    /// Answered in time; perhaps with nothing found.
    pub answered: usize,
    /// Answered that they do not answer.
    pub refused: usize,
    /// Reached, and silent when the asker stopped waiting.
    pub timed_out: usize,
    /// Not reached.
    pub offline: usize,
    /// Answered with something that is no answer.
    pub bad: usize,
    /// The same per peer, in the order of their ids.
    pub peers: Vec<PeerReport>,
}

/// One peer's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerReport {
    /// The peer.
    pub node: NodeId,
    /// What became of the question.
    pub outcome: PeerOutcome,
    /// Milliseconds from asking to this outcome.
    pub latency_ms: u64,
    /// Its head, if it told: where this is further than ours, sync.
    pub head: Option<Head>,
}

/// What became of the question to one peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerOutcome {
    /// It answered.
    Answered {
        /// With this many results, before duplicates were merged.
        results: usize,
    },
    /// It refused.
    Refused(SearchRefusal),
    /// It was silent for too long.
    TimedOut,
    /// It was not reached, for this reason.
    Offline(String),
    /// What came was no answer.
    Bad(BadAnswer),
}

/// Why a request brought no reply, as the transport saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The peer could not be reached.
    Offline(String),
    /// The peer was reached and silent.
    TimedOut,
    /// What the peer sent could not be read.
    Unreadable,
}

/// What is wrong with a reply. The numbers are the specification's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// S8: it decodes within its limits.
    #[error("its reply could not be read")]
    Unreadable,
    /// S9: it repeats the request's id.
    #[error("its reply was to another question")]
    WrongId,
    /// S10: it was scored with a release that was asked for.
    #[error("its scores are from another model")]
    WrongModel,
    /// S11: it holds no more results than asked for.
    #[error("it sent more results than asked for")]
    TooMany,
}

impl Report {
    /// Counts `peers`.
    pub(super) fn of(peers: Vec<PeerReport>) -> Self {
        let mut report = Self { asked: peers.len(), ..Self::default() };
        for peer in &peers {
            *match peer.outcome {
                PeerOutcome::Answered { .. } => &mut report.answered,
                PeerOutcome::Refused(_) => &mut report.refused,
                PeerOutcome::TimedOut => &mut report.timed_out,
                PeerOutcome::Offline(_) => &mut report.offline,
                PeerOutcome::Bad(_) => &mut report.bad,
            } += 1;
        }
        report.peers = peers;
        report
    }
}
