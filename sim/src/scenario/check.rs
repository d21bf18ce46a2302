//! What fields say of each other.

use covey_protocol::limits::{MAX_COHORT, MAX_COMPLETE_COHORT};

use super::{Learner, Partition, Scenario, Topology};

/// Most numbers that all participants of a round send together.
const MAX_SENT: u64 = 4_000_000_000;
/// Most passages of all peers together.
const MAX_PASSAGES: u64 = 20_000_000;
/// Most examples that are made up as texts.
const MAX_TEXTS: u32 = 1_000_000;
/// Most shares of topics that are drawn.
const MAX_SHARES: u64 = 10_000_000;
/// Largest share of peers that are adversaries.
const MAX_ADVERSARIES: f64 = 0.5;
/// Sums of shares that people write with a few digits are right to this.
const TINY: f64 = 1e-9;

/// Fields that do not go together.
pub(super) struct Contradiction {
    /// Those fields, the one most likely wrong first.
    pub(super) fields: &'static [&'static str],
    /// What it is and what to do.
    pub(super) what: String,
}

/// All that contradicts itself.
pub(super) fn contradictions(scenario: &Scenario) -> Vec<Contradiction> {
    let mut found = Found(Vec::new());
    found.work(scenario);
    found.data(scenario);
    found.cohort(scenario);
    found.privacy(scenario);
    found.network(scenario);
    found.adversaries(scenario);
    found.0
}

struct Found(Vec<Contradiction>);

