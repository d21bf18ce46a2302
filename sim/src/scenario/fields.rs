//! Every field of a scenario and what it may be; how a table is held against them.

use covey_privacy::encode::MAX_UNITS;
use covey_protocol::limits::{
    MAX_BATCH, MAX_ENTRIES, MAX_MEMBERS, MAX_ROUND_ATTEMPTS, MAX_ROUND_LENGTH_MS,
};
use toml::{Table, Value};

use super::error::Problem;
use super::given::Given;
use super::names::{join, nearest, pattern};
use super::rule::{Rule, shown};

/// Most peers.
pub const MAX_PEERS: u64 = 100_000;
/// Most rounds.
pub const MAX_ROUNDS: u64 = 10_000;
/// Most examples.
pub const MAX_EXAMPLES: u64 = 10_000_000;
/// Most topics.
pub const MAX_TOPICS: u64 = 1_000;
/// Most hours of questions: more than a year.
const MAX_HOURS: u64 = 10_000;
/// Most entries of a list.
const MAX_LIST: usize = 100;
/// Largest seed: what a whole number of TOML holds, less room for repeats.
const MAX_SEED: u64 = (1 << 63) - 1 - MAX_REPEATS;
const MAX_REPEATS: u64 = 1_000;
/// Longest phase, in seconds.
const MAX_PHASE_S: u64 = MAX_ROUND_LENGTH_MS / 1_000 / 8;
/// Longest virtual time, in seconds: a year.
const YEAR_S: f64 = 366.0 * 86_400.0;
/// Longest delay or step, in milliseconds: an hour.
const HOUR_MS: f64 = 3_600_000.0;

/// A field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Where it is, with `*` for any entry of a list.
    pub path: &'static str,
    /// What it says, for people.
    pub about: &'static str,
    /// What it may be.
    pub rule: Rule,
    /// Whether it may be left out, which is something else than its default.
    pub optional: bool,
    /// Whether it has to be there, as it has no default.
    pub needed: bool,
    /// The kind of learner that it belongs to, if to one.
    pub of: Option<&'static str>,
}

const fn field(path: &'static str, about: &'static str, rule: Rule) -> Field {
    Field { path, about, rule, optional: false, needed: false, of: None }
}

impl Field {
    const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    const fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    const fn of(self, kind: &'static str) -> Self {
        Self { of: Some(kind), ..self }
    }
}

const SHARE: Rule = Rule::number(0.0, 1.0);
/// In thousandths, as secure sums count them.
const LESS_THAN_HALF: Rule = Rule::number(0.0, 0.499);
const ALGORITHMS: &[&str] = &["average", "momentum", "adagrad", "adam", "yogi", "local", "central"];
/// For who looks for an algorithm by its name in papers.
const PAPERS: &str =
    "; FedAvg is average, FedProx is average with training.mu above 0, FedAdam is adam";
const ATTACKS: &[&str] =
    &["scale", "sign-flip", "garbage", "poison", "forge-scores", "flood", "collude"];
const LIES: &[&str] = &["none", "swapped-keys", "two-sets", "two-models", "small-cohort", "replay"];

