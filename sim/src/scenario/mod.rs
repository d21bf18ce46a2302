//! What is simulated: one TOML file, every field with a default.
//!
//! [`Scenario`] is the whole of it, checked; everything a run does follows from it and its seed.
//! [`Scenario::parse`] reads one, [`ready`] has some that come with the program, and [`FIELDS`] says
//! what each field may be.

mod check;
mod defaults;
mod error;
mod fields;
mod given;
mod names;
mod parse;
pub mod ready;
mod rule;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use error::{Place, Problem, ScenarioError};
pub use fields::{FIELDS, Field, MAX_EXAMPLES, MAX_PEERS, MAX_ROUNDS, MAX_TOPICS};
pub use parse::default_of;
pub use rule::Rule;

use covey_privacy::ledger::Unit;
use serde::{Deserialize, Serialize};

/// A scenario. The same scenario gives the same results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What it is called, in reports and folders.
    pub name: String,
    /// What it is there to show, in a sentence.
    pub about: String,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Runs with this seed and those that follow it; reports show a band over them.
    pub repeats: u32,
    /// How many peers there are.
    pub peers: u32,
    /// What they have.
    pub data: Data,
    /// What they train.
    pub learner: Learner,
    /// How they train it together.
    pub training: Training,
    /// How updates are summed.
    pub sum: Sum,
    /// What the sum hides.
    pub privacy: Privacy,
    /// What lies between peers.
    pub network: Network,
    /// Who is there, how fast, and who leaves.
    pub availability: Availability,
    /// Who does not play by the rules.
    pub adversaries: Vec<Adversary>,
    /// Whether the coordinator of rounds does.
    pub coordinator: Coordinator,
    /// Questions that peers ask each other.
    pub search: Search,
}

impl Scenario {
    /// The seeds of its repeats, in their order.
    pub fn seeds(&self) -> impl Iterator<Item = u64> {
        let first = self.seed;
        (0..u64::from(self.repeats.max(1))).map(move |repeat| first.wrapping_add(repeat))
    }
}

/// What peers have to learn from and to search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// A folder in BEIR's layout; without one, data with a known truth is made up.
    pub folder: Option<PathBuf>,
    /// The split of the folder whose questions judge a model; `test` where nothing is said, else `dev`, else the first other one than `train`.
    pub split: Option<String>,
    /// Most of its questions that a model is judged by, those that a hash puts first; 0 for all.
    pub questions: u32,
    /// Examples (pairs, or observations of the surrogate) in all, where they are made up.
    pub examples: u32,
    /// How they are dealt out.
    pub partition: Partition,
    /// Topics or labels, where they are made up.
    pub topics: u32,
    /// Of this concentration are each peer's shares of topics drawn (`dirichlet`).
    pub alpha: f64,
    /// Topics of each peer (`topics`).
    pub topics_per_peer: u32,
    /// Exponent of Zipf's law by which peers have more and less; 0 for all the same.
    pub zipf: f64,
    /// Share of each peer's examples that others have too. To the surrogate each copy is an observation of its own, so there is more to learn from than without.
    pub overlap: f64,
}

/// How examples are dealt out to peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partition {
    /// At random.
    #[default]
    Iid,
    /// Each peer has shares of the topics drawn from a Dirichlet distribution.
    Dirichlet,
    /// Each peer has a few topics and nothing of the others.
    Topics,
    /// By who wrote them: a field of the folder's `meta.jsonl`.
    Author,
}

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Learner {
    /// A task with a known optimum, which costs next to nothing: each topic has a point, and a peer's loss is a quadratic around the mean of its examples' topics' points.
    Surrogate {
        /// How many numbers are learnt.
        #[serde(default = "defaults::values")]
        values: u32,
        /// How far topics' points lie from their middle, beside how far that is away from the start.
        #[serde(default)]
        heterogeneity: f64,
    },
    /// The embedder that nodes use.
    Embedder {
        /// A folder with a model; the built-in one without.
        #[serde(default)]
        model: Option<PathBuf>,
        /// Rank of the adapter; a full map behind a static model without.
        #[serde(default)]
        rank: Option<u32>,
        /// Of a question's answers in a folder only those that the model finds among so many as it is, each with something that ranks high and is none; 0 for all,
        /// without. A good model unlearns from loose judgements.
        #[serde(default)]
        found: u32,
    },
}

