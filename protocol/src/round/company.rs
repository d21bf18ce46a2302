//! Among whom a participant lets itself be summed: members that the coordinator can hardly have enrolled itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::group::Log;
use crate::ids::{NodeId, UnixMillis};
use crate::secagg::{Members, Parameters, SeatSet};

/// Most steps from one who was invited to one who invited, and on.
const MAX_CHAIN: usize = 64;

/// What a participant demands of a cohort beside numbers. `min_honest` counts nodes, and a coordinator could enrol as many as it likes;
/// these it cannot, unless it plans for so long and is helped by two who may invite, or by the founder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Company {
    known: SeatSet,
    /// Those of them whom one and the same member has brought in, by whatever detour; one set for each that brought anybody, but the
    /// founder.
    brought: Vec<SeatSet>,
    least: u32,
}

/// A cohort with too few members who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "R13: a sum of this cohort is sure to hold {found} members of long standing whom the coordinator did not enrol, with the help of one other, and this node wants {wanted}"
)]
pub struct Strangers {
    /// So many are sure to be in it, this node included.
    pub found: u32,
    /// So many it wants.
    pub wanted: u32,
}

impl Company {
    /// At least `least` members, `me` among them, who have been in the group for `age_ms` by its log, and whom a chain of invitations
    /// that does not pass the coordinator joins with `me` or with the founder. Those whom a single one of them has brought in, the most there are, do not
    /// count; and if one and the same member invited all of them, the founder too, none counts but `me`.
    pub fn of(
        log: &Log,
        members: &Members,
        coordinator: NodeId,
        me: NodeId,
        (age_ms, now): (u64, UnixMillis),
        least: u32,
    ) -> Self {
        let old = |node: &NodeId| log.since(*node).is_some_and(|at| at.plus(age_ms) <= now);
        // Who invited somebody, who invited that one, and on; the founder, who has to be trusted for the log itself, and `me` left out.
        let chain = |node: &NodeId| -> Option<Vec<NodeId>> {
            let (mut at, mut chain) = (*node, Vec::new());
            for _ in 0..MAX_CHAIN {
                if at == coordinator {
                    return None;
                }
                match log.members().get(&at) {
                    _ if at == me => return Some(chain),
                    Some(member) => match member.inviter {
                        Some(inviter) => at = inviter,
                        None => {
                            chain.pop();
                            return Some(chain);
                        }
                    },
                    // Who has left vouches for nobody.
                    None => return None,
                }
                if at != me {
                    chain.push(at);
                }
            }
            None
        };
        let counts = |node: &&NodeId| **node != me && old(node);
        let known: BTreeMap<NodeId, Vec<NodeId>> =
            members.iter().filter(counts).filter_map(|node| Some((*node, chain(node)?))).collect();
        // The founder, whom nobody invited, stands for itself.
        let inviter =
            |node: &NodeId| log.members().get(node).and_then(|it| it.inviter).unwrap_or(*node);
        let inviters: BTreeSet<NodeId> = known.keys().map(inviter).collect();
        let mut seats = SeatSet::new(members.len());
        seats.extend(members.seat(&me));
        let mut brought: BTreeMap<NodeId, SeatSet> = BTreeMap::new();
        for (node, by) in known.iter().filter(|_| inviters.len() > 1) {
            let seat = members.seat(node);
            seats.extend(seat);
            for one in by {
                brought.entry(*one).or_insert_with(|| SeatSet::new(members.len())).extend(seat);
            }
        }
        Self { known: seats, brought: brought.into_values().collect(), least }
    }

    /// How many of all members count.
    pub fn known(&self) -> u32 {
        self.of_them(&self.known)
    }

    /// How many of some seats count, whoever the one is that helps the coordinator.
    fn of_them(&self, some: &SeatSet) -> u32 {
        let among = |set: &SeatSet| some.iter().filter(|seat| set.contains(*seat)).count() as u32;
        among(&self.known) - self.brought.iter().map(among).max().unwrap_or(0)
    }

    /// Whether a sum of this cohort is sure to hold enough who count: all that may drop out, be cut off or collude taken to be of them.
    ///
    /// # Errors
    /// R13.
    pub fn check(&self, cohort: &SeatSet, parameters: &Parameters) -> Result<(), Strangers> {
        let known = self.of_them(cohort);
        let honest = parameters.thresholds(cohort.len()).map_or(0, |it| it.honest);
        let found = (known + honest).saturating_sub(cohort.len());
        if found >= self.least { Ok(()) } else { Err(Strangers { found, wanted: self.least }) }
    }
}
