//! Asking: own collections, and the members of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use covey_net::{Link, LinkError, Protocol};
use covey_protocol::group::Head;
use covey_protocol::ids::{GroupId, ModelId, Name, NodeId};
use covey_protocol::limits::{MAX_ASKED, MAX_QUESTION, MAX_RESULTS, MAX_SEARCH_REPLY};
use covey_protocol::search::{
    self as protocol, Ask, Asker, Effect, Failure, Merged, Outcome, PeerOutcome, PeerReport,
    Provider,
};
use covey_protocol::wire;
use covey_protocol::wire::v1::search::{
    Found, ModelQuery, QueryBody, Question, Revealed, SearchRefusal, SearchReply, SearchRequest,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, sleep};

use super::local::{self, OwnAnswer, Wish};
use super::verify::{Answers, Checked, is_verified};
use crate::api::{
    ApiError, Coverage, ErrorCode, MemberOutcome, Reply, SearchCall, SearchHit, SearchMode,
    SearchReport, Source,
};
use crate::cancel::CancelFlag;
use crate::models::ModelHandle;
use crate::node::{Job, Node};
use crate::reach::why_unreachable;

const LIMIT: u16 = 10;
/// The same where lines are searched for, and the most of them.
const LINES: u16 = 100;
const MAX_LINES: usize = 1_000;
/// The soft and the hard deadline where the person names none.
pub(super) const PATIENCE_MS: [u32; 2] = [1_500, 10_000];
/// The same with a transformer, which takes seconds to embed its candidates again.
const PATIENCE_WITH_TRANSFORMER_MS: [u32; 2] = [20_000, MAX_HARD_MS];
/// The longest that a person may let a question take.
const MAX_HARD_MS: u32 = 60_000;

/// A question that makes sense.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) question: Question,
    pub(super) limit: u16,
    pub(super) soft_ms: u32,
    pub(super) hard_ms: u32,
}

/// The group that is asked, as of now.
struct Group {
    id: GroupId,
    name: Name,
    head: Head,
    members: BTreeMap<NodeId, Name>,
    /// How many more members there are than can be asked.
    left_out: usize,
}

/// Everything that came back.
struct Heard {
    outcome: Outcome,
    own: OwnAnswer,
    replies: BTreeMap<NodeId, (ModelId, Vec<Found>)>,
    took: BTreeMap<NodeId, Duration>,
}

impl<L: Link> Node<L> {
    pub(crate) async fn search(
        &self,
        call: SearchCall,
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        let started = Instant::now();
        let asked = Asked::check(&call, self.patience_ms())?;
        let mut report = match &call.group {
            Some(group) => {
                check_for_group(&call)?;
                let mut report = self.search_group(group, asked, cancel).await?;
                if call.mode != SearchMode::Vector {
                    let note = "a group is searched by meaning (vectors) only; the other modes are for your own files";
                    report.notes.push(note.to_owned());
                }
                report
            }
            None => {
                let personal = self.personal.adapter().filter(|_| !call.no_personal);
                let wish = Wish::check(&call, self.env.now())?.with(personal);
                self.search_own(wish, asked).await?
            }
        };
        report.elapsed_us = micros(started.elapsed());
        Ok(Reply::Search(report))
    }

    /// How long to wait for others unless the person says so.
    fn patience_ms(&self) -> [u32; 2] {
        let models = self.models.list().unwrap_or_default();
        match models.iter().find(|model| model.current) {
            Some(model) if model.family != "static" => PATIENCE_WITH_TRANSFORMER_MS,
            Some(_) | None => PATIENCE_MS,
        }
    }

    async fn search_own(&self, wish: Wish, asked: Asked) -> Result<SearchReport, ApiError> {
        let (collections, models) = (self.collections.clone(), self.models.clone());
        let env = self.env.clone();
        let work = move || wish.search(&collections, &*models, &asked, &env);
        let own = self.env.compute(work).await?;
        Ok(own.into_report(Some(self.id())))
    }

