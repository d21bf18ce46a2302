//! One attempt at a round, from checking in to its end.

use std::time::Duration;

use covey_crypto::Digest;
use covey_privacy::encode::Encoding;
use covey_privacy::ledger::{Charge, CollectionKey, GroupKey, Request, Spent};
use covey_protocol::ids::{NodeId, UnixMillis};
use covey_protocol::round::{Checked, Next, Participant, Standstill, Task};
use covey_protocol::secagg::Fault;
use covey_protocol::wire::v1::round::{Over, RoundAnswer, RoundAsk, RoundRefusal, ServerMessage};
use tokio::time::Instant;

use super::ask::{ask_unless, unexpected, wait};
use super::party::{News, Party};
use super::{Seen, Trained, Update, refused};
use crate::api::{ApiError, ErrorCode};

/// The longest pause that a coordinator may ask for, in milliseconds.
const LATEST_MS: u64 = 30_000;

/// A part in an attempt.
pub(super) struct Part<'a> {
    pub(super) coordinator: NodeId,
    /// When it is given up, whatever the coordinator says.
    pub(super) until: UnixMillis,
    /// What is masked for it; nothing in one that it was masked for already.
    pub(super) given: Option<(&'a Checked, &'a Trained)>,
}

/// Exchanges messages until the attempt is over for this party.
pub(super) async fn drive<P: Party>(
    party: &P,
    part: &Part<'_>,
    mut participant: Participant,
) -> Result<Over, ApiError> {
    let mut message = participant.message();
    party.tell(News::Doing("in a round"));
    loop {
        may_go_on(party, part)?;
        let terms = participant.terms();
        let step = RoundAsk::Step { terms, message: Box::new(message) };
        let asked = Instant::now();
        let answer = match ask_unless(party, part.coordinator, step).await? {
            RoundAnswer::Step(answer) => answer,
            // It ended before this party heard of it: for good or bad, nothing is left to do.
            RoundAnswer::Refused(RoundRefusal::NoSuchAttempt) => ServerMessage::Over(Over::Failed),
            other => return Err(unexpected(&other)),
        };
        let answered;
        (participant, answered) = answer_with(party, participant, answer).await;
        let (next, faults) = answered.map_err(|standstill| {
            // Nothing more is sent in this attempt, ever.
            drop(party.kept().forget_attempt());
            refused(&standstill)
        })?;
        for fault in faults {
            tracing::warn!(%fault, "a participant dealt badly; the round goes on without its share");
        }
        message = match next {
            Next::Send => participant.message(),
            Next::Later(ms) => {
                let pause = Duration::from_millis(u64::from(ms).clamp(1, LATEST_MS));
                // A coordinator that held its answer back has had this party wait already.
                wait(party, pause.saturating_sub(asked.elapsed())).await?;
                participant.message()
            }
            Next::Mask => {
                participant = mask(party, part, participant).await?;
                participant.message()
            }
            Next::Keep => {
                party.kept().keep(&participant)?;
                participant.message()
            }
            Next::Piece(offset) => {
                let piece = party.kept().masked(offset)?;
                if piece.is_empty() {
                    party.kept().forget_attempt()?;
                    return Err(refused(&"the masked vector is not there any more"));
                }
                Participant::piece(offset, &piece)
            }
            Next::Over(over) => {
                party.kept().forget_attempt()?;
                party.tell(News::Over(over));
                if over == Over::Done {
                    let mut seen = party.kept().seen()?;
                    seen.rounds += 1;
                    party.kept().note(&seen)?;
                }
                return Ok(over);
            }
        };
    }
}

type Answered = Result<(Next, Vec<Fault>), Standstill>;

/// Has the participant take an answer, where computing is fine: one may have it agree with hundreds, or deal shares to them.
async fn answer_with<P: Party>(
    party: &P,
    mut participant: Participant,
    answer: ServerMessage,
) -> (Participant, Answered) {
    let (key, mut rng) = (party.key(), party.env().fork_rng());
    let take = move || {
        let answered = participant.answer(answer, &key, &mut rng);
        (participant, answered)
    };
    party.env().compute(take).await
}

