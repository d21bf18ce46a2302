//! The node that asks: sends, waits, and knows when to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::merge::Pool;
use super::{BadAnswer, Failure, Merged, PeerOutcome, PeerReport, Provider, Report};
use crate::group::Head;
use crate::ids::{ModelId, NodeId, UnixMillis};
use crate::limits::MAX_ASKED;
use crate::wire::v1::search::{Found, SearchRefusal, SearchReply, SearchRequest};

/// A question, whom to put it to, and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// What every peer is sent.
    pub request: SearchRequest,
    /// Whom to ask. The asking node itself is not among them: see [`Asker::own`].
    pub peers: BTreeSet<NodeId>,
    /// After this many milliseconds stragglers are not waited for: the search ends as soon as
    /// somebody has answered and at least half of the peers are settled.
    pub soft_ms: u64,
    /// After this many milliseconds the search ends, whoever is missing.
    pub hard_ms: u64,
}

/// A question to more peers than one question may go to; a group can have more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a question can go to at most {MAX_ASKED} peers at once")]
pub struct TooManyPeers;

/// What the shell does for an [`Asker`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Send the request, and bring back [`Asker::reply`] or [`Asker::failed`].
    Send {
        /// To this peer.
        to: NodeId,
        /// The request; one for all peers.
        request: Arc<SearchRequest>,
    },
    /// Stop waiting and call [`Asker::finish`].
    Finish,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The merged results, best first.
    pub results: Vec<Merged>,
    /// Who answered and who did not.
    pub report: Report,
}

/// A question under way.
#[derive(Debug, Clone)]
pub struct Asker {
    request: Arc<SearchRequest>,
    started: UnixMillis,
    soft: UnixMillis,
    hard: UnixMillis,
    waiting: BTreeSet<NodeId>,
    settled: BTreeMap<NodeId, PeerReport>,
    own_expected: bool,
    pool: Pool,
    finished: bool,
}

impl Asker {
    /// Asks. The effects are one [`Effect::Send`] per peer, or [`Effect::Finish`] if there is nobody
    /// to wait for. With `own`, the search also waits for [`Asker::own`], as for everyone up to
    /// the hard deadline; soft stragglers do not cut it off.
    ///
    /// # Errors
    /// [`TooManyPeers`].
    pub fn new(ask: Ask, own: bool, now: UnixMillis) -> Result<(Self, Vec<Effect>), TooManyPeers> {
        if ask.peers.len() > MAX_ASKED {
            return Err(TooManyPeers);
        }
        let request = Arc::new(ask.request);
        let send = |to: &NodeId| Effect::Send { to: *to, request: request.clone() };
        let mut effects: Vec<_> = ask.peers.iter().map(send).collect();
        let mut asker = Self {
            request: request.clone(),
            started: now,
            soft: now.plus(ask.soft_ms.min(ask.hard_ms)),
            hard: now.plus(ask.hard_ms),
            waiting: ask.peers,
            settled: BTreeMap::new(),
            own_expected: own,
            pool: Pool::default(),
            finished: false,
        };
        effects.extend(asker.finish_if_due(now));
        Ok((asker, effects))
    }

    /// Takes what the asking node's own collections hold. `model` must be one of the request's.
    pub fn own(&mut self, model: ModelId, results: Vec<Found>, now: UnixMillis) -> Option<Effect> {
        if self.own_expected && !self.finished {
            self.own_expected = false;
            self.pool.add(Provider::Own, model, results);
        }
        self.finish_if_due(now)
    }

    /// Takes a peer's reply. Only the first thing heard from a peer counts; what comes late, twice
    /// or from somebody who was not asked changes nothing.
    pub fn reply(&mut self, from: NodeId, reply: SearchReply, now: UnixMillis) -> Option<Effect> {
        if !self.may_settle(from) {
            return None;
        }
        let (outcome, head) = self.judge(from, reply);
        self.settle(from, outcome, head, now)
    }

