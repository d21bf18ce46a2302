//! Following a coordinator's plans: check, train, check in, mask, agree, open.

use std::collections::BTreeMap;
use std::time::Duration;

use covey_crypto::{Digest, Secret32};
use covey_net::{Link, LinkError, Protocol};
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::{Charge, CollectionKey, GroupKey, Request, Spent, Unit};
use covey_privacy::rng::NoiseRng;
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, NodeId, RequestId};
use covey_protocol::limits::{MAX_PIECE, MAX_ROUND_REPLY};
use covey_protocol::round::{Checked, Known, Limits, Next, Participant, Record, Start};
use covey_protocol::secagg::Members;
use covey_protocol::wire;
use covey_protocol::wire::v1::round::{
    Announced, Over, RoundAnswer, RoundAsk, RoundRefusal, RoundReply, RoundRequest, ServerMessage,
};
use rand_core::Rng;
use tokio::time::{Instant, sleep};

use super::prepare::{self, Trained};
use crate::api::{ApiError, ErrorCode, OptIn};
use crate::cancel::CancelFlag;
use crate::node::Node;
use crate::reach::why_failed;

/// How often a coordinator is asked whether there is a plan; the first time comes at random within it.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses between tries when a coordinator cannot be reached: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Training ends this long before the end of checking in, or a tenth of the window before it.
const MARGIN_MS: u64 = 30_000;

/// What this node has learnt for a plan, and not yet given.
type Ready = BTreeMap<Digest, Trained>;

