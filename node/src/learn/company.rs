//! Whether an update is summed among members that the coordinator could have enrolled itself.

use covey_net::Link;
use covey_protocol::group::Log;
use covey_protocol::ids::{GroupId, NodeId};
use covey_protocol::round::Company;
use covey_protocol::secagg::Members;

use crate::api::{ApiError, OptIn};
use crate::node::Node;

/// How long members have been in a group to be told from strangers where the person has demanded nothing, in seconds.
const USUAL_S: u64 = 7 * 24 * 3_600;

impl<L: Link> Node<L> {
    /// What the person demands of a cohort of these members, if anything.
    pub(super) fn company(
        &self,
        group: GroupId,
        choice: &OptIn,
        coordinator: NodeId,
        members: &Members,
    ) -> Option<Company> {
        let known_for = choice.known_for_s.filter(|seconds| *seconds > 0)?;
        self.company_of(group, (known_for, choice.min_honest), coordinator, members)
    }

    /// What there is to know for who takes part and demands nothing: whom a cohort could be of.
    pub(super) fn strangers(&self, group: GroupId) -> Result<Option<String>, ApiError> {
        let Some(choice) = self.learning.choice(group)? else { return Ok(None) };
        let look = |log: &Log| (log.coordinator(), Members::new(log.members().keys().copied()));
        let Some((Some(coordinator), Ok(members))) = self.groups.view(group, look) else {
            return Ok(None);
        };
        if choice.known_for_s.is_some_and(|seconds| seconds > 0) || coordinator == self.id() {
            return Ok(None);
        }
        let company = self.company_of(group, (USUAL_S, choice.min_honest), coordinator, &members);
        Ok(company.map(|company| {
            format!(
                "{} of {} members, this node among them, have been in the group for {} days without being invited by the coordinator",
                company.known(),
                members.len(),
                USUAL_S / 86_400
            )
        }))
    }

    fn company_of(
        &self,
        group: GroupId,
        (seconds, least): (u64, u32),
        coordinator: NodeId,
        members: &Members,
    ) -> Option<Company> {
        let (me, now) = (self.id(), self.env.now());
        let age = seconds.saturating_mul(1_000);
        let look = |log: &Log| Company::of(log, members, coordinator, me, (age, now), least);
        self.groups.view(group, look)
    }
}
