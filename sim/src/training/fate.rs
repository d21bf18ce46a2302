//! What befalls a peer in a round: drawn before the round, from the seed alone.

use std::time::Duration;

use covey_protocol::limits::MAX_PIECE;
use covey_protocol::wire::v1::round::{Awaited, ClientMessage};

use crate::scenario::{Attack, Dropout, Scenario};
use crate::seed::Draw;

/// When a peer leaves a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaves {
    /// While it trains.
    Training,
    /// After its keys are known.
    Keys,
    /// After it has dealt shares.
    Shares,
    /// In the middle of sending its vector.
    Upload,
    /// Before it agrees to who survived.
    Survivors,
    /// Before it opens shares.
    Opening,
}

impl Leaves {
    /// The phase that it leaves in, as scenarios call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Keys => "keys",
            Self::Shares => "shares",
            Self::Upload => "upload",
            Self::Survivors => "survivors",
            Self::Opening => "opening",
        }
    }

    /// Draws whether and when a participant leaves.
    fn draw(of: &Dropout, draw: &mut Draw) -> Option<Self> {
        let shares = [
            (of.training, Self::Training),
            (of.keys, Self::Keys),
            (of.shares, Self::Shares),
            (of.upload, Self::Upload),
            (of.survivors, Self::Survivors),
            (of.opening, Self::Opening),
        ];
        let mut place = draw.share();
        for (share, leaves) in shares {
            if place < share {
                return Some(leaves);
            }
            place -= share;
        }
        None
    }

    /// Whether it is gone when it would send this.
    pub(super) fn is_before(self, message: &ClientMessage, words: u32) -> bool {
        use ClientMessage::{Agreement, Choice, Dealing, Keys, Opening, Piece, Upload, Waits};
        match (self, message) {
            (Self::Training, _) => true,
            (Self::Keys, Keys(_)) => false,
            (Self::Keys, _) => true,
            (Self::Shares, Waits(Awaited::Inbox) | Upload(_) | Piece { .. }) => true,
            (Self::Shares, _) => false,
            (Self::Upload, Piece { offset, .. }) => *offset > 0 || 4 * words as usize <= MAX_PIECE,
            (Self::Upload, _) => false,
            (Self::Survivors, Agreement(_)) => true,
            (Self::Survivors, _) => false,
            (Self::Opening, Opening(_)) => true,
            (Self::Opening, Keys(_) | Choice(_) | Dealing(_) | Upload(_)) => false,
            (Self::Opening, Piece { .. } | Agreement(_) | Waits(_)) => false,
        }
    }
}

/// What befalls a peer in one round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    /// When it leaves, if it does.
    pub(super) leaves: Option<Leaves>,
    /// When it first hears of the plan.
    pub(super) begins: Duration,
    /// How long a step of training takes.
    pub(super) step: Duration,
    /// What it does instead of playing by the rules, and how hard.
    pub(super) attack: Option<(Attack, f64)>,
}

/// The longest until a peer first asks for a plan, as long as a node's first pause.
pub(super) const FIRST: Duration = Duration::from_secs(5);

/// What is so for a peer in every round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Nature {
    pub(super) step: Duration,
    /// Upwards and downwards, in bytes a second; none where it is unlimited.
    pub(super) bandwidth: Option<f64>,
    /// What it does instead of playing by the rules, and how hard.
    pub(super) attack: Option<(Attack, f64)>,
}

impl Nature {
    /// Draws what all peers are like.
    pub(super) fn of_all(scenario: &Scenario, seed: u64, peers: usize) -> Vec<Self> {
        let there = &scenario.availability;
        let of = |peer: usize| {
            let mut draw = Draw::new(seed, "nature", peer as u64, 0);
            let slow = draw.share() < there.stragglers;
            let slowdown = if slow { there.slowdown.max(1.0) } else { 1.0 };
            let step = Duration::from_secs_f64(draw.between(there.step_ms) * slowdown / 1e3);
            let mbit = draw.between(scenario.network.bandwidth_mbit);
            let bandwidth = (mbit > 0.0).then(|| mbit * 125_000.0 / slowdown);
            Self { step, bandwidth, attack: None }
        };
        let mut all: Vec<Self> = (0..peers).map(of).collect();
        for (nature, attack) in all.iter_mut().zip(adversaries(scenario, seed, peers)) {
            nature.attack = attack;
        }
        all
    }

    /// Draws what befalls one in a round.
    pub(super) fn in_round(&self, scenario: &Scenario, seed: u64, peer: usize, round: u32) -> Fate {
        let mut draw = Draw::new(seed, "fate", peer as u64, round.into());
        Fate {
            leaves: Leaves::draw(&scenario.availability.dropout, &mut draw),
            begins: FIRST.mul_f64(draw.share()),
            step: self.step,
            attack: self.attack,
        }
    }
}

/// Which peers do not play by the rules, what they do, and how hard.
pub(crate) fn adversaries(
    scenario: &Scenario,
    seed: u64,
    peers: usize,
) -> Vec<Option<(Attack, f64)>> {
    // So many of each kind, not each with that chance: figures of few peers would jump otherwise.
    let count = |share: f64| (share * peers as f64).round() as usize;
    let all: usize = scenario.adversaries.iter().map(|it| count(it.share)).sum();
    let mut bad = Draw::new(seed, "adversaries", 0, 0).some(all, peers).into_iter();
    let mut attacks = vec![None; peers];
    for adversary in &scenario.adversaries {
        for peer in bad.by_ref().take(count(adversary.share)) {
            attacks[peer] = Some((adversary.attack, adversary.strength));
        }
    }
    attacks
}
