//! A step of LoRA beside PyTorch's, the static model's map, and adapters opened by Python's `peft`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use covey_embedder::adapter::{AdapterConfig, HeadConfig, LoraConfig};
use covey_embedder::bench::cut;
use covey_embedder::train::{
    Examples, Learner, Pair, PairRules, StaticLearner, TrainOptions, Trainer,
};
use covey_embedder::{
    BUILTIN_NAME, EmbedError, Embedder, ModelStore, Precision, PullSource, builtin, default_cache,
    testing,
};
use serde_json::json;

use super::Bench;
use super::rows::{OURS, Peft, Row, Training};
use super::talk::Talk;
use crate::bench::index::meter::{cpu, memory};
use crate::bench::report::Goal;
use crate::venv;

const SCRIPT: &str = "torch_peer.py";
const TORCH: &str = "torch";
/// What is timed.
const LORA: &str = "lora";
const HEAD: &str = "head";
/// Pairs of a step of LoRA, and positions of each text.
const PAIRS: usize = 16;
const POSITIONS: usize = 128;
/// Pairs that the map is trained on, and in a step.
const MANY: usize = 8_192;
const STEP: usize = 256;
const STEPS: u32 = 3;
/// The map's pairs a second.
const PAIRS_PER_SECOND: f64 = 50_000.0;
/// How far a vector by `peft` may be from ours, as 1 - cosine.
const APART: f64 = 1e-5;

/// Takes turns with PyTorch, then trains the map, then has `peft` open what was trained.
pub fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let pairs = pairs(bench)?;
    let mut torch = Torch::start(bench, &pairs)?;
    let (mut ours, mut theirs) = (Best::default(), Best::default());
    for round in 0..bench.rounds.min(3) {
        eprintln!("training, round {} of {}", round + 1, bench.rounds.min(3));
        ours.take(&own_step(bench, &pairs)?);
        theirs.take(&torch.talk.ask(&json!({ "steps": STEPS }))?);
    }
    let row = |engine: &str, version: &str, best: &Best| {
        Row::Training(Training {
            engine: engine.to_owned(),
            version: version.to_owned(),
            task: LORA.to_owned(),
            cpu_s: best.seconds,
            peak_mb: Some(best.peak_mb),
            pairs_per_s: PAIRS as f64 / best.seconds,
        })
    };
    let version = torch.version(TORCH)?;
    let mut rows = vec![row(OURS, env!("CARGO_PKG_VERSION"), &ours), row(TORCH, &version, &theirs)];
    rows.push(head(bench)?);
    rows.push(torch.peft(bench, &pairs)?);
    Ok(rows)
}

#[derive(Debug)]
struct Best {
    seconds: f64,
    peak_mb: f64,
}

impl Default for Best {
    fn default() -> Self {
        Self { seconds: f64::INFINITY, peak_mb: 0.0 }
    }
}

impl Best {
    fn take(&mut self, answer: &serde_json::Value) {
        let number = |name: &str| answer[name].as_f64().unwrap_or(f64::NAN);
        self.seconds = self.seconds.min(number("seconds"));
        self.peak_mb = self.peak_mb.max(number("peak_mb"));
    }
}

/// Pairs whose texts all have [`POSITIONS`] positions.
fn pairs(bench: &Bench<'_>) -> Result<Vec<Pair>> {
    let text = bench.texts.chunks.join("\n");
    let texts = cut(builtin()?.as_ref(), &text, POSITIONS - 2, 2 * PAIRS)?;
    ensure!(texts.len() == 2 * PAIRS, "there is too little text for {PAIRS} pairs");
    let pair = |pair: &[String]| Pair {
        anchor: pair[0].clone(),
        positive: pair[1].clone(),
        ..Pair::default()
    };
    Ok(texts.chunks_exact(2).map(pair).collect())
}

