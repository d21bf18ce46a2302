//! The node that is asked: who may ask, what may be searched, what leaves.

use std::collections::BTreeMap;

use covey_crypto::Digest;

use super::{AuditRecord, Disclosure, Reveal};
use crate::group::{Head, Log, Standing};
use crate::ids::{GroupId, ModelId, Name, NodeId, RequestId, UnixMillis};
use crate::limits::{MAX_RELEASES, MAX_RESULTS, MAX_SEARCH_REPLY};
use crate::wire::v1::search::{
    Found, ModelQuery, QueryBody, Question, Revealed, Score, SearchRefusal, SearchReply,
    SearchRequest,
};
use crate::wire::{self, PrivateText};

/// Leave to answer one request. Made by [`plan`] only; spent by [`Plan::compose`].
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Plan {
    id: RequestId,
    asker: NodeId,
    group: GroupId,
    head: Head,
    model: ModelId,
    question: Question,
    shares: BTreeMap<Name, Reveal>,
    limit: usize,
    deadline_ms: u32,
}

/// One collection that may be searched for this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope<'a> {
    /// The collection.
    pub collection: &'a Name,
    /// How much of it may be shown.
    pub reveal: Reveal,
}

/// One chunk that the local search found. [`Plan::compose`] decides how much of it leaves.
#[derive(Clone, PartialEq)]
pub struct Hit {
    /// The collection it is from.
    pub collection: Name,
    /// Cosine of question and chunk.
    pub score: f32,
    /// The file's path inside the collection, with `/` between folders.
    pub path: String,
    /// The heading above the chunk, if any.
    pub heading: Option<String>,
    /// The extract to show where only an extract may be shown.
    pub snippet: String,
    /// The chunk.
    pub text: String,
}

/// An answer and its record. The record is written before the reply is sent.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Composed {
    /// What leaves.
    pub reply: SearchReply,
    /// What the answerer notes about it.
    pub audit: AuditRecord,
}

/// Decides whether `from` is answered, and with what. `log` is this node's log of the request's
/// group, if it has one; `shares` what it shows that group; `models` the releases it can search
/// with. The checks S1 to S7 run in the specification's order.
///
/// # Errors
/// The refusal to send. A stranger learns nothing: no group, no membership and no sharing look alike.
pub fn plan(
    request: &SearchRequest,
    from: NodeId,
    log: Option<&Log>,
    shares: &BTreeMap<Name, Reveal>,
    models: &[ModelId],
) -> Result<Plan, SearchRefusal> {
    let log = log.filter(|log| log.group() == request.group).ok_or(SearchRefusal::NotAMember)?;
    match log.standing(from) {
        Standing::Stranger => return Err(SearchRefusal::NotAMember),
        Standing::Removed(_) => return Err(SearchRefusal::Removed),
        Standing::Member(_) => {}
    }
    if log.is_frozen() {
        return Err(SearchRefusal::Frozen);
    }
    if log.head_at(request.head.epoch).is_some_and(|known| known != request.head) {
        return Err(SearchRefusal::Forked { head: log.head() });
    }
    let unreadable = |query: &ModelQuery| match &query.query {
        QueryBody::Text(text) => text.as_str().trim().is_empty(),
    };
    if request.limit == 0 || request.queries.is_empty() || request.queries.iter().any(unreadable) {
        return Err(SearchRefusal::BadRequest);
    }
    let query = request.queries.iter().find(|query| models.contains(&query.model));
    let query = query.ok_or_else(|| SearchRefusal::WrongModel {
        have: models.iter().take(MAX_RELEASES).copied().collect(),
    })?;
    let QueryBody::Text(question) = &query.query;
    let shown = shares.iter().filter(|(_, reveal)| **reveal > Reveal::Nothing);
    let shares: BTreeMap<_, _> = shown.map(|(name, reveal)| (name.clone(), *reveal)).collect();
    if shares.is_empty() {
        return Err(SearchRefusal::NothingShared);
    }
    Ok(Plan {
        id: request.id,
        asker: from,
        group: request.group,
        head: log.head(),
        model: query.model,
        question: question.clone(),
        shares,
        limit: usize::from(request.limit).min(MAX_RESULTS),
        deadline_ms: request.deadline_ms,
    })
}

