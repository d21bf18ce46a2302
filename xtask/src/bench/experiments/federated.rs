//! What learning together brings on retrieval sets: beside learning alone and in one place, with noise and without.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use covey_sim::report::Figure;

use super::Row;
use super::report::{Section, mean, quality, shown};
use super::sweeps::Sweep;
use crate::bench::report::{Goal, put};

const EXPERIMENT: &str = "federated";
/// FedProx's weight; FedAvg's is 0.
const MU: &str = "training.mu";
const PARTITION: &str = "data.partition";
const EPSILON: &str = "privacy.epsilon";
/// Of what training in one place gains, at least as much is to be gained together.
const RECOVERED: f64 = 0.9;

/// The sweeps of one set, with the built-in model, or with a transformer for what of it this machine affords.
pub fn sweeps(folder: &Path, model: Option<&Path>) -> Result<Vec<Sweep>> {
    let folder = folder.canonicalize().with_context(|| format!("no {}", folder.display()))?;
    let set = folder.file_name().context("a folder with a name")?.to_string_lossy().into_owned();
    let family = if model.is_some() { "bert" } else { "static" };
    let sweep = |name: &str, changes: &[&str], vary: &[&str]| -> Result<Sweep> {
        let mut set_to = vec![format!("data.folder={}", folder.display())];
        if let Some(model) = model {
            let model = model.canonicalize().context("no transformer there")?;
            set_to.push(format!("learner.model={}", model.display()));
            set_to.extend(AFFORDED.map(str::to_owned));
        }
        set_to.extend(changes.iter().map(|it| (*it).to_owned()));
        Ok(Sweep {
            name: format!("{EXPERIMENT}/{set}/{family}/{name}"),
            scenario: EXPERIMENT,
            set: set_to,
            vary: vary.iter().map(|it| (*it).to_owned()).collect(),
        })
    };
    let (mu, partition) = match model {
        None => ("training.mu=0,0.1", "data.partition=iid,dirichlet"),
        Some(_) => ("training.mu=0", "data.partition=iid"),
    };
    Ok(vec![
        sweep("central", &["training.algorithm=central"], &["training.mu=0"])?,
        sweep("local", &["training.algorithm=local"], &[partition])?,
        sweep("together", &[], &[mu, partition])?,
        sweep("noise", &NOISE, &[mu, partition, "privacy.epsilon=20,8,2"])?,
    ])
}

/// What a transformer's cells are cut down to.
const AFFORDED: [&str; 5] =
    ["repeats=1", "peers=4", "training.rounds=2", "training.steps=4", "training.rate=0.0002"];
/// Under noise fewer values learn better: those of one thin factor.
const NOISE: [&str; 2] = ["learner.rank=8", "privacy.clip=1"];

/// A table for each set and family.
pub fn sections(rows: &[Row]) -> Vec<Section> {
    let parts = |row: &Row| -> Option<(String, String)> {
        let mut parts = row.sweep.strip_prefix(EXPERIMENT)?.strip_prefix('/')?.split('/');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    let grids: BTreeSet<(String, String)> = rows.iter().filter_map(parts).collect();
    grids.iter().map(|(set, family)| section(rows, set, family)).collect()
}

fn section(rows: &[Row], set: &str, family: &str) -> Section {
    let of = |name: &str| {
        let sweep = format!("{EXPERIMENT}/{set}/{family}/{name}");
        rows.iter().filter(move |row| row.sweep == sweep)
    };
    let all: Vec<&Row> =
        ["central", "local", "together", "noise"].into_iter().flat_map(of).collect();
    let before = all.iter().find_map(|row| row.summary.rounds.as_ref()?.quality_before);
    let central = of("central").next().and_then(quality);
    let title = format!("{set}, {family} model");
    let mut section = Section::new(
        EXPERIMENT,
        &title,
        "nDCG@10 on the test questions; in brackets, what share of the gain of training in one place.",
    );
    let gained = |figure: Option<Figure>| -> Option<f64> {
        let (before, central) = (mean(before)?, mean(central)?);
        Some((mean(figure)? - before) / (central - before))
    };
    let cell = |figure: Option<Figure>| match gained(figure) {
        Some(share) => format!("{} [{:.0}%]", shown(figure), 100.0 * share),
        None => shown(figure),
    };
    let mut text =
        format!("Before training {}; trained in one place {}.\n", shown(before), shown(central));
    put(
        &mut text,
        format_args!(
            "\n| dealt | algorithm | alone (mean) | together | epsilon 20 | epsilon 8 | epsilon 2 |\n|{}",
            " --- |".repeat(7)
        ),
    );
    for partition in ["iid", "dirichlet"] {
        let is = |row: &&Row| row.setting(PARTITION) == partition;
        let alone = of("local").find(is).and_then(quality);
        for (mu, name) in [("0", "FedAvg"), ("0.1", "FedProx")] {
            let with = |row: &&Row| is(row) && row.setting(MU) == mu;
            let together = of("together").find(with).and_then(quality);
            let noisy = ["20", "8", "2"].map(|epsilon| {
                let of_epsilon = |row: &&Row| with(row) && row.setting(EPSILON) == epsilon;
                cell(of("noise").find(of_epsilon).and_then(quality))
            });
            let cells = [shown(alone), cell(together)].into_iter().chain(noisy);
            let cells: Vec<String> = cells.collect();
            put(&mut text, format_args!("| {partition} | {name} | {} |", cells.join(" | ")));
            if let Some(share) = gained(together) {
                let name = format!(
                    "{title}, {partition}, {name}: share of the gain of training in one place"
                );
                section.goals.push(Goal::at_least(name, share, RECOVERED));
            }
        }
    }
    section.say(text);
    section
}