/// How it is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Rounds; 0 where nothing is trained.
    pub rounds: u32,
    /// Most members that are asked to take part in a round, drawn anew each time; 0 for all.
    pub cohort: u32,
    /// Times that each peer looks at each of its examples in a round.
    pub epochs: u32,
    /// Most steps of a peer in a round.
    pub steps: u32,
    /// Examples of a step, which are told from each other.
    pub batch: u32,
    /// Learning rate of peers.
    pub rate: f64,
    /// Weight of FedProx's term; FedAvg with 0.
    pub mu: f64,
    /// Learning rate of the server.
    pub server_rate: f64,
    /// Whether updates count by their examples, up to a thousand, rather than all alike; not with noise, as weights would need some of their own.
    pub weighted: bool,
    /// Rounds from one look at the quality to the next; what training began with and ended with is always looked at.
    pub judge_every: u32,
}

/// How updates become a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Averaging (McMahan et al. 2017); with `mu` above 0 FedProx (Li et al. 2020).
    #[default]
    Average,
    /// Averaging with server momentum.
    Momentum,
    /// FedAdagrad (Reddi et al. 2021).
    Adagrad,
    /// FedAdam.
    Adam,
    /// FedYogi.
    Yogi,
    /// Each peer for itself.
    Local,
    /// All examples in one place.
    Central,
}

impl Algorithm {
    /// Whether peers' updates are summed.
    pub const fn sums(self) -> bool {
        match self {
            Self::Average | Self::Momentum | Self::Adagrad | Self::Adam | Self::Yogi => true,
            Self::Local | Self::Central => false,
        }
    }
}

impl Training {
    /// Most of so many peers who take part in a round.
    pub(crate) fn participants(&self, peers: u32) -> u32 {
        match self.cohort {
            0 => peers,
            cohort => cohort.min(peers),
        }
    }
}

/// How updates are summed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sum {
    /// Whether with the cryptography of a real round. Without, the same encoded and noised words are added in the clear, which gives the same sum wherever
    /// everybody who should be in it is: nothing is lost, cut off, slow or away, and no attempt is followed by another one.
    pub secure: bool,
    /// Who shares with whom.
    pub topology: Topology,
    /// Fewest who take part in a round; 0 for what dropouts leave of all.
    pub min_cohort: u32,
    /// Largest share that may drop out and still leaves a sum.
    pub dropout: f64,
    /// Largest share that may collude with the coordinator.
    pub collusion: f64,
    /// Attempts at a round.
    pub attempts: u32,
    /// Seconds from a plan to the end of checking in.
    pub window_s: u32,
    /// Seconds that a phase waits for those who are missing.
    pub phase_s: u32,
    /// And for vectors.
    pub upload_s: u32,
}

/// Who shares secrets and masks with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// Everybody with everybody up to a hundred, with neighbours above.
    #[default]
    Auto,
    /// Everybody with everybody.
    Complete,
    /// With neighbours.
    Sparse,
}

/// What the sum hides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Privacy {
    /// Epsilon of all rounds together; no noise without this or `noise`.
    pub epsilon: Option<f64>,
    /// Noise on a round's sum as a multiple of the clip norm, in place of `epsilon`: what the shares of the fewest honest survivors that there may be come to,
    /// and more where there are more of them.
    pub noise: Option<f64>,
    /// What is hidden: all that a peer has, or each of its documents by itself (pairs of one document, or an observation of the surrogate). By document a round
    /// is one step: gradients are clipped one by one, and `training.server_rate` says how far their mean moves the values; `epochs`, `steps`, `rate` and `mu` of
    /// training say nothing then, and `batch` is the most pairs of a document. Where nothing is summed, this says nothing. What several peers have of one
    /// document is a document of each of them: of all of it together less is hidden.
    pub unit: Unit,
    /// Most documents of a peer that count in a round, where each is hidden by itself.
    pub documents: u32,
    /// Delta.
    pub delta: f64,
    /// Longest update of a peer, or gradient of a document, in L2.
    pub clip: f64,
}

impl Privacy {
    /// Whether anything is hidden by noise.
    pub fn is_noisy(&self) -> bool {
        self.epsilon.is_some() || self.noise.is_some()
    }
}

