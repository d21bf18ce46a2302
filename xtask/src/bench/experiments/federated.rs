//! What learning together brings on retrieval sets: beside learning alone and in one place, with noise and without.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use covey_sim::report::Figure;

use super::Row;
use super::report::{Section, by_peers, mean, quality, shares, shown};
use super::sweeps::Sweep;
use crate::bench::report::{Goal, put};
use crate::bench::svg::{Axis, Series};

const EXPERIMENT: &str = "federated";
const COHORT: &str = "cohorts";
/// FedProx's weight; FedAvg's is 0.
const MU: &str = "training.mu";
const PARTITION: &str = "data.partition";
const EPSILON: &str = "privacy.epsilon";
/// How each family learns.
const STATIC: &str = "It learns together in twenty rounds at a rate of .0015, which did best on nfcorpus's development questions, and with noise in ten at .003; what is trained is the full map, also under noise, as maps of low rank learn next to nothing.";
const BERT: &str = "These cells are what two cores afford: one seed, six peers, four rounds of six steps, and as many steps in one place as peers take together; it learns from answers that it finds among its first thirty, each with a negative.";
/// The set that the built-in model has seen before.
const SEEN: &str = "debian-packages";
const SEEN_SO: &str = " The built-in model was made with Debian's descriptions, so there is less left to learn from them than from sets that it has not seen.";
/// Of what training in one place gains, at least as much is to be gained together.
const RECOVERED: f64 = 0.9;

/// The sweeps of one set, with the built-in model, or with a transformer for what of it this machine affords.
pub fn sweeps(folder: &Path, model: Option<&Path>) -> Result<Vec<Sweep>> {
    let (folder, set) = named(folder)?;
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
    // The best of what is tried in one place counts, to its advantage: sets differ in how much there is to learn from.
    let (central, mu, partition, epsilons): (&[&str], _, _, _) = match model {
        None => (
            &["training.rate=0.0003,0.003", "training.rounds=4,10"],
            "training.mu=0,0.1",
            "data.partition=iid,dirichlet",
            "privacy.epsilon=20,8,2",
        ),
        Some(_) => (&["training.mu=0"], "training.mu=0", "data.partition=iid", "privacy.epsilon=8"),
    };
    let in_one_place: &[&str] = match model {
        None => &["training.algorithm=central"],
        Some(_) => &["training.algorithm=central", AFFORDED_CENTRAL],
    };
    Ok(vec![
        sweep("central", in_one_place, central)?,
        sweep("local", &["training.algorithm=local"], &[partition])?,
        sweep("together", if model.is_none() { &TOGETHER } else { &[] }, &[mu, partition])?,
        sweep("noise", &NOISE, &[mu, partition, epsilons])?,
    ])
}

/// What a transformer's cells are cut down to.
const AFFORDED: [&str; 6] = [
    "repeats=1",
    "peers=6",
    "training.rounds=4",
    "training.steps=6",
    "training.rate=0.0003",
    "learner.found=30",
];
/// As many steps as its peers take together.
const AFFORDED_CENTRAL: &str = "training.steps=36";
/// More and smaller steps than under noise, which is the less of it the fewer rounds there are.
const TOGETHER: [&str; 2] = ["training.rounds=20", "training.rate=0.0015"];
/// Shorter than updates are, so that the noise that it calls for harms a model of few less.
const NOISE: [&str; 1] = ["privacy.clip=0.3"];
/// Among how many peers the first set's questions are dealt, to see from where on noise can be borne, and the clip norm under noise: the more they
/// are, the larger the steps that the noise of a mean allows.
const COHORTS: [(u32, f64); 4] = [(20, 0.1), (100, 0.3), (300, 0.5), (1_000, 1.5)];

/// The sweeps that deal one set's questions to ever more peers.
pub fn cohorts(folder: &Path) -> Result<Vec<Sweep>> {
    let (folder, set) = named(folder)?;
    let sweep = |name: String, peers: u32, clip: String, vary: &str| Sweep {
        name: format!("{COHORT}/{set}/{name}/{peers}"),
        scenario: EXPERIMENT,
        set: vec![format!("data.folder={}", folder.display()), format!("peers={peers}"), clip],
        vary: vec![vary.to_owned()],
    };
    let of = |(peers, clip): (u32, f64)| {
        [
            sweep("none".to_owned(), peers, "privacy.clip=1000".to_owned(), "training.mu=0"),
            sweep(
                "noise".to_owned(),
                peers,
                format!("privacy.clip={clip}"),
                "privacy.epsilon=20,8,2",
            ),
        ]
    };
    Ok(COHORTS.into_iter().flat_map(of).collect())
}

