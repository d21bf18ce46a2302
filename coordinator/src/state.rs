//! What a coordinator knows from one start to the next.

use covey_crypto::Digest;
use covey_privacy::ledger::Unit;
use covey_privacy::{Delta, Rho};
use covey_protocol::group;
use covey_protocol::ids::{ModelId, NodeId, UnixMillis};
use covey_protocol::round::{Evaluation, Measure, Rule, SignedPlan, Start};
use covey_protocol::wire::v1::round::Over;
use serde::{Deserialize, Serialize};

use crate::Campaign;
use crate::coordinator::{CoordinatorError, GroupView};
use crate::store::{Key, Store};

/// Releases whose values are kept.
pub(crate) const MAX_KEPT: usize = 8;

const VERSION: u8 = 2;

/// Written anew, as a whole, whenever it changes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// What is to be done, and how many of its rounds are over.
    pub campaign: Option<(Campaign, u32)>,
    /// How what was learnt becomes releases.
    pub promotion: Option<Promotion>,
    /// What may become the next release.
    pub candidate: Option<Candidate>,
    /// The number of the last plan.
    pub round: u64,
    /// When the next plan is due.
    pub next_at: UnixMillis,
    pub checkpoint: Option<Checkpoint>,
    pub current: Option<Current>,
    /// The terms of the attempt before, and how it ended, for those who come late.
    pub last: Option<(Digest, Over)>,
    /// The last releases that were made here, the newest first.
    pub releases: Vec<Released>,
}

/// Where training has got to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    pub values: Start,
    /// The values that the first of its rounds started from.
    pub origin: Start,
    /// What the rule remembers.
    pub memory: Option<Memory>,
    pub model: ModelId,
    pub adapter: Vec<u8>,
    /// Rounds that went into it.
    pub rounds: u32,
    /// The last of them, and its plan.
    pub round: u64,
    pub plan: Digest,
    /// Fewest participants of one of them.
    pub participants: u32,
    /// What they come to, evaluations included; nothing where one had no noise.
    pub cost: Option<Rho>,
    /// Whose presence that is about: in all of its rounds the same.
    pub unit: Unit,
    /// The smallest delta that one of them told epsilons for.
    pub delta: Delta,
    pub measured: Vec<(Measure, f64)>,
}

/// What a rule remembers from round to round. It means nothing to another one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The rule that made it, with its numbers of then.
    pub rule: Rule,
    /// Names it among the values that are kept.
    pub digest: Digest,
}

impl Memory {
    /// Whether this rule is of the same kind as the one that made it, so that it can go on from it.
    pub(crate) fn is_of(&self, rule: &Rule) -> bool {
        std::mem::discriminant(&self.rule) == std::mem::discriminant(rule)
    }
}

/// How what was learnt becomes releases: terms of the last campaign, which outlive it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Promotion {
    /// See [`Campaign::release_every_ms`].
    pub every_ms: Option<u64>,
    /// When the campaign began.
    pub began: UnixMillis,
    /// How members evaluate candidates.
    pub evaluation: Campaign,
}

/// A checkpoint on its way to be a release. Training may go on meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    pub checkpoint: Checkpoint,
    /// What it is compared with: the last release's values, or those that training began with.
    pub before: Start,
    pub stage: Stage,
}

/// How far a candidate has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// Whoever hosts the coordinator is asked what its own pairs make of it.
    Proposed,
    /// Members are asked, from then on.
    Asked { quorum: u32, at: UnixMillis },
    /// It may be released, and may have been made one that the log does not name yet.
    Ready { evaluation: Option<Evaluation>, made: Option<group::Release> },
    /// It is not released, until then at least.
    HeldBack { why: String, until: Option<UnixMillis> },
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proposed => f.write_str("is tried on this node's own pairs"),
            Self::Asked { quorum, .. } => {
                write!(f, "is evaluated by members, of whom {quorum} are wanted at least")
            }
            Self::Ready { .. } => f.write_str("is about to be entered in the group's log"),
            Self::HeldBack { why, .. } => write!(f, "is held back: {why}"),
        }
    }
}

/// The round that is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Current {
    pub plan: SignedPlan,
    /// Who was a member when it was made.
    pub members: Vec<NodeId>,
    pub attempt: u32,
    /// When that began.
    pub opened: UnixMillis,
    /// Members to blame for an attempt before it, and those who were silent in the phase that it failed in: it goes on without them.
    pub sit_out: Vec<NodeId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Released {
    pub number: u32,
    pub at: UnixMillis,
    pub model: ModelId,
    /// [`Checkpoint::lineage`].
    pub lineage: Digest,
    pub values: Start,
    pub manifest: Digest,
}

impl Current {
    /// The first attempt at a plan, open to those who are members now.
    pub(crate) fn new(plan: SignedPlan, view: &GroupView, now: UnixMillis) -> Self {
        let members = view.members.iter().copied().collect();
        Self { plan, members, attempt: 0, opened: now, sit_out: Vec::new() }
    }
}

impl Checkpoint {
    /// Names model and adapter, which values belong to.
    pub(crate) fn lineage(&self) -> Digest {
        let (base, release) = (self.model.base, self.model.release);
        let parts = [base.as_bytes(), release.as_bytes(), &self.adapter[..]];
        Digest::of("covey coordinator lineage v1", &parts)
    }
}

impl State {
    /// Values that are still needed.
    pub(crate) fn kept(&self) -> Vec<Digest> {
        let checkpoint = self.checkpoint.iter();
        let checkpoint = checkpoint.flat_map(|it| {
            [Some(it.values.digest), Some(it.origin.digest), it.memory.map(|it| it.digest)]
        });
        let candidate = self.candidate.iter();
        let candidate = candidate.flat_map(|it| [it.checkpoint.values.digest, it.before.digest]);
        let releases = self.releases.iter().map(|it| it.values.digest);
        checkpoint.flatten().chain(candidate).chain(releases).collect()
    }

    pub(crate) fn read(store: &dyn Store) -> Result<Self, CoordinatorError> {
        let Some(bytes) = store.get(Key::State)? else { return Ok(Self::default()) };
        match bytes.split_first() {
            Some((&VERSION, rest)) => {
                postcard::from_bytes(rest).map_err(|_| CoordinatorError::Damaged)
            }
            Some((found, _)) => Err(CoordinatorError::Version(*found)),
            None => Err(CoordinatorError::Damaged),
        }
    }

    pub(crate) fn write(&self, store: &dyn Store) -> Result<(), CoordinatorError> {
        let bytes = postcard::to_extend(self, vec![VERSION]);
        let bytes = bytes.expect("every sequence in a state knows its length");
        Ok(store.put(Key::State, &bytes)?)
    }
}