impl Found {
    fn when(
        &mut self,
        wrong: bool,
        fields: &'static [&'static str],
        what: impl FnOnce() -> String,
    ) {
        if wrong {
            self.0.push(Contradiction { fields, what: what() });
        }
    }

    fn work(&mut self, scenario: &Scenario) {
        let idle = scenario.training.rounds == 0 && scenario.search.hours == 0.0;
        self.when(idle, &["training.rounds", "search.hours"], || {
            "nothing happens: training.rounds and search.hours are both 0; set one of them"
                .to_owned()
        });
        let Learner::Surrogate { values, .. } = scenario.learner else { return };
        let sent = u64::from(values) * u64::from(participants(scenario));
        self.when(sent > MAX_SENT, &["learner.values", "training.cohort", "peers"], || {
            format!(
                "{} participants with {values} values each are {sent} numbers in a round; at most {MAX_SENT} fit: lower learner.values or training.cohort",
                participants(scenario)
            )
        });
    }

    fn data(&mut self, scenario: &Scenario) {
        let (data, peers) = (&scenario.data, scenario.peers);
        let made_up = data.folder.is_none();
        self.when(made_up && data.partition == Partition::Author, &["data.partition"], || {
            "data.partition is author, but made-up data has no authors; set data.folder".to_owned()
        });
        let train = scenario.training.rounds > 0;
        self.when(made_up && train && data.examples < peers, &["data.examples", "peers"], || {
            format!(
                "data.examples is {} and there are {peers} peers; each needs an example",
                data.examples
            )
        });
        let topics = made_up && data.topics > data.examples;
        self.when(topics, &["data.topics", "data.examples"], || {
            format!(
                "data.topics is {} and data.examples {}; each topic needs one",
                data.topics, data.examples
            )
        });
        let texts = made_up && train && data.examples > MAX_TEXTS;
        let embedder = matches!(scenario.learner, Learner::Embedder { .. });
        self.when(texts && embedder, &["data.examples"], || {
            format!("data.examples is {}; at most {MAX_TEXTS} texts are made up", data.examples)
        });
        let by_topics = data.partition == Partition::Topics;
        self.when(
            by_topics && data.topics_per_peer > data.topics,
            &["data.topics_per_peer", "data.topics"],
            || {
                format!(
                    "data.topics_per_peer is {}, of data.topics {}; lower it",
                    data.topics_per_peer, data.topics
                )
            },
        );
        let had = u64::from(peers) * u64::from(data.topics_per_peer);
        self.when(by_topics && had < u64::from(data.topics), &["data.topics_per_peer", "data.topics", "peers"], || {
            format!(
                "{peers} peers with {} topics each leave some of {} topics to nobody; raise data.topics_per_peer or lower data.topics",
                data.topics_per_peer, data.topics
            )
        });
        let shares = u64::from(peers) * u64::from(data.topics);
        let dirichlet = data.partition == Partition::Dirichlet;
        self.when(dirichlet && shares > MAX_SHARES, &["data.topics", "peers"], || {
            format!("{peers} peers with shares of {} topics are more than the {MAX_SHARES} that fit; lower data.topics", data.topics)
        });
        let passages = u64::from(peers) * u64::from(scenario.search.passages);
        self.when(scenario.search.hours > 0.0 && passages > MAX_PASSAGES, &["search.passages", "peers"], || {
            format!("{peers} peers have {passages} passages together; at most {MAX_PASSAGES} fit: lower search.passages")
        });
    }

    fn cohort(&mut self, scenario: &Scenario) {
        let (training, sum, peers) = (&scenario.training, &scenario.sum, scenario.peers);
        self.when(training.cohort > peers, &["training.cohort", "peers"], || {
            format!(
                "training.cohort is {}, of {peers} peers; lower it, or set 0 for all",
                training.cohort
            )
        });
        let cohort = participants(scenario);
        self.when(sum.min_cohort > cohort, &["sum.min_cohort", "training.cohort", "peers"], || {
            format!(
                "sum.min_cohort is {}, of at most {cohort} participants; lower it",
                sum.min_cohort
            )
        });
        let secure = sum.secure && training.rounds > 0;
        self.when(secure && cohort > MAX_COHORT, &["training.cohort", "peers", "sum.secure"], || {
            format!("{cohort} participants are more than the {MAX_COHORT} of a secure sum; set training.cohort, or sum.secure to false")
        });
        let complete = secure && sum.topology == Topology::Complete;
        self.when(complete && cohort > MAX_COMPLETE_COHORT, &["sum.topology", "training.cohort", "peers"], || {
            format!("{cohort} participants are more than the {MAX_COMPLETE_COHORT} of sum.topology complete; set sparse or auto")
        });
        let lost = sum.dropout + sum.collusion;
        self.when(secure && lost >= 1.0, &["sum.dropout", "sum.collusion"], || {
            format!(
                "sum.dropout and sum.collusion are {lost} together, which leaves nobody; lower them"
            )
        });
    }

    fn privacy(&mut self, scenario: &Scenario) {
        let both = scenario.privacy.epsilon.is_some() && scenario.privacy.noise.is_some();
        self.when(both, &["privacy.noise", "privacy.epsilon"], || {
            "privacy.epsilon and privacy.noise are both given, and each follows from the other; leave one out".to_owned()
        });
    }

    fn network(&mut self, scenario: &Scenario) {
        let out = &scenario.availability.dropout;
        let shares = [out.training, out.keys, out.shares, out.upload, out.survivors, out.opening];
        let sum: f64 = shares.iter().sum();
        self.when(sum >= 1.0 - TINY, &["availability.dropout"], || {
            format!("the shares of availability.dropout are {sum} together, which leaves nobody; lower them")
        });
        let [low, high] = scenario.network.bandwidth_mbit;
        self.when(low == 0.0 && high > 0.0, &["network.bandwidth_mbit"], || {
            format!("network.bandwidth_mbit is from 0, which is no limit, to {high}; begin above 0")
        });
    }

    fn adversaries(&mut self, scenario: &Scenario) {
        let share: f64 = scenario.adversaries.iter().map(|kind| kind.share).sum();
        self.when(share > MAX_ADVERSARIES + TINY, &["adversaries"], || {
            format!("the shares of adversaries are {share} together; at most {MAX_ADVERSARIES}")
        });
    }
}

/// Most who take part in a round.
fn participants(scenario: &Scenario) -> u32 {
    match scenario.training.cohort {
        0 => scenario.peers,
        cohort => cohort.min(scenario.peers),
    }
}
