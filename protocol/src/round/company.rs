//! Among whom a participant lets itself be summed: members that the coordinator can hardly have enrolled itself.

use std::collections::BTreeSet;

use crate::group::Log;
use crate::ids::{NodeId, UnixMillis};
use crate::secagg::{Members, Parameters, SeatSet};

/// Most steps from one who was invited to one who invited, and on.
const MAX_CHAIN: usize = 64;

/// What a participant demands of a cohort beside numbers. `min_honest` counts nodes, and a coordinator could enrol as many as it likes;
/// these it cannot, unless it plans for so long and is helped by two who may invite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    known: SeatSet,
    least: u32,
}

/// A cohort with too few members who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "R13: a sum of this cohort is sure to hold {found} members of long standing whom the coordinator did not enrol, and this node wants {wanted}"
)]
pub struct Strangers {
    /// So many are sure to be in it, this node included.
    pub found: u32,
    /// So many it wants.
    pub wanted: u32,
}

impl Company {
    /// At least `least` members, `me` among them, who have been in the group for `age_ms` by its log, and whom a chain of invitations
    /// that does not pass the coordinator joins with `me` or with the founder. If one and the same member invited all of them, none counts but `me`.
    pub fn of(
        log: &Log,
        members: &Members,
        coordinator: NodeId,
        me: NodeId,
        (age_ms, now): (u64, UnixMillis),
        least: u32,
    ) -> Self {
        let old = |node: &NodeId| log.since(*node).is_some_and(|at| at.plus(age_ms) <= now);
        let vouched = |node: &NodeId| {
            let mut at = *node;
            for _ in 0..MAX_CHAIN {
                if at == coordinator {
                    return false;
                }
                match log.members().get(&at) {
                    _ if at == me => return true,
                    Some(member) => match member.inviter {
                        Some(inviter) => at = inviter,
                        None => return true,
                    },
                    // Who has left vouches for nobody.
                    None => return false,
                }
            }
            false
        };
        let counts = |node: &&NodeId| **node != me && old(node) && vouched(node);
        let known: BTreeSet<NodeId> = members.iter().filter(counts).copied().collect();
        // The founder, whom nobody invited, stands for itself.
        let inviter =
            |node: &NodeId| log.members().get(node).and_then(|it| it.inviter).unwrap_or(*node);
        let inviters: BTreeSet<NodeId> = known.iter().map(inviter).collect();
        let mut seats = SeatSet::new(members.len());
        let trusted = known.iter().filter(|_| inviters.len() > 1);
        seats.extend(trusted.chain([&me]).filter_map(|node| members.seat(node)));
        Self { known: seats, least }
    }

    /// How many of all members count.
    pub fn known(&self) -> u32 {
        self.known.len()
    }

    /// How many it takes.
    pub const fn least(&self) -> u32 {
        self.least
    }

    /// Whether a sum of this cohort is sure to hold enough who count: all that may drop out, be cut off or collude taken to be of them.
    ///
    /// # Errors
    /// R13.
    pub fn check(&self, cohort: &SeatSet, parameters: &Parameters) -> Result<(), Strangers> {
        let known = cohort.iter().filter(|seat| self.known.contains(*seat)).count() as u32;
        let honest = parameters.thresholds(cohort.len()).map_or(0, |it| it.honest);
        let found = (known + honest).saturating_sub(cohort.len());
        if found >= self.least { Ok(()) } else { Err(Strangers { found, wanted: self.least }) }
    }
}
