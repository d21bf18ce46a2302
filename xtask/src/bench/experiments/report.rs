//! docs/benchmarks/experiments.{json,md} and the figures in docs/experiments.

use std::fs;
use std::path::Path;

use anyhow::Result;
use covey_sim::report::Figure;

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

    /// Adds a table of what rounds came to, by the settings that vary.
    pub fn table(&mut self, rows: &[&Row], keys: &[&str]) {
        let head = "peers | epsilon spent | before | quality | worst tenth | survived | failed rounds | attack";
        let columns = keys.len() + head.matches('|').count() + 1;
        put(
            &mut self.text,
            format_args!("\n| {} | {head} |\n|{}", keys.join(" | "), " --- |".repeat(columns)),
        );
        for row in rows {
            let Some(rounds) = &row.summary.rounds else { continue };
            let settings: Vec<&str> = keys.iter().map(|key| row.setting(key)).collect();
            let peers = row.set.iter().find_map(|it| it.strip_prefix("peers=")).unwrap_or("");
            let cells = [
                rounds.epsilon,
                rounds.quality_before,
                rounds.quality,
                rounds.worst_decile,
                rounds.survived,
                rounds.failed,
                rounds.attack,
            ];
            let cells: Vec<String> = cells.map(shown).into();
            put(
                &mut self.text,
                format_args!("| {} | {peers} | {} |", settings.join(" | "), cells.join(" | ")),
            );
        }
    }
}

/// A mean with its interval, or nothing.
pub fn shown(figure: Option<Figure>) -> String {
    let Some(of) = figure else { return String::new() };
    match of.low.zip(of.high) {
        Some((low, high)) if high - low > 1e-9 => {
            format!("{:.4} ({low:.4} to {high:.4})", of.mean)
        }
        _ => format!("{:.4}", of.mean),
    }
}

/// What a cell's rounds ended with.
pub fn quality(row: &Row) -> Option<Figure> {
    row.summary.rounds.as_ref()?.quality
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
