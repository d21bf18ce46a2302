//! What models find: nDCG@10 by number format, and what fine-tuning on a set's own training questions brings on its test
//! questions.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use covey_embedder::adapter::{AdapterConfig, HeadConfig, LoraConfig};
use covey_embedder::eval::{Near, Set, answers, compare, evaluate, retrieve};
use covey_embedder::train::{Examples, Pair, PairRules, TrainOptions, Trainer};
use covey_embedder::{BUILTIN_NAME, Embedder, ModelStore, Precision, testing};

use super::rows::{Beside, Quality, Row};
use crate::bench::report::Goal;

/// Documents that count.
const DEPTH: usize = 10;
/// Share of f32's nDCG that whole numbers may cost.
const COST: f64 = 0.005;
/// Share of MiniLM's nDCG that the built-in model is to reach.
const BUILTIN: f64 = 0.85;
/// How large that may be.
const LARGEST_MIB: f64 = 8.0;
/// Trainings, each from a seed of its own.
const SEEDS: u64 = 3;
/// Least probability of a difference that passes for chance.
const CHANCE: f64 = 0.05;
/// What is said of a model before fine-tuning.
const BEFORE: &str = "without";
/// Steps of LoRA, and pairs of a step: some minutes on one core.
const LORA: [usize; 2] = [120, 32];
/// Its learning rate.
const LORA_RATE: f64 = 3e-4;
/// The same of the static model's map, times every pair is looked at in place of steps.
const HEAD: [usize; 2] = [3, 256];
/// A transformer learns from answers that it finds among so many as it is.
pub const FOUND: usize = 30;
/// Pairs of one document.
const PER_DOCUMENT: usize = 16;

/// nDCG@10 of each question.
type Values = BTreeMap<String, f64>;

/// Every number format on the test questions of a set, and the built-in model.
pub fn formats(folder: &Path) -> Result<Vec<Row>> {
    let set = Set::read(folder, "test")?;
    let store = testing::store_with_minilm().context("MiniLM cannot be fetched, see above")?;
    let name = name_of(folder);
    let builtin = values(&*store.load(BUILTIN_NAME)?, &set)?;
    let mut rows = vec![Row::Quality(quality(&name, BUILTIN_NAME, &builtin, None))];
    let mut floats = None;
    for precision in [Precision::F32, Precision::Int16, Precision::Int8] {
        let model = store.load_with(testing::MINILM_NAME, precision)?;
        let values = values(&*model, &set)?;
        let label = format!("{} {}", testing::MINILM_NAME, precision.name());
        let beside = floats.as_ref().map(|floats| (Precision::F32.name(), floats));
        rows.push(Row::Quality(quality(&name, &label, &values, beside)));
        floats.get_or_insert(values);
    }
    Ok(rows)
}

/// Both families, fine-tuned on the training questions of a set. Each row is handed over as it comes.
pub fn tuned(folder: &Path, keep: &mut dyn FnMut(Row) -> Result<()>) -> Result<()> {
    let set = Set::read(folder, "test")?;
    let models = tempfile::tempdir()?;
    let store = ModelStore::open(models.path())?;
    testing::store_with_minilm().context("MiniLM cannot be fetched, see above")?;
    let cache = covey_embedder::default_cache().context("there is no folder for models")?;
    let source = covey_embedder::PullSource::Directory(cache.join(testing::MINILM_NAME));
    store.pull(&source, &mut |_| ())?;
    for base in [BUILTIN_NAME, testing::MINILM_NAME] {
        let model = store.load(base)?;
        let before = values(&*model, &set)?;
        let pairs = pairs(folder, Some(&*model).filter(|_| base != BUILTIN_NAME))?;
        let label = format!("{base}, {BEFORE}");
        keep(Row::Tuning(quality(&name_of(folder), &label, &before, None)))?;
        for seed in 0..SEEDS {
            let name = format!("tuned-{seed}-{}", base.len());
            tune(&store, base, &name, &pairs, seed)?;
            let after = values(&*store.load(&name)?, &set)?;
            let label = format!("{base}, fine-tuned on the training questions, seed {seed}");
            let beside = Some((BEFORE, &before));
            keep(Row::Tuning(quality(&name_of(folder), &label, &after, beside)))?;
        }
    }
    Ok(())
}

