//! docs/benchmarks/simulator.{json,md}, from the rows.

use std::path::Path;

use anyhow::Result;

use super::ours::OURS;
use super::{CLIENTS, Part, ROUNDS, Row, SECURE_ROUNDS, VALUES};
use crate::bench::report::{Goal, Report, put};

/// How many times as fast as Flower's engine.
const FASTER: f64 = 10.0;
/// One round of ten thousand peers: seconds and MiB.
const LONGEST_S: f64 = 600.0;
const MOST_MIB: f64 = 8.0 * 1_024.0;
/// KiB for each of a hundred thousand peers.
const MOST_KIB: f64 = 99.0;

/// Writes the report; `missing` says why there is no peer, where there should be.
pub fn write(root: &Path, rows: &[Row], missing: Option<&str>) -> Result<Report> {
    let mut report = Report::new("simulator");
    for row in rows.iter().filter(|row| row.engine != OURS) {
        let version = format!("{} {}", row.engine, row.version);
        if !report.versions.contains(&version) {
            report.versions.push(version);
        }
    }
    report.rows = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    report.goals = goals(rows);
    report.write(root, "cargo xtask bench simulator", &page(rows, missing))?;
    Ok(report)
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let beside = |row: &&Row| row.part == Part::Flower;
    let of = |ours: bool, clear: bool| {
        let is =
            |row: &&Row| (row.engine == OURS) == ours && (row.what == "sums in the clear") == clear;
        rows.iter().filter(beside).find(is)
    };
    for (clear, name) in [(true, "sums in the clear"), (false, "secure sums")] {
        if let Some((ours, theirs)) = of(true, clear).zip(of(false, clear)) {
            let ratio = theirs.best_s() / ours.best_s();
            goals.push(Goal::at_least(
                format!("{name}: rounds a minute, by Flower's"),
                ratio,
                FASTER,
            ));
            let memory = theirs.peak_mib / ours.peak_mib;
            goals.push(Goal::at_least(format!("{name}: Flower's memory by ours"), memory, FASTER));
        }
    }
    if let Some(row) = rows.iter().find(|row| row.part == Part::Growth && row.peers == 10_000) {
        let name = "one secure sum of 10,000 peers".to_owned();
        goals.push(Goal::at_most(format!("{name}: seconds"), row.wall_s, LONGEST_S));
        goals.push(Goal::at_most(format!("{name}: MiB"), row.peak_mib, MOST_MIB));
    }
    if let Some(row) = rows.iter().find(|row| row.part == Part::Town && row.peers == 100_000) {
        let each = row.peak_mib * 1_024.0 / f64::from(row.peers);
        goals.push(Goal::at_most(
            "100,000 peers that search: KiB a peer".to_owned(),
            each,
            MOST_KIB,
        ));
    }
    goals
}

fn page(rows: &[Row], missing: Option<&str>) -> String {
    let mut text = format!(
        "# The simulator\n\n## Beside Flower's simulation engine\n\n{CLIENTS} clients, {VALUES} values, {ROUNDS} rounds of FedAvg ({SECURE_ROUNDS} where sums are secure) in which each takes one step towards a point of its own, by `covey sim run` and by Flower's \
         engine on Ray, one after the other. Ours runs the participants and the coordinator of real nodes, over a network in memory; Flower's clients are Python functions in Ray's actors. \
         A round's time is the least of all rounds; memory is the most that all processes had at once (for Flower's the sum of their proportional shares).\n"
    );
    table(&mut text, rows, Part::Flower);
    text += "\n## As peers grow\n\nOne round: a secure sum with all its cryptography, of whose participants a tenth leaves in the middle of sending; sparse graphs above a hundred peers. Masked vectors lie in a file \
             without a name, which counts as memory only as far as it is mapped.\n";
    table(&mut text, rows, Part::Growth);
    text += "\n## A town\n\nGroups of fifty full nodes, of which some are away and some are replaced, ask each other for an hour (`covey sim list --show town`). Groups have nothing to do with each other, so districts of two hundred nodes are lived \
             through one after the other, as many at a time as there are processors: memory is that of the nodes of these, and of their models and indexes.\n";
    if rows.iter().any(|row| row.part == Part::Town) {
        table(&mut text, rows, Part::Town);
    } else {
        text += "\nNot run yet.\n";
    }
    if let Some(reason) = missing {
        put(&mut text, format_args!("\n## Not measured\n\n- flower: {reason}"));
    }
    text
}

fn table(text: &mut String, rows: &[Row], part: Part) {
    *text += "\n| engine | | peers | a round, s | in all, wall s | CPU s | CPU ms a peer and round | memory, MiB | KiB a peer |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in rows.iter().filter(|row| row.part == part) {
        let each = f64::from(row.peers) * f64::from(row.rounds.max(1));
        put(
            text,
            format_args!(
                "| {} | {} | {} | {:.2} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
                row.engine,
                row.what,
                row.peers,
                row.best_s(),
                row.wall_s,
                row.cpu_s,
                1e3 * row.cpu_s / each,
                row.peak_mib,
                row.peak_mib * 1_024.0 / f64::from(row.peers)
            ),
        );
    }
}
