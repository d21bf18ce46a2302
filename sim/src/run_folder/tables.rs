//! What was measured as tables, for whoever has their own tools.

use std::collections::BTreeSet;

use crate::metrics::{RoundMetric, SearchMetric};
use crate::report::Measured;

/// A table, column by column.
pub(super) struct Table(pub(super) Vec<(String, Column)>);

/// What is in a column, line by line.
pub(super) enum Column {
    Whole(Vec<Option<u64>>),
    Real(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
}

/// A line for each round of each seed; none where there are no rounds. Phases have columns of their own.
pub(super) fn rounds(measured: &Measured<'_>) -> Option<Table> {
    let rounds: Vec<&RoundMetric> = measured.rounds().collect();
    let phases: BTreeSet<&str> =
        rounds.iter().flat_map(|of| of.phases_s.keys().map(String::as_str)).collect();
    let mut table = Builder::new(&rounds);
    table.whole("seed", |of| of.seed);
    table.whole("round", |of| of.round.into());
    table.real("at_s", |of| of.at_s);
    table.whole("attempts", |of| of.attempts.into());
    table.add("failed", Column::Text, |of| of.failed.clone());
    table.whole("cohort", |of| of.cohort.into());
    table.whole("survivors", |of| of.survivors.into());
    table.add("quality", Column::Real, |of| of.quality);
    table.add("worst_decile", Column::Real, |of| of.worst_decile);
    table.add("peers_quality", Column::Real, |of| of.peers_quality);
    table.add("loss", Column::Real, |of| of.loss);
    table.add("norm", Column::Real, |of| of.norm);
    table.add("clipped", Column::Real, |of| of.clipped);
    table.add("epsilon", Column::Real, |of| of.epsilon);
    table.whole("up_bytes", |of| of.up_bytes);
    table.whole("down_bytes", |of| of.down_bytes);
    table.whole("most_up_bytes", |of| of.most_up_bytes);
    table.whole("most_down_bytes", |of| of.most_down_bytes);
    table.add("attack", Column::Real, |of| of.attack);
    table.add("refused", Column::Text, |of| of.refused_text());
    table.add("opened", Column::Whole, |of| of.opened.map(u64::from));
    table.add("exposed", Column::Whole, |of| of.exposed.map(u64::from));
    table.add("noise", Column::Real, |of| of.noise);
    for phase in phases {
        table.add(&format!("{phase}_s"), Column::Real, |of| of.phases_s.get(phase).copied());
    }
    table.done()
}

/// A line for each hour of each seed; none where nobody asked.
pub(super) fn searches(measured: &Measured<'_>) -> Option<Table> {
    let hours: Vec<&SearchMetric> = measured.searches().collect();
    let mut table = Builder::new(&hours);
    table.whole("seed", |of| of.seed);
    table.whole("hour", |of| of.hour.into());
    table.real("at_s", |of| of.at_s);
    table.whole("questions", |of| of.questions);
    table.whole("asked", |of| of.asked);
    table.whole("answered", |of| of.answered);
    table.whole("refused", |of| of.refused);
    table.whole("timed_out", |of| of.timed_out);
    table.whole("offline", |of| of.offline);
    table.add("recall", Column::Real, |of| of.recall);
    table.real("p50_ms", |of| of.p50_ms);
    table.real("p95_ms", |of| of.p95_ms);
    table.whole("bytes", |of| of.bytes);
    table.add("attack", Column::Real, |of| of.attack);
    table.add("harvested", Column::Real, |of| of.harvested);
    table.done()
}

/// A table of these lines while it is made.
struct Builder<'a, T> {
    lines: &'a [&'a T],
    columns: Vec<(String, Column)>,
}

impl<'a, T> Builder<'a, T> {
    fn new(lines: &'a [&'a T]) -> Self {
        Self { lines, columns: Vec::new() }
    }

    fn add<V>(
        &mut self,
        name: &str,
        column: impl Fn(Vec<Option<V>>) -> Column,
        value: impl Fn(&T) -> Option<V>,
    ) {
        let values = self.lines.iter().map(|line| value(line)).collect();
        self.columns.push((name.to_owned(), column(values)));
    }

    fn whole(&mut self, name: &str, value: impl Fn(&T) -> u64) {
        self.add(name, Column::Whole, |line| Some(value(line)));
    }

    fn real(&mut self, name: &str, value: impl Fn(&T) -> f64) {
        self.add(name, Column::Real, |line| Some(value(line)));
    }

    fn done(self) -> Option<Table> {
        (!self.lines.is_empty()).then_some(Table(self.columns))
    }
}

impl Table {
    /// It as CSV.
    pub(super) fn csv(&self) -> Vec<u8> {
        let head = self.0.iter().map(|(name, _)| name.clone()).collect();
        let lines = self.0.first().map_or(0, |(_, column)| column.len());
        let line = |line| self.0.iter().map(|(_, column)| column.text(line)).collect();
        table(head, (0..lines).map(line))
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Whole(values) => values.len(),
            Self::Real(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// What is in a line; nothing where there is nothing.
    fn text(&self, line: usize) -> String {
        match self {
            Self::Whole(values) => values[line].map(|value| value.to_string()),
            Self::Real(values) => values[line].map(|value| value.to_string()),
            Self::Text(values) => values[line].clone(),
        }
        .unwrap_or_default()
    }
}

/// A table as CSV.
pub(crate) fn table(head: Vec<String>, lines: impl Iterator<Item = Vec<String>>) -> Vec<u8> {
    let mut table = csv::Writer::from_writer(Vec::new());
    for line in std::iter::once(head).chain(lines) {
        table.write_record(line).expect("lines are as long as the head, and memory takes them");
    }
    table.into_inner().expect("memory takes what is written")
}