/// One more process of ours, so that its memory is that of training alone.
fn own_step(bench: &Bench<'_>, pairs: &[Pair]) -> Result<serde_json::Value> {
    let file = bench.root.join("target/bench-embedder/pairs.jsonl");
    let lines: Vec<String> = pairs.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    fs::write(&file, lines.join("\n"))?;
    let output = Command::new(std::env::current_exe()?)
        .args(["bench", "embedder", "--data", "-", "--lora-step"])
        .arg(&file)
        .env("RAYON_NUM_THREADS", "1")
        .output()?;
    if !output.status.success() {
        bail!("the step failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What that process does: a few steps, of which the least time counts.
pub fn lora_step(pairs: &Path) -> Result<()> {
    let (store, examples) = (store()?, examples(pairs)?);
    let learner = learner(&store, &examples)?;
    let options = TrainOptions { batch: PAIRS, ..TrainOptions::default() };
    let mut trainer = Trainer::new(learner.as_ref(), &examples, options, None)?;
    let mut least = f64::INFINITY;
    for _ in 0..STEPS {
        let before = cpu();
        trainer.step()?.context("the loss is no number")?;
        least = least.min(cpu().saturating_sub(before).as_secs_f64());
    }
    let (_, peak_mb) = memory();
    ensure!(least > 0.0 && peak_mb > 0.0, "the system does not say what was used");
    println!("{}", json!({ "seconds": least, "peak_mb": peak_mb }));
    Ok(())
}

fn store() -> Result<ModelStore> {
    testing::store_with_minilm().ok_or_else(|| anyhow!("MiniLM cannot be fetched, see above"))
}

fn examples(pairs: &Path) -> Result<Examples> {
    let pairs = Pair::read_lines(fs::read(pairs)?.as_slice())?;
    Ok(Examples::new(&pairs, &PairRules { held_out: 0.0, ..PairRules::default() }))
}

fn learner(store: &ModelStore, examples: &Examples) -> Result<Box<dyn Learner>> {
    let config = AdapterConfig::Lora(LoraConfig::default());
    Ok(store.learner(testing::MINILM_NAME, config, &examples.texts, POSITIONS)?)
}

/// Steps of the static model's map, on the halves of chunks.
fn head(bench: &Bench<'_>) -> Result<Row> {
    let words: Vec<&str> = bench.texts.chunks.iter().map(String::as_str).collect();
    let halves = words.iter().flat_map(|text| {
        let middle = text.floor_char_boundary(text.len() / 2);
        let (anchor, positive) = text.split_at(middle);
        [(anchor, positive), (positive, anchor)]
    });
    let pairs: Vec<Pair> = halves
        .enumerate()
        .take(MANY)
        .map(|(number, (anchor, positive))| Pair {
            anchor: anchor.to_owned(),
            positive: positive.to_owned(),
            document: number.to_string(),
            ..Pair::default()
        })
        .collect();
    let rules = PairRules { held_out: 0.0, ..PairRules::default() };
    let examples = Examples::new(&pairs, &rules);
    let model = ModelStore::open(&default_cache().context("there is no folder for models")?)?
        .load_static(BUILTIN_NAME)?;
    let config = AdapterConfig::Head(HeadConfig::default());
    let learner = StaticLearner::new(&model, config, &examples.texts, POSITIONS)?;
    let options = TrainOptions { batch: STEP, epochs: 1000, ..TrainOptions::default() };
    let mut trainer = Trainer::new(&learner, &examples, options, None)?;
    let failed = |error: &dyn std::fmt::Display| EmbedError::Backend(error.to_string());
    let mut least = Duration::MAX;
    for _ in 0..bench.rounds * 8 {
        let step = bench.one.time(|| match trainer.step() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(failed(&"the loss is no number")),
            Err(error) => Err(failed(&error)),
        })?;
        least = least.min(step);
    }
    let cpu_s = least.as_secs_f64();
    Ok(Row::Training(Training {
        engine: OURS.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        task: HEAD.to_owned(),
        cpu_s,
        peak_mb: None,
        pairs_per_s: STEP as f64 / cpu_s,
    }))
}

/// PyTorch in its process.
struct Torch {
    talk: Talk,
    versions: serde_json::Value,
    folder: PathBuf,
}

impl Torch {
    fn start(bench: &Bench<'_>, pairs: &[Pair]) -> Result<Self> {
        let scripts = bench.root.join("xtask/peers");
        let requirements = scripts.join("requirements-training.txt");
        let python = venv::prepare(bench.root, "training", &requirements)?.whole()?;
        let folder = bench.root.join("target/bench-embedder");
        fs::create_dir_all(&folder)?;
        let file = folder.join("training.json");
        let texts: Vec<_> = pairs.iter().map(|pair| (&pair.anchor, &pair.positive)).collect();
        let content = json!({
            "pairs": texts, "compared": bench.texts.compared, "positions": POSITIONS,
        });
        fs::write(&file, serde_json::to_vec(&content)?)?;
        testing::minilm().ok_or_else(|| anyhow!("MiniLM cannot be fetched, see above"))?;
        let model = default_cache().context("there is no folder for models")?;
        let (talk, mut first) = Talk::start(
            SCRIPT,
            Command::new(python)
                .arg(scripts.join(SCRIPT))
                .arg("--model")
                .arg(model.join(testing::MINILM_NAME))
                .arg("--texts")
                .arg(file),
        )?;
        Ok(Self { talk, versions: first["versions"].take(), folder })
    }

    fn version(&self, package: &str) -> Result<String> {
        let version = self.versions[package].as_str();
        Ok(version.with_context(|| format!("{SCRIPT} told no version of {package}"))?.to_owned())
    }

    /// Trains a little with a large step, and compares vectors of the adapted model with those by `peft`.
    fn peft(&mut self, bench: &Bench<'_>, pairs: &[Pair]) -> Result<Row> {
        // A store of its own, where nothing of anybody's is called the same.
        let cache = default_cache().context("there is no folder for models")?;
        let models = self.folder.join("models");
        if models.exists() {
            fs::remove_dir_all(&models)?;
        }
        let store = ModelStore::open(&models)?;
        let source = PullSource::Directory(cache.join(testing::MINILM_NAME));
        store.pull(&source, &mut |_| ())?;
        let examples = Examples::new(pairs, &PairRules { held_out: 0.0, ..PairRules::default() });
        let learner = learner(&store, &examples)?;
        let options =
            TrainOptions { batch: PAIRS, rate: 0.01, warmup: 0.0, ..TrainOptions::default() };
        let mut trainer = Trainer::new(learner.as_ref(), &examples, options, None)?;
        trainer.step()?.context("the loss is no number")?;
        let adapter = learner.adapter(trainer.values())?;
        let files = adapter.to_peft("sentence-transformers/all-MiniLM-L6-v2")?;
        let files = files.context("it is a LoRA adapter")?;
        let folder = self.folder.join("peft");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("adapter_config.json"), files.config)?;
        fs::write(folder.join("adapter_model.safetensors"), files.weights)?;
        let name = "bench-adapted";
        let base = store.info(testing::MINILM_NAME)?;
        store.add_adapted(&base.name, &adapter.to_bytes(base.id)?, name)?;
        let ours = store.load_with(name, Precision::F32)?;
        let plain = store.load_with(&base.name, Precision::F32)?;
        let mut answer = self.talk.ask(&json!({ "peft": folder }))?;
        let theirs: Vec<Vec<f64>> = serde_json::from_value(answer["vectors"].take())?;
        let texts: Vec<&str> = bench.texts.compared.iter().map(String::as_str).collect();
        let cosines = |model: &dyn Embedder| -> Result<Vec<f64>> {
            let rows = model.embed(&texts)?;
            let dot = |(a, b): (&[f32], &Vec<f64>)| -> f64 {
                a.iter().zip(b).map(|(a, b)| f64::from(*a) * b).sum()
            };
            Ok(rows.chunks_exact(model.dim()).zip(&theirs).map(dot).collect())
        };
        let least = |cosines: Vec<f64>| cosines.into_iter().fold(f64::INFINITY, f64::min);
        Ok(Row::Peft(Peft {
            versions: ["peft", "transformers"]
                .map(|name| self.version(name).map(|version| format!("{name} {version}")))
                .into_iter()
                .collect::<Result<_>>()?,
            texts: texts.len() as u32,
            least: least(cosines(ours.as_ref())?),
            without: least(cosines(plain.as_ref())?),
        }))
    }
}

/// What was aimed at, as far as there are rows for it.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let trainings: Vec<&Training> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Training(it) => Some(it),
            _ => None,
        })
        .collect();
    let of = |engine: &str, task: &str| {
        trainings.iter().find(|it| it.engine == engine && it.task == task)
    };
    let mut goals = Vec::new();
    if let (Some(ours), Some(torch)) = (of(OURS, LORA), of(TORCH, LORA)) {
        let name = "LoRA: CPU of a step beside PyTorch's";
        goals.push(Goal::at_most(name.to_owned(), ours.cpu_s / torch.cpu_s, 1.0));
        if let (Some(ours), Some(torch)) = (ours.peak_mb, torch.peak_mb) {
            let name = "LoRA: memory beside PyTorch's";
            goals.push(Goal::at_most(name.to_owned(), ours / torch, 1.0));
        }
    }
    if let Some(head) = of(OURS, HEAD) {
        let name = "static: pairs a second that its map learns from";
        goals.push(Goal::at_least(name.to_owned(), head.pairs_per_s, PAIRS_PER_SECOND));
    }
    for row in rows {
        if let Row::Peft(it) = row {
            let name = "an adapter opened by peft: 1 - least cosine with ours";
            goals.push(Goal::at_most(name.to_owned(), 1.0 - it.least, APART));
        }
    }
    goals
}