/// A folder's whole path, and what the set is called.
fn named(folder: &Path) -> Result<(PathBuf, String)> {
    let folder = folder.canonicalize().with_context(|| format!("no {}", folder.display()))?;
    let set = folder.file_name().context("a folder with a name")?.to_string_lossy().into_owned();
    Ok((folder, set))
}

/// A table for each set and family.
pub fn sections(rows: &[Row]) -> Vec<Section> {
    let parts = |row: &Row| -> Option<(String, String)> {
        let mut parts = row.sweep.strip_prefix(EXPERIMENT)?.strip_prefix('/')?.split('/');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    let grids: BTreeSet<(String, String)> = rows.iter().filter_map(parts).collect();
    let mut sections: Vec<Section> =
        grids.iter().map(|(set, family)| section(rows, set, family)).collect();
    let sets: BTreeSet<&str> = rows.iter().filter_map(dealt).collect();
    sections.extend(sets.into_iter().map(|set| by_cohort(rows, set)));
    sections
}

/// The set that a row of [`cohorts`] is of.
fn dealt(row: &Row) -> Option<&str> {
    row.sweep.strip_prefix(COHORT)?.strip_prefix('/')?.split('/').next()
}

fn by_cohort(rows: &[Row], set: &str) -> Section {
    let mut section = Section::new(
        EXPERIMENT,
        &format!("How many it takes to bear noise: {set}"),
        "The same questions, dealt at random to ever more peers; FedAvg, and epsilon of all rounds for everything that a peer has. nDCG@10 on the test questions.",
    );
    let those: Vec<&Row> = rows.iter().filter(|row| dealt(row) == Some(set)).collect();
    let none = by_peers(&those, "");
    let before = those
        .iter()
        .find_map(|row| mean(row.summary.rounds.as_ref()?.quality_before))
        .unwrap_or(f64::NAN);
    let mut lines =
        vec![Series { name: "no noise".to_owned(), strong: true, points: none.clone() }];
    for epsilon in ["20", "8", "2"] {
        let points = by_peers(&those, epsilon);
        let kept = shares(&points, &none, before);
        let half = kept.iter().find(|(_, kept)| *kept >= 0.5);
        section.say(match (half, kept.last()) {
            (Some((peers, kept)), _) => format!("At epsilon {epsilon} a cohort of {peers} keeps {:.0}% of what the same peers gain without noise.", 100.0 * kept),
            (None, Some((peers, kept))) => format!("At epsilon {epsilon} none of these cohorts keeps half of what the same peers gain without noise; {peers} keep {:.0}%.", 100.0 * kept),
            (None, None) => format!("At epsilon {epsilon} nothing was run."),
        });
        lines.push(Series { name: format!("epsilon {epsilon}"), strong: false, points });
    }
    let (x, y) = (Axis { label: "peers", log: true }, Axis { label: "nDCG@10", log: false });
    section.plot(&format!("cohorts-{set}"), &x, &y, &lines);
    section.table(&those, &[EPSILON]);
    section
}

fn section(rows: &[Row], set: &str, family: &str) -> Section {
    let of = |name: &str| {
        let sweep = format!("{EXPERIMENT}/{set}/{family}/{name}");
        rows.iter().filter(move |row| row.sweep == sweep)
    };
    let all: Vec<&Row> =
        ["central", "local", "together", "noise"].into_iter().flat_map(of).collect();
    let before = all.iter().find_map(|row| row.summary.rounds.as_ref()?.quality_before);
    let found = of("central").filter_map(quality);
    let central = found.max_by(|a, b| a.mean.total_cmp(&b.mean));
    let title = format!("{set}, {family} model");
    let how = if family == "bert" { BERT } else { STATIC };
    let seen = if (family, set) == ("static", SEEN) { SEEN_SO } else { "" };
    let mut section = Section::new(
        EXPERIMENT,
        &title,
        &format!(
            "nDCG@10 on the test questions; in brackets, what share of the gain of training in one place, by the best of the settings tried for that. {how}{seen} A cell that was not run is empty."
        ),
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
