//! Answering a member's question: checked, bounded, recorded, and only then sent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use covey_net::Link;
use covey_protocol::group::{Head, Log, Standing};
use covey_protocol::ids::{GroupId, ModelId, Name, NodeId, RequestId, UnixMillis};
use covey_protocol::limits::MAX_SEARCH_REQUEST;
use covey_protocol::search::{Hit, Plan, Reveal, plan};
use covey_protocol::wire;
use covey_protocol::wire::v1::search::{SearchRefusal, SearchReply, SearchRequest};
use tokio::time::{Instant, timeout};

use super::snippet::snippet;
use super::{Ledger, Meter};
use crate::collections::{Collections, LocalHit, Query, Vectors, embed};
use crate::models::Models;
use crate::node::{Job, Node, Role};

/// The longest that a question waits for its turn, whatever its asker would bear.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl<L: Link> Node<L> {
    /// Answers one request of `from`. Whatever the bytes are, there is a reply.
    pub(crate) async fn serve_search(&self, from: NodeId, body: &[u8]) -> Vec<u8> {
        let (id, answered) = match wire::decode::<SearchRequest>(body, MAX_SEARCH_REQUEST) {
            Ok(request) => (request.id, self.answer(from, &request).await),
            Err(_) => (RequestId(0), Err(SearchRefusal::BadRequest)),
        };
        self.meter.answered(answered.as_ref().err());
        let reply = answered.unwrap_or_else(|refusal| SearchReply::Refused { id, refusal });
        wire::encode(&reply)
    }

    async fn answer(
        &self,
        from: NodeId,
        request: &SearchRequest,
    ) -> Result<SearchReply, SearchRefusal> {
        let plan = self.plan(from, request)?;
        self.catch_up(from, request.group, request.head);
        let within_rate = {
            let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
            rates.allow(from, Instant::now())
        };
        if !within_rate {
            return Err(SearchRefusal::Busy);
        }
        let patience = Duration::from_millis(u64::from(plan.deadline_ms()) / 2).min(LONGEST_WAIT);
        let turn = timeout(patience, self.answers.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(SearchRefusal::Busy)?;
        let work = Work {
            collections: self.collections.clone(),
            models: self.models.clone(),
            meter: self.meter.clone(),
        };
        let hits = self.env.compute(move || work.search(&plan)).await?;
        // Searching takes time: what was unshared, or who was removed, meanwhile counts as of now.
        let plan = self.plan(from, request)?;
        let (ledger, now) = (self.audit.clone(), self.env.now());
        self.env.compute(move || give(plan, hits, &ledger, now)).await
    }

    fn plan(&self, from: NodeId, request: &SearchRequest) -> Result<Plan, SearchRefusal> {
        let shares = self.shared(request.group);
        let models: Vec<ModelId> = if shares.is_empty() {
            // Nothing is shared, whatever the model.
            request.queries.iter().map(|query| query.model).collect()
        } else {
            let names: BTreeSet<Name> = shares.keys().cloned().collect();
            self.collections.models_of(&names).into_iter().collect()
        };
        let decide = |log: &Log| plan(request, from, Some(log), &shares, &models);
        let decided = self.groups.view(request.group, decide);
        match (decided.unwrap_or(Err(SearchRefusal::NotAMember)), self.settings.role) {
            (Err(SearchRefusal::NothingShared), Role::Coordinator) => {
                Err(SearchRefusal::Coordinates)
            }
            (decided, Role::Full | Role::Coordinator) => decided,
        }
    }

    /// The shares with a group of collections that are still here.
    fn shared(&self, group: GroupId) -> BTreeMap<Name, Reveal> {
        if self.settings.role == Role::Coordinator {
            return BTreeMap::new();
        }
        let mut shares = self.shares.of_group(group);
        shares.retain(|name, _| self.collections.contains(name));
        shares
    }

    /// Asks a member for the log, if it has seen more of it.
    pub(super) fn catch_up(&self, from: NodeId, group: GroupId, theirs: Head) {
        let is_behind = self.groups.view(group, |log| {
            matches!(log.standing(from), Standing::Member(_)) && theirs.epoch > log.head().epoch
        });
        if is_behind == Some(true) {
            self.schedule(Job::Sync { group, with: from, gap: Duration::ZERO });
        }
    }
}

/// What the blocking part of an answer needs.
struct Work {
    collections: Arc<Collections>,
    models: Arc<dyn Models>,
    meter: Arc<Meter>,
}

impl Work {
    /// What the plan's collections hold on its question.
    fn search(self, plan: &Plan) -> Result<Vec<Hit>, SearchRefusal> {
        let Some(model) = self.models.get(plan.model()) else {
            return Err(internal("the model of a shared collection does not load", &plan.model()));
        };
        let vector = embed(&model, plan.question())
            .map_err(|error| internal("a member's question could not be embedded", &error))?;
        let names: BTreeSet<Name> = plan.scopes().map(|scope| scope.collection.clone()).collect();
        let (options, vectors) = (model.search_options(), Vectors::of(model, vector));
        let query = Query::Vector(&vectors);
        let found = self.collections.search(Some(&names), query, plan.limit(), &options);
        self.meter.recomputed(found.recomputed as u64);
        for note in &found.notes {
            tracing::debug!(%note, "while answering");
        }
        let best = found.hits.into_iter().take(plan.limit());
        Ok(best.map(|hit| hit_of(hit, plan.question())).collect())
    }
}

/// Cuts what was found to what may be shown, and writes that down before it leaves.
fn give(
    plan: Plan,
    hits: Vec<Hit>,
    ledger: &Ledger,
    now: UnixMillis,
) -> Result<SearchReply, SearchRefusal> {
    let composed = plan.compose(hits, now);
    ledger.append(&composed.audit).map_err(|error| {
        internal("an answer was not given, as it could not be recorded", &error)
    })?;
    Ok(composed.reply)
}

fn internal(what: &str, error: &dyn std::fmt::Display) -> SearchRefusal {
    tracing::error!(%error, "{what}");
    SearchRefusal::Internal
}

fn hit_of(found: LocalHit, question: &str) -> Hit {
    let LocalHit { collection, hit, inside, heading } = found;
    Hit {
        collection,
        score: hit.score,
        path: inside,
        heading,
        snippet: snippet(&hit.text, question),
        text: hit.text,
    }
}
