//! Several runs side by side.

use std::collections::{BTreeMap, BTreeSet};

use super::chart::{Axis, Line, lines};
use super::figure::Figure;
use super::measured::Measured;
use super::numbers::number;
use super::page;
use super::results::{SHOWN, Shown};
use super::summary::Summary;
use crate::run_folder::Run;

/// Most runs whose curves are drawn; more could not be told apart.
const MAX_CURVES: usize = 20;
/// Longest setting that is shown.
const MAX_SETTING: usize = 40;

/// Behind the name of a run that has not come to its end.
const UNFINISHED: &str = " (not finished)";

/// Runs side by side, for a terminal and as a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// A table.
    pub text: String,
    /// A page that needs nothing else.
    pub html: String,
}

/// Compares runs: the settings in which they differ, what they came to, and how quality went.
pub fn compare(runs: &[Run]) -> Comparison {
    let mut labels = labels(runs);
    for (label, _) in labels.iter_mut().zip(runs).filter(|(_, run)| !run.complete) {
        *label += UNFINISHED;
    }
    let measured: Vec<Measured<'_>> = runs.iter().map(|run| Measured::of(&run.metrics)).collect();
    let summaries = runs.iter().zip(&measured);
    let summaries: Vec<Summary> = summaries
        .map(|(run, measured)| Summary::of(&run.scenario, measured, run.complete))
        .collect();
    let mut columns = vec![("run".to_owned(), labels.clone())];
    columns.extend(settings(runs));
    columns.extend(results(&summaries));
    let head: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let rows: Vec<Vec<String>> = (0..runs.len())
        .map(|run| columns.iter().map(|(_, of)| of[run].clone()).collect())
        .collect();
    Comparison {
        text: format!("{}{NOTE}\n", aligned(&head, &rows)),
        html: html(&head, &rows, &labels, &measured),
    }
}

/// What runs are called; by their folders where names come twice.
fn labels(runs: &[Run]) -> Vec<String> {
    let names: Vec<String> = runs.iter().map(page::name).collect();
    let distinct: BTreeSet<&String> = names.iter().collect();
    if distinct.len() == names.len() {
        return names;
    }
    let folder =
        |run: &Run| run.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folders: Vec<String> = runs.iter().map(folder).collect();
    let distinct: BTreeSet<&String> = folders.iter().collect();
    if distinct.len() == folders.len() {
        return folders;
    }
    runs.iter().map(|run| run.path.display().to_string()).collect()
}

/// Fields of the scenarios that are not the same in all.
fn settings(runs: &[Run]) -> Vec<(String, Vec<String>)> {
    let flat: Vec<BTreeMap<String, String>> = runs
        .iter()
        .map(|run| {
            let mut fields = BTreeMap::new();
            // It was read as a scenario, so it is TOML.
            let table = run.scenario_text.parse().unwrap_or_default();
            flatten("", &toml::Value::Table(table), &mut fields);
            fields
        })
        .collect();
    let names: BTreeSet<&String> = flat.iter().flat_map(BTreeMap::keys).collect();
    let names = names.into_iter().filter(|name| !matches!(name.as_str(), "name" | "about"));
    let column = |name: &String| {
        let of = flat.iter().map(|fields| fields.get(name).cloned().unwrap_or_else(|| "—".into()));
        (name.clone(), of.collect::<Vec<String>>())
    };
    names.map(column).filter(|(_, of)| of.windows(2).any(|two| two[0] != two[1])).collect()
}

fn flatten(at: &str, value: &toml::Value, fields: &mut BTreeMap<String, String>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(key, value)| flatten(&below(key), value, fields));
        }
        toml::Value::Array(values) if values.iter().any(toml::Value::is_table) => {
            let numbered = (1..).zip(values);
            numbered
                .for_each(|(number, value)| flatten(&below(&format!("{number}")), value, fields));
        }
        toml::Value::String(text) => {
            fields.insert(at.to_owned(), shortened(text));
        }
        other => {
            fields.insert(at.to_owned(), shortened(&other.to_string()));
        }
    }
}

fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|of| if of.is_control() { ' ' } else { of }).collect();
    match line.char_indices().nth(MAX_SETTING) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Figures that any of the runs has, by the names and in the order of the summary.
fn results(summaries: &[Summary]) -> Vec<(String, Vec<String>)> {
    let figures: Vec<BTreeMap<&str, Figure>> = summaries
        .iter()
        .map(|of| of.figures().into_iter().filter_map(|(name, of)| Some((name, of?))).collect())
        .collect();
    let column = |shown: &Shown| {
        let cell = |of: &BTreeMap<&str, Figure>| match of.get(shown.name) {
            Some(of) => shown.cell(of),
            None => "—".to_owned(),
        };
        let there = figures.iter().any(|of| of.contains_key(shown.name));
        there.then(|| (shown.title.to_owned(), figures.iter().map(cell).collect()))
    };
    SHOWN.iter().filter(|of| of.is_compared).filter_map(column).collect()
}

/// What is in brackets.
const NOTE: &str = "In brackets: 95% confidence intervals over seeds.";

/// A table for a terminal: two spaces between columns, the first to the left and the others to the right.
fn aligned(head: &[String], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &row[column]).chain([&head[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in std::iter::once(head).chain(rows.iter().map(Vec::as_slice)) {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            // Names come from files, and a terminal obeys control characters.
            let cell: String =
                cell.chars().map(|of| if of.is_control() { ' ' } else { of }).collect();
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn html(
    head: &[String],
    rows: &[Vec<String>],
    labels: &[String],
    measured: &[Measured<'_>],
) -> String {
    let title = format!("{} runs", labels.len());
    let drawn = labels.iter().zip(measured).take(MAX_CURVES);
    let curves: Vec<Line> = drawn
        .map(|(label, of)| Line::new(label.clone(), of.by_round(|round| round.quality)))
        .collect();
    let recalls: Vec<Line> = labels
        .iter()
        .zip(measured)
        .take(MAX_CURVES)
        .map(|(label, of)| Line::new(label.clone(), of.by_hour(|hour| hour.recall)))
        .collect();
    let plain = |label| Axis::new(label, number);
    let mut charts: Vec<_> =
        lines("Quality", plain("round"), plain("quality"), &curves, &[]).into_iter().collect();
    charts.extend(lines("Recall", plain("hour"), plain("recall"), &recalls, &[]));
    if labels.len() > MAX_CURVES {
        let note = format!("The first {MAX_CURVES} of {} runs.", labels.len());
        charts = charts.into_iter().map(|chart| chart.note(note.clone())).collect();
    }
    let body = format!(
        "<h1>{title}</h1>\n{}<p class=\"note\">{NOTE}</p>\n{}",
        page::table(head, rows),
        page::figures(&charts)
    );
    page::document(&title, &body)
}
