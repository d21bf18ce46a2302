//! docs/benchmarks/privacy.{json,md}, from the rows.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::rows::{Accounting, Noise, Row};
use crate::bench::report::{Goal, Report, put};

/// How far our epsilon may be from theirs, as a share.
const PLD: f64 = 0.01;
const RDP: f64 = 0.001;
/// Seconds that noise may take, by entries.
const SECONDS: [(u64, f64); 2] = [(75_000, 0.01), (22_000_000, 5.0)];

/// Writes the report; `missing` says why there are no peers, where there should be.
pub fn write(
    root: &Path,
    rows: &[Row],
    versions: &BTreeMap<String, String>,
    missing: Option<&str>,
) -> Result<Report> {
    let mut report = Report::new("privacy");
    report.versions.extend(versions.iter().map(|(name, version)| format!("{name} {version}")));
    report.rows = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    report.goals = goals(rows);
    report.write(root, "cargo xtask bench privacy", &page(rows, missing))?;
    Ok(report)
}

fn goals(rows: &[Row]) -> Vec<Goal> {
    let accounts: Vec<&Accounting> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Accounting(it) => Some(it),
            Row::Noise(_) => None,
        })
        .collect();
    let worst = |apart: fn(&Accounting) -> Option<f64>| {
        accounts.iter().filter_map(|it| apart(it)).reduce(f64::max)
    };
    let mut goals = Vec::new();
    if let Some(most) = worst(|it| Some((it.pld / it.their_pld? - 1.0).abs())) {
        goals.push(Goal::at_most(
            "PLD beside dp-accounting's, largest difference".to_owned(),
            most,
            PLD,
        ));
    }
    if let Some(most) = worst(|it| Some((it.rdp / it.their_rdp? - 1.0).abs())) {
        goals.push(Goal::at_most(
            "RDP beside dp-accounting's, largest difference".to_owned(),
            most,
            RDP,
        ));
    }
    if let Some(most) = worst(|it| Some(it.exact? / it.pld - 1.0)) {
        let name = "PLD below the exact value, where there is one, at most".to_owned();
        goals.push(Goal::at_most(name, most, 0.0));
    }
    for (entries, seconds) in SECONDS {
        let slowest = rows.iter().filter_map(|row| match row {
            Row::Noise(it) if it.entries == entries => Some(it.cpu_s),
            Row::Noise(_) | Row::Accounting(_) => None,
        });
        if let Some(slowest) = slowest.reduce(f64::max) {
            goals.push(Goal::at_most(
                format!("noise for {entries} entries, CPU s"),
                slowest,
                seconds,
            ));
        }
    }
    goals
}

const INTRODUCTION: &str = "\
# Accounting and noise

Epsilon of rounds of the Gaussian mechanism, adding or removing one, by our accountants and by Google's dp-accounting (PLD at steps of 1e-4). Ours are \
rounded up. Rényi's differs most where dp-accounting's moments of fractional order are above what numeric integration gives; the value is an \
upper bound either way.

Where everybody takes part in every round the exact value is known, and is what a figure for a peer comes from; sampling helps against outsiders only (docs/spec/privacy.md).
";

fn page(rows: &[Row], missing: Option<&str>) -> String {
    let mut text = INTRODUCTION.to_owned();
    text += "
## Epsilon

| sampling | noise multiplier | rounds | delta | exact | PLD | dp-accounting's | RDP | dp-accounting's | PLD, CPU ms |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";
    let shown = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.6}"));
    for row in rows {
        let Row::Accounting(it) = row else { continue };
        put(
            &mut text,
            format_args!(
                "| {:.4} | {} | {} | {:e} | {} | {:.6} | {} | {:.6} | {} | {:.0} |",
                it.sampling,
                it.noise,
                it.rounds,
                it.delta,
                shown(it.exact),
                it.pld,
                shown(it.their_pld),
                it.rdp,
                shown(it.their_rdp),
                it.pld_ms,
            ),
        );
    }
    text += "
## Noise

Exact discrete Gaussian noise on one thread: CPU seconds, the least of three passes, from a generator as in use. OpenDP's is its Python package's, called once for the whole vector.

| sigma | entries | s | ns an entry | OpenDP, s | times |
| --- | --- | --- | --- | --- | --- |
";
    for row in rows {
        let Row::Noise(Noise { sigma, entries, cpu_s, opendp_cpu_s }) = row else { continue };
        let times =
            opendp_cpu_s.map_or_else(String::new, |theirs| format!("{:.0}", theirs / cpu_s));
        let theirs = opendp_cpu_s.map_or_else(String::new, |theirs| format!("{theirs:.3}"));
        let each = cpu_s * 1e9 / *entries as f64;
        put(
            &mut text,
            format_args!("| {sigma} | {entries} | {cpu_s:.4} | {each:.0} | {theirs} | {times} |"),
        );
    }
    if let Some(reason) = missing {
        put(&mut text, format_args!("\n## Not measured\n\n- dp-accounting and opendp: {reason}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_take_the_worst_case_and_an_epsilon_below_the_exact_one_is_missed() {
        let account = |pld: f64| {
            Row::Accounting(Accounting {
                sampling: 1.0,
                noise: 1.0,
                rounds: 1,
                delta: 1e-5,
                rdp: 4.7,
                pld,
                pld_ms: 1.0,
                exact: Some(4.0),
                their_rdp: Some(4.7),
                their_pld: Some(4.0),
            })
        };
        let noise =
            |cpu_s| Row::Noise(Noise { sigma: 1.0, entries: 75_000, cpu_s, opendp_cpu_s: None });
        let met = |rows: &[Row]| goals(rows).iter().map(|goal| goal.met).collect::<Vec<_>>();
        assert_eq!(met(&[account(4.0), account(4.02), noise(0.002)]), [true, true, true, true]);
        assert_eq!(met(&[account(4.0), account(4.2), noise(0.02)]), [false, true, true, false]);
        assert_eq!(met(&[account(3.99)]), [true, true, false]);
    }
}
