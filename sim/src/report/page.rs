//! A run as one page that needs nothing else: no network, no script, no font.

use super::chart::escape;
use super::measured::Measured;
use super::numbers::{bytes, millis, number, seconds, share};
use super::summary::Summary;
use super::{headline, plots};
use crate::metrics::{RoundMetric, SearchMetric};
use crate::run_folder::Run;
use crate::scenario::{Scenario, ready};

const STYLE: &str = include_str!("page.css");

/// The page of a run.
pub(crate) fn page(run: &Run, measured: &Measured<'_>, summary: &Summary) -> String {
    let name = name(run);
    let mut body = format!("<h1>{}</h1>\n", escape(&name));
    if !run.scenario.about.is_empty() {
        body += &format!("<p class=\"about\">{}</p>\n", escape(&about(&run.scenario)));
    }
    body += &paragraph("what", &headline::what(&run.scenario));
    let outcome = headline::outcome(summary);
    let (first, rest) = outcome.split_at(1.min(outcome.len()));
    body += &paragraph("outcome", first);
    body += &paragraph("more", rest);
    body += &figures(&plots::plots(measured));
    body += &last_round(measured);
    body += &last_hour(measured);
    body += &format!("<h2>Scenario</h2>\n<pre>{}</pre>\n", escape(&run.scenario_text));
    let versions = &run.versions;
    let judged = versions.judged_by.as_ref().map(|split| format!("; judged by the split {split}"));
    let (cpu, judged) = (versions.cpu.join(", "), judged.unwrap_or_default());
    let made = format!("Covey {} on {cpu}{judged}", versions.covey);
    body += &format!("<footer>{}</footer>\n", escape(&made));
    document(&name, &body)
}

/// What the scenario is there to show; of a built-in one that was changed, that it was.
fn about(scenario: &Scenario) -> String {
    let Some(ready) = ready::by_name(&scenario.name) else { return scenario.about.clone() };
    let same =
        |of: &Scenario| Scenario { seed: scenario.seed, repeats: scenario.repeats, ..of.clone() };
    match Scenario::parse(ready.text, &[]) {
        Ok(of) if of.about == scenario.about && same(&of) != *scenario => {
            format!(
                "The built-in scenario {}, changed; what it shows unchanged: {}",
                ready.name, ready.about
            )
        }
        Ok(_) | Err(_) => scenario.about.clone(),
    }
}

/// What a run is called: as its scenario says, or like its folder.
pub(super) fn name(run: &Run) -> String {
    match run.scenario.name.as_str() {
        "" => run.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        name => name.to_owned(),
    }
}

/// A whole document around `body`, which nothing but its own style belongs to.
pub(super) fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// Plots beside each other where there is room.
pub(super) fn figures(charts: &[super::chart::Chart]) -> String {
    if charts.is_empty() {
        return String::new();
    }
    let figures: String = charts.iter().map(super::chart::Chart::html).collect();
    format!("<div class=\"figures\">\n{figures}</div>\n")
}

/// A table whose first column is text.
pub(super) fn table(head: &[String], lines: &[Vec<String>]) -> String {
    let row = |cells: &[String], kind: &str| {
        let cells = cells.iter().map(|cell| format!("<{kind}>{}</{kind}>", escape(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let lines: String = lines.iter().map(|line| row(line, "td")).collect();
    format!("<div class=\"scroll\"><table>\n{}{lines}</table></div>\n", row(head, "th"))
}

fn paragraph(class: &str, sentences: &[String]) -> String {
    if sentences.is_empty() {
        return String::new();
    }
    format!("<p class=\"{class}\">{}</p>\n", escape(&sentences.join(" ")))
}

/// A column of a table: its head, and what it has of a line.
type Column<T> = (&'static str, fn(&T) -> Option<String>);

fn last_round(measured: &Measured<'_>) -> String {
    let Some(last) = measured.last_round() else { return String::new() };
    let columns: [Column<RoundMetric>; 19] = [
        ("seed", |of| Some(of.seed.to_string())),
        ("came to", |of| Some(of.failed.clone().unwrap_or_else(|| "a sum".into()))),
        ("attempts", |of| (of.attempts > 0).then(|| of.attempts.to_string())),
        ("checked in", |of| (of.cohort > 0).then(|| of.cohort.to_string())),
        ("in the sum", |of| (of.cohort > 0).then(|| of.survivors.to_string())),
        ("quality", |of| of.quality.map(number)),
        ("worst tenth", |of| of.worst_decile.map(number)),
        ("all peers", |of| of.peers_quality.map(number)),
        ("loss", |of| of.loss.map(number)),
        ("update", |of| of.norm.map(number)),
        ("clipped", |of| of.clipped.map(share)),
        ("epsilon", |of| of.epsilon.map(number)),
        ("sent", |of| (of.up_bytes > 0).then(|| bytes(of.up_bytes as f64))),
        ("received", |of| (of.down_bytes > 0).then(|| bytes(of.down_bytes as f64))),
        ("attack", |of| of.attack.map(share)),
        ("refused", RoundMetric::refused_text),
        ("opened shares", |of| of.opened.map(|many| many.to_string())),
        ("exposed", |of| of.exposed.map(|many| many.to_string())),
        ("at", |of| Some(seconds(of.at_s))),
    ];
    let lines: Vec<&RoundMetric> = measured.rounds().filter(|of| of.round == last).collect();
    titled(&format!("Round {last}"), &columns, &lines)
}

fn last_hour(measured: &Measured<'_>) -> String {
    let Some(last) = measured.last_hour() else { return String::new() };
    let columns: [Column<SearchMetric>; 13] = [
        ("seed", |of| Some(of.seed.to_string())),
        ("questions", |of| Some(of.questions.to_string())),
        ("asked", |of| Some(of.asked.to_string())),
        ("answered", |of| Some(of.answered.to_string())),
        ("refused", |of| Some(of.refused.to_string())),
        ("timed out", |of| Some(of.timed_out.to_string())),
        ("offline", |of| Some(of.offline.to_string())),
        ("recall", |of| of.recall.map(number)),
        ("half within", |of| Some(millis(of.p50_ms))),
        ("95% within", |of| Some(millis(of.p95_ms))),
        ("bytes", |of| Some(bytes(of.bytes as f64))),
        ("forged", |of| of.attack.map(share)),
        ("harvested", |of| of.harvested.map(share)),
    ];
    let lines: Vec<&SearchMetric> = measured.searches().filter(|of| of.hour == last).collect();
    titled(&format!("Hour {last} of questions"), &columns, &lines)
}

/// A table of those columns that any line has something in.
fn titled<T>(title: &str, columns: &[Column<T>], lines: &[&T]) -> String {
    let columns = columns.iter().filter(|(_, show)| lines.iter().any(|of| show(of).is_some()));
    let columns: Vec<_> = columns.collect();
    let head: Vec<String> = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let line = |of: &&T| columns.iter().map(|(_, show)| show(of).unwrap_or_default()).collect();
    let lines: Vec<Vec<String>> = lines.iter().map(line).collect();
    format!("<h2>{title}</h2>\n{}", table(&head, &lines))
}