    /// Takes the news that no readable reply came from a peer.
    pub fn failed(&mut self, from: NodeId, why: Failure, now: UnixMillis) -> Option<Effect> {
        if !self.may_settle(from) {
            return None;
        }
        let outcome = match why {
            Failure::Offline(reason) => PeerOutcome::Offline(reason),
            Failure::TimedOut => PeerOutcome::TimedOut,
            Failure::Unreadable => PeerOutcome::Bad(BadAnswer::Unreadable),
        };
        self.settle(from, outcome, None, now)
    }

    /// Looks at the clock. Call it at [`Asker::wake_at`].
    pub fn tick(&mut self, now: UnixMillis) -> Option<Effect> {
        self.finish_if_due(now)
    }

    /// When to call [`Asker::tick`] next; never again once finished.
    pub fn wake_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        match self.finished {
            true => None,
            false if now < self.soft => Some(self.soft),
            false => Some(self.hard),
        }
    }

    /// Ends the search: whoever is still silent has timed out.
    pub fn finish(mut self, now: UnixMillis) -> Outcome {
        let latency_ms = self.elapsed(now);
        for node in std::mem::take(&mut self.waiting) {
            let outcome = PeerOutcome::TimedOut;
            self.settled.insert(node, PeerReport { node, outcome, latency_ms, head: None });
        }
        let preferred: Vec<_> = self.request.queries.iter().map(|query| query.model).collect();
        let results = self.pool.merge(&preferred, usize::from(self.request.limit));
        Outcome { results, report: Report::of(self.settled.into_values().collect()) }
    }

    fn may_settle(&self, from: NodeId) -> bool {
        !self.finished && self.waiting.contains(&from)
    }

    /// Checks S9 to S11, and puts a good answer's results into the pool.
    fn judge(&mut self, from: NodeId, reply: SearchReply) -> (PeerOutcome, Option<Head>) {
        let bad = |what| (PeerOutcome::Bad(what), None);
        if reply.id() != self.request.id {
            return bad(BadAnswer::WrongId);
        }
        match reply {
            SearchReply::Refused { refusal, .. } => {
                let head =
                    if let SearchRefusal::Forked { head } = &refusal { Some(*head) } else { None };
                (PeerOutcome::Refused(refusal), head)
            }
            SearchReply::Answer { model, head, results, .. } => {
                if !self.request.queries.iter().any(|query| query.model == model) {
                    return bad(BadAnswer::WrongModel);
                }
                if results.len() > usize::from(self.request.limit) {
                    return bad(BadAnswer::TooMany);
                }
                let outcome = PeerOutcome::Answered { results: results.len() };
                self.pool.add(Provider::Peer(from), model, results);
                (outcome, Some(head))
            }
        }
    }

    fn settle(
        &mut self,
        node: NodeId,
        outcome: PeerOutcome,
        head: Option<Head>,
        now: UnixMillis,
    ) -> Option<Effect> {
        self.waiting.remove(&node);
        let latency_ms = self.elapsed(now);
        self.settled.insert(node, PeerReport { node, outcome, latency_ms, head });
        self.finish_if_due(now)
    }

    fn finish_if_due(&mut self, now: UnixMillis) -> Option<Effect> {
        if self.finished {
            return None;
        }
        let all_in = self.waiting.is_empty() && !self.own_expected;
        self.finished = all_in || now >= self.hard || (now >= self.soft && self.enough());
        self.finished.then_some(Effect::Finish)
    }

    /// Past the soft deadline: an answer is there, and at least half of the peers are settled.
    fn enough(&self) -> bool {
        let answered = |peer: &PeerReport| matches!(peer.outcome, PeerOutcome::Answered { .. });
        !self.own_expected
            && self.settled.len() >= self.waiting.len()
            && self.settled.values().any(answered)
    }

    fn elapsed(&self, now: UnixMillis) -> u64 {
        now.0.saturating_sub(self.started.0)
    }
}
