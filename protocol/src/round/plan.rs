//! What everybody in a round agrees on before it starts.

use covey_crypto::{Digest, SecretKey, Signature};
use covey_privacy::encode::{Extra, Layout};
use covey_privacy::ledger::Unit;
use covey_privacy::noise::NoiseMode;
use covey_privacy::{ClipNorm, Delta, NoiseMultiplier, Rho};
use serde::{Deserialize, Serialize};

use super::{Check, Start};
use crate::ids::{Epoch, GroupId, ModelId, NodeId, UnixMillis};
use crate::limits::{
    MAX_ADAPTER_CONFIG, MAX_BATCH, MAX_MEASURES, MAX_PLAN, MAX_ROUND_ATTEMPTS, MAX_ROUND_LENGTH_MS,
    MAX_TRAINED_TOKENS,
};
use crate::secagg::{Members, Parameters, Terms};
use crate::wire::{self, bounded};

/// The version of [`Plan`]; the first byte of every one.
pub const PLAN_VERSION: u8 = 1;

const DOMAIN: &str = "covey round plan v1";

/// A plan as it travels: the signed bytes, kept as received, and the signature over them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPlan {
    /// The encoded [`Plan`].
    #[serde(deserialize_with = "bounded::list::<MAX_PLAN, _, _>")]
    pub body: Vec<u8>,
    /// The coordinator's signature over `body`.
    pub signature: Signature,
}

/// One round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// [`PLAN_VERSION`].
    pub version: u8,
    /// The group that learns.
    pub group: GroupId,
    /// The entry of its log that `members` are of.
    pub epoch: Epoch,
    /// Who may take part: [`Members::digest`].
    pub members: Digest,
    /// Who coordinates, and signs.
    pub coordinator: NodeId,
    /// The round's number; each plan's is higher than that of the one before.
    pub round: u64,
    /// How often the round may be tried, each time with fresh keys, rounding and noise.
    pub attempts: u32,
    /// The model whose weights stay.
    pub model: ModelId,
    /// The adapter's configuration, as in docs/spec/adapter-format.md (JSON).
    #[serde(deserialize_with = "bounded::list::<MAX_ADAPTER_CONFIG, _, _>")]
    pub adapter: Vec<u8>,
    /// What participants do.
    pub task: Task,
    /// The values that training starts from; in an evaluation those that the candidate is compared with.
    pub start: Start,
    /// How participants train.
    pub learning: Learning,
    /// What they send of it.
    pub contribution: Contribution,
    /// Sizes and bounds of the secure sum.
    pub sum: Parameters,
    /// What the coordinator makes of the sum.
    pub rule: Rule,
    /// When.
    pub timing: Timing,
}

/// What participants do in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// They train, and send how the values moved.
    Train,
    /// They compute the loss of held-out pairs with values that may become a release, train nothing, and send the measures alone.
    Evaluate {
        /// The candidate's values.
        of: Start,
    },
}

/// How participants train. With `proximal` above zero this is FedProx (Li et al. 2020), else FedAvg (McMahan et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Learning {
    /// Times that every pair is looked at.
    pub epochs: u16,
    /// Pairs that are told from each other at a time; where documents are protected, most pairs of one.
    pub batch: u16,
    /// Most steps, however many pairs there are.
    pub max_steps: u32,
    /// Learning rate.
    pub rate: f64,
    /// FedProx's mu.
    pub proximal: f64,
    /// Tokens of a text that count.
    pub max_tokens: u16,
    /// Fewest pairs to take part with.
    pub min_pairs: u32,
    /// Most documents of a participant, each of which counts by itself; 0 where the peer is what is protected.
    pub documents: u32,
}

