//! Asking the coordinator, or another member.

use std::pin::pin;
use std::time::Duration;

use covey_net::{Link, LinkError, Protocol};
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, NodeId, RequestId};
use covey_protocol::limits::{MAX_ENTRIES, MAX_PIECE, MAX_ROUND_REPLY};
use covey_protocol::round::{Check, Start, values_from_bytes};
use covey_protocol::wire;
use covey_protocol::wire::v1::round::{
    RoundAnswer, RoundAsk, RoundRefusal, RoundReply, RoundRequest,
};
use tokio::time::{Instant, sleep};

use super::take_part::refused;
use crate::api::{ApiError, ErrorCode};
use crate::cancel::CancelFlag;
use crate::node::Node;
use crate::reach::why_failed;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often somebody is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tries {
    /// Once: somebody else may know too.
    Once,
    /// Until there is an answer, for some minutes.
    Many,
}

/// Pauses between tries when a coordinator cannot be reached: from, to.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

impl<L: Link> Node<L> {
    /// The values that a plan or a release names.
    pub(super) async fn values(
        &self,
        group: GroupId,
        from: NodeId,
        of: Start,
        tries: Tries,
    ) -> Result<Vec<f32>, ApiError> {
        if of.values > MAX_ENTRIES {
            return Err(refused(&Check::Start));
        }
        let expected = 4 * of.values as usize;
        let mut bytes = Vec::new();
        while bytes.len() < expected {
            let ask = RoundAsk::Values { of: of.digest, offset: bytes.len() as u64 };
            match self.ask_member(group, from, ask, tries).await? {
                RoundAnswer::Values { total, bytes: next }
                    if total == expected as u64
                        && next.len() == MAX_PIECE.min(expected - bytes.len()) =>
                {
                    bytes.extend(next);
                }
                other => return Err(self.unexpected(group, from, &other)),
            }
        }
        let values = values_from_bytes(&bytes);
        if Start::of(&values) != of {
            return Err(refused(&Check::Start));
        }
        Ok(values)
    }

    /// Asks, unless the person decides otherwise meanwhile: an answer may be held back for a while.
    pub(super) async fn ask_unless(
        &self,
        stop: &CancelFlag,
        group: GroupId,
        coordinator: NodeId,
        ask: RoundAsk,
    ) -> Result<RoundAnswer, ApiError> {
        let mut answer = pin!(self.ask_coordinator(group, coordinator, ask));
        loop {
            tokio::select! {
                answer = &mut answer => return answer,
                () = stop.cancelled() => stop.check()?,
            }
        }
    }

    /// Asks until there is an answer: a coordinator that is started again goes on where it was.
    pub(super) async fn ask_coordinator(
        &self,
        group: GroupId,
        coordinator: NodeId,
        ask: RoundAsk,
    ) -> Result<RoundAnswer, ApiError> {
        self.ask_member(group, coordinator, ask, Tries::Many).await
    }

    /// Asks a member, the coordinator or another one.
    pub(super) async fn ask_member(
        &self,
        group: GroupId,
        member: NodeId,
        ask: RoundAsk,
        tries: Tries,
    ) -> Result<RoundAnswer, ApiError> {
        let id = RequestId(self.env.next_u64());
        let request = RoundRequest { id, group, ask };
        if member == self.id() {
            return Ok(self.answer_round(member, request).await.answer);
        }
        let body = wire::encode(&request);
        drop(request);
        let (started, mut pause) = (Instant::now(), RETRY.0);
        let over = || tries == Tries::Once || started.elapsed() > 10 * PATIENCE;
        loop {
            let sent = self.link.request(member, Protocol::Round, body.clone(), PATIENCE).await;
            let reply = sent.and_then(|reply| {
                let reply: Result<RoundReply, _> = wire::decode(&reply, MAX_ROUND_REPLY);
                let bad = LinkError::Bad { reason: "its reply cannot be read" };
                reply.ok().filter(|reply| reply.id == id).ok_or(bad)
            });
            match reply {
                Ok(RoundReply {
                    answer: answer @ RoundAnswer::Refused(RoundRefusal::Busy),
                    ..
                }) if over() => return Err(self.unexpected(group, member, &answer)),
                Ok(RoundReply { answer: RoundAnswer::Refused(RoundRefusal::Busy), .. }) => {}
                Ok(reply) => return Ok(reply.answer),
                Err(error @ (LinkError::TooLarge { .. } | LinkError::Bad { .. })) => {
                    return Err(self.unreachable(group, member, &error));
                }
                Err(error) if over() => return Err(self.unreachable(group, member, &error)),
                Err(error) => {
                    tracing::debug!(%error, %member, "a member is asked again");
                    self.look_for(group, member);
                }
            }
            sleep(pause).await;
            pause = (2 * pause).min(RETRY.1);
        }
    }

    /// What it means that a member answered this.
    pub(super) fn unexpected(
        &self,
        group: GroupId,
        member: NodeId,
        answer: &RoundAnswer,
    ) -> ApiError {
        unexpected_of(&self.whom(group, member), answer)
    }

    fn unreachable(&self, group: GroupId, member: NodeId, error: &LinkError) -> ApiError {
        let whom = self.whom(group, member);
        let message = format!("{whom} cannot be reached: {}", why_failed(error));
        ApiError::new(ErrorCode::Unreachable, message)
    }

    /// A member, and whether it coordinates.
    fn whom(&self, group: GroupId, member: NodeId) -> String {
        let name = self.member_name(group, member);
        let named = self.groups.view(group, Log::coordinator).flatten();
        if named == Some(member) { format!("the coordinator ({name})") } else { name }
    }
}

/// What it means that the coordinator answered this.
pub(super) fn unexpected(answer: &RoundAnswer) -> ApiError {
    unexpected_of("the coordinator", answer)
}

fn unexpected_of(whom: &str, answer: &RoundAnswer) -> ApiError {
    let why = match answer {
        RoundAnswer::Refused(refusal) => format!("{whom} refused: {refusal}"),
        RoundAnswer::Status(_)
        | RoundAnswer::Values { .. }
        | RoundAnswer::Manifest(_)
        | RoundAnswer::Step(_) => format!("{whom} answered something else"),
    };
    ApiError::new(ErrorCode::Unreachable, why)
}