/// Every field.
pub const FIELDS: &[Field] = &[
    field("name", "what it is called, in reports and folders", Rule::Name),
    field("about", "what it is there to show, in a sentence", Rule::Text(400)),
    field("seed", "where all randomness comes from", Rule::whole(0, MAX_SEED)),
    field("repeats", "runs with this seed and those that follow it; reports show a band over them", Rule::whole(1, MAX_REPEATS)),
    field("peers", "how many peers there are", Rule::whole(1, MAX_PEERS)),
    field("data.folder", "a folder in BEIR's layout; without one, data is made up", Rule::Folder).optional(),
    field("data.split", "the split of the folder that judges: test if it is there, else dev, else the first other than train", Rule::Name).optional(),
    field("data.questions", "most questions of that split that judge; 0 for all", Rule::whole(0, MAX_EXAMPLES)),
    field("data.examples", "examples in all, where they are made up", Rule::whole(1, MAX_EXAMPLES)),
    field("data.partition", "how examples are dealt to peers: at random, by topic (dirichlet: shares; topics: a few each), by author", Rule::Choice(&["iid", "dirichlet", "topics", "author"])),
    field("data.topics", "topics: of made-up data, or that a folder's documents are clustered into", Rule::whole(1, MAX_TOPICS)),
    field("data.alpha", "concentration of dirichlet: the smaller, the more peers differ", Rule::number(0.001, 1_000.0)),
    field("data.topics_per_peer", "topics of each peer, where partition is topics", Rule::whole(1, MAX_TOPICS)),
    field("data.zipf", "by which power some have more examples than others; 0 for all the same", Rule::number(0.0, 4.0)),
    field("data.overlap", "share of each peer's examples that others have too", SHARE),
    field("learner.kind", "surrogate: a task with a known optimum that costs next to nothing; embedder: that of nodes", Rule::Choice(&["surrogate", "embedder"])),
    field("learner.values", "how many numbers are learnt", Rule::whole(1, MAX_ENTRIES as u64)).of("surrogate"),
    field("learner.heterogeneity", "how far topics lie apart, beside how far their middle is from the start", Rule::number(0.0, 100.0)).of("surrogate"),
    field("learner.model", "a folder with a model; the built-in one without", Rule::Folder).of("embedder").optional(),
    field("learner.rank", "rank of the adapter; without, a static model's full map, and 8 for a transformer", Rule::whole(1, 256)).of("embedder").optional(),
    field("learner.found", "learn only from answers that the model finds among so many as it is; 0 for all", Rule::whole(0, 1_000)).of("embedder"),
    field("training.algorithm", "how updates become a model; average is FedAvg, and FedProx with mu above 0", Rule::Choice(ALGORITHMS)),
    field("training.rounds", "rounds; 0 where nothing is trained", Rule::whole(0, MAX_ROUNDS)),
    field("training.cohort", "most peers asked to take part in a round; 0 for all", Rule::whole(0, MAX_PEERS)),
    field("training.epochs", "times that a peer looks at each of its examples in a round", Rule::whole(1, 1_000)),
    field("training.steps", "most steps of a peer in a round", Rule::whole(1, 1_000_000)),
    field("training.batch", "examples of a step", Rule::whole(2, MAX_BATCH as u64)),
    field("training.rate", "learning rate of peers", Rule::above(0.0, 1_000.0)),
    field("training.mu", "weight of FedProx's term", Rule::number(0.0, 1_000.0)),
    field("training.server_rate", "learning rate of the server", Rule::above(0.0, 1_000.0)),
    field("training.weighted", "whether updates count by their examples", Rule::Flag),
    field("training.judge_every", "rounds from one look at the quality to the next", Rule::whole(1, MAX_ROUNDS)),
    field("sum.secure", "whether sums are secure, or the same words are added in the clear", Rule::Flag),
    field("sum.topology", "who shares secrets with whom: auto is complete up to 100 participants, sparse above", Rule::Choice(&["auto", "complete", "sparse"])),
    field("sum.min_cohort", "fewest who take part in a round; 0 for what dropouts leave of all", Rule::whole(0, MAX_PEERS)),
    field("sum.dropout", "largest share of participants that may leave and still leaves a sum", LESS_THAN_HALF),
    field("sum.collusion", "largest share that may collude with the coordinator; noise and thresholds count on it", LESS_THAN_HALF),
    field("sum.attempts", "attempts at a round", Rule::whole(1, MAX_ROUND_ATTEMPTS as u64)),
    field("sum.window_s", "seconds from a plan to the end of checking in, training among them", Rule::whole(1, MAX_PHASE_S)),
    field("sum.phase_s", "seconds that a phase waits for those who are missing", Rule::whole(1, MAX_PHASE_S)),
    field("sum.upload_s", "and the phase in which vectors are sent", Rule::whole(1, MAX_PHASE_S)),
    field("privacy.epsilon", "epsilon of all rounds together; no noise without this or noise", Rule::above(0.0, 1_000.0)).optional(),
    field("privacy.noise", "noise on a round's sum as a multiple of the clip norm, in place of epsilon", Rule::above(0.0, 1_000.0)).optional(),
    field("privacy.unit", "what is hidden: all that a peer has, or each of its documents by itself", Rule::Choice(&["peer", "document"])),
    field("privacy.documents", "most documents of a peer that count in a round, where unit is document", Rule::whole(1, MAX_UNITS as u64)),
    field("privacy.delta", "delta", Rule::above(0.0, 0.01)),
    field("privacy.clip", "longest update of a peer, or gradient of a document", Rule::above(0.0, 1e6)),
    field("network.latency_ms", "one-way milliseconds, drawn between the two for each message", Rule::range(0.0, HOUR_MS)),
    field("network.bandwidth_mbit", "Mbit/s of a peer in rounds, drawn between the two; 0 for no limit", Rule::range(0.0, 1e6)),
    field("network.loss", "share of messages that are lost", Rule::number(0.0, 0.9)),
    field("network.cuts.*.at_s", "when a part of the peers is cut off, in seconds", Rule::number(0.0, YEAR_S)).needed(),
    field("network.cuts.*.for_s", "for how long", Rule::above(0.0, YEAR_S)).needed(),
    field("network.cuts.*.share", "what share of the peers", Rule::above(0.0, 1.0)).needed(),
    field("availability.dropout.training", "share of participants that leave while they train", SHARE),
    field("availability.dropout.keys", "after their keys are known", SHARE),
    field("availability.dropout.shares", "after they have dealt shares", SHARE),
    field("availability.dropout.upload", "in the middle of sending their vector", SHARE),
    field("availability.dropout.survivors", "before they agree to who survived", SHARE),
    field("availability.dropout.opening", "before they open shares", SHARE),
    field("availability.step_ms", "milliseconds of a peer's step of training, drawn between the two", Rule::range(0.0, HOUR_MS)),
    field("availability.stragglers", "share of peers that are slow in rounds", SHARE),
    field("availability.slowdown", "how many times as long their steps take", Rule::number(1.0, 1_000.0)),
    field("availability.away", "share of each day that a peer is away", Rule::number(0.0, 0.99)),
    field("availability.churn_per_hour", "share of members replaced in an hour of questions", SHARE),
    field("adversaries.*.attack", "what they do, see the guide", Rule::Choice(ATTACKS)).needed(),
    field("adversaries.*.share", "what share of the peers they are", Rule::number(0.0, 0.5)).needed(),
    field("adversaries.*.strength", "how hard: what each attack makes of it is in the guide", Rule::above(0.0, 1e6)),
    field("coordinator.lies", "what the coordinator lies about in every round", Rule::Choice(LIES)),
    field("search.hours", "hours in which peers ask each other; 0 where nobody asks", Rule::whole(0, MAX_HOURS)),
    field("search.per_hour", "questions of a peer in an hour", Rule::above(0.0, 1_000.0)),
    field("search.group", "members of each group", Rule::whole(2, MAX_MEMBERS as u64)),
    field("search.passages", "passages of each peer that shares any", Rule::whole(1, 10_000)),
    field("search.sharing", "share of peers that share theirs", Rule::number(0.0, 1.0)),
];

