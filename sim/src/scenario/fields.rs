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
    /// What it may be.
    pub rule: Rule,
    /// Whether it may be left out, which is something else than its default.
    pub optional: bool,
    /// Whether it has to be there, as it has no default.
    pub needed: bool,
    /// The kind of learner that it belongs to, if to one.
    pub of: Option<&'static str>,
}

const fn field(path: &'static str, rule: Rule) -> Field {
    Field { path, rule, optional: false, needed: false, of: None }
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
const ATTACKS: &[&str] =
    &["scale", "sign-flip", "garbage", "poison", "forge-scores", "flood", "collude"];
const LIES: &[&str] = &["none", "swapped-keys", "two-sets", "two-models", "small-cohort", "replay"];

/// Every field.
pub const FIELDS: &[Field] = &[
    field("name", Rule::Name),
    field("about", Rule::Text(400)),
    field("seed", Rule::whole(0, MAX_SEED)),
    field("repeats", Rule::whole(1, MAX_REPEATS)),
    field("peers", Rule::whole(1, MAX_PEERS)),
    field("data.folder", Rule::Folder).optional(),
    field("data.split", Rule::Name).optional(),
    field("data.questions", Rule::whole(0, MAX_EXAMPLES)),
    field("data.examples", Rule::whole(1, MAX_EXAMPLES)),
    field("data.partition", Rule::Choice(&["iid", "dirichlet", "topics", "author"])),
    field("data.topics", Rule::whole(1, MAX_TOPICS)),
    field("data.alpha", Rule::number(0.001, 1_000.0)),
    field("data.topics_per_peer", Rule::whole(1, MAX_TOPICS)),
    field("data.zipf", Rule::number(0.0, 4.0)),
    field("data.overlap", SHARE),
    field("learner.kind", Rule::Choice(&["surrogate", "embedder"])),
    field("learner.values", Rule::whole(1, MAX_ENTRIES as u64)).of("surrogate"),
    field("learner.heterogeneity", Rule::number(0.0, 100.0)).of("surrogate"),
    field("learner.model", Rule::Folder).of("embedder").optional(),
    field("learner.rank", Rule::whole(1, 256)).of("embedder").optional(),
    field("learner.found", Rule::whole(0, 1_000)).of("embedder"),
    field("training.algorithm", Rule::Choice(ALGORITHMS)),
    field("training.rounds", Rule::whole(0, MAX_ROUNDS)),
    field("training.cohort", Rule::whole(0, MAX_PEERS)),
    field("training.epochs", Rule::whole(1, 1_000)),
    field("training.steps", Rule::whole(1, 1_000_000)),
    field("training.batch", Rule::whole(2, MAX_BATCH as u64)),
    field("training.rate", Rule::above(0.0, 1_000.0)),
    field("training.mu", Rule::number(0.0, 1_000.0)),
    field("training.server_rate", Rule::above(0.0, 1_000.0)),
    field("training.weighted", Rule::Flag),
    field("training.judge_every", Rule::whole(1, MAX_ROUNDS)),
    field("sum.secure", Rule::Flag),
    field("sum.topology", Rule::Choice(&["auto", "complete", "sparse"])),
    field("sum.min_cohort", Rule::whole(0, MAX_PEERS)),
    field("sum.dropout", LESS_THAN_HALF),
    field("sum.collusion", LESS_THAN_HALF),
    field("sum.attempts", Rule::whole(1, MAX_ROUND_ATTEMPTS as u64)),
    field("sum.window_s", Rule::whole(1, MAX_PHASE_S)),
    field("sum.phase_s", Rule::whole(1, MAX_PHASE_S)),
    field("sum.upload_s", Rule::whole(1, MAX_PHASE_S)),
    field("privacy.epsilon", Rule::above(0.0, 1_000.0)).optional(),
    field("privacy.noise", Rule::above(0.0, 1_000.0)).optional(),
    field("privacy.unit", Rule::Choice(&["peer", "document"])),
    field("privacy.documents", Rule::whole(1, MAX_UNITS as u64)),
    field("privacy.delta", Rule::above(0.0, 0.01)),
    field("privacy.clip", Rule::above(0.0, 1e6)),
    field("network.latency_ms", Rule::range(0.0, HOUR_MS)),
    field("network.bandwidth_mbit", Rule::range(0.0, 1e6)),
    field("network.loss", Rule::number(0.0, 0.9)),
    field("network.cuts.*.at_s", Rule::number(0.0, YEAR_S)).needed(),
    field("network.cuts.*.for_s", Rule::above(0.0, YEAR_S)).needed(),
    field("network.cuts.*.share", Rule::above(0.0, 1.0)).needed(),
    field("availability.dropout.training", SHARE),
    field("availability.dropout.keys", SHARE),
    field("availability.dropout.shares", SHARE),
    field("availability.dropout.upload", SHARE),
    field("availability.dropout.survivors", SHARE),
    field("availability.dropout.opening", SHARE),
    field("availability.step_ms", Rule::range(0.0, HOUR_MS)),
    field("availability.stragglers", SHARE),
    field("availability.slowdown", Rule::number(1.0, 1_000.0)),
    field("availability.away", Rule::number(0.0, 0.99)),
    field("availability.churn_per_hour", SHARE),
    field("adversaries.*.attack", Rule::Choice(ATTACKS)).needed(),
    field("adversaries.*.share", Rule::number(0.0, 0.5)).needed(),
    field("adversaries.*.strength", Rule::above(0.0, 1e6)),
    field("coordinator.lies", Rule::Choice(LIES)),
    field("search.hours", Rule::whole(0, MAX_HOURS)),
    field("search.per_hour", Rule::above(0.0, 1_000.0)),
    field("search.group", Rule::whole(2, MAX_MEMBERS as u64)),
    field("search.passages", Rule::whole(1, 10_000)),
    field("search.sharing", Rule::number(0.0, 1.0)),
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
