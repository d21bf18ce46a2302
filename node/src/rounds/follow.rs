//! Following a coordinator's plans, one after another.

use std::time::Duration;

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;
use covey_protocol::limits::MAX_CLOCK_SKEW_MS;
use covey_protocol::round::{Check, Checked, Known, Participant, Record, Task};
use covey_protocol::secagg::Members;
use covey_protocol::wire::v1::round::{Announced, Over, RoundAnswer, RoundAsk};
use tokio::time::Instant;

use super::ask::{ask_unless, unexpected, wait};
use super::attempt::{Part, drive, has_room};
use super::party::{News, Party, Wait};
use super::{Trained, refused};
use crate::api::ApiError;

/// How often a coordinator is asked whether there is a plan.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// Training ends this long before the end of checking in, or a tenth of the window before it.
const MARGIN_MS: u64 = 30_000;

/// Takes part in the group's rounds, for as long as there is one that this party has not given anything to yet, or the coordinator holds its
/// answer until there is.
///
/// # Errors
/// Why no part is taken, or not to the end.
pub async fn follow<P: Party>(party: &P) -> Result<(), ApiError> {
    let Some(coordinator) = party.coordinator() else { return Ok(()) };
    resume(party, coordinator).await?;
    // Why training waited at last, if it did.
    let mut waited: Option<Wait> = None;
    // What was learnt for a plan, by its digest.
    let mut ready: Option<(Digest, Trained)> = None;
    loop {
        let asked = Instant::now();
        let Some(announced) = announced(party, coordinator).await? else {
            if let Some(waits) = waited {
                // The round went by while this party waited.
                return Err(refused(&left_out(&waits)));
            }
            // One that holds nothing back is asked at leisure.
            if party.coordinator() != Some(coordinator) || asked.elapsed() < ASK_EVERY {
                return Ok(());
            }
            continue;
        };
        party.tell(News::Announced(announced.plan.digest()));
        let (plan, members) = check_plan(party, coordinator, &announced)?;
        let terms = plan.terms(announced.attempt).digest();
        let mut seen = party.kept().seen()?;
        let before = seen.clone();
        let followed = seen.begin(coordinator, plan.plan().round, plan.digest())?.clone();
        if seen != before {
            party.kept().note(&seen)?;
        }
        party.tell(News::Follows(&plan, announced.attempt));
        if announced.attempt >= plan.plan().attempts {
            return Err(refused(&Check::Stale));
        }
        if followed.given || (announced.attempt < followed.attempt && ready.is_none()) {
            return Ok(());
        }
        if announced.attempt < followed.attempt {
            // The coordinator has not come to the next attempt yet.
            wait(party, ASK_EVERY / 5).await?;
            continue;
        }
        party.tell(News::Accepts);
        let Some((_, trained)) = ready.as_ref().filter(|(of, _)| *of == plan.digest()) else {
            let waits = party.waits()?;
            if party.env().now().0 >= training_ends(&plan) {
                // Whoever came late for it, or would have had to train when it must not.
                return match waited.or(waits) {
                    Some(waits) => Err(refused(&left_out(&waits))),
                    None => Ok(()),
                };
            }
            if let Some(waits) = waits {
                party.tell(News::Doing(&waits.to_string()));
                waited = Some(waits);
                wait(party, ASK_EVERY).await?;
                continue;
            }
            // Whoever cannot pay does not train for it either.
            has_room(party, &plan, &terms, &party.sources()?)?;
            let trained = party.train(coordinator, &plan).await?;
            (ready, waited) = (Some((plan.digest(), trained)), None);
            // The attempt may be another one by now.
            continue;
        };
        party.stop().check()?;
        // Whoever cannot pay stays away from the start: dropping out later would cost the others.
        has_room(party, &plan, &terms, &trained.collections)?;
        if !announced.open {
            party.tell(News::Doing("waiting for the next attempt"));
            wait(party, ASK_EVERY / 5).await?;
            continue;
        }
        // Before any key leaves: these terms are used.
        let followed = seen.begin(coordinator, plan.plan().round, plan.digest())?;
        followed.attempt = announced.attempt + 1;
        party.kept().note(&seen)?;
        let participant = check_in(party, &plan, announced.attempt, &members).await?;
        let company = party.company(coordinator, &members);
        let participant = match company {
            Some(company) => participant.among(company, &plan),
            None => participant,
        };
        let until = party.env().now().plus(longest(&plan));
        let part = Part { coordinator, until, given: Some((&plan, trained)) };
        match drive(party, &part, participant).await? {
            Over::Done => {
                ready = None;
                party.tell(News::Rests);
            }
            // Another attempt may follow, with fresh keys, rounding and noise.
            Over::Failed | Over::Without => {
                party.tell(News::Doing("waiting for another attempt"));
                wait(party, ASK_EVERY / 10).await?;
            }
        }
    }
}

