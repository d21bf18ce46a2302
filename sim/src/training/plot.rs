//! A coordinator that lies and peers that collude with it: who they are, what it says in which round, and what comes of it.

use std::sync::Arc;

use covey_coordinator::{Coordinator, GroupView};
use covey_crypto::SecretKey;
use covey_protocol::wire::v1::round::Announced;
use covey_protocol::{round, secagg};

use super::fate::Nature;
use super::party::Seen;
use crate::crooked::{Crooked, Lie};
use crate::metrics::RoundMetric;
use crate::scenario::{Attack, Lies, Scenario};

/// The first round in which a plan is replayed: there is an older one than that which peers have followed last.
pub(crate) const FIRST_REPLAYED: u32 = 3;

impl Nature {
    /// Whether it pools what it knows with the coordinator.
    pub(super) fn colludes(&self) -> bool {
        matches!(self.attack, Some((Attack::Collude, _)))
    }
}

/// What answers in a coordinator's place, if it lies or any of the peers with these keys and natures collude with it.
pub(super) fn crooked(
    scenario: &Scenario,
    key: &Arc<SecretKey>,
    honest: &Arc<Coordinator>,
    view: &GroupView,
    peers: (&[Arc<SecretKey>], &[Nature]),
) -> Option<Arc<Crooked>> {
    let colluders = peers.0.iter().zip(peers.1).filter(|(_, nature)| nature.colludes());
    let colluders: Vec<Arc<SecretKey>> = colluders.map(|(key, _)| Arc::clone(key)).collect();
    if scenario.coordinator.lies == Lies::None && colluders.is_empty() {
        return None;
    }
    let crooked = Crooked::new(Arc::clone(key), Arc::clone(honest), view.clone());
    Some(Arc::new(crooked.with(colluders)))
}

/// Begins a round of so many with what the scenario has it lie about.
pub(super) fn begin(crooked: &Crooked, scenario: &Scenario, round: u32, cohort: usize) {
    let lie = match scenario.coordinator.lies {
        Lies::None => Lie::None,
        Lies::SwappedKeys => Lie::SwappedKeys,
        Lies::TwoSets => Lie::TwoSets,
        Lies::TwoModels => Lie::TwoModels,
        Lies::SmallCohort => Lie::SmallCohort,
        Lies::Replay => match crooked.oldest().filter(|_| round >= FIRST_REPLAYED) {
            Some(oldest) => Lie::Replay(Box::new(Announced { attempt: 0, open: true, ..oldest })),
            None => Lie::None,
        },
    };
    crooked.begin(lie, cohort);
}

/// Sets what came of it in a round.
pub(super) fn told(metric: &mut RoundMetric, crooked: &Crooked) {
    let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
    metric.exposed = Some(count(crooked.exposed().len()));
    metric.opened = crooked.lies().then(|| count(crooked.fooled()));
}

/// The number of the check for which a participant went no further, if it was for one.
pub(super) fn refusal(seen: &Seen) -> Option<&'static str> {
    let (_, why) = seen.gave_up.as_ref()?;
    let (number, _) = why.split_once(':')?;
    let sums = secagg::Check::ALL.iter().map(|check| check.number());
    let mut all = sums.chain(round::Check::ALL.iter().map(|check| check.number()));
    all.find(|known| *known == number)
}
