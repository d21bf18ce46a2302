//! What was given: the defaults, a file over them and overrides over that, and where each value comes from.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::error::{Place, Problem, ScenarioError};
use super::fields::{find, is_list};
use super::names::{join, pattern};
use super::rule::Rule;

/// Longest file, in bytes.
const MAX_TEXT: usize = 256 * 1024;
/// Longest line, in bytes; with it, how deep dotted keys nest.
const MAX_LINE: usize = 1_000;
/// Deepest table.
const MAX_DEPTH: usize = 8;

/// A tree of values, and where they were given.
pub(super) struct Given {
    /// The values.
    pub(super) table: Table,
    places: BTreeMap<String, Place>,
}

impl Given {
    /// These values, given nowhere.
    pub(super) fn from_table(table: Table) -> Self {
        Self { table, places: BTreeMap::new() }
    }

    /// Where the value at `path` was given, or the table that it is missing in.
    pub(super) fn place(&self, path: &str) -> Option<Place> {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return Some(place.clone());
            }
            path = path.rsplit_once('.')?.0;
        }
    }

    /// Where the value at `path` itself was given.
    pub(super) fn own_place(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }

    /// The kind of learner.
    pub(super) fn learner(&self) -> Option<&str> {
        self.table.get("learner")?.get("kind")?.as_str()
    }

    /// Takes what a file says.
    pub(super) fn read(&mut self, text: &str) -> Result<(), ScenarioError> {
        let lines = Lines::new(text)?;
        let read = DeTable::parse(text).map_err(|error| {
            let place = error.span().map(|span| lines.at(span.start));
            ScenarioError::one(place, format!("this is no TOML: {}", error.message()))
        })?;
        let mut reading = Reading { lines: &lines, places: &mut self.places, deep: Vec::new() };
        reading.merge(&mut self.table, read.get_ref(), "");
        ScenarioError::unless_empty(reading.deep)
    }

    /// Takes an override: `value` is TOML, or a text without quotes. An empty one takes back a field
    /// that may be left out; the number of an entry that is not there yet adds one.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), ScenarioError> {
        let (key, value) = (key.trim(), value.trim());
        let place = Place::Set(format!("{key}={value}"));
        let wrong = |what: String| ScenarioError::one(Some(place.clone()), what);
        let parts: Vec<&str> = key.split('.').collect();
        if key.len() + value.len() > MAX_LINE || parts.len() > MAX_DEPTH {
            return Err(wrong(format!(
                "it is longer than {MAX_LINE} bytes, or deeper than {MAX_DEPTH} tables"
            )));
        }
        if parts.iter().any(|part| part.is_empty()) {
            return Err(wrong("it has to be key=value, as in training.rate=0.1".to_owned()));
        }
        let field = find(&pattern(key));
        if value.is_empty() && field.is_some_and(|field| field.optional) {
            self.forget(key);
            take_out(&mut self.table, &parts);
            return Ok(());
        }
        let value = scalar_or_toml(value, field.map(|field| &field.rule));
        if key == "learner.kind" && self.learner() != value.as_str() {
            self.forget("learner");
            self.table.insert("learner".to_owned(), Value::Table(Table::new()));
        }
        put(&mut self.table, &parts, value).map_err(wrong)?;
        self.forget(key);
        for (dot, _) in key.match_indices('.') {
            self.places.entry(key[..dot].to_owned()).or_insert_with(|| place.clone());
        }
        self.places.insert(key.to_owned(), place);
        Ok(())
    }

    fn forget(&mut self, path: &str) {
        let within = format!("{path}.");
        self.places.retain(|place, _| place != path && !place.starts_with(&within));
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Result<Self, ScenarioError> {
        if text.len() > MAX_TEXT {
            let what = format!("it is longer than {MAX_TEXT} bytes, which no scenario is");
            return Err(ScenarioError::one(None, what));
        }
        let mut starts = vec![0];
        starts.extend(text.match_indices('\n').map(|(at, _)| at + 1));
        let mut ends = starts.iter().skip(1).copied().chain([text.len()]);
        let long =
            starts.iter().position(|start| ends.next().is_some_and(|end| end - start > MAX_LINE));
        match long {
            Some(line) => Err(ScenarioError::one(
                Some(Place::Line(line + 1)),
                format!("the line is longer than {MAX_LINE} bytes; break it"),
            )),
            None => Ok(Self(starts)),
        }
    }

    fn at(&self, byte: usize) -> Place {
        Place::Line(self.0.partition_point(|start| *start <= byte))
    }
}

/// A file on its way into the tree.
struct Reading<'a> {
    lines: &'a Lines,
    places: &'a mut BTreeMap<String, Place>,
    deep: Vec<Problem>,
}