    async fn search_group(
        &self,
        name: &Name,
        asked: Asked,
        cancel: CancelFlag,
    ) -> Result<SearchReport, ApiError> {
        let group = self.group_to_ask(name)?;
        let (models, question) = (self.models.clone(), asked.clone());
        let embedded = self.env.compute(move || {
            let model = models.current()?;
            let vector = local::vector(&model, &question)?;
            Ok::<_, ApiError>((model, vector))
        });
        let (model, vector) = embedded.await?;
        let request = SearchRequest {
            id: self.request_id(),
            group: group.id,
            head: group.head,
            queries: self
                .releases_to_ask(group.id, model.id)?
                .into_iter()
                .map(|model| ModelQuery { model, query: QueryBody::Text(asked.question.clone()) })
                .collect(),
            limit: asked.limit,
            deadline_ms: asked.hard_ms,
        };
        let heard = tokio::select! {
            biased;
            () = cancel.cancelled() => {
                return Err(ApiError::new(ErrorCode::Cancelled, "interrupted before the answers were in"));
            }
            heard = self.ask(&group, request.clone(), &model, &vector, &asked) => heard?,
        };
        self.learn_from(&group, &heard.outcome.report.peers);
        self.report(group, request, model, vector, heard).await
    }

    fn group_to_ask(&self, name: &Name) -> Result<Group, ApiError> {
        let id = self.groups.find(name)?;
        let me = self.id();
        let (head, members, frozen) = self
            .groups
            .view(id, |log| {
                let members = log.members().iter();
                let members = members.map(|(node, member)| (*node, member.name.clone()));
                (log.head(), members.collect::<BTreeMap<_, _>>(), log.is_frozen())
            })
            .ok_or_else(crate::groups::gone)?;
        if frozen {
            return Err(crate::groups::frozen(name));
        }
        let mut members = members;
        if members.remove(&me).is_none() {
            let message = format!("this node is no member of {name} any more");
            return Err(
                ApiError::new(ErrorCode::Forbidden, message).hint("ask an admin for a new invite")
            );
        }
        let left_out = self.leave_out(&mut members);
        Ok(Group { id, name: name.clone(), head, members, left_out })
    }

    /// Keeps as many members as one question may go to, those that are connected first. Gives the
    /// number of the others.
    fn leave_out(&self, members: &mut BTreeMap<NodeId, Name>) -> usize {
        let more = members.len().saturating_sub(MAX_ASKED);
        if more > 0 {
            let connected: BTreeSet<NodeId> =
                self.link.peers().into_iter().map(|peer| peer.node).collect();
            let mut order: Vec<NodeId> = members.keys().copied().collect();
            order.sort_by_key(|node| !connected.contains(node));
            for node in &order[MAX_ASKED..] {
                members.remove(node);
            }
        }
        more
    }

