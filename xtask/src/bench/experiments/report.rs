//! docs/benchmarks/experiments.{json,md} and the figures in docs/experiments.

use std::cmp::Ordering;
use std::fs;
use std::path::Path;

use anyhow::Result;
use covey_sim::report::{Figure, RoundsSummary};

use super::{Row, federated, known};
use crate::bench::report::{Goal, Report, put};
use crate::bench::svg::{Axis, Series, plot};

/// One experiment's part of the page.
pub struct Section {
    text: String,
    figures: Vec<(String, String)>,
    pub goals: Vec<Goal>,
}

impl Section {
    pub fn new(scenario: &str, title: &str, about: &str) -> Self {
        let text = format!(
            "\n## {title}\n\n{about} ([{scenario}.toml](../experiments/{scenario}.toml))\n"
        );
        Self { text, figures: Vec::new(), goals: Vec::new() }
    }

    /// Adds a paragraph.
    pub fn say(&mut self, text: String) {
        put(&mut self.text, format_args!("\n{text}"));
    }

    /// Adds a plot, if there is anything to draw.
    pub fn plot(&mut self, name: &str, x: &Axis, y: &Axis, lines: &[Series]) {
        if let Some(svg) = plot(name, x, y, lines) {
            put(&mut self.text, format_args!("\n![{name}](../experiments/{name}.svg)"));
            self.figures.push((format!("{name}.svg"), svg));
        }
    }

    /// Adds a table of what rounds came to, by peers and the settings that vary; columns in which there is nothing are left out.
    pub fn table(&mut self, rows: &[&Row], keys: &[&str]) {
        let mut rows: Vec<&Row> =
            rows.iter().copied().filter(|row| row.summary.rounds.is_some()).collect();
        let number = |text: &str| text.parse().unwrap_or(f64::INFINITY);
        rows.sort_by(|a, b| {
            let settings = |row: &Row| -> Vec<f64> {
                let settings = keys.iter().map(|key| number(row.setting(key)));
                std::iter::once(number(row.peers())).chain(settings).collect()
            };
            let pairs = settings(a).into_iter().zip(settings(b));
            pairs.map(|(a, b)| a.total_cmp(&b)).find(|it| it.is_ne()).unwrap_or(Ordering::Equal)
        });
        let mut columns = vec![Column::new("peers", &rows, |row| row.peers().to_owned())];
        columns.extend(
            keys.iter().map(|key| Column::new(key, &rows, |row| row.setting(key).to_owned())),
        );
        let figures: [(&str, Pick); 7] = [
            ("epsilon spent", |of| of.epsilon),
            ("before", |of| of.quality_before),
            ("quality", |of| of.quality),
            ("worst tenth", |of| of.worst_decile),
            ("survived", |of| of.survived),
            ("failed rounds", |of| of.failed),
            ("attack", |of| of.attack),
        ];
        for (name, pick) in figures {
            let cell = |row: &Row| shown(row.summary.rounds.as_ref().and_then(pick));
            columns.push(Column::new(name, &rows, cell));
        }
        columns.retain(|column| column.cells.iter().any(|cell| !cell.is_empty()));
        let line = |cells: Vec<&str>| format!("| {} |", cells.join(" | "));
        let head = line(columns.iter().map(|column| column.name.as_str()).collect());
        put(&mut self.text, format_args!("\n{head}\n|{}", " --- |".repeat(columns.len())));
        for row in 0..rows.len() {
            let cells = columns.iter().map(|column| column.cells[row].as_str()).collect();
            put(&mut self.text, format_args!("{}", line(cells)));
        }
    }
}

/// Picks a figure of what rounds came to.
type Pick = fn(&RoundsSummary) -> Option<Figure>;

struct Column {
    name: String,
    cells: Vec<String>,
}

impl Column {
    fn new(name: &str, rows: &[&Row], cell: impl Fn(&Row) -> String) -> Self {
        Self { name: name.to_owned(), cells: rows.iter().map(|row| cell(row)).collect() }
    }
}

/// A mean with its interval, or nothing.
pub fn shown(figure: Option<Figure>) -> String {
    let Some(of) = figure else { return String::new() };
    match of.low.zip(of.high) {
        Some((low, high)) if high - low > 1e-9 => {
            format!("{} ({} to {})", number(of.mean), number(low), number(high))
        }
        _ => number(of.mean),
    }
}

/// Four digits behind the point, fewer of what is large.
fn number(value: f64) -> String {
    if value.abs() < 10.0 { format!("{value:.4}") } else { format!("{value:.0}") }
}

/// What a cell's rounds ended with.
pub fn quality(row: &Row) -> Option<Figure> {
    row.summary.rounds.as_ref()?.quality
}

/// What cells with this epsilon ended with, by their peers; of those without noise with none.
pub fn by_peers(rows: &[&Row], epsilon: &str) -> Vec<(f64, f64)> {
    let of_epsilon = rows.iter().filter(|row| row.setting("privacy.epsilon") == epsilon);
    let point = |row: &&Row| Some((row.peers().parse().ok()?, mean(quality(row))?));
    let mut points: Vec<(f64, f64)> = of_epsilon.filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    points
}

/// For as many peers as both have: what share of what `without` gained over `before` is left in `with`.
pub fn shares(with: &[(f64, f64)], without: &[(f64, f64)], before: f64) -> Vec<(f64, f64)> {
    let share = |(peers, quality): &(f64, f64)| {
        let (_, best) = without.iter().find(|(as_many, _)| as_many == peers)?;
        Some((*peers, (quality - before) / (best - before)))
    };
    with.iter().filter_map(share).collect()
}

pub fn mean(figure: Option<Figure>) -> Option<f64> {
    figure.map(|figure| figure.mean)
}

/// Writes the report and its figures.
pub fn write(root: &Path, rows: &[Row]) -> Result<Report> {
    let mut report = Report::new("experiments");
    report.rows = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    let mut page = String::from(
        "# Experiments\n\nWhat learning together brings, and what is known to happen, in simulations by `covey sim sweep`: each scenario is a file of \
         [docs/experiments](../experiments), so each cell can be run again by hand. Figures are means over seeds with 95% intervals (Student's t); the same seed gives the same figures.\n",
    );
    let folder = root.join("docs/experiments");
    let mut sections = federated::sections(rows);
    sections.extend(known::sections(rows));
    for section in sections {
        page += &section.text;
        for (file, svg) in section.figures {
            fs::write(folder.join(file), svg)?;
        }
        report.goals.extend(section.goals);
    }
    report.write(root, "cargo xtask bench experiments", &page)?;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_told_for_as_many_peers_as_both_have() {
        let (with, without) = ([(20.0, 0.3), (300.0, 0.4)], [(100.0, 0.9), (300.0, 0.6)]);
        assert_eq!(shares(&with, &without, 0.2), [(300.0, (0.4 - 0.2) / (0.6 - 0.2))]);
        assert_eq!(shares(&with, &[], 0.2), []);
    }
}