impl Plan {
    /// The release to search with.
    pub fn model(&self) -> ModelId {
        self.model
    }

    /// The question to embed.
    pub fn question(&self) -> &str {
        self.question.as_str()
    }

    /// The collections to search, and no others.
    pub fn scopes(&self) -> impl Iterator<Item = Scope<'_>> {
        self.shares.iter().map(|(collection, reveal)| Scope { collection, reveal: *reveal })
    }

    /// How many hits are worth finding.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How long the asker waits, in milliseconds from when the request came in.
    pub fn deadline_ms(&self) -> u32 {
        self.deadline_ms
    }

    /// The gate: turns hits into the reply, each cut to what its collection's policy lets out.
    /// Hits from other collections and those with an impossible score are dropped. The best
    /// [`Plan::limit`] stay, or as many of them as fit into one frame.
    pub fn compose(self, hits: Vec<Hit>, now: UnixMillis) -> Composed {
        let mut scored: Vec<_> = hits
            .into_iter()
            .filter_map(|hit| {
                let reveal = *self.shares.get(&hit.collection)?;
                Some((Score::new(hit.score).ok()?, reveal, hit))
            })
            .collect();
        scored.sort_by(|(a, _, x), (b, _, y)| {
            b.cmp(a).then_with(|| (&x.collection, &x.path).cmp(&(&y.collection, &y.path)))
        });

        let (mut results, mut disclosed) = (Vec::new(), Vec::new());
        let mut room =
            MAX_SEARCH_REPLY - wire::encode(&self.answer(Vec::new())).len() - LENGTH_GROWTH;
        for (score, reveal, hit) in scored.into_iter().take(self.limit) {
            let revealed = cut(reveal, &hit);
            let found = Found { score, collection: hit.collection.clone(), revealed };
            let Some(left) = room.checked_sub(wire::encode(&found).len()) else { break };
            room = left;
            let title = title(&hit.path, hit.heading.as_deref());
            let chunk = Digest::sha256(hit.text.as_bytes());
            disclosed.push(Disclosure { collection: hit.collection, title, chunk, reveal, score });
            results.push(found);
        }
        let audit = AuditRecord {
            at: now,
            request: self.id,
            asker: self.asker,
            group: self.group,
            epoch: self.head.epoch,
            model: self.model,
            question: self.question.clone(),
            disclosed,
        };
        Composed { reply: self.answer(results), audit }
    }

    fn answer(&self, results: Vec<Found>) -> SearchReply {
        SearchReply::Answer { id: self.id, model: self.model, head: self.head, results }
    }
}

/// What the result count's own encoding may grow by when it is no longer zero.
const LENGTH_GROWTH: usize = 4;

fn cut(reveal: Reveal, hit: &Hit) -> Revealed {
    match reveal {
        Reveal::Nothing | Reveal::Score => Revealed::Score,
        Reveal::Snippet => {
            let file = hit.path.rsplit(['/', '\\']).next().unwrap_or_default();
            Revealed::Snippet {
                title: title(file, hit.heading.as_deref()),
                snippet: PrivateText::clipped(&hit.snippet),
            }
        }
        Reveal::Full => Revealed::Full {
            title: title(&hit.path, hit.heading.as_deref()),
            text: PrivateText::clipped(&hit.text),
        },
    }
}

fn title<const MAX: usize>(file: &str, heading: Option<&str>) -> PrivateText<MAX> {
    match heading {
        Some(heading) => PrivateText::clipped(&format!("{file} › {heading}")),
        None => PrivateText::clipped(file),
    }
}

impl std::fmt::Debug for Hit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hit").field("score", &self.score).finish_non_exhaustive()
    }
}