/// What lies between peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// One-way latency in milliseconds, drawn evenly between the two for each message.
    pub latency_ms: [f64; 2],
    /// Mbit/s of each peer in rounds, drawn evenly between the two for each peer; 0 for no limit.
    pub bandwidth_mbit: [f64; 2],
    /// Share of messages that are lost.
    pub loss: f64,
    /// Times at which a part of the peers is cut off from the others in rounds, one after the other.
    pub cuts: Vec<Cut>,
}

/// A split of the network.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    /// When it begins, in seconds.
    pub at_s: f64,
    /// How long it lasts.
    pub for_s: f64,
    /// What share of the peers, not the coordinator among them, is cut off.
    pub share: f64,
}

/// Who is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Availability {
    /// Shares of a round's participants that leave for good in each phase of it.
    pub dropout: Dropout,
    /// Milliseconds that a peer's step of training takes, drawn evenly between the two for each peer.
    pub step_ms: [f64; 2],
    /// Share of peers that are slow in rounds.
    pub stragglers: f64,
    /// How many times as long their steps take, and their messages where bandwidth is limited.
    pub slowdown: f64,
    /// Share of each day that a peer is away, at hours of its own (0 for always there).
    pub away: f64,
    /// Share of members that are replaced by new ones in an hour of questions; owners of groups and adversaries stay.
    pub churn_per_hour: f64,
}

/// Shares of participants that leave in each phase.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dropout {
    /// While they train.
    pub training: f64,
    /// After their keys are known.
    pub keys: f64,
    /// After they have dealt shares.
    pub shares: f64,
    /// In the middle of sending their vector.
    pub upload: f64,
    /// Before they agree to who survived.
    pub survivors: f64,
    /// Before they open shares.
    pub opening: f64,
}

/// Peers that do not play by the rules, of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adversary {
    /// What they do.
    pub attack: Attack,
    /// What share of the peers they are.
    pub share: f64,
    /// How hard: what each kind makes of it is said there.
    #[serde(default = "defaults::strength")]
    pub strength: f64,
}

/// What adversaries do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Send an update `strength` times as long.
    Scale,
    /// Send `strength` times the negative of it.
    SignFlip,
    /// Send words that are no encoding of anything, `strength` times the clip norm long: what masking hides.
    Garbage,
    /// Learn what is wrong: pairs whose answers are other pairs'; of the surrogate, the mirror image of their topics' points, as far from the start the other way.
    Poison,
    /// Answer questions with ads that claim a score of `strength`, from 0 to 1.
    ForgeScores,
    /// Ask `strength` times as many questions as others.
    Flood,
    /// Pool all that they draw and get in rounds with the coordinator, and lend it their keys. `strength` says nothing.
    Collude,
}

impl Attack {
    /// Whether it is one on searches.
    pub const fn is_on_searches(self) -> bool {
        match self {
            Self::ForgeScores | Self::Flood => true,
            Self::Scale | Self::SignFlip | Self::Garbage | Self::Poison | Self::Collude => false,
        }
    }

    /// Whether it makes what is learnt worse.
    pub const fn spoils_values(self) -> bool {
        match self {
            Self::Scale | Self::SignFlip | Self::Garbage | Self::Poison => true,
            Self::ForgeScores | Self::Flood | Self::Collude => false,
        }
    }
}

/// The coordinator of rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Coordinator {
    /// What it lies about.
    pub lies: Lies,
}

/// What a coordinator lies about, in every round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lies {
    /// Nothing.
    #[default]
    None,
    /// Puts keys of its own in the place of a peer's.
    SwappedKeys,
    /// Tells some that everybody's vector is in the sum, and others that all but one's are.
    TwoSets,
    /// Has some train another model than the others.
    TwoModels,
    /// Tells each that there are two of them.
    SmallCohort,
    /// From the third round on announces the plan of the first one again.
    Replay,
}

/// Questions that peers ask.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Search {
    /// Hours of virtual time; 0 where nobody asks.
    #[serde(deserialize_with = "parse::whole")]
    pub hours: u32,
    /// Questions of a peer in an hour.
    pub per_hour: f64,
    /// Members of each group; peers are split into groups of so many.
    pub group: u32,
    /// Passages of each peer that shares any.
    pub passages: u32,
    /// Share of peers that share theirs.
    pub sharing: f64,
}
