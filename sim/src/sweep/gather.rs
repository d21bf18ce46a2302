//! What all trials of a sweep came to, in one file for programs and one for tables.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{State, SweepError, SweepFolder, Trial};
use crate::report::{Figure, Summary};
use crate::run_folder;

/// Version of the schema of `sweep.json`.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Gathered<'a> {
    version: u32,
    trials: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    settings: BTreeMap<&'a str, &'a str>,
    state: &'static str,
    why: Option<&'a str>,
    summary: Option<Summary>,
}

/// Writes `sweep.json` and `sweep.csv` from the summaries of trials; a trial of which there is none has its state only.
///
/// # Errors
/// If the disk says no.
pub fn gather(folder: &SweepFolder, trials: &[Trial], states: &[State]) -> Result<(), SweepError> {
    let mut rows = Vec::new();
    for (trial, state) in trials.iter().zip(states) {
        let (state, why) = match state {
            State::Done => ("done", None),
            State::Failed(why) => ("failed", Some(why.as_str())),
            State::Open => ("open", None),
        };
        // One that is damaged is none; its trial is not done then.
        let summary = run_folder::summary(&folder.trial(trial)).ok().flatten();
        let settings = trial.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        rows.push(Row { name: &trial.name, settings: settings.collect(), state, why, summary });
    }
    run_folder::write(&folder.path().join("sweep.csv"), &table(&rows))?;
    let gathered = Gathered { version: VERSION, trials: rows };
    run_folder::write_json(&folder.path().join("sweep.json"), &gathered)?;
    Ok(())
}

/// What is known of trials without having run them: those that came to their end are done.
pub fn states(folder: &SweepFolder, trials: &[Trial]) -> Vec<State> {
    let state = |trial| if folder.is_done(trial) { State::Done } else { State::Open };
    trials.iter().map(state).collect()
}

/// A line for each trial: its settings, then each figure that any trial has, with the ends of its interval.
fn table(rows: &[Row<'_>]) -> Vec<u8> {
    let keys: BTreeSet<&str> = rows.iter().flat_map(|row| row.settings.keys().copied()).collect();
    let figures: Vec<BTreeMap<&str, Figure>> = rows
        .iter()
        .map(|row| {
            let figures = row.summary.as_ref().map(Summary::figures).unwrap_or_default();
            figures.into_iter().filter_map(|(name, of)| Some((name, of?))).collect()
        })
        .collect();
    let names: BTreeSet<&str> = figures.iter().flat_map(|of| of.keys().copied()).collect();
    let mut head = vec!["trial".to_owned(), "state".to_owned()];
    head.extend(keys.iter().map(|key| (*key).to_owned()));
    for name in &names {
        head.extend([(*name).to_owned(), format!("{name}_low"), format!("{name}_high")]);
    }
    let line = |(row, figures): (&Row<'_>, &BTreeMap<&str, Figure>)| {
        let mut line = vec![row.name.to_owned(), row.state.to_owned()];
        line.extend(
            keys.iter().map(|key| row.settings.get(key).copied().unwrap_or_default().to_owned()),
        );
        for name in &names {
            let of = figures.get(name);
            let or_empty = |value: Option<f64>| value.map(|of| of.to_string()).unwrap_or_default();
            line.push(or_empty(of.map(|of| of.mean)));
            line.push(or_empty(of.and_then(|of| of.low)));
            line.push(or_empty(of.and_then(|of| of.high)));
        }
        line
    };
    run_folder::table(head, rows.iter().zip(&figures).map(line))
}