/// What a participant sends, and what it costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Longest update, in L2; where documents are protected, longest gradient of one.
    pub clip: ClipNorm,
    /// Noise on the sum, as a multiple of the clip norm, of which every participant adds its share; none without privacy.
    pub noise: Option<NoiseMultiplier>,
    /// Whose presence it hides.
    pub unit: Unit,
    /// The delta that epsilons are told for.
    pub delta: Delta,
    /// Whether updates are turned at random before rounding, which costs entries and lets the grid be finer.
    pub rotate: bool,
    /// How much each update counts.
    pub weighting: Weighting,
    /// What is summed beside the update.
    #[serde(deserialize_with = "bounded::list::<MAX_MEASURES, _, _>")]
    pub measures: Vec<Measure>,
}

/// How much each update counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Weighting {
    /// All alike.
    Uniform,
    /// By the number of pairs, at most `cap` of them. The weight is a number of the masked vector, so nobody learns it.
    Pairs {
        /// Pairs beyond which a participant counts no more.
        cap: u32,
    },
}

/// A number that participants sum beside the update, bounded and noised with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Measure {
    /// Loss of held-out pairs before training, at most [`Measure::LOSS_BOUND`].
    LossBefore,
    /// And after.
    LossAfter,
    /// Whether the update was longer than the clip norm.
    Clipped,
    /// In an evaluation: whether own held-out pairs do no worse with the candidate.
    NoWorse,
}

impl Measure {
    /// Losses count up to here.
    pub const LOSS_BOUND: f64 = 16.0;
    /// What an evaluation sums, in this order.
    pub const OF_EVALUATION: [Self; 3] = [Self::LossBefore, Self::LossAfter, Self::NoWorse];

    /// The largest value.
    pub const fn bound(self) -> f64 {
        match self {
            Self::LossBefore | Self::LossAfter => Self::LOSS_BOUND,
            Self::Clipped | Self::NoWorse => 1.0,
        }
    }
}

/// What a number beside the update adds to how far one participant moves the sum, as a share of the clip norm.
const MEASURE_WEIGHT: f64 = 0.05;
/// The weight of an update decides about all of it, so it may take more.
const WEIGHT_WEIGHT: f64 = 0.25;
/// The same in an evaluation, which has nothing else to sum: of one loss, and of the vote that decides. Together they are
/// shorter than the clip norm.
const LOSS_WEIGHT: f64 = 0.5;
const VOTE_WEIGHT: f64 = 0.7;

/// What the coordinator makes of the mean update (Reddi et al., "Adaptive Federated Optimization", 2021).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Rule {
    /// Adds it, times a rate.
    Average {
        /// The rate; one for plain averaging.
        rate: f64,
    },
    /// Adds a running sum of it (FedAvgM, Hsu et al. 2019).
    Momentum {
        /// The rate.
        rate: f64,
        /// How much of the running sum stays.
        beta: f64,
    },
    /// FedAdagrad.
    Adagrad {
        /// The rate.
        rate: f64,
        /// Least divisor.
        tau: f64,
    },
    /// FedAdam.
    Adam {
        /// The rate.
        rate: f64,
        /// How much of the running mean stays.
        beta1: f64,
        /// How much of the running square stays.
        beta2: f64,
        /// Least divisor.
        tau: f64,
    },
    /// FedYogi.
    Yogi {
        /// The rate.
        rate: f64,
        /// How much of the running mean stays.
        beta1: f64,
        /// How fast the running square moves.
        beta2: f64,
        /// Least divisor.
        tau: f64,
    },
}

/// When a round takes place, by the coordinator's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// When it was published: training may start.
    pub opens: UnixMillis,
    /// Until when participants check in for the first attempt.
    pub check_in_by: UnixMillis,
    /// How long a phase of the secure sum waits for those who are missing, in milliseconds.
    pub phase_ms: u32,
    /// And how long for masked vectors.
    pub upload_ms: u32,
}

impl Timing {
    /// From the plan to the end of checking in, in milliseconds; nothing if that comes first.
    pub const fn window_ms(&self) -> Option<u64> {
        self.check_in_by.0.checked_sub(self.opens.0)
    }

    /// How long an attempt takes at most, once it gathers.
    pub const fn longest_ms(&self) -> u64 {
        // Gathering, neighbours, shares, survivors, unmasking; and vectors.
        5 * self.phase_ms as u64 + self.upload_ms as u64
    }
}