/// The field at `pattern`.
pub(super) fn find(pattern: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.path == pattern)
}

/// Whether `pattern` is a list of tables.
pub(super) fn is_list(pattern: &str) -> bool {
    is_table(&format!("{pattern}.*"))
}

fn is_table(pattern: &str) -> bool {
    let within =
        |field: &Field| field.path.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('.'));
    FIELDS.iter().any(within)
}

/// All that is wrong with what was given, field by field.
pub(super) fn problems(given: &Given) -> Vec<Problem> {
    let mut walk = Walk { given, found: Vec::new() };
    walk.table("", &given.table);
    walk.found
}

struct Walk<'a> {
    given: &'a Given,
    found: Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &Table) {
        for (key, value) in table {
            // A quoted key with a dot in it is not the field that it spells.
            if key.contains('.') {
                let what = format!("there is no field {key:?} {}", within(path));
                self.says(&join(path, key), what);
            } else {
                self.value(&join(path, key), value);
            }
        }
        let here = pattern(path);
        for field in FIELDS.iter().filter(|field| field.needed) {
            let Some((parent, name)) = field.path.rsplit_once('.') else { continue };
            if parent == here && !table.contains_key(name) {
                self.says(path, format!("{path}.{name} is missing; it has to be {}", field.rule));
            }
        }
    }

    fn value(&mut self, path: &str, value: &Value) {
        let pattern = pattern(path);
        if let Some(field) = find(&pattern) {
            return self.field(path, field, value);
        }
        let list = is_list(&pattern);
        match value {
            Value::Array(entries) if list && entries.len() > MAX_LIST => {
                let many = entries.len();
                self.says(path, format!("{path} has {many} entries; it has at most {MAX_LIST}"));
            }
            Value::Array(entries) if list => {
                for (number, entry) in entries.iter().enumerate() {
                    self.value(&join(path, &number.to_string()), entry);
                }
            }
            Value::Table(table) if !list && is_table(&pattern) => self.table(path, table),
            other if list => self.says(
                path,
                format!("{path} is {}; it has to be a list, written as [[{path}]]", shown(other)),
            ),
            other if is_table(&pattern) => self.says(
                path,
                format!("{path} is {}; it has to be a table, written as [{path}]", shown(other)),
            ),
            Value::Array(_)
            | Value::Table(_)
            | Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_) => self.unknown(path, &pattern),
        }
    }

    fn field(&mut self, path: &str, field: &Field, value: &Value) {
        let kind = self.given.learner();
        if let Some(of) = field.of.filter(|of| kind.is_some_and(|kind| kind != *of)) {
            let what = format!("{path} belongs to learner.kind = {of:?} alone; leave it out");
            self.says(path, what);
        } else if !field.rule.holds(value) {
            let hint = match field.rule {
                Rule::Folder => format!(", as with --set {path}=FOLDER"),
                Rule::Choice(ALGORITHMS) => PAPERS.to_owned(),
                _ => String::new(),
            };
            let what = format!("{path} is {}; it has to be {}{hint}", shown(value), field.rule);
            self.says(path, what);
        }
    }

    fn unknown(&mut self, path: &str, pattern: &str) {
        let (parent, _) = path.rsplit_once('.').unwrap_or_default();
        let what = match nearest(pattern, FIELDS.iter().map(|field| field.path)) {
            Some(name) => {
                // In the same list it is the same entry.
                let own =
                    name.rsplit_once('.').filter(|(table, _)| *table == self::pattern(parent));
                let name = own.map_or_else(|| name.to_owned(), |(_, name)| join(parent, name));
                format!("there is no field {path}; did you mean {name}?")
            }
            None => format!("there is no field {path} {}", within(parent)),
        };
        self.says(path, what);
    }

    fn says(&mut self, path: &str, what: String) {
        self.found.push(Problem { place: self.given.place(path), what });
    }
}

/// What there is in the table at `path`, for a message.
fn within(path: &str) -> String {
    let parent = pattern(path);
    let mut names: Vec<&str> = Vec::new();
    for field in FIELDS {
        let rest = if parent.is_empty() {
            Some(field.path)
        } else {
            field.path.strip_prefix(&parent).and_then(|rest| rest.strip_prefix('.'))
        };
        let name = rest.map(|rest| rest.split('.').next().unwrap_or(rest));
        names.extend(name.filter(|name| names.last() != Some(name)));
    }
    let place = if path.is_empty() { "at the top".to_owned() } else { format!("in {path}") };
    format!("{place}; those that are there: {}", names.join(", "))
}
