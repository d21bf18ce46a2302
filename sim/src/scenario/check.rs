//! What fields say of each other.

use covey_privacy::ledger::Unit;
use covey_protocol::limits::{MAX_COHORT, MAX_COMPLETE_COHORT, MAX_ENTRIES};

use super::{Attack, Learner, Lies, Partition, Scenario, Topology};
use crate::run_folder::MAX_LINES;
use crate::training::{FIRST_REPLAYED, MOST_COMPLETE, is_sparse, parameters};

/// Most numbers that all participants of a round send together.
const MAX_SENT: u64 = 4_000_000_000;
/// Most passages of all peers together.
const MAX_PASSAGES: u64 = 20_000_000;
/// Most examples that are made up as texts.
const MAX_TEXTS: u32 = 1_000_000;
/// Most numbers of all points of the surrogate's topics.
const MAX_POINTS: u64 = 250_000_000;
/// Most questions that are asked in a repeat.
const MAX_QUESTIONS: f64 = 10_000_000.0;
/// Fewest whose updates are summed, and of them honest ones, as every peer demands.
const LEAST_COHORT: u32 = 3;
const LEAST_HONEST: u32 = 2;
/// Most shares of topics that are drawn.
const MAX_SHARES: u64 = 10_000_000;
/// Largest share of peers that are adversaries.
const MAX_ADVERSARIES: f64 = 0.5;
/// Most numbers of all masked vectors of a round that a coordinator keeps to open what it can.
const MAX_POOLED: u64 = 250_000_000;
/// Largest rho that noise may cost: its epsilon is below a million at every delta.
const MOST_SPENT: f64 = 9e5;
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
    found.searches(scenario);
    found.adversaries(scenario);
    found.betrayal(scenario);
    if found.0.is_empty() {
        found.sum(scenario);
    }
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
        let idle = scenario.training.rounds == 0 && scenario.search.hours == 0;
        self.when(idle, &["training.rounds", "search.hours"], || {
            "nothing happens: training.rounds and search.hours are both 0; set one of them"
                .to_owned()
        });
        let rounds = u64::from(scenario.training.rounds) + 1;
        let lines = u64::from(scenario.repeats) * (rounds + u64::from(scenario.search.hours));
        let fields = &["repeats", "training.rounds", "search.hours"];
        self.when(lines > MAX_LINES as u64, fields, || {
            format!("{lines} rounds and hours are measured in {} repeats; at most {MAX_LINES} can be read back: lower repeats or training.rounds", scenario.repeats)
        });
        let Learner::Surrogate { values, .. } = scenario.learner else { return };
        if scenario.training.rounds == 0 {
            return;
        }
        let points = u64::from(values) * u64::from(scenario.data.topics);
        self.when(points > MAX_POINTS, &["learner.values", "data.topics"], || {
            format!(
                "points of {} topics with {values} values each are {points} numbers; at most {MAX_POINTS} fit: lower learner.values or data.topics",
                scenario.data.topics
            )
        });
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
        self.when(made_up && data.split.is_some(), &["data.split"], || {
            "data.split names a split of a folder, and none is given; set data.folder, or leave data.split out".to_owned()
        });
        let found = matches!(scenario.learner, Learner::Embedder { found: 1.., .. });
        self.when(made_up && found, &["learner.found"], || {
            "learner.found chooses among the answers of a folder, and none is given; set data.folder, or leave learner.found out".to_owned()
        });
        self.when(data.split.as_deref() == Some("train"), &["data.split"], || {
            "data.split is train, which peers learn from; name another one to judge by".to_owned()
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
        self.when(scenario.search.hours > 0 && passages > MAX_PASSAGES, &["search.passages", "peers"], || {
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
        if !sums(scenario) {
            return;
        }
        let cohort = participants(scenario);
        self.when(sum.min_cohort > cohort, &["sum.min_cohort", "training.cohort", "peers"], || {
            format!(
                "sum.min_cohort is {}, of at most {cohort} participants; lower it",
                sum.min_cohort
            )
        });
        self.when(peers > MAX_COHORT, &["peers"], || {
            format!("{peers} peers are more than the {MAX_COHORT} members of a group that learns together; lower peers")
        });
        self.when(cohort < LEAST_COHORT, &["training.cohort", "peers"], || {
            format!("{cohort} participants are fewer than the {LEAST_COHORT} that a sum takes; raise training.cohort or peers, or set training.algorithm to local")
        });
        let few = (1..LEAST_COHORT).contains(&sum.min_cohort);
        self.when(few, &["sum.min_cohort"], || {
            format!(
                "sum.min_cohort is {}, and a sum takes {LEAST_COHORT} at least; raise it, or set 0 for what dropouts leave",
                sum.min_cohort
            )
        });
        let complete = sum.topology == Topology::Complete;
        self.when(complete && cohort > MAX_COMPLETE_COHORT, &["sum.topology", "training.cohort", "peers"], || {
            format!("{cohort} participants are more than the {MAX_COMPLETE_COHORT} of sum.topology complete; set sparse or auto")
        });
    }

    /// Whether every cohort that a round may have gives a sum that its participants agree to. It takes a moment for large ones, so all else comes first.
    fn sum(&mut self, scenario: &Scenario) {
        if !sums(scenario) {
            return;
        }
        let parameters = parameters(scenario, scenario.peers);
        let (least, most) = (parameters.min_cohort, parameters.max_cohort);
        let said = || {
            format!(
                "sums of {least} to {most} participants with sum.dropout {} and sum.collusion {}",
                scenario.sum.dropout, scenario.sum.collusion
            )
        };
        const FIELDS: &[&str] = &[
            "sum.collusion",
            "sum.dropout",
            "sum.min_cohort",
            "sum.topology",
            "training.cohort",
            "peers",
        ];
        let advice = "lower sum.dropout or sum.collusion, or take more participants";
        match parameters.sharers().map(|sharers| sharers.honest()) {
            Err(fault) => self.when(true, FIELDS, || format!("{} cannot be: {fault}; {advice}", said())),
            Ok(honest) => self.when(honest < LEAST_HONEST, FIELDS, || {
                format!("{} may be of {honest} honest ones alone, and peers demand {LEAST_HONEST}; {advice}", said())
            }),
        }
    }

    fn privacy(&mut self, scenario: &Scenario) {
        let both = scenario.privacy.epsilon.is_some() && scenario.privacy.noise.is_some();
        self.when(both, &["privacy.noise", "privacy.epsilon"], || {
            "privacy.epsilon and privacy.noise are both given, and each follows from the other; leave one out".to_owned()
        });
        let noise = scenario.privacy.is_noisy();
        if let Some(noise) = scenario.privacy.noise {
            let cost = f64::from(scenario.training.rounds) / (2.0 * noise * noise);
            self.when(cost > MOST_SPENT, &["privacy.noise"], || {
                format!("privacy.noise is {noise}, which hides nothing: its rounds would cost a rho of {cost:.0}, beyond what ledgers of peers let pass; raise it, or leave it out")
            });
        }
        self.when(noise && scenario.training.weighted, &["training.weighted"], || {
            "training.weighted is true, and weights would need noise of their own, which is not simulated; leave it out, or privacy.epsilon and privacy.noise".to_owned()
        });
        let documents = scenario.privacy.unit == Unit::Document && sums(scenario);
        self.when(documents && scenario.training.weighted, &["training.weighted", "privacy.unit"], || {
            "training.weighted is true, and a weight tells of all documents of a peer, where privacy.unit is document; leave it out".to_owned()
        });
        let Learner::Surrogate { values, .. } = scenario.learner else { return };
        let numbers = u64::from(values) * u64::from(scenario.privacy.documents);
        self.when(documents && numbers > u64::from(MAX_ENTRIES), &["privacy.documents", "learner.values"], || {
            format!(
                "privacy.documents is {}, and gradients of so many with {values} values are {numbers} numbers of a peer; at most {MAX_ENTRIES} fit: lower it",
                scenario.privacy.documents
            )
        });
    }

    fn searches(&mut self, scenario: &Scenario) {
        let Scenario { search, network, availability, .. } = scenario;
        let floods = scenario.adversaries.iter().filter(|it| it.attack == Attack::Flood);
        let more: f64 = floods.map(|it| it.share * (it.strength - 1.0).max(0.0)).sum();
        let each = f64::from(scenario.peers) * search.per_hour * (1.0 + more);
        let questions = (each * f64::from(search.hours)).round();
        self.when(questions > MAX_QUESTIONS, &["search.per_hour", "search.hours", "adversaries", "peers"], || {
            format!("some {questions} questions are asked in a repeat; at most {MAX_QUESTIONS}: lower search.per_hour or search.hours")
        });
        // What slows messages down or cuts peers off is there for rounds alone.
        let only = search.hours > 0 && scenario.training.rounds == 0;
        let mut unheard = |wrong: bool, field: &'static [&'static str]| {
            self.when(only && wrong, field, || {
                format!(
                    "{} says how rounds go, and there are none: searches take no notice of it; leave it out, or set training.rounds",
                    field[0]
                )
            });
        };
        unheard(network.bandwidth_mbit[1] > 0.0, &["network.bandwidth_mbit"]);
        unheard(!network.cuts.is_empty(), &["network.cuts"]);
        unheard(availability.stragglers > 0.0, &["availability.stragglers"]);
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
        let mut cuts = scenario.network.cuts.clone();
        cuts.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let overlap = cuts.windows(2).find(|two| two[0].at_s + two[0].for_s > two[1].at_s);
        if let Some([first, second]) = overlap {
            self.when(true, &["network.cuts"], || {
                format!(
                    "one of network.cuts begins at {} s, when that from {} s on is not over; have them follow each other",
                    second.at_s, first.at_s
                )
            });
        }
    }

    fn adversaries(&mut self, scenario: &Scenario) {
        let (rounds, hours) = (scenario.training.rounds, scenario.search.hours);
        let any = |of: fn(Attack) -> bool| scenario.adversaries.iter().any(|it| of(it.attack));
        self.when(any(Attack::is_on_searches) && hours == 0, &["adversaries", "search.hours"], || {
            "adversaries attack searches, and there are none; set search.hours, or leave them out"
                .to_owned()
        });
        self.when(any(Attack::spoils_values) && rounds == 0, &["adversaries", "training.rounds"], || {
            "adversaries attack rounds, and there are none; set training.rounds, or leave them out"
                .to_owned()
        });
        let share: f64 = scenario.adversaries.iter().map(|kind| kind.share).sum();
        self.when(share > MAX_ADVERSARIES + TINY, &["adversaries"], || {
            format!("the shares of adversaries are {share} together; at most {MAX_ADVERSARIES}")
        });
        let forged = |it: &&super::Adversary| it.attack == Attack::ForgeScores && it.strength > 1.0;
        if let Some(of) = scenario.adversaries.iter().find(forged) {
            self.when(true, &["adversaries"], || {
                format!(
                    "the strength of forge-scores is {}; it is the score that forged texts claim, which is at most 1",
                    of.strength
                )
            });
        }
    }
}

impl Found {
    /// A coordinator that lies, or peers that collude with it.
    fn betrayal(&mut self, scenario: &Scenario) {
        let lies = scenario.coordinator.lies;
        let (fields, what): (&'static [&'static str], String) = match lies {
            Lies::None if !colludes(scenario) => return,
            Lies::None => (&["adversaries"], "adversaries collude with the coordinator".to_owned()),
            Lies::SwappedKeys
            | Lies::TwoSets
            | Lies::TwoModels
            | Lies::SmallCohort
            | Lies::Replay => {
                (&["coordinator.lies"], format!("coordinator.lies is {}", name(lies)))
            }
        };
        if !sums(scenario) {
            return self.when(true, fields, || {
                format!("{what}, and nothing is summed: set training.rounds and an algorithm that sums, or leave it out")
            });
        }
        self.when(!scenario.sum.secure, fields, || {
            format!("{what}, and sum.secure is false: words that are added in the clear hide nothing from anybody; set sum.secure to true")
        });
        let any_graph = matches!(lies, Lies::None | Lies::Replay);
        self.when(!any_graph && is_sparse(scenario, scenario.peers), fields, || {
            format!("{what}, which is told to participants who all know each other; take at most {MOST_COMPLETE} of them, or set sum.topology to complete")
        });
        let rounds = scenario.training.rounds;
        self.when(lies == Lies::Replay && rounds < FIRST_REPLAYED, &["training.rounds", "coordinator.lies"], || {
            format!("training.rounds is {rounds}, and a plan is replayed from round {FIRST_REPLAYED} on; raise it")
        });
        let Learner::Surrogate { values, .. } = scenario.learner else { return };
        let sent = u64::from(values) * u64::from(participants(scenario));
        let kept = sent.saturating_mul(scenario.sum.attempts.into());
        self.when(kept > MAX_POOLED, &["learner.values", "training.cohort", "peers", "coordinator.lies"], || {
            format!("{what}, and it keeps the {kept} numbers of all attempts at a round to see what it can open; at most {MAX_POOLED} fit: lower learner.values or sum.attempts")
        });
    }
}

/// Whether some collude with the coordinator.
fn colludes(scenario: &Scenario) -> bool {
    scenario.adversaries.iter().any(|it| it.attack == Attack::Collude && it.share > 0.0)
}

/// A choice as scenarios call it.
fn name(of: impl serde::Serialize) -> String {
    let name = toml::Value::try_from(of).ok();
    name.and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether updates are summed.
fn sums(scenario: &Scenario) -> bool {
    scenario.training.rounds > 0 && scenario.training.algorithm.sums()
}

/// Most who take part in a round.
fn participants(scenario: &Scenario) -> u32 {
    scenario.training.participants(scenario.peers)
}