impl<L: Link> Node<L> {
    /// Follows the rounds of every group that the person has opted in to, for as long as the node runs.
    pub(crate) async fn follow_rounds(&self) {
        let spread = u32::try_from(self.env.next_u64() % 1_024).unwrap_or_default();
        sleep(ASK_EVERY * spread / 1_024).await;
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            for group in self.groups.active() {
                let chosen = self.learning.choice(group);
                let Some(choice) = chosen.ok().flatten() else { continue };
                if !self.learning.state().followed.insert(group) {
                    continue;
                }
                let node = self.clone();
                tasks.spawn(async move {
                    let stop = CancelFlag::new();
                    node.learning.state().stops.insert(group, stop.clone());
                    let followed = node.follow(group, &choice, &stop).await;
                    if let Err(error) = followed {
                        tracing::info!(%error, "no part is taken in a round");
                        node.learning.state().refused.insert(group, error.to_string());
                    }
                    node.learning.set_idle(group);
                    let mut state = node.learning.state();
                    state.stops.remove(&group);
                    state.followed.remove(&group);
                });
            }
            tokio::select! {
                () = sleep(ASK_EVERY) => {}
                () = self.learning.chosen.notified() => {}
            }
            while tasks.try_join_next().is_some() {}
        }
    }

    /// Takes part in the group's round, if there is one that this node has not given anything to yet. Returns when that is over.
    async fn follow(
        &self,
        group: GroupId,
        choice: &OptIn,
        stop: &CancelFlag,
    ) -> Result<(), ApiError> {
        let Some(coordinator) = self.groups.view(group, Log::coordinator).flatten() else {
            return Ok(());
        };
        let limits = choice.limits()?;
        self.resume(group, coordinator).await?;
        let mut ready = Ready::new();
        loop {
            let Some(announced) = self.announced(group, coordinator).await? else { return Ok(()) };
            let (plan, members) = self.check_plan(group, coordinator, &announced, &limits)?;
            let terms = plan.terms(announced.attempt).digest();
            let mut seen = self.learning.seen(group)?;
            if seen.terms == Some(terms) {
                return Ok(());
            }
            self.learning.state().refused.remove(&group);
            if !ready.contains_key(&plan.digest()) {
                let trained = self.train(group, coordinator, choice, &plan, stop).await?;
                ready.clear();
                ready.insert(plan.digest(), trained);
                // The attempt may be another one by now.
                continue;
            }
            stop.check()?;
            // Whoever cannot pay stays away from the start: dropping out later would cost the others.
            if let Some(price) = self.price(group, &plan, &terms, choice)? {
                self.learning.ledger.has_room(&price, self.env.now())?;
            }
            if !announced.open {
                self.learning.set_doing(group, "waiting for the next attempt");
                sleep(ASK_EVERY / 5).await;
                continue;
            }
            // Before any key leaves: these terms are used.
            (seen.plan, seen.terms) = (Some((plan.plan().round, plan.digest())), Some(terms));
            self.learning.note(group, &seen)?;
            let key = self.groups.key();
            let joined = self.env.with_rng(|rng| {
                Participant::check_in(&plan, announced.attempt, &members, &limits, &key, rng)
            });
            let participant = joined.map_err(|fault| refused(&fault))?;
            let trained = &ready[&plan.digest()];
            let part = Part { group, coordinator, plan: Some((&plan, trained, choice)) };
            match self.drive(&part, participant).await? {
                Over::Done => return Ok(()),
                // Another attempt may follow, with fresh keys, rounding and noise.
                Over::Failed | Over::Without => {
                    self.learning.set_doing(group, "waiting for another attempt");
                    sleep(ASK_EVERY / 10).await;
                }
            }
        }
    }

    /// Goes on with an attempt that this node had masked its update for when it was killed.
    async fn resume(&self, group: GroupId, coordinator: NodeId) -> Result<(), ApiError> {
        let Some(bytes) = self.learning.blobs.get(&record_file(group))? else { return Ok(()) };
        let Ok(record) = Record::decode(&bytes) else {
            tracing::warn!(
                "the record of an attempt is damaged; the attempt goes on without this node"
            );
            return self.forget_attempt(group);
        };
        let participant = Participant::resume(record, &self.groups.key());
        let part = Part { group, coordinator, plan: None };
        self.drive(&part, participant).await.map(|_| ())
    }

    async fn announced(
        &self,
        group: GroupId,
        coordinator: NodeId,
    ) -> Result<Option<Announced>, ApiError> {
        match self.ask_coordinator(group, coordinator, RoundAsk::Status).await? {
            RoundAnswer::Status(announced) => Ok(announced.map(|announced| *announced)),
            other => Err(unexpected(&other)),
        }
    }

    fn check_plan(
        &self,
        group: GroupId,
        coordinator: NodeId,
        announced: &Announced,
        limits: &Limits,
    ) -> Result<(Checked, Members), ApiError> {
        // What the plan says of itself is used for nothing but finding the members.
        let checked = announced.plan.verify(&coordinator).map_err(|check| refused(&check))?;
        let epoch = checked.plan().epoch;
        let members = self.groups.view(group, |log| log.members_at(epoch)).flatten();
        let members = members.ok_or_else(|| {
            ApiError::new(
                ErrorCode::NotFound,
                "the plan is for members that this node has not heard of yet",
            )
        })?;
        let members = Members::new(members).map_err(|error| refused(&error))?;
        let last = self.learning.seen(group)?.plan;
        if checked.plan().contribution.unit == Unit::Document {
            let message =
                "the plan protects single documents, which this version does not train for";
            return Err(ApiError::new(ErrorCode::Forbidden, message));
        }
        let now = self.env.now();
        let known = Known { group, coordinator, members: &members, last, now };
        let plan = limits.check(&announced.plan, &known).map_err(|error| refused(&error))?;
        Ok((plan, members))
    }

    /// Fetches the values, mines pairs, and trains until it is done or checking in ends.
    async fn train(
        &self,
        group: GroupId,
        coordinator: NodeId,
        choice: &OptIn,
        plan: &Checked,
        stop: &CancelFlag,
    ) -> Result<Trained, ApiError> {
        self.learning.set_doing(group, "fetching what to start from");
        let values = self.values(group, coordinator, plan.plan().start).await?;
        self.learning.set_doing(group, "training");
        let timing = plan.plan().timing;
        let window = timing.check_in_by.0.saturating_sub(timing.opens.0);
        let end = timing.check_in_by.0.saturating_sub(MARGIN_MS.min(window / 10));
        let (collections, models, env) =
            (self.collections.clone(), self.models.clone(), self.env.clone());
        let (names, opened) = (choice.collections.clone(), self.opened.list()?);
        let (plan, stop, seed) = (plan.clone(), stop.clone(), self.env.next_u64());
        self.env
            .compute(move || {
                let pairs = collections.pairs(&names, &opened, &stop)?;
                let ended = || stop.is_cancelled() || env.now().0 >= end;
                let trained = prepare::train(&*models, &plan, values, &pairs, seed, &|| {
                    collections.let_searches_pass(ended);
                    ended()
                })?;
                stop.check()?;
                Ok(trained)
            })
            .await
    }

    /// The values that a plan starts from.
    pub(super) async fn values(
        &self,
        group: GroupId,
        coordinator: NodeId,
        of: Start,
    ) -> Result<Vec<f32>, ApiError> {
        let expected = 4 * of.values as usize;
        let mut bytes = Vec::new();
        while bytes.len() < expected {
            let ask = RoundAsk::Values { of: of.digest, offset: bytes.len() as u64 };
            match self.ask_coordinator(group, coordinator, ask).await? {
                RoundAnswer::Values { total, bytes: next }
                    if total == expected as u64 && !next.is_empty() =>
                {
                    bytes.extend(next);
                }
                other => return Err(unexpected(&other)),
            }
        }
        let values: Vec<f32> =
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if Start::of(&values) != of {
            return Err(refused(&covey_protocol::round::Check::Start));
        }
        Ok(values)
    }

    /// Exchanges messages until the attempt is over for this node.
    async fn drive(&self, part: &Part<'_>, mut participant: Participant) -> Result<Over, ApiError> {
        let group = part.group;
        let mut message = participant.message();
        self.learning.set_doing(group, "in a round");
        loop {
            let terms = participant.terms();
            let step = RoundAsk::Step { terms, message: Box::new(message) };
            let answer = match self.ask_coordinator(group, part.coordinator, step).await? {
                RoundAnswer::Step(answer) => answer,
                // It ended before this node heard of it: for good or bad, nothing is left to do.
                RoundAnswer::Refused(RoundRefusal::NoSuchAttempt) => {
                    ServerMessage::Over(Over::Failed)
                }
                other => return Err(unexpected(&other)),
            };
            let key = self.groups.key();
            let answered = self.env.with_rng(|rng| participant.answer(answer, &key, rng));
            let (next, faults) = answered.map_err(|standstill| {
                // Nothing more is sent in this attempt, ever.
                drop(self.forget_attempt(group));
                refused(&standstill)
            })?;
            for fault in faults {
                tracing::warn!(%fault, "a participant dealt badly; the round goes on without its share");
            }
            message = match next {
                Next::Send => participant.message(),
                Next::Later(ms) => {
                    sleep(Duration::from_millis(u64::from(ms))).await;
                    participant.message()
                }
                Next::Mask => {
                    self.mask(part, &mut participant).await?;
                    participant.message()
                }
                Next::Keep => {
                    self.keep(group, &participant)?;
                    participant.message()
                }
                Next::Piece(offset) => {
                    let masked = self.learning.blobs.get(&masked_file(group))?.unwrap_or_default();
                    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(masked.len());
                    Participant::piece(offset, &masked[from..masked.len().min(from + MAX_PIECE)])
                }
                Next::Over(over) => {
                    self.forget_attempt(group)?;
                    if over == Over::Done {
                        let mut seen = self.learning.seen(group)?;
                        seen.rounds += 1;
                        self.learning.note(group, &seen)?;
                    }
                    return Ok(over);
                }
            };
        }
    }

    /// The gate: pays, encodes, adds noise and masks; what is masked, and the record, are on disk when this returns.
    async fn mask(&self, part: &Part<'_>, participant: &mut Participant) -> Result<(), ApiError> {
        let Some((plan, trained, choice)) = part.plan else {
            return Err(ApiError::new(ErrorCode::Internal, "an update is masked once"));
        };
        let paid = self.pay(part.group, plan, &participant.terms(), choice)?;
        let secret = self.env.with_rng(|rng| {
            let mut seed = [0; 32];
            rng.fill_bytes(&mut seed);
            Secret32::from_bytes(seed)
        });
        let (layout, update, extras) =
            (plan.layout().clone(), trained.update.clone(), trained.extras.clone());
        let noised = self
            .env
            .compute(move || {
                let encoding = Encoding::new(layout).map_err(|error| refused(&error))?;
                let mut rng = NoiseRng::from_secret(secret);
                let encoded = encoding.encode(&update, &extras, &mut rng);
                Ok::<_, ApiError>(encoded.map_err(|error| refused(&error))?.noised(&mut rng))
            })
            .await?;
        let masked = participant.mask(&noised, paid, &self.groups.key());
        let masked = masked.map_err(|error| refused(&error))?;
        self.learning.blobs.put(&masked_file(part.group), &masked)?;
        self.keep(part.group, participant)
    }

    /// What an attempt costs, if it does.
    fn price(
        &self,
        group: GroupId,
        plan: &Checked,
        terms: &Digest,
        choice: &OptIn,
    ) -> Result<Option<Request>, ApiError> {
        let Some(rho) = plan.cost() else { return Ok(None) };
        let charge = Charge::of(rho);
        let keys = choice.collections.iter().map(|name| self.collections.keys_of(name));
        let keys: Vec<Vec<CollectionKey>> = keys.collect::<Result<_, _>>()?;
        let keys = keys.concat();
        let unit = plan.plan().contribution.unit;
        let group = GroupKey(*group.0.as_bytes());
        let request = Request::new(group, *terms, charge, unit, keys);
        request.map(Some).map_err(|error| refused(&error))
    }

    /// Reserves the cost in the ledger, durably, and spends it.
    fn pay(
        &self,
        group: GroupId,
        plan: &Checked,
        terms: &Digest,
        choice: &OptIn,
    ) -> Result<Option<Spent>, ApiError> {
        let Some(request) = self.price(group, plan, terms, choice)? else { return Ok(None) };
        let receipt = self.learning.ledger.reserve(&request, self.env.now())?;
        receipt.release(terms, request.charge()).map(Some).map_err(|error| refused(&error))
    }

    fn keep(&self, group: GroupId, participant: &Participant) -> Result<(), ApiError> {
        match participant.record() {
            Some(record) => Ok(self.learning.blobs.put(&record_file(group), &record)?),
            None => Ok(()),
        }
    }

    fn forget_attempt(&self, group: GroupId) -> Result<(), ApiError> {
        // The record first: without it the masked vector is of no use.
        self.learning.blobs.remove(&record_file(group))?;
        Ok(self.learning.blobs.remove(&masked_file(group))?)
    }

    /// Asks until there is an answer: a coordinator that is started again goes on where it was.
    pub(super) async fn ask_coordinator(
        &self,
        group: GroupId,
        coordinator: NodeId,
        ask: RoundAsk,
    ) -> Result<RoundAnswer, ApiError> {
        let id = RequestId(self.env.next_u64());
        let request = RoundRequest { id, group, ask };
        if coordinator == self.id() {
            return Ok(self.answer_round(coordinator, request).await.answer);
        }
        let body = wire::encode(&request);
        drop(request);
        let (started, mut pause) = (Instant::now(), RETRY.0);
        loop {
            let sent =
                self.link.request(coordinator, Protocol::Round, body.clone(), PATIENCE).await;
            let reply = sent.and_then(|reply| {
                let reply: Result<RoundReply, _> = wire::decode(&reply, MAX_ROUND_REPLY);
                let bad = LinkError::Bad { reason: "its reply cannot be read" };
                reply.ok().filter(|reply| reply.id == id).ok_or(bad)
            });
            match reply {
                Ok(RoundReply { answer: RoundAnswer::Refused(RoundRefusal::Busy), .. }) => {}
                Ok(reply) => return Ok(reply.answer),
                Err(error @ (LinkError::TooLarge { .. } | LinkError::Bad { .. })) => {
                    return Err(unreachable(&error));
                }
                Err(error) if started.elapsed() > 10 * PATIENCE => return Err(unreachable(&error)),
                Err(error) => tracing::debug!(%error, "the coordinator is asked again"),
            }
            sleep(pause).await;
            pause = (2 * pause).min(RETRY.1);
        }
    }
}

/// A part in an attempt; without a plan, in one that nothing is left to be masked for.
struct Part<'a> {
    group: GroupId,
    coordinator: NodeId,
    plan: Option<(&'a Checked, &'a Trained, &'a OptIn)>,
}

fn record_file(group: GroupId) -> String {
    format!("p{}-record", &group.to_string()[..16])
}

fn masked_file(group: GroupId) -> String {
    format!("p{}-masked", &group.to_string()[..16])
}

pub(super) fn refused(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, why.to_string())
}

pub(super) fn unexpected(answer: &RoundAnswer) -> ApiError {
    let why = match answer {
        RoundAnswer::Refused(refusal) => format!("the coordinator refused: {refusal}"),
        RoundAnswer::Status(_)
        | RoundAnswer::Values { .. }
        | RoundAnswer::Manifest(_)
        | RoundAnswer::Step(_) => "the coordinator answered something else".to_owned(),
    };
    ApiError::new(ErrorCode::Unreachable, why)
}

fn unreachable(error: &LinkError) -> ApiError {
    let message = format!("the coordinator cannot be reached: {}", why_failed(error));
    ApiError::new(ErrorCode::Unreachable, message)
}
