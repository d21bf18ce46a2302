//! What rounds bring: nDCG@10 on a set's test questions, after real nodes have learnt from its training questions.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};
use covey_embedder::{BUILTIN_NAME, default_cache, testing};
use serde_json::Value;

use super::campaign;
use super::lab::{GROUP, Lab};
use super::rows::{Learnt, Quality, Row, Settings, Split};
use super::topics::{self, Topics};
use super::{CLIENTS, Tried};
use crate::bench::report::Goal;

/// Least probability of a difference that passes for chance.
const CHANCE: f64 = 0.05;
const BASE: &str = "base";
/// FedProx's mu.
const MU: f64 = 0.1;
/// What all rounds with noise give away, at delta 1e-5.
const EPSILON: f64 = 8.0;

/// How updates are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    #[value(name = "fedavg")]
    FedAvg,
    #[value(name = "fedprox")]
    FedProx,
    Noise,
}

impl Algorithm {
    const ALL: [Self; 3] = [Self::FedAvg, Self::FedProx, Self::Noise];

    const fn name(self) -> &'static str {
        match self {
            Self::FedAvg => "FedAvg",
            Self::FedProx => "FedProx",
            Self::Noise => "FedAvg with noise",
        }
    }
}

/// Settings found on the development questions.
fn settings(model: &str, algorithm: Algorithm) -> Settings {
    let (rounds, rank, steps, rate) =
        if model == BUILTIN_NAME { (8, None, 20, 1e-3) } else { (5, Some(8), 8, 3e-4) };
    let base = Settings {
        rounds,
        rank,
        epochs: 1,
        steps,
        rate,
        proximal: 0.0,
        clip: 20.0,
        rule: "average".to_owned(),
        server_rate: 1.0,
        epsilon: None,
    };
    match algorithm {
        Algorithm::FedAvg => base,
        Algorithm::FedProx => Settings { proximal: MU, ..base },
        // The noise of six is as long as many updates: a short one loses less.
        Algorithm::Noise => {
            // However much is learnt, it is lost in that noise.
            let steps = base.steps.div_ceil(3);
            Settings { epsilon: Some(EPSILON), clip: 0.05, rank: Some(8), steps, ..base }
        }
    }
}

/// All campaigns of all models on the test questions. Each row is handed over as it comes.
pub fn measure(root: &Path, data: &Path, keep: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
    for model in [BUILTIN_NAME, testing::MINILM_NAME] {
        let topics = split(root, data, model)?;
        keep(Row::Split(told(data, model, &topics)))?;
        for algorithm in Algorithm::ALL {
            let settings = settings(model, algorithm);
            let (base, row) = run(root, data, &topics, model, algorithm, &settings, "test")?;
            if algorithm == Algorithm::FedAvg {
                keep(Row::Quality(base))?;
            }
            keep(Row::Quality(row))?;
        }
    }
    Ok(())
}

/// One campaign with other settings, on the development questions.
pub fn tried(root: &Path, data: &Path, tried: &Tried) -> Result<()> {
    let model = match tried.minilm {
        true => testing::MINILM_NAME,
        false => BUILTIN_NAME,
    };
    let topics = split(root, data, model)?;
    let Settings { rounds, rank, epochs, steps, rate, proximal, clip, rule, server_rate, epsilon } =
        settings(model, tried.algorithm);
    let settings = Settings {
        rounds: tried.rounds.unwrap_or(rounds),
        rank: tried.rank.or(rank),
        epochs: tried.epochs.unwrap_or(epochs),
        steps: tried.steps.unwrap_or(steps),
        rate: tried.rate.unwrap_or(rate),
        proximal: tried.proximal.unwrap_or(proximal),
        clip: tried.clip.unwrap_or(clip),
        rule: tried.rule.clone().unwrap_or(rule),
        server_rate: tried.server_rate.unwrap_or(server_rate),
        epsilon,
    };
    let (base, row) = run(root, data, &topics, model, tried.algorithm, &settings, "dev")?;
    println!("{}", serde_json::to_string(&base)?);
    println!("{}", serde_json::to_string(&row)?);
    Ok(())
}

/// What members learn from: a transformer from those documents only that it finds as it is, as the others are of no use to it.
fn split(root: &Path, data: &Path, model: &str) -> Result<Topics> {
    let found = match model {
        BUILTIN_NAME => None,
        name => {
            let store =
                testing::store_with_minilm().context("MiniLM cannot be fetched, see above")?;
            Some(store.load(name)?)
        }
    };
    let folder = root.join("target/bench-rounds/pairs").join(model);
    topics::split(data, &folder, CLIENTS, found.as_deref())
}