    /// Drives the asker: sends, listens, watches the clock.
    async fn ask(
        &self,
        group: &Group,
        request: SearchRequest,
        model: &ModelHandle,
        vector: &[f32],
        asked: &Asked,
    ) -> Result<Heard, ApiError> {
        let started = Instant::now();
        let zero = self.env.now();
        let now = || zero.plus(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        let ask = Ask {
            request,
            peers: group.members.keys().copied().collect(),
            soft_ms: asked.soft_ms.into(),
            hard_ms: asked.hard_ms.into(),
        };
        let patience = Duration::from_millis(asked.hard_ms.into());
        let (mut asker, effects) = Asker::new(ask, true, now())
            .map_err(|error| ApiError::new(ErrorCode::Usage, error.to_string()))?;
        let mut inflight = FuturesUnordered::new();
        for effect in effects {
            if let Effect::Send { to, request } = effect {
                let body = wire::encode(&*request);
                let sent = self.link.request(to, Protocol::Search, body, patience);
                inflight.push(async move { (to, sent.await) });
            }
        }
        let (collections, models) = (self.collections.clone(), self.models.clone());
        let (handle, vector, question) = (model.clone(), vector.to_vec(), asked.clone());
        let own = self
            .env
            .compute(move || local::search(&collections, &*models, handle, vector, &question));
        tokio::pin!(own);
        let mut own_answer: Option<OwnAnswer> = None;
        let (mut replies, mut took) = (BTreeMap::new(), BTreeMap::new());
        loop {
            let wake = asker
                .wake_at(now())
                .map_or(patience, |at| Duration::from_millis(at.0.saturating_sub(now().0).max(1)));
            let effect = tokio::select! {
                biased;
                answer = &mut own, if own_answer.is_none() => {
                    let effect = asker.own(model.id, answer.found(), now());
                    own_answer = Some(answer);
                    effect
                }
                Some((node, result)) = inflight.next(), if !inflight.is_empty() => {
                    took.insert(node, started.elapsed());
                    match heard_from(result) {
                        Ok(reply) => {
                            if let SearchReply::Answer { results, model, .. } = &reply {
                                replies.insert(node, (*model, results.clone()));
                            }
                            asker.reply(node, reply, now())
                        }
                        Err(failure) => asker.failed(node, failure, now()),
                    }
                }
                () = sleep(wake) => asker.tick(now()),
            };
            if effect == Some(Effect::Finish) {
                break;
            }
        }
        let outcome = asker.finish(now());
        let own = own_answer.unwrap_or_else(OwnAnswer::late);
        Ok(Heard { outcome, own, replies, took })
    }

    /// What the replies say about the group's log: where this one may be behind, it is synced.
    fn learn_from(&self, group: &Group, peers: &[PeerReport]) {
        for peer in peers {
            let newer = peer.head.is_some_and(|head| head.epoch > group.head.epoch);
            let differs = matches!(
                peer.outcome,
                PeerOutcome::Refused(
                    SearchRefusal::Removed
                        | SearchRefusal::NotAMember
                        | SearchRefusal::Frozen
                        | SearchRefusal::Forked { .. }
                )
            );
            if newer || differs {
                self.schedule(Job::Sync { group: group.id, with: peer.node, gap: Duration::ZERO });
            }
            if matches!(peer.outcome, PeerOutcome::Refused(SearchRefusal::NotAMember)) {
                // It has not heard of this node yet: show it the entries that say so.
                self.schedule(Job::Announce { group: group.id, also: None });
            }
        }
    }

    async fn report(
        &self,
        group: Group,
        request: SearchRequest,
        model: ModelHandle,
        vector: Vec<f32>,
        heard: Heard,
    ) -> Result<SearchReport, ApiError> {
        let Heard { outcome, own, mut replies, took } = heard;
        let answered = |peer: &&PeerReport| matches!(peer.outcome, PeerOutcome::Answered { .. });
        let counted: Vec<NodeId> =
            outcome.report.peers.iter().filter(answered).map(|peer| peer.node).collect();
        replies.retain(|node, _| counted.contains(node));
        let answers = Answers {
            request,
            model: model.id,
            head: group.head,
            own: own.found(),
            releases: replies.iter().map(|(node, (of, _))| (*node, *of)).collect(),
            peers: replies.into_iter().map(|(node, (_, found))| (node, found)).collect(),
            tolerance: model.score_tolerance(),
        };
        let checked = self.env.compute(move || answers.check(&*model.encoder, &vector)).await;
        let checked =
            checked.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let mut notes = own.notes.clone();
        if group.left_out > 0 {
            notes.push(format!(
                "{} members were not asked: one question goes to at most {MAX_ASKED}",
                group.left_out
            ));
        }
        for (node, count) in &checked.corrected {
            let name = group.name_of(*node);
            notes.push(match checked.left_out.contains(node) {
                true => format!("{name}'s answer was left out: its scores do not match its texts"),
                false => {
                    format!("{count} of {name}'s scores did not match the text and were corrected")
                }
            });
        }
        let coverage = coverage(&group, outcome.report.peers, &checked, &took);
        let me = self.id();
        let results = checked.results.iter().map(|merged| hit(&group, me, &own, merged)).collect();
        Ok(SearchReport {
            results,
            group: Some(group.name),
            coverage,
            elapsed_us: 0,
            recomputed: own.recomputed as u64,
            cached: own.cached as u64,
            stale: own.stale as u64,
            notes,
            mode: SearchMode::Vector,
            visited: own.visited as u64,
            stopped: own.stopped,
            bound: own.bound,
            lines: Vec::new(),
            personal: false,
        })
    }
}

/// Refuses what a question to a group cannot have.
fn check_for_group(call: &SearchCall) -> Result<(), ApiError> {
    let problem = if call.collection.is_some() {
        "one collection or one group can be searched, not both at once"
    } else if call.mode == SearchMode::Grep {
        "regular expressions are for your own files; members would be sent a question they cannot answer"
    } else if call.filter.is_some() {
        "filters are for your own files; members do not know them yet"
    } else if call.latency_ms.is_some() {
        "a question to a group has a soft and a hard deadline instead of a latency"
    } else {
        return Ok(());
    };
    Err(ApiError::new(ErrorCode::Usage, problem))
}

impl Asked {
    pub(super) fn check(call: &SearchCall, [soft_ms, hard_ms]: [u32; 2]) -> Result<Self, ApiError> {
        let usage = |message: String| Err(ApiError::new(ErrorCode::Usage, message));
        if call.question.trim().is_empty() {
            return usage("the question is empty".to_owned());
        }
        let Ok(question) = Question::new(call.question.clone()) else {
            return usage(format!("the question is longer than {MAX_QUESTION} bytes"));
        };
        let (limit, most) = match call.mode {
            SearchMode::Grep => (LINES, MAX_LINES),
            SearchMode::Vector | SearchMode::Lexical | SearchMode::Hybrid => (LIMIT, MAX_RESULTS),
        };
        let limit = call.limit.unwrap_or(limit);
        if limit == 0 || usize::from(limit) > most {
            let message = format!("between 1 and {most} results can be asked for");
            return Err(ApiError::new(ErrorCode::Usage, message).hint("covey search --help"));
        }
        let hard_ms = call.hard_ms.unwrap_or(hard_ms);
        if hard_ms == 0 || hard_ms > MAX_HARD_MS {
            return usage(format!("the hard deadline lies between 1 and {MAX_HARD_MS} ms"));
        }
        let soft_ms = call.soft_ms.unwrap_or(soft_ms).min(hard_ms);
        Ok(Self { question, limit, soft_ms, hard_ms })
    }
}

impl Group {
    fn name_of(&self, node: NodeId) -> String {
        self.members.get(&node).map_or_else(|| node.short(), ToString::to_string)
    }
}

/// A reply that can be read, or what went wrong, as the asker counts it.
fn heard_from(result: Result<Vec<u8>, LinkError>) -> Result<SearchReply, Failure> {
    match result {
        Ok(body) => wire::decode(&body, MAX_SEARCH_REPLY).map_err(|_| Failure::Unreadable),
        Err(LinkError::Unreachable { reason }) => Err(Failure::Offline(why_unreachable(&reason))),
        Err(LinkError::Timeout | LinkError::Closed | LinkError::Io { .. }) => {
            Err(Failure::TimedOut)
        }
        Err(LinkError::Refused | LinkError::Busy) => {
            Err(Failure::Offline("it has too much to do right now: retry in a moment".to_owned()))
        }
        Err(LinkError::TooLarge { .. } | LinkError::Bad { .. }) => Err(Failure::Unreadable),
    }
}

fn hit(group: &Group, me: NodeId, own: &OwnAnswer, merged: &Merged) -> SearchHit {
    let source = |source: &protocol::Source| match source.provider {
        Provider::Own => local::own_source(me, &source.collection),
        Provider::Peer(node) => {
            Source { node, member: group.name_of(node), collection: source.collection.to_string() }
        }
    };
    let path = merged
        .sources
        .iter()
        .filter(|source| source.provider == Provider::Own)
        .find_map(|source| own.path(&source.collection, source.score));
    let (title, text) = match &merged.revealed {
        Revealed::Score => (None, None),
        Revealed::Snippet { title, snippet } => (Some(title.as_str()), Some(snippet.as_str())),
        Revealed::Full { title, text } => (Some(title.as_str()), Some(text.as_str())),
    };
    SearchHit {
        score: merged.score.get(),
        margin: 0.0,
        from: merged.sources.iter().map(source).collect(),
        title: title.map(str::to_owned),
        text: text.map(str::to_owned),
        path,
        verified: is_verified(merged),
    }
}

fn coverage(
    group: &Group,
    peers: Vec<PeerReport>,
    checked: &Checked,
    took: &BTreeMap<NodeId, Duration>,
) -> Coverage {
    let mut coverage = Coverage::default();
    for peer in peers {
        let left_out = checked.left_out.contains(&peer.node);
        let (count, outcome, reason, results) = match peer.outcome {
            PeerOutcome::Answered { .. } if left_out => {
                let reason = "its scores do not match its texts".to_owned();
                (&mut coverage.refused, "refused", Some(reason), 0)
            }
            PeerOutcome::Answered { results } => {
                (&mut coverage.answered, "answered", None, results)
            }
            PeerOutcome::Refused(refusal) => {
                (&mut coverage.refused, "refused", Some(refusal.to_string()), 0)
            }
            PeerOutcome::Bad(bad) => (&mut coverage.refused, "refused", Some(bad.to_string()), 0),
            PeerOutcome::TimedOut => {
                let reason = "it did not answer in time".to_owned();
                (&mut coverage.timed_out, "timed_out", Some(reason), 0)
            }
            PeerOutcome::Offline(reason) => (&mut coverage.offline, "offline", Some(reason), 0),
        };
        *count += 1;
        coverage.asked += 1;
        let elapsed = took.get(&peer.node).copied();
        coverage.members.push(MemberOutcome {
            node: peer.node,
            member: group.name_of(peer.node),
            outcome: outcome.to_owned(),
            reason,
            results: u32::try_from(results).unwrap_or(u32::MAX),
            elapsed_us: elapsed.map_or(peer.latency_ms.saturating_mul(1_000), micros),
        });
    }
    coverage
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
