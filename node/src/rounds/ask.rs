//! Asking a coordinator, or another member.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use covey_net::{Link, LinkError, Protocol};
use covey_protocol::ids::{NodeId, RequestId};
use covey_protocol::limits::{MAX_ENTRIES, MAX_PIECE, MAX_ROUND_REPLY, MAX_ROUND_REQUEST};
use covey_protocol::round::{Check, Start, values_from_bytes};
use covey_protocol::wire;
use covey_protocol::wire::v1::round::{
    RoundAnswer, RoundAsk, RoundRefusal, RoundReply, RoundRequest,
};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use super::{Party, refused};
use crate::api::{ApiError, ErrorCode};
use crate::env::Env;

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

/// Messages from so many bytes on are read and written where a node computes: keys in them are points of a curve, which takes time to check.
const LARGE: usize = 2048;

/// Asks `whom` over `link`, again and again where that may help: a coordinator that is started again goes on where it was. `missed` hears of each try that
/// did not reach it.
///
/// # Errors
/// Why there is no answer, after all tries.
pub async fn ask_over<L: Link>(
    (link, env): (&L, &Env),
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
        let reply = match sent {
            Ok(reply) => {
                let reply: Option<RoundReply> = read(env, reply, MAX_ROUND_REPLY).await;
                let bad = LinkError::Bad { reason: "its reply cannot be read" };
                reply.filter(|reply| reply.id == id).ok_or(bad)
            }
            Err(error) => Err(error),
        };
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

/// Answers what a member has asked about a round. Whatever the bytes are, there is a reply.
pub async fn serve<A: Future<Output = RoundReply>>(
    env: &Env,
    body: Vec<u8>,
    answer: impl FnOnce(RoundRequest) -> A,
) -> Vec<u8> {
    let Some(request) = read(env, body, MAX_ROUND_REQUEST).await else {
        let answer = RoundAnswer::Refused(RoundRefusal::BadRequest);
        return wire::encode(&RoundReply { id: RequestId(0), answer });
    };
    let reply = answer(request).await;
    match &reply.answer {
        RoundAnswer::Step(_) | RoundAnswer::Values { .. } => {
            env.compute(move || wire::encode(&reply)).await
        }
        RoundAnswer::Status(_) | RoundAnswer::Manifest(_) | RoundAnswer::Refused(_) => {
            wire::encode(&reply)
        }
    }
}

/// A message of at most `most` bytes, if it is one.
async fn read<T: DeserializeOwned + Send + 'static>(
    env: &Env,
    bytes: Vec<u8>,
    most: usize,
) -> Option<T> {
    if bytes.len() < LARGE {
        return wire::decode(&bytes, most).ok();
    }
    env.compute(move || wire::decode(&bytes, most).ok()).await
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
