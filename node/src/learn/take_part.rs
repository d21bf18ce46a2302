//! Following a coordinator's plans: check, train, check in, mask, agree, open.

use std::time::Duration;

use covey_crypto::{Digest, Secret32};
use covey_net::Link;
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::{Charge, CollectionKey, GroupKey, Request, Spent, Unit};
use covey_privacy::rng::NoiseRng;
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, NodeId, UnixMillis};
use covey_protocol::limits::{MAX_CLOCK_SKEW_MS, MAX_PIECE};
use covey_protocol::round::{Check, Checked, Known, Limits, Next, Participant, Record, Task};
use covey_protocol::secagg::Members;
use covey_protocol::wire::v1::round::{
    Announced, Over, RoundAnswer, RoundAsk, RoundRefusal, ServerMessage,
};
use rand_core::Rng;
use tokio::time::{Instant, sleep};

use super::ask::unexpected;
use super::kept::{masked_file, record_file};
use super::prepare::Trained;
use super::{noise, schedule};
use crate::api::{ApiError, ErrorCode, OptIn, PlanInfo};
use crate::cancel::CancelFlag;
use crate::node::Node;

/// How often a coordinator is asked whether there is a plan; the first time comes at random within it.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Training ends this long before the end of checking in, or a tenth of the window before it.
const MARGIN_MS: u64 = 30_000;
/// The longest pause that a coordinator may ask for, in milliseconds.
const LATEST_MS: u64 = 30_000;