impl SignedPlan {
    /// Signs a plan as its coordinator.
    ///
    /// # Errors
    /// The check that nobody would let it pass ([`Plan::check`]).
    pub fn sign(plan: &Plan, key: &SecretKey) -> Result<Self, Check> {
        plan.check()?;
        let body = wire::encode(plan);
        if body.len() > MAX_PLAN {
            return Err(Check::Form);
        }
        let signature = key.sign(DOMAIN, &body);
        Ok(Self { body, signature })
    }

    /// Names the plan, whatever its signature.
    pub fn digest(&self) -> Digest {
        Digest::of(DOMAIN, &[&self.body])
    }

    /// What it says, if `coordinator` signed it and it is sound in itself.
    ///
    /// # Errors
    /// R1, R2 or R4.
    pub fn verify(&self, coordinator: &NodeId) -> Result<Checked, Check> {
        if self.body.first() != Some(&PLAN_VERSION) {
            return Err(Check::Form);
        }
        let plan: Plan = wire::decode_canonical(&self.body, MAX_PLAN).map_err(|_| Check::Form)?;
        let signed = coordinator.key().verify(DOMAIN, &self.body, &self.signature).is_ok();
        if !signed || plan.coordinator != *coordinator {
            return Err(Check::Signature);
        }
        let layout = plan.check()?;
        let cost = layout.cost().map_err(|_| Check::Shape)?;
        Ok(Checked { digest: self.digest(), plan, layout, cost })
    }
}

/// A plan that its coordinator signed and whose numbers belong together. Whether to take part is another
/// question ([`super::Limits`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    digest: Digest,
    plan: Plan,
    layout: Layout,
    cost: Option<Rho>,
}

impl Checked {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Names it.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How an update becomes words of the secure sum.
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What taking part in one attempt costs, if it adds noise: zero-out of the plan's unit, in zCDP.
    pub const fn cost(&self) -> Option<Rho> {
        self.cost
    }

    /// The terms of one attempt's secure sum, which all its keys are bound to.
    pub fn terms(&self, attempt: u32) -> Terms {
        let Plan { group, members, model, round, coordinator, sum, .. } = self.plan;
        let plan = self.digest;
        Terms { group, members, plan, model, round, attempt, coordinator, parameters: sum }
    }
}

impl Plan {
    /// Whether the numbers are in their ranges and belong together, and the layout that they come to.
    ///
    /// # Errors
    /// R4 or R16.
    pub fn check(&self) -> Result<Layout, Check> {
        self.check_documents()?;
        let Self { learning, timing, contribution, .. } = self;
        let rate = |rate: f64| rate.is_finite() && rate > 0.0;
        let share = |share: f64| (0.0..1.0).contains(&share);
        let rule = match self.rule {
            Rule::Average { rate: by } => rate(by),
            Rule::Momentum { rate: by, beta } => rate(by) && share(beta),
            Rule::Adagrad { rate: by, tau } => rate(by) && rate(tau),
            Rule::Adam { rate: by, beta1, beta2, tau }
            | Rule::Yogi { rate: by, beta1, beta2, tau } => {
                rate(by) && share(beta1) && share(beta2) && rate(tau)
            }
        };
        let looks = (2..=MAX_BATCH).contains(&learning.batch)
            && (1..=MAX_TRAINED_TOKENS).contains(&learning.max_tokens)
            && (learning.min_pairs > 1 || learning.documents > 0);
        let does = match self.task {
            Task::Train => {
                learning.epochs > 0
                    && learning.max_steps > 0
                    && rate(learning.rate)
                    && learning.proximal.is_finite()
                    && learning.proximal >= 0.0
                    && !contribution.measures.contains(&Measure::NoWorse)
            }
            // Nothing is trained, and nothing but the measures is summed.
            Task::Evaluate { of } => {
                (learning.epochs, learning.max_steps) == (0, 0)
                    && (learning.rate, learning.proximal) == (0.0, 0.0)
                    && of.values == self.start.values
                    && of.digest != self.start.digest
                    && contribution.measures == Measure::OF_EVALUATION
                    && contribution.weighting == Weighting::Uniform
                    && !contribution.rotate
            }
        };
        let on_time = timing.window_ms().is_some_and(|window| window <= MAX_ROUND_LENGTH_MS)
            && timing.phase_ms > 0
            && timing.upload_ms > 0
            && timing.longest_ms() <= MAX_ROUND_LENGTH_MS;
        let tries = (1..=MAX_ROUND_ATTEMPTS).contains(&self.attempts);
        let weighs = contribution.weighting != (Weighting::Pairs { cap: 0 });
        if !(rule && looks && does && on_time && tries && weighs && self.sum.check().is_ok()) {
            return Err(Check::Shape);
        }
        let layout = self.layout()?;
        if u32::try_from(layout.words()) != Ok(self.sum.entries) {
            return Err(Check::Shape);
        }
        Ok(layout)
    }