impl Reading<'_> {
    fn merge(&mut self, into: &mut Table, from: &DeTable<'_>, path: &str) {
        if path == "learner" {
            let kind = |value: &Value| value.as_str().map(str::to_owned);
            let given =
                from.get("kind").and_then(|kind| kind.get_ref().as_str().map(str::to_owned));
            if given.is_some() && given != into.get("kind").and_then(kind) {
                into.clear();
            }
        }
        for (key, value) in from {
            let path = join(path, key.get_ref());
            let place = self.lines.at(key.span().start);
            self.places.insert(path.clone(), place);
            match (into.get_mut(key.get_ref().as_ref()), value.get_ref()) {
                (Some(Value::Table(into)), DeValue::Table(from)) => self.merge(into, from, &path),
                (_, value) => {
                    let value = self.value(value, &path, 1);
                    into.insert(key.get_ref().to_string(), value);
                }
            }
        }
    }

    fn value(&mut self, value: &DeValue<'_>, path: &str, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            let what =
                format!("{path} lies deeper than {MAX_DEPTH} tables, where there are no fields");
            let place = path.split('.').next().and_then(|top| self.places.get(top).cloned());
            self.deep.push(Problem { place, what });
            return Value::Boolean(false);
        }
        match value {
            DeValue::Table(table) => {
                let mut into = Table::new();
                for (key, value) in table {
                    let path = join(path, key.get_ref());
                    self.places.insert(path.clone(), self.lines.at(key.span().start));
                    let value = self.value(value.get_ref(), &path, depth + 1);
                    into.insert(key.get_ref().to_string(), value);
                }
                Value::Table(into)
            }
            DeValue::Array(entries) => {
                let entries = entries.iter().enumerate().map(|(number, entry)| {
                    let path = join(path, &number.to_string());
                    self.places.insert(path.clone(), self.lines.at(entry.span().start));
                    self.value(entry.get_ref(), &path, depth + 1)
                });
                Value::Array(entries.collect())
            }
            scalar => whole(plain(scalar), find(&pattern(path)).map(|field| &field.rule)),
        }
    }
}

/// A value without places. Numbers that no field can hold become floats, which then are refused by their rule.
fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(whole) => i64::from_str_radix(whole.as_str(), whole.radix())
            .map_or(Value::Float(f64::INFINITY), Value::Integer),
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(entries) => {
            Value::Array(entries.iter().map(|entry| plain(entry.get_ref())).collect())
        }
        DeValue::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| (key.get_ref().to_string(), plain(value.get_ref())))
                .collect(),
        ),
    }
}

/// A number as whole as its rule wants it, where it is written with a point, as in 2.0.
fn whole(value: Value, rule: Option<&Rule>) -> Value {
    /// Up to here floats are exact.
    const MOST: f64 = 9_007_199_254_740_992.0;
    match (value, rule) {
        (Value::Float(number), Some(Rule::Whole { .. }))
            if number.fract() == 0.0 && number.abs() <= MOST =>
        {
            Value::Integer(number as i64)
        }
        (value, _) => value,
    }
}

/// An override's value: TOML where it is, else a text. Where a text is wanted, everything is one.
fn scalar_or_toml(text: &str, rule: Option<&Rule>) -> Value {
    let parsed = DeValue::parse(text).ok().map(|value| plain(value.get_ref()));
    let wants_text = rule.is_some_and(|rule| rule.is_text());
    match parsed {
        Some(Value::String(text)) => Value::String(text),
        Some(value) if !wants_text => whole(value, rule),
        // Rust reads some numbers that TOML does not, such as .5.
        _ if rule.is_some_and(|rule| rule.is_number()) => {
            text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Float)
        }
        _ => Value::String(text.to_owned()),
    }
}

/// Puts `value` where `parts` say.
pub(super) fn put(table: &mut Table, parts: &[&str], value: Value) -> Result<(), String> {
    let Some((last, before)) = parts.split_last() else { return Ok(()) };
    let mut at = table;
    let mut path = String::new();
    let mut before = before.iter();
    while let Some(part) = before.next() {
        path = join(&path, part);
        let entry = at.entry((*part).to_owned()).or_insert_with(|| Value::Table(Table::new()));
        at = match entry {
            Value::Table(table) => table,
            Value::Array(entries) => {
                let Some(number) = before.next() else {
                    return put_entry(entries, &path, last, value);
                };
                let list = is_list(&pattern(&path));
                let place = entry_at(entries, &path, number, list)?;
                path = join(&path, number);
                match place {
                    Value::Table(table) => table,
                    other => return Err(format!("{path} is {other}, which has no fields")),
                }
            }
            other => return Err(format!("{path} is {other}, which has no fields")),
        };
    }
    at.insert((*last).to_owned(), value);
    Ok(())
}

fn put_entry(
    entries: &mut Vec<Value>,
    path: &str,
    number: &str,
    value: Value,
) -> Result<(), String> {
    let list = is_list(&pattern(path));
    *entry_at(entries, path, number, list)? = value;
    Ok(())
}

/// The entry of that number, which may be one new one at the end where the list can grow.
fn entry_at<'a>(
    entries: &'a mut Vec<Value>,
    path: &str,
    number: &str,
    grows: bool,
) -> Result<&'a mut Value, String> {
    let many = entries.len();
    let wrong = || {
        let end = if grows { ", and the next number adds one" } else { "" };
        format!("{path} has {many} entries, numbered from 0{end}; {number:?} is none of them")
    };
    let at: usize = number.parse().map_err(|_| wrong())?;
    if grows && at == many {
        entries.push(Value::Table(Table::new()));
    }
    entries.get_mut(at).ok_or_else(wrong)
}

fn take_out(table: &mut Table, parts: &[&str]) {
    match parts {
        [] => {}
        [last] => {
            table.remove(*last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Table(table)) = table.get_mut(*first) {
                take_out(table, rest);
            }
        }
    }
}