/// The gate: pays, encodes, adds noise and masks; what is masked, and the record, are on disk when this returns.
async fn mask<P: Party>(
    party: &P,
    part: &Part<'_>,
    mut participant: Participant,
) -> Result<Participant, ApiError> {
    let Some((plan, trained)) = part.given else {
        return Err(ApiError::new(ErrorCode::Internal, "an update is masked once"));
    };
    if !party.still_agrees()? {
        return Err(refused(&"the person has decided otherwise since"));
    }
    let mut seen = party.kept().seen()?;
    let paid = pay(party, &mut seen, plan, &participant.terms(), &trained.collections)?;
    let followed = seen.begin(part.coordinator, plan.plan().round, plan.digest())?;
    followed.masked = Some((participant.terms(), part.until));
    if plan.cost().is_none() {
        followed.given = true;
        if let Task::Evaluate { of } = plan.plan().task {
            seen.evaluate(of.digest);
        }
    }
    party.kept().note(&seen)?;
    let mut rng = party.noise(&participant.terms());
    let (layout, update, extras) =
        (party.layout(plan), trained.update.clone(), trained.extras.clone());
    let (key, costs, nothing) = (party.key(), plan.cost().is_some(), Update::nothing(plan));
    let work = move || {
        let encoding = Encoding::new(layout).map_err(|error| refused(&error))?;
        let encoded = match update.encode(&encoding, &extras, &mut rng) {
            // R15: it is paid for, and nobody is to see that this update cannot be sent.
            Err(_) if costs => nothing.encode(&encoding, &vec![0.0; extras.len()], &mut rng),
            encoded => encoded,
        };
        let noised = encoded.map_err(|error| refused(&error))?.noised(&mut rng);
        let masked = participant.mask(&noised, paid, &key).map_err(|error| refused(&error))?;
        Ok::<_, ApiError>((participant, masked))
    };
    let (participant, masked) = party.env().compute(work).await?;
    party.kept().keep_masked(&masked)?;
    party.kept().keep(&participant)?;
    Ok(participant)
}

/// Whether an attempt can be paid for. Nothing is charged.
pub(super) fn has_room<P: Party>(
    party: &P,
    plan: &Checked,
    terms: &Digest,
    collections: &[CollectionKey],
) -> Result<(), ApiError> {
    let price = price(party, plan, terms, collections)?;
    let (kept, now) = (party.kept(), party.env().now());
    if !kept.ledger.adds_nothing(&price)? {
        kept.seen()?.may_pay(now)?;
    }
    kept.ledger.has_room(&price, now)
}

/// What an attempt costs: everything, where no noise bounds what it gives away.
fn price<P: Party>(
    party: &P,
    plan: &Checked,
    terms: &Digest,
    collections: &[CollectionKey],
) -> Result<Request, ApiError> {
    let charge = plan.cost().map_or(Charge::EVERYTHING, Charge::of);
    let keys = collections.to_vec();
    let unit = plan.plan().contribution.unit;
    let group = GroupKey(*party.group().0.as_bytes());
    Request::new(group, *terms, charge, unit, keys).map_err(|error| refused(&error))
}

/// Reserves the cost in the ledger, durably, and spends it. Nothing is written where nothing is left to charge.
fn pay<P: Party>(
    party: &P,
    seen: &mut Seen,
    plan: &Checked,
    terms: &Digest,
    collections: &[CollectionKey],
) -> Result<Option<Spent>, ApiError> {
    let (request, now) = (price(party, plan, terms, collections)?, party.env().now());
    let ledger = &party.kept().ledger;
    if plan.cost().is_none() && ledger.adds_nothing(&request)? {
        // A budget may have come since.
        return ledger.has_room(&request, now).map(|()| None);
    }
    seen.pay(now)?;
    let receipt = ledger.reserve(&request, now)?;
    receipt.release(terms, request.charge()).map(Some).map_err(|error| refused(&error))
}

/// Whether there is reason to go on with an attempt.
fn may_go_on<P: Party>(party: &P, part: &Part<'_>) -> Result<(), ApiError> {
    // Who has masked helps to end the sum, as others' would be lost; nothing more of its own leaves.
    if party.coordinator() != Some(part.coordinator) || party.env().now() > part.until {
        party.kept().forget_attempt()?;
        return Err(refused(&"the attempt has taken too long, or somebody else coordinates now"));
    }
    Ok(())
}