impl<L: Link> Node<L> {
    /// Follows the rounds of every group that the person has opted in to, for as long as the node runs.
    pub(crate) async fn follow_rounds(&self) {
        let spread = u32::try_from(self.env.next_u64() % 1_024).unwrap_or_default();
        sleep(ASK_EVERY * spread / 1_024).await;
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            for group in self.groups.active() {
                let Some(following) = self.learning.follow(group) else { continue };
                // Read now that a later decision is heard of.
                let chosen = self.learning.choice(group);
                let Some(choice) = chosen.ok().flatten() else { continue };
                let node = self.clone();
                tasks.spawn(async move {
                    let followed = node.follow(group, &choice, &following.stop).await;
                    let stopped = following.stop.is_cancelled();
                    if stopped && node.learning.state().left.remove(&group) {
                        // Decided while an update was being masked.
                        if let Err(error) = node.forget_attempt(group) {
                            tracing::error!(%error, "what was masked cannot be deleted");
                        }
                    }
                    drop(following);
                    match followed {
                        // On other terms from now on, if at all.
                        _ if stopped => node.learning.chosen.notify_one(),
                        Ok(()) => {}
                        Err(error) => {
                            tracing::info!(%error, "no part is taken in a round");
                            let mut state = node.learning.state();
                            state.refused.insert(group, error.to_string());
                            if let Some(plan) = state.announced.get(&group) {
                                node.learning.meter.refused(group, *plan);
                            }
                        }
                    }
                });
            }
            tokio::select! {
                () = sleep(ASK_EVERY) => {}
                () = self.learning.chosen.notified() => {}
            }
            while let Some(ended) = tasks.try_join_next() {
                if let Err(error) = ended {
                    tracing::error!(%error, "following a round failed; this is a bug");
                }
            }
        }
    }

    /// Takes part in the group's rounds, for as long as there is one that this node has not given anything to yet, or the coordinator holds its
    /// answer until there is.
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
        self.resume(group, coordinator, stop).await?;
        // Why training waited at last, if it did.
        let mut waited = None;
        // What was learnt for a plan, by its digest.
        let mut ready: Option<(Digest, Trained)> = None;
        loop {
            let asked = Instant::now();
            let Some(announced) = self.announced(group, coordinator, stop).await? else {
                if let Some(waits) = waited {
                    // The round went by while this node waited.
                    return Err(refused(&left_out(waits)));
                }
                let named = self.groups.view(group, Log::coordinator).flatten();
                // One that holds nothing back is asked at leisure.
                if named != Some(coordinator) || asked.elapsed() < ASK_EVERY {
                    return Ok(());
                }
                continue;
            };
            self.learning.state().announced.insert(group, announced.plan.digest());
            let (plan, members) = self.check_plan(group, coordinator, &announced, &limits)?;
            let terms = plan.terms(announced.attempt).digest();
            let mut seen = self.learning.seen(group)?;
            let before = seen.clone();
            let followed = seen.begin(coordinator, plan.plan().round, plan.digest())?.clone();
            if seen != before {
                self.learning.note(group, &seen)?;
            }
            self.learning.set_plan(group, plan_info(&plan, announced.attempt));
            if announced.attempt >= plan.plan().attempts {
                return Err(refused(&Check::Stale));
            }
            if followed.given || (announced.attempt < followed.attempt && ready.is_none()) {
                return Ok(());
            }
            if announced.attempt < followed.attempt {
                // The coordinator has not come to the next attempt yet.
                self.wait(stop, ASK_EVERY / 5).await?;
                continue;
            }
            self.learning.state().refused.remove(&group);
            let Some((_, trained)) = ready.as_ref().filter(|(of, _)| *of == plan.digest()) else {
                // It may have changed since, which is no reason to begin anew.
                let chosen = self.learning.choice(group)?;
                let schedule = chosen.as_ref().map_or(&choice.schedule, |it| &it.schedule);
                let waits = schedule::allows(schedule, &self.env.surroundings()).err();
                if self.env.now().0 >= training_ends(&plan) {
                    // Whoever came late for it, or would have had to train when it must not.
                    return match waited.or(waits) {
                        Some(waits) => Err(refused(&left_out(waits))),
                        None => Ok(()),
                    };
                }
                if let Some(waits) = waits {
                    self.learning.set_doing(group, &waits.to_string());
                    waited = Some(waits);
                    self.wait(stop, ASK_EVERY).await?;
                    continue;
                }
                let trained = self.train(group, coordinator, choice, &plan, stop).await?;
                (ready, waited) = (Some((plan.digest(), trained)), None);
                // The attempt may be another one by now.
                continue;
            };
            stop.check()?;
            // Whoever cannot pay stays away from the start: dropping out later would cost the others.
            if let Some(price) = self.price(group, &plan, &terms, &trained.collections)? {
                self.learning.ledger.has_room(&price, self.env.now())?;
            }
            if !announced.open {
                self.learning.set_doing(group, "waiting for the next attempt");
                self.wait(stop, ASK_EVERY / 5).await?;
                continue;
            }
            // Before any key leaves: these terms are used.
            let followed = seen.begin(coordinator, plan.plan().round, plan.digest())?;
            followed.attempt = announced.attempt + 1;
            self.learning.note(group, &seen)?;
            let key = self.groups.key();
            let joined = self.env.with_rng(|rng| {
                Participant::check_in(&plan, announced.attempt, &members, &limits, &key, rng)
            });
            let mut participant = joined.map_err(|fault| refused(&fault))?;
            if let Some(company) = self.company(group, choice, coordinator, &members) {
                participant = participant.among(company, &plan);
            }
            let given = Some((&plan, trained, choice));
            let until = self.env.now().plus(longest(&plan));
            let part = Part { group, coordinator, plan: given, stop, until };
            match self.drive(&part, participant).await? {
                Over::Done => {
                    ready = None;
                    self.learning.state().doing.remove(&group);
                }
                // Another attempt may follow, with fresh keys, rounding and noise.
                Over::Failed | Over::Without => {
                    self.learning.set_doing(group, "waiting for another attempt");
                    self.wait(stop, ASK_EVERY / 10).await?;
                }
            }
        }
    }

    /// Goes on with an attempt that this node had masked its update for when it was killed.
    async fn resume(
        &self,
        group: GroupId,
        coordinator: NodeId,
        stop: &CancelFlag,
    ) -> Result<(), ApiError> {
        let Some(bytes) = self.learning.blobs.get(&record_file(group))? else { return Ok(()) };
        let Ok(record) = Record::decode(&bytes) else {
            tracing::warn!(
                "the record of an attempt is damaged; the attempt goes on without this node"
            );
            return self.forget_attempt(group);
        };
        let followed = self.learning.seen(group)?.of(coordinator).and_then(|it| it.masked);
        let Some((_, until)) = followed.filter(|(terms, _)| *terms == record.terms) else {
            // Another one coordinates now, whom it was not masked for.
            return self.forget_attempt(group);
        };
        let participant = Participant::resume(record, &self.groups.key());
        let part = Part { group, coordinator, plan: None, stop, until };
        self.drive(&part, participant).await.map(|_| ())
    }

    async fn announced(
        &self,
        group: GroupId,
        coordinator: NodeId,
        stop: &CancelFlag,
    ) -> Result<Option<Announced>, ApiError> {
        match self.ask_unless(stop, group, coordinator, RoundAsk::Status).await? {
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
        let plan = announced.plan.verify(&coordinator).map_err(|check| refused(&check))?;
        let epoch = plan.plan().epoch;
        let members = self.groups.view(group, |log| log.members_at(epoch)).flatten();
        let members = members.ok_or_else(|| {
            ApiError::new(
                ErrorCode::NotFound,
                "the plan is for members that this node has not heard of yet",
            )
        })?;
        // Of an old entry it could count members that are none any more.
        let current = |log: &Log| members.iter().all(|member| log.role_of(*member).is_some());
        if self.groups.view(group, current) != Some(true) {
            return Err(refused(&Check::Members));
        }
        let members = Members::new(members).map_err(|error| refused(&error))?;
        let seen = self.learning.seen(group)?;
        let last = seen.plan_of(coordinator);
        if let Task::Evaluate { of } = plan.plan().task
            && plan.cost().is_none()
            && seen.has_evaluated(&of.digest)
            && last != Some((plan.plan().round, plan.digest()))
        {
            // A second sum of the same numbers, over others, could give them away by difference.
            return Err(refused(&"this candidate was evaluated without noise already"));
        }
        if plan.plan().contribution.unit == Unit::Document {
            let message =
                "the plan protects single documents, which this version does not train for";
            return Err(ApiError::new(ErrorCode::Forbidden, message));
        }
        let now = self.env.now();
        let known = Known { group, members: &members, last, now };
        limits.check(&plan, &known).map_err(|error| refused(&error))?;
        Ok((plan, members))
    }

    /// Exchanges messages until the attempt is over for this node.
    async fn drive(&self, part: &Part<'_>, mut participant: Participant) -> Result<Over, ApiError> {
        let group = part.group;
        let mut message = participant.message();
        self.learning.set_doing(group, "in a round");
        loop {
            self.may_go_on(part)?;
            let terms = participant.terms();
            let step = RoundAsk::Step { terms, message: Box::new(message) };
            let asked = Instant::now();
            let answer = match self.ask_unless(part.stop, group, part.coordinator, step).await? {
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
                    let pause = Duration::from_millis(u64::from(ms).clamp(1, LATEST_MS));
                    // A coordinator that held its answer back has had this node wait already.
                    let pause = pause.saturating_sub(asked.elapsed());
                    self.wait(part.stop, pause).await?;
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
                    let piece = self.learning.blobs.read(&masked_file(group), offset, MAX_PIECE)?;
                    if piece.is_empty() {
                        self.forget_attempt(group)?;
                        return Err(refused(&"the masked vector is not there any more"));
                    }
                    Participant::piece(offset, &piece)
                }
                Next::Over(over) => {
                    self.forget_attempt(group)?;
                    self.learning.meter.over(over);
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
        let now = self.learning.choice(part.group)?;
        if !now.is_some_and(|now| now.allows_the_same(choice)) {
            return Err(refused(&"the person has decided otherwise since"));
        }
        let paid = self.pay(part.group, plan, &participant.terms(), &trained.collections)?;
        let mut seen = self.learning.seen(part.group)?;
        let followed = seen.begin(part.coordinator, plan.plan().round, plan.digest())?;
        followed.masked = Some((participant.terms(), part.until));
        if paid.is_none() {
            followed.given = true;
            if let Task::Evaluate { of } = plan.plan().task {
                seen.evaluate(of.digest);
            }
        }
        self.learning.note(part.group, &seen)?;
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
        collections: &[CollectionKey],
    ) -> Result<Option<Request>, ApiError> {
        let Some(rho) = plan.cost() else { return Ok(None) };
        let charge = Charge::of(rho);
        let keys = collections.to_vec();
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
        collections: &[CollectionKey],
    ) -> Result<Option<Spent>, ApiError> {
        let Some(request) = self.price(group, plan, terms, collections)? else { return Ok(None) };
        let receipt = self.learning.ledger.reserve(&request, self.env.now())?;
        receipt.release(terms, request.charge()).map(Some).map_err(|error| refused(&error))
    }

    /// Whether there is reason to go on with an attempt.
    fn may_go_on(&self, part: &Part<'_>) -> Result<(), ApiError> {
        // Who has masked helps to end the sum, as others' would be lost; nothing more of its own leaves.
        let named = self.groups.view(part.group, Log::coordinator).flatten();
        if named != Some(part.coordinator) || self.env.now() > part.until {
            self.forget_attempt(part.group)?;
            return Err(refused(
                &"the attempt has taken too long, or somebody else coordinates now",
            ));
        }
        Ok(())
    }

    /// Waits, unless the person decides otherwise meanwhile.
    async fn wait(&self, stop: &CancelFlag, time: Duration) -> Result<(), ApiError> {
        tokio::select! {
            () = sleep(time) => Ok(()),
            () = stop.cancelled() => stop.check(),
        }
    }
}

/// A part in an attempt; without a plan, in one that nothing is left to be masked for.
struct Part<'a> {
    group: GroupId,
    coordinator: NodeId,
    stop: &'a CancelFlag,
    /// When it is given up, whatever the coordinator says.
    until: UnixMillis,
    plan: Option<(&'a Checked, &'a Trained, &'a OptIn)>,
}

/// Until when there is time to train for a plan.
pub(super) fn training_ends(plan: &Checked) -> u64 {
    let timing = plan.plan().timing;
    let window = timing.window_ms().unwrap_or(0);
    timing.check_in_by.0.saturating_sub(MARGIN_MS.min(window / 10))
}

/// Why a round is left out whose time to train is over.
fn left_out(waits: schedule::Waits) -> String {
    format!("there was no time to train that the schedule allows ({waits})")
}

fn plan_info(plan: &Checked, attempt: u32) -> PlanInfo {
    let it = plan.plan();
    PlanInfo {
        round: it.round,
        attempt,
        attempts: it.attempts,
        check_in_by: it.timing.check_in_by,
        noise: noise::over_signal(plan.layout(), it.sum.max_cohort),
    }
}

/// How long an attempt can take from checking in on, clocks that differ included.
fn longest(plan: &Checked) -> u64 {
    let timing = plan.plan().timing;
    timing.window_ms().unwrap_or(0) + 2 * timing.longest_ms() + MAX_CLOCK_SKEW_MS
}

pub(super) fn refused(why: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, why.to_string())
}
