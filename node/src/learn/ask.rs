//! Asking the coordinator, or another member.

use covey_net::{Link, LinkError};
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, NodeId, RequestId};
use covey_protocol::round::Start;
use covey_protocol::wire::v1::round::{RoundAnswer, RoundAsk, RoundRequest};

use crate::api::{ApiError, ErrorCode};
use crate::node::Node;
use crate::reach::why_failed;
use crate::rounds::{Tries, Unanswered, ask_over, unexpected_of, values};

impl<L: Link> Node<L> {
    /// The values that a plan or a release names.
    pub(super) async fn values(
        &self,
        group: GroupId,
        from: NodeId,
        of: Start,
        tries: Tries,
    ) -> Result<Vec<f32>, ApiError> {
        let ask = |ask| self.ask_member(group, from, ask, tries);
        values(of, ask, |answer| self.unexpected(group, from, answer)).await
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
        let missed = |error: &LinkError| {
            tracing::debug!(%error, %member, "a member is asked again");
            self.look_for(group, member);
        };
        let asked = ask_over((&self.link, &self.env), member, request, tries, missed).await;
        asked.map_err(|unanswered| match unanswered {
            Unanswered::Link(error) => self.unreachable(group, member, &error),
            Unanswered::Busy(answer) => self.unexpected(group, member, &answer),
        })
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
