//! Asking a coordinator, or another member.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use covey_net::{Link, LinkError, Protocol};
use covey_protocol::ids::NodeId;
use covey_protocol::limits::{MAX_ENTRIES, MAX_PIECE, MAX_ROUND_REPLY};
use covey_protocol::round::{Check, Start, values_from_bytes};
use covey_protocol::wire;
use covey_protocol::wire::v1::round::{
    RoundAnswer, RoundAsk, RoundRefusal, RoundReply, RoundRequest,
};
use tokio::time::{Instant, sleep};

use super::{Party, refused};
use crate::api::{ApiError, ErrorCode};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pauses between tries when somebody cannot be reached: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// How often somebody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tries {
    /// Once: somebody else may know too.
    Once,
    /// Until there is an answer, for some minutes.
    Many,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Unanswered {
    /// It cannot be reached.
    Link(LinkError),
    /// It is too busy.
    Busy(RoundAnswer),
}

/// Asks `whom` over `link`, again and again where that may help: a coordinator that is started again goes on where it was. `missed` hears of each try that
/// did not reach it.
///
/// # Errors
/// Why there is no answer, after all tries.
pub async fn ask_over<L: Link>(
    link: &L,
    whom: NodeId,
    request: RoundRequest,
    tries: Tries,
    missed: impl Fn(&LinkError),
) -> Result<RoundAnswer, Unanswered> {
    let id = request.id;
    let body = wire::encode(&request);
    drop(request);
    let (started, mut pause) = (Instant::now(), RETRY.0);
    let over = || tries == Tries::Once || started.elapsed() > 10 * PATIENCE;
    loop {
        let sent = link.request(whom, Protocol::Round, body.clone(), PATIENCE).await;
        let reply = sent.and_then(|reply| {
            let reply: Result<RoundReply, _> = wire::decode(&reply, MAX_ROUND_REPLY);
            let bad = LinkError::Bad { reason: "its reply cannot be read" };
            reply.ok().filter(|reply| reply.id == id).ok_or(bad)
        });
        match reply {
            Ok(RoundReply {
                answer: answer @ RoundAnswer::Refused(RoundRefusal::Busy), ..
            }) => {
                if over() {
                    return Err(Unanswered::Busy(answer));
                }
            }
            Ok(reply) => return Ok(reply.answer),
            Err(error @ (LinkError::TooLarge { .. } | LinkError::Bad { .. })) => {
                return Err(Unanswered::Link(error));
            }
            Err(error) if over() => return Err(Unanswered::Link(error)),
            Err(error) => missed(&error),
        }
        sleep(pause).await;
        pause = (2 * pause).min(RETRY.1);
    }
}

/// The values that a plan or a release names, piece by piece from whoever `ask` asks.
///
/// # Errors
/// If they cannot be had, or are others.
pub async fn values<A: Future<Output = Result<RoundAnswer, ApiError>>>(
    of: Start,
    mut ask: impl FnMut(RoundAsk) -> A,
    unexpected: impl Fn(&RoundAnswer) -> ApiError,
) -> Result<Vec<f32>, ApiError> {
    if of.values > MAX_ENTRIES {
        return Err(refused(&Check::Start));
    }
    let expected = 4 * of.values as usize;
    let mut bytes = Vec::new();
    while bytes.len() < expected {
        match ask(RoundAsk::Values { of: of.digest, offset: bytes.len() as u64 }).await? {
            RoundAnswer::Values { total, bytes: next }
                if total == expected as u64
                    && next.len() == MAX_PIECE.min(expected - bytes.len()) =>
            {
                bytes.extend(next);
            }
            other => return Err(unexpected(&other)),
        }
    }
    let values = values_from_bytes(&bytes);
    if Start::of(&values) != of {
        return Err(refused(&Check::Start));
    }
    Ok(values)
}

/// Asks, unless the party is to stop meanwhile: an answer may be held back for a while.
pub(super) async fn ask_unless<P: Party>(
    party: &P,
    coordinator: NodeId,
    ask: RoundAsk,
) -> Result<RoundAnswer, ApiError> {
    let mut answer = pin!(party.ask(coordinator, ask));
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            () = party.stop().cancelled() => party.stop().check()?,
        }
    }
}

/// Waits, unless the party is to stop meanwhile.
pub(super) async fn wait<P: Party>(party: &P, time: Duration) -> Result<(), ApiError> {
    tokio::select! {
        biased;
        () = sleep(time) => Ok(()),
        () = party.stop().cancelled() => party.stop().check(),
    }
}

/// What it means that the coordinator answered this.
pub(super) fn unexpected(answer: &RoundAnswer) -> ApiError {
    unexpected_of("the coordinator", answer)
}

/// What it means that somebody answered this.
pub(crate) fn unexpected_of(whom: &str, answer: &RoundAnswer) -> ApiError {
    let why = match answer {
        RoundAnswer::Refused(refusal) => format!("{whom} refused: {refusal}"),
        RoundAnswer::Status(_)
        | RoundAnswer::Values { .. }
        | RoundAnswer::Manifest(_)
        | RoundAnswer::Step(_) => format!("{whom} answered something else"),
    };
    ApiError::new(ErrorCode::Unreachable, why)
}