/// Trains an adapter of `base` and adds the model with it as `name`.
fn tune(store: &ModelStore, base: &str, name: &str, pairs: &[Pair], seed: u64) -> Result<()> {
    let rules = PairRules { per_document: PER_DOCUMENT, seed, ..PairRules::default() };
    let examples = Examples::new(pairs, &rules);
    let (config, options) = match base {
        BUILTIN_NAME => (
            AdapterConfig::Head(HeadConfig { seed, ..HeadConfig::default() }),
            TrainOptions { epochs: HEAD[0], batch: HEAD[1], rate: 1e-3, ..TrainOptions::default() },
        ),
        _ => (
            AdapterConfig::Lora(LoraConfig { seed, ..LoraConfig::default() }),
            TrainOptions {
                max_steps: Some(LORA[0]),
                batch: LORA[1],
                rate: LORA_RATE,
                ..TrainOptions::default()
            },
        ),
    };
    let learner = store.learner(base, config, &examples.texts, 128)?;
    let options = TrainOptions { seed, ..options };
    let mut trainer = Trainer::new(learner.as_ref(), &examples, options, None)?;
    let outcome = trainer.run(&mut |_, step| {
        if step.step % 10 == 0 || step.step == step.steps {
            eprintln!(
                "{base}, seed {seed}: step {} of {}, loss {:.3}",
                step.step, step.steps, step.loss
            );
        }
        std::ops::ControlFlow::Continue(())
    })?;
    let adapter = learner.adapter(&outcome.values)?;
    store.add_adapted(base, &adapter.to_bytes(store.info(base)?.id)?, name)?;
    Ok(())
}

/// A pair for each document that a training question is answered by; if there is a `model`, for those that it is near to, with a negative.
fn pairs(folder: &Path, model: Option<&dyn Embedder>) -> Result<Vec<Pair>> {
    let set = Set::read(folder, "train")?;
    let answers = answers(&set, model.map(|model| (model, FOUND)))?;
    let pairs: Vec<Pair> = answers.iter().map(Near::pair).collect();
    ensure!(!pairs.is_empty(), "{}: no training question has an answer", folder.display());
    Ok(pairs)
}

fn values(model: &dyn Embedder, set: &Set) -> Result<Values> {
    eprintln!("{}: {} documents", model.name(), set.documents.len());
    let run = retrieve(model, set, DEPTH, &mut |_, _| ())?;
    let measured = evaluate(&run, &set.judgements, DEPTH);
    Ok(measured.into_iter().map(|(query, measures)| (query, measures.ndcg)).collect())
}

fn quality(set: &str, model: &str, values: &Values, beside: Option<(&str, &Values)>) -> Quality {
    let beside = beside.and_then(|(name, others)| {
        let differences: Vec<f64> =
            values.iter().map(|(query, value)| value - others.get(query).unwrap_or(&0.0)).collect();
        let it = compare(&differences)?;
        let base = others.values().sum::<f64>() / others.len() as f64;
        Some(Beside {
            model: name.to_owned(),
            difference: it.mean,
            share: it.mean / base,
            low: it.low,
            high: it.high,
            p: it.p,
        })
    });
    Quality {
        set: set.to_owned(),
        questions: values.len() as u32,
        model: model.to_owned(),
        ndcg: values.values().sum::<f64>() / values.len().max(1) as f64,
        beside,
    }
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What was aimed at, as far as there are rows for it.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in rows {
        match row {
            Row::Tuning(Quality { set, model, beside: Some(beside), .. }) => {
                let lifts = if beside.difference > 0.0 { beside.p } else { 1.0 };
                let name = format!("{set}: {model}: probability that it is no better than before");
                goals.push(Goal::at_most(name, lifts, CHANCE));
            }
            Row::Quality(Quality { set, model, beside: Some(beside), .. }) => {
                let name = format!("{set}: {model}: nDCG@10 beside {}'s", beside.model);
                goals.push(Goal::at_least(name, 1.0 + beside.share, 1.0 - COST));
            }
            _ => (),
        }
    }
    goals.extend(builtin_beside_minilm(rows));
    goals
}

/// How large the built-in model is.
pub fn size() -> Result<Goal> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../embedder/assets");
    let file = assets.join(format!("{BUILTIN_NAME}.cvst"));
    let bytes = file.metadata().with_context(|| file.display().to_string())?.len();
    let name = format!("{BUILTIN_NAME}: MiB, vocabulary included");
    Ok(Goal::at_most(name, bytes as f64 / f64::from(1 << 20), LARGEST_MIB))
}

