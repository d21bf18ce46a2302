//! docs/benchmarks/secagg.{json,md}, from the rows.

use std::path::Path;

use anyhow::Result;

use super::OURS;
use super::rows::{Primitive, Round, Row};
use crate::bench::report::{Goal, Report, put};

/// Times less that a client and unmasking take than Flower's, on a complete and on a sparse graph.
const TIMES: [(&str, f64, f64); 2] = [("complete", 20.0, 200.0), ("sparse", 10.0, 100.0)];
/// The cohort of the goals for large ones.
const LARGE: u32 = 1_000;

/// Writes the report; `missing` says why there is no peer, where there should be.
pub fn write(root: &Path, rows: &[Row], missing: Option<&str>) -> Result<Report> {
    let mut report = Report::new("secagg");
    for row in rows {
        if let Row::Beside(it) = row
            && it.engine != OURS
        {
            let version = format!("{} {}", it.engine, it.version);
            if !report.versions.contains(&version) {
                report.versions.push(version);
            }
        }
    }
    report.rows = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    report.goals = goals(rows);
    report.write(root, "cargo xtask bench secagg", &page(rows, missing))?;
    Ok(report)
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let beside: Vec<&Round> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Beside(it) => Some(it),
            Row::Growth(_) | Row::Primitive(_) => None,
        })
        .collect();
    for pair in beside.windows(2) {
        let [ours, theirs] = pair else { continue };
        if ours.engine != OURS || theirs.engine == OURS {
            continue;
        }
        let Some((_, client, unmask)) = TIMES.iter().find(|it| it.0 == ours.topology) else {
            continue;
        };
        let case =
            format!("{} clients, {}, {}% gone", ours.clients, ours.topology, ours.dropout_percent);
        let name = format!("{case}: Flower's client by ours");
        goals.push(Goal::at_least(name, theirs.client_ms / ours.client_ms, *client));
        let name = format!("{case}: Flower's unmasking by ours");
        goals.push(Goal::at_least(name, theirs.unmask_s / ours.unmask_s, *unmask));
    }
    for row in rows {
        let Row::Growth(it) = row else { continue };
        if it.clients != LARGE {
            continue;
        }
        let most = |name: &str, value: f64, most: f64| {
            let case = format!("{LARGE} clients, sparse, {}% gone", it.dropout_percent);
            Goal::at_most(format!("{case}: {name}"), value, most)
        };
        let vector = 4.0 * f64::from(it.entries);
        let both = it.up_bytes + it.down_bytes.unwrap_or_default();
        goals.push(most("server, CPU s", it.server_s, 20.0));
        goals.push(most("client, CPU ms", it.client_ms, 50.0));
        goals.push(most("bytes both ways by the vector's", both / vector, 1.3));
    }
    goals
}

const INTRODUCTION: &str = "\
# Secure sums beside Flower's

A whole round in one process, both roles, without a network: keys, shares, masked vectors, survivors, unmasking. Times are CPU time. Ours include encoding what is sent \
and decoding what is received. A client's is the mean over the cohort and all phases; unmasking is the server's from the arrival of the opened shares to the sum. Those who are gone have \
dealt their shares and send nothing after.

Flower's SecAgg+ is run as it is shipped, in one process too; its server and clients hand messages to each other through its own encoding, \
which counts as nobody's time. It takes two thirds of the shares to recover a secret in both on a complete graph. On a sparse one ours has as many neighbours as \
docs/spec/secagg.md asks for against a malicious server (a tenth of the cohort colluding, a tenth dropping out, 2^-40 and 2^-20), which is more than Flower's is given. \
Flower sends eight bytes an entry, signs nothing, and masks with a Mersenne Twister of at most 2^28 seeds; ours sends four, signs and checks everything that a \
malicious server could bend, and masks with AES-256.
";

fn page(rows: &[Row], missing: Option<&str>) -> String {
    let mut text = INTRODUCTION.to_owned();
    let of = |pick: fn(&Row) -> Option<&Round>| rows.iter().filter_map(pick).collect::<Vec<_>>();
    text += "\n## Beside Flower\n";
    rounds(
        &mut text,
        &of(|row| match row {
            Row::Beside(it) => Some(it),
            Row::Growth(_) | Row::Primitive(_) => None,
        }),
    );
    let growth = of(|row| match row {
        Row::Growth(it) => Some(it),
        Row::Beside(_) | Row::Primitive(_) => None,
    });
    if !growth.is_empty() {
        text += "
## How it grows

On a sparse graph a client's neighbours grow with the logarithm of the cohort, and with them its agreements, its masks and its bytes beside the vector; the server adds one vector \
for each client, takes off one mask for each survivor, and about one for each neighbour of whoever has gone. All of it but the agreements grows with the vector's length.
";
        rounds(&mut text, &growth);
    }
    text += "\n## What it is made of\n\n| | CPU µs | GB/s |\n| --- | --- | --- |\n";
    for row in rows {
        let Row::Primitive(Primitive { name, us, giga_bytes }) = row else { continue };
        let speed = giga_bytes.map_or_else(String::new, |speed| format!("{speed:.1}"));
        put(&mut text, format_args!("| {name} | {us:.1} | {speed} |"));
    }
    if let Some(reason) = missing {
        put(&mut text, format_args!("\n## Not measured\n\n- flower: {reason}"));
    }
    text
}

fn rounds(text: &mut String, rows: &[&Round]) {
    *text += "
| engine | graph | clients | entries | neighbours | gone | a client, ms | unmasking, s | server in all, s | sent by a client | received |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";
    for it in rows {
        let vector = 4.0 * f64::from(it.entries);
        let share = |bytes: f64| format!("{:.0} ({:.2}x)", bytes, bytes / vector);
        put(
            text,
            format_args!(
                "| {} | {} | {} | {} | {:.0} | {}% | {:.2} | {:.4} | {:.3} | {} | {} |",
                it.engine,
                it.topology,
                it.clients,
                it.entries,
                it.neighbours,
                it.dropout_percent,
                it.client_ms,
                it.unmask_s,
                it.server_s,
                share(it.up_bytes),
                it.down_bytes.map_or_else(String::new, share),
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(engine: &str, client_ms: f64, unmask_s: f64) -> Round {
        Round {
            engine: engine.to_owned(),
            version: "1".to_owned(),
            topology: "complete".to_owned(),
            clients: 50,
            entries: 100,
            neighbours: 49.0,
            threshold: None,
            dropout_percent: 10,
            client_ms,
            unmask_s,
            server_s: unmask_s,
            up_bytes: 500.0,
            down_bytes: Some(10.0),
        }
    }

    #[test]
    fn goals_are_ratios_of_one_case_and_missed_ones_stay() {
        let rows = [
            Row::Beside(round("covey", 10.0, 0.1)),
            Row::Beside(round("flower", 300.0, 10.0)),
            Row::Beside(round("covey", 1.0, 1.0)),
            Row::Growth(Round { clients: LARGE, ..round("covey", 60.0, 1.0) }),
        ];
        let goals = goals(&rows);
        let values: Vec<(f64, bool)> =
            goals.iter().map(|goal| ((goal.value * 100.0).round() / 100.0, goal.met)).collect();
        assert_eq!(
            values,
            [(30.0, true), (100.0, false), (1.0, true), (60.0, false), (1.27, true)],
        );
        assert!(page(&rows, Some("no pip")).contains("flower: no pip"));
    }
}