/// Until when there is time to train for a plan.
pub fn training_ends(plan: &Checked) -> u64 {
    plan.plan().timing.check_in_by.0.saturating_sub(margin(plan))
}

/// Until when what is under way by then is waited for.
pub(crate) fn latest(plan: &Checked) -> u64 {
    plan.plan().timing.check_in_by.0.saturating_sub(margin(plan) / 2)
}

fn margin(plan: &Checked) -> u64 {
    MARGIN_MS.min(plan.plan().timing.window_ms().unwrap_or(0) / 10)
}

/// Goes on with an attempt that this party had masked its update for when it was killed.
async fn resume<P: Party>(party: &P, coordinator: NodeId) -> Result<(), ApiError> {
    let Some(bytes) = party.kept().record()? else { return Ok(()) };
    let Ok(record) = Record::decode(&bytes) else {
        tracing::warn!(
            "the record of an attempt is damaged; the attempt goes on without this node"
        );
        return party.kept().forget_attempt();
    };
    let followed = party.kept().seen()?.of(coordinator).and_then(|it| it.masked);
    let Some((_, until)) = followed.filter(|(terms, _)| *terms == record.terms) else {
        // Another one coordinates now, whom it was not masked for.
        return party.kept().forget_attempt();
    };
    let participant = Participant::resume(record, &party.key());
    drive(party, &Part { coordinator, until, given: None }, participant).await.map(|_| ())
}

async fn announced<P: Party>(
    party: &P,
    coordinator: NodeId,
) -> Result<Option<Announced>, ApiError> {
    match ask_unless(party, coordinator, RoundAsk::Status).await? {
        RoundAnswer::Status(announced) => Ok(announced.map(|announced| *announced)),
        other => Err(unexpected(&other)),
    }
}

fn check_plan<P: Party>(
    party: &P,
    coordinator: NodeId,
    announced: &Announced,
) -> Result<(Checked, Members), ApiError> {
    // What the plan says of itself is used for nothing but finding the members.
    let plan = announced.plan.verify(&coordinator).map_err(|check| refused(&check))?;
    let members = party.members(plan.plan().epoch)?;
    let seen = party.kept().seen()?;
    let last = seen.plan_of(coordinator);
    if let Task::Evaluate { of } = plan.plan().task
        && plan.cost().is_none()
        && seen.has_evaluated(&of.digest)
        && last != Some((plan.plan().round, plan.digest()))
    {
        // A second sum of the same numbers, over others, could give them away by difference.
        return Err(refused(&"this candidate was evaluated without noise already"));
    }
    let known = Known { group: party.group(), members: &members, last, now: party.env().now() };
    party.limits().check(&plan, &known).map_err(|error| refused(&error))?;
    Ok((plan, members))
}

async fn check_in<P: Party>(
    party: &P,
    plan: &Checked,
    attempt: u32,
    members: &Members,
) -> Result<Participant, ApiError> {
    let (key, mut rng) = (party.key(), party.keys());
    let (plan, members, limits) = (plan.clone(), members.clone(), *party.limits());
    let joined = party
        .env()
        .compute(move || Participant::check_in(&plan, attempt, &members, &limits, &key, &mut rng));
    joined.await.map_err(|fault| refused(&fault))
}

/// Why a round is left out whose time to train is over.
fn left_out(waits: &Wait) -> String {
    format!("there was no time to train that the schedule allows ({waits})")
}

/// How long an attempt can take from checking in on, clocks that differ included.
fn longest(plan: &Checked) -> u64 {
    let timing = plan.plan().timing;
    timing.window_ms().unwrap_or(0) + 2 * timing.longest_ms() + MAX_CLOCK_SKEW_MS
}