/// The built-in model's mean over sets beside MiniLM's, over those sets that both have a row for.
fn builtin_beside_minilm(rows: &[Row]) -> Option<Goal> {
    let floats = format!("{} {}", testing::MINILM_NAME, Precision::F32.name());
    let of = |name: &str| -> BTreeMap<&str, f64> {
        let qualities = rows.iter().filter_map(|row| match row {
            Row::Quality(it) if it.model == name => Some((it.set.as_str(), it.ndcg)),
            _ => None,
        });
        qualities.collect()
    };
    let (ours, theirs) = (of(BUILTIN_NAME), of(&floats));
    let both: Vec<(&str, f64, f64)> =
        ours.iter().filter_map(|(set, it)| Some((*set, *it, *theirs.get(set)?))).collect();
    let (mine, other): (f64, f64) =
        both.iter().fold((0.0, 0.0), |sums, (_, mine, other)| (sums.0 + mine, sums.1 + other));
    let sets = both.iter().map(|(set, ..)| *set).collect::<Vec<_>>().join(" and ");
    let name = format!("{sets}: {BUILTIN_NAME}: mean nDCG@10 beside {floats}'s");
    (other > 0.0).then(|| Goal::at_least(name, mine / other, BUILTIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(of: [f64; 3]) -> Values {
        ["a", "b", "c"].map(str::to_owned).into_iter().zip(of).collect()
    }

    #[test]
    fn a_model_is_held_against_another_question_by_question() {
        let (first, second) = (values([0.5, 0.2, 0.8]), values([0.5, 0.1, 0.9]));
        let it = quality("s", "m int8", &second, Some(("f32", &first)));
        let beside = it.beside.clone().expect("compared");
        assert!((it.ndcg - 0.5).abs() < 1e-12 && beside.difference.abs() < 1e-12);
        let worse = quality("s", "m int8", &values([0.4, 0.1, 0.8]), Some(("f32", &first)));
        let alone = quality("s", "m f32", &first, None);
        let found = goals(&[it, worse, alone].map(Row::Quality));
        assert_eq!(found.iter().map(|goal| goal.met).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn the_built_in_model_is_held_against_minilm_over_all_sets() {
        let floats = format!("{} {}", testing::MINILM_NAME, Precision::F32.name());
        let of = |set: &str, model: &str, value: f64| {
            Row::Quality(quality(set, model, &values([value; 3]), None))
        };
        let rows = [
            of("s", BUILTIN_NAME, 0.5),
            of("s", &floats, 0.6),
            of("n", BUILTIN_NAME, 0.2),
            of("n", &floats, 0.3),
            of("alone", BUILTIN_NAME, 0.9),
        ];
        let [goal] = &goals(&rows)[..] else { panic!("one goal") };
        assert!((goal.value - 0.7 / 0.9).abs() < 1e-12 && !goal.met, "{goal:?}");
        assert!(goal.name.starts_with("n and s: "), "{}", goal.name);
    }

    #[test]
    fn what_is_worse_than_before_is_no_lift_however_sure() {
        let lifted: Values = (0..50).map(|i| (i.to_string(), 0.5 + f64::from(i) / 1e3)).collect();
        let before: Values = (0..50).map(|i| (i.to_string(), 0.4)).collect();
        let better = quality("s", "m", &lifted, Some((BEFORE, &before)));
        let worse = quality("s", "m", &before, Some((BEFORE, &lifted)));
        let found = goals(&[better, worse].map(Row::Tuning));
        assert!(found[0].met && !found[1].met, "{found:?}");
    }

    #[test]
    fn pairs_are_questions_with_what_answers_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("in it")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        write(
            "corpus.jsonl",
            "{\"_id\":\"d\",\"title\":\"T\",\"text\":\"x\"}\n{\"_id\":\"e\",\"title\":\"\",\"text\":\"y\"}\n",
        );
        write("queries.jsonl", "{\"_id\":\"q\",\"text\":\"why\"}\n");
        write("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq\td\t1\nq\te\t0\nq\tgone\t1\n");
        let pairs = pairs(folder.path(), None).expect("pairs");
        assert_eq!(pairs.len(), 1);
        assert_eq!((pairs[0].anchor.as_str(), pairs[0].document.as_str()), ("why", "d"));
        assert!(pairs[0].positive.contains('x'));
    }
}