    /// How an update becomes words. Noise is calibrated for the fewest honest clients that the sum's own bounds leave,
    /// so the two cannot disagree. What is random about a rotation comes from the values that everybody starts from and
    /// the round's number: it protects nothing, and only has to be the same everywhere.
    fn layout(&self) -> Result<Layout, Check> {
        let Contribution { clip, noise, rotate, .. } = self.contribution;
        let mode = NoiseMode::Distributed(self.sum.sharers().map_err(|_| Check::Shape)?);
        let turned = || {
            let parts: [&[u8]; 2] = [self.start.digest.as_bytes(), &self.round.to_le_bytes()];
            *Digest::of("covey round rotation v1", &parts).as_bytes()
        };
        Ok(Layout {
            dimension: match self.task {
                Task::Train => self.start.values as usize,
                Task::Evaluate { .. } => 0,
            },
            clip,
            clients: self.sum.max_cohort,
            units: self.learning.documents.max(1),
            noise: noise.map(|noise| (noise, mode)),
            rotation: rotate.then(turned),
            extras: self.contribution.extras(self.task).ok_or(Check::Shape)?,
        })
    }
}

impl Contribution {
    /// The numbers beside the update: first the weight, if updates have one, then the measures.
    fn extras(&self, task: Task) -> Option<Vec<Extra>> {
        let weight = match self.weighting {
            Weighting::Uniform => None,
            Weighting::Pairs { .. } => Some(Extra::new(1.0, WEIGHT_WEIGHT)),
        };
        let measure = |measure: &Measure| {
            let weight = match (task, measure) {
                (Task::Train, _) => MEASURE_WEIGHT,
                (Task::Evaluate { .. }, Measure::NoWorse) => VOTE_WEIGHT,
                (
                    Task::Evaluate { .. },
                    Measure::LossBefore | Measure::LossAfter | Measure::Clipped,
                ) => LOSS_WEIGHT,
            };
            Extra::new(measure.bound(), weight)
        };
        let all = weight.into_iter().chain(self.measures.iter().map(measure));
        all.collect::<Result<_, _>>().ok()
    }

    /// How much an update from `pairs` pairs counts: at most one.
    pub fn weight(&self, pairs: usize) -> f64 {
        match self.weighting {
            Weighting::Uniform => 1.0,
            Weighting::Pairs { cap } => (pairs as f64 / f64::from(cap.max(1))).min(1.0),
        }
    }
}

impl Plan {
    /// How many words an update comes to, whatever the plan's sum says.
    ///
    /// # Errors
    /// R4.
    pub fn entries(&self) -> Result<u32, Check> {
        u32::try_from(self.layout()?.words()).map_err(|_| Check::Shape)
    }

    /// Whether the plan is for these members, of whom a digest is all that it holds.
    pub fn is_for(&self, group: GroupId, members: &Members) -> bool {
        self.group == group && self.members == members.digest()
    }
}