fn told(data: &Path, model: &str, topics: &Topics) -> Split {
    Split {
        set: name_of(data),
        model: model.to_owned(),
        questions: topics.counts.iter().map(|count| count.0).collect(),
        pairs: topics.counts.iter().map(|count| count.1).collect(),
        left_out: topics.left_out,
    }
}

fn run(
    root: &Path,
    data: &Path,
    topics: &Topics,
    model: &str,
    algorithm: Algorithm,
    settings: &Settings,
    split: &str,
) -> Result<(Quality, Quality)> {
    eprintln!("{model}, {}: {settings:?}", algorithm.name());
    let folder = if model == BUILTIN_NAME { None } else { Some(minilm()?) };
    let lab = Lab::found(root, CLIENTS, folder.as_deref())?;
    let begun = Instant::now();
    campaign::opt_in(&lab, &topics.files, settings)?;
    campaign::start(&lab, model, settings)?;
    let history = campaign::wait(&lab, None, &mut |_, _| ())?;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let releases = lab.coordinator().json(&["model", "release", GROUP])?;
    let release = releases["releases"][0]["model"].as_str().context("the release is here")?;
    let run = base_run(root, &lab, data, model, split)?;
    let report = evaluate(&lab, data, release, split, &["--compare", &run])?;
    let quality = |algorithm: &str, ndcg, learnt| Quality {
        set: name_of(data),
        split: split.to_owned(),
        questions: report["queries"].as_u64().unwrap_or_default(),
        model: model.to_owned(),
        algorithm: algorithm.to_owned(),
        ndcg,
        learnt,
    };
    let numbers = |name: &'static str| history.iter().filter_map(move |it| it[name].as_f64());
    let losses = history.first().zip(history.last());
    let loss =
        losses.and_then(|(first, last)| first["loss"][0].as_f64().zip(last["loss"][1].as_f64()));
    let differences = report["compared"]["differences"].as_array().context("it was compared")?;
    let of = |it: &&Value| it["measure"] == "ndcg" && it["k"] == 10;
    let difference = differences.iter().find(of).context("nDCG was compared")?;
    let number = |name: &str| difference[name].as_f64().context("a comparison is of numbers");
    let learnt = Learnt {
        settings: settings.clone(),
        participants: history
            .iter()
            .filter_map(|it| it["participants"].as_u64())
            .min()
            .unwrap_or(0),
        norms: numbers("norm").collect(),
        clipped: numbers("clipped").reduce(f64::max),
        loss,
        difference: number("difference")?,
        low: number("low")?,
        high: number("high")?,
        p: number("p")?,
        minutes,
    };
    let base = quality(BASE, ndcg(&report["compared"]["run"])?, None);
    Ok((base, quality(algorithm.name(), ndcg(&report["run"])?, Some(learnt))))
}

/// The rankings of a base model, which are made once.
fn base_run(root: &Path, lab: &Lab, data: &Path, model: &str, split: &str) -> Result<String> {
    let folder = root.join("target/bench-rounds/runs");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{}-{model}-{split}.run", name_of(data)));
    let path = file.to_str().context("the path of a run is no UTF-8")?.to_owned();
    if !file.exists() {
        evaluate(lab, data, model, split, &["--run-out", &path])?;
    }
    Ok(path)
}

fn evaluate(lab: &Lab, data: &Path, model: &str, split: &str, more: &[&str]) -> Result<Value> {
    let data = data.to_str().context("the path of the set is no UTF-8")?;
    let arguments = ["eval", data, "--model", model, "--split", split, "--k", "10"];
    lab.coordinator().json(&[&arguments[..], more].concat())
}

fn ndcg(run: &Value) -> Result<f64> {
    run["measures"][0]["ndcg"].as_f64().context("a run has measures")
}

/// MiniLM's folder in the cache that tests and benchmarks share, fetched if it is not there.
pub fn minilm() -> Result<PathBuf> {
    testing::store_with_minilm().context("MiniLM cannot be fetched, see above")?;
    Ok(default_cache().context("there is no folder for models")?.join(testing::MINILM_NAME))
}

pub fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Both algorithms without noise are to find more than the model before, surely.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in rows {
        let Row::Quality(Quality { set, model, algorithm, learnt: Some(learnt), .. }) = row else {
            continue;
        };
        if learnt.settings.epsilon.is_some() {
            continue;
        }
        let lifts = if learnt.difference > 0.0 { learnt.p } else { 1.0 };
        let name =
            format!("{set}: {model}, {algorithm}: probability that it is no better than before");
        goals.push(Goal::at_most(name, lifts, CHANCE));
    }
    goals
}
