use std::ops::ControlFlow;

use super::*;
use crate::adapter::{Adapter, AdapterConfig, HeadConfig, LoraConfig, QueryAdapter, Target};
use crate::{DistillOptions, StaticModel, distill};

mod examples;
mod passes;
mod privacy;

const TOKENS: usize = 8;

fn pair(anchor: &str, positive: &str) -> Pair {
    Pair { anchor: anchor.into(), positive: positive.into(), ..Pair::default() }
}

/// Pairs over the toy model's six words.
fn pairs() -> Vec<Pair> {
    let words = ["a", "b", "c", "d", "e", "f"];
    let text =
        |i: usize| format!("{} {} {}", words[i % 6], words[i / 6 % 6], words[(i * 5 + 1) % 6]);
    (0..24).map(|i| pair(&text(i), &format!("{} {}", text(i + 7), words[i % 6]))).collect()
}

fn all_of(pairs: &[Pair], held_out: f64) -> Examples {
    Examples::new(pairs, &PairRules { held_out, ..PairRules::default() })
}

fn table() -> StaticModel {
    let options = DistillOptions { dim: 6, ..DistillOptions::default() };
    distill(&crate::bert::tests::toy(), &options, &mut |_, _| ()).unwrap()
}

fn lora(freeze_a: bool) -> AdapterConfig {
    let targets = Target::ALL.into();
    AdapterConfig::Lora(LoraConfig { rank: 2, alpha: 4.0, targets, freeze_a, seed: 3 })
}

fn bert(config: AdapterConfig, examples: &Examples) -> BertLearner {
    let model = crate::bert::tests::toy_with(crate::Precision::Reference, None);
    BertLearner::new(model, config, &examples.texts, TOKENS).unwrap()
}

/// The same by the tensor library.
fn reference(config: AdapterConfig, examples: &Examples) -> BertLearner {
    let model = crate::bert::tests::toy_with(crate::Precision::Reference, None);
    BertLearner::reference(model, config, &examples.texts, TOKENS).unwrap()
}

fn head(rank: Option<usize>, token_weights: bool, examples: &Examples) -> StaticLearner {
    let config = AdapterConfig::Head(HeadConfig { rank, token_weights, ..HeadConfig::default() });
    StaticLearner::new(&std::sync::Arc::new(table()), config, &examples.texts, TOKENS).unwrap()
}

/// Of the vectors that the table makes.
fn query(rank: Option<usize>, examples: &Examples) -> QueryLearner {
    use crate::Embedder as _;
    let texts: Vec<&str> = examples.texts.iter().map(String::as_str).collect();
    let (model, head) = (table(), HeadConfig { rank, ..HeadConfig::default() });
    QueryLearner::new(model.id(), head, model.dim(), model.embed(&texts).unwrap()).unwrap()
}

/// One learner of each kind.
fn learners(examples: &Examples) -> Vec<Box<dyn Learner>> {
    vec![
        Box::new(bert(lora(false), examples)),
        Box::new(bert(lora(true), examples)),
        Box::new(head(None, false, examples)),
        Box::new(head(Some(2), true, examples)),
        Box::new(query(None, examples)),
        Box::new(query(Some(3), examples)),
    ]
}

fn moved(learner: &dyn Learner) -> Vec<f32> {
    let values = learner.start();
    values.iter().enumerate().map(|(i, x)| x + 0.2 * (i as f32 * 1.3).sin()).collect()
}

fn first(examples: &Examples, count: usize) -> Batch {
    examples.batch(&examples.train.iter().take(count).collect::<Vec<_>>(), &[])
}

#[test]
fn gradients_are_what_the_loss_does() {
    let examples = all_of(&pairs(), 0.0);
    let objective = Objective { temperature: 0.3, matryoshka: vec![3], ..Objective::default() };
    for (number, learner) in learners(&examples).iter().enumerate() {
        let values = moved(learner.as_ref());
        let batch = first(&examples, 6);
        let mut gradient = vec![0.0; values.len()];
        let loss = learner.gradient(&values, &batch, &objective, &mut gradient).unwrap();
        assert!((loss - learner.loss(&values, &batch, &objective).unwrap()).abs() < 1e-6);
        assert!(update::norm(&gradient) > 0.01, "learner {number} has something to learn");
        // Along the gradient and along fixed directions, the loss changes as they say.
        for direction in 0..4 {
            let along: Vec<f32> = match direction {
                0 => gradient.clone(),
                _ => (0..values.len()).map(|i| ((i * direction) as f32 * 2.1).cos()).collect(),
            };
            let length = update::norm(&along) as f32;
            let expected: f64 =
                gradient.iter().zip(&along).map(|(g, a)| f64::from(g * a / length)).sum();
            let at = |step: f32| {
                let values: Vec<f32> =
                    values.iter().zip(&along).map(|(x, a)| x + step * a / length).collect();
                learner.loss(&values, &batch, &objective).unwrap()
            };
            let found = (at(0.01) - at(-0.01)) / 0.02;
            let scale = update::norm(&gradient);
            assert!(
                (found - expected).abs() < 0.01 * scale + 1e-4,
                "learner {number}, direction {direction}: {found}, not {expected}"
            );
        }
    }
}

/// Whether a learner finds the loss and the gradient that another one does.
fn learns_as(ours: &dyn Learner, theirs: &dyn Learner, batch: &Batch) {
    let objective = Objective { temperature: 0.3, matryoshka: vec![3], ..Objective::default() };
    let values = moved(ours);
    let learnt = |learner: &dyn Learner| {
        let mut gradient = vec![0.0; values.len()];
        let loss = learner.gradient(&values, batch, &objective, &mut gradient).unwrap();
        assert!((loss - learner.loss(&values, batch, &objective).unwrap()).abs() < 1e-6);
        (loss, gradient)
    };
    let ((loss, found), (expected_loss, expected)) = (learnt(ours), learnt(theirs));
    assert!((loss - expected_loss).abs() < 1e-5, "{loss}, not {expected_loss}");
    let apart = update::norm(&update::difference(&found, &expected));
    let whole = update::norm(&expected);
    assert!(apart < 1e-4 * whole && whole > 0.01, "{apart} of {whole}");
}

#[test]
fn passes_of_our_own_learn_what_the_tensor_library_does() {
    // Texts of many lengths, one without a word, and some that are in the batch more than once.
    let texts = ["", "a", "b c d e f a", "a b", "", "f e", "a b c d e f a b c d", "a"];
    let mut pairs: Vec<Pair> =
        texts.windows(2).map(|texts| pair(&format!("{} f", texts[0]), texts[1])).collect();
    pairs.push(pair("b c d e f a", "a f"));
    pairs.push(pair("", "d d"));
    let examples = all_of(&pairs, 0.0);
    let batch = first(&examples, pairs.len());
    assert!(batch.anchors.iter().any(|anchor| batch.columns.contains(anchor)), "a text twice");
    for config in [lora(false), lora(true)] {
        let (ours, theirs) = (bert(config.clone(), &examples), reference(config, &examples));
        learns_as(&ours, &theirs, &batch);
        assert!(ours.bytes(&batch) < theirs.bytes(&batch));
    }
}

#[test]
fn a_head_learns_what_the_tensor_library_does() {
    let examples = all_of(&pairs(), 0.0);
    let batch = first(&examples, 12);
    for (rank, token_weights) in [(None, false), (None, true), (Some(2), true)] {
        let ours = head(rank, token_weights, &examples);
        let theirs = head(rank, token_weights, &examples).on(crate::compute::Backend::cpu());
        learns_as(&ours, &theirs, &batch);
    }
}

#[test]
fn gradients_add_up() {
    let examples = all_of(&pairs(), 0.0);
    let learner = head(None, false, &examples);
    let (batch, objective) = (first(&examples, 4), Objective::default());
    let (mut once, mut twice) = (vec![0.0; 36], vec![0.0; 36]);
    learner.gradient(&learner.start(), &batch, &objective, &mut once).unwrap();
    for _ in 0..2 {
        learner.gradient(&learner.start(), &batch, &objective, &mut twice).unwrap();
    }
    assert!(once.iter().zip(&twice).all(|(a, b)| (2.0 * a - b).abs() < 1e-5));
}

#[test]
fn a_trained_transformer_embeds_as_it_learnt_to() {
    let examples = all_of(&pairs(), 0.0);
    let learner = bert(lora(false), &examples);
    let adapter = learner.adapter(&moved(&learner)).unwrap();
    let plain = crate::bert::tests::toy();
    let bytes = adapter.to_bytes(crate::Embedder::id(&plain)).unwrap();
    let texts = ["a b c", "f", "d e a b"];
    use crate::Embedder as _;
    let embed = |precision, adapter| {
        crate::bert::tests::toy_with(precision, adapter).embed(&texts).unwrap()
    };
    let fast = embed(crate::Precision::F32, Some(&bytes));
    let merged = embed(crate::Precision::Reference, Some(&bytes));
    assert!(fast.iter().zip(&merged).all(|(a, b)| (a - b).abs() < 1e-4));
    assert_ne!(fast, plain.embed(&texts).unwrap());
    // What training differentiates is what the merged model computes.
    let pairs = [pair("a b c", "f"), pair("d e a b", "c")];
    let two = all_of(&pairs, 0.0);
    let learner = bert(lora(false), &two);
    let batch = first(&two, 2);
    let objective = Objective { symmetric: false, temperature: 1.0, ..Objective::default() };
    let loss = learner.loss(adapter.values(), &batch, &objective).unwrap();
    let texts: Vec<&str> = two.texts.iter().map(String::as_str).collect();
    let rows =
        crate::bert::tests::toy_with(crate::Precision::F32, Some(&bytes)).embed(&texts).unwrap();
    let row = |text: usize| &rows[text * 8..][..8];
    let dot = |a: usize, b: usize| -> f64 {
        row(a).iter().zip(row(b)).map(|(x, y)| f64::from(x * y)).sum()
    };
    let expected: f64 = (0..2)
        .map(|i| {
            let scores: Vec<f64> =
                batch.columns.iter().map(|&column| dot(batch.anchors[i], column)).collect();
            scores.iter().map(|x| x.exp()).sum::<f64>().ln() - scores[batch.targets[i]]
        })
        .sum();
    assert!((loss - expected / 2.0).abs() < 1e-4, "{loss} {expected}");
}

fn options() -> TrainOptions {
    TrainOptions { batch: 6, epochs: 5, rate: 0.02, ..TrainOptions::default() }
}

fn go_on(_: &Trainer<'_>, _: &Step) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn training_lowers_the_loss_of_what_it_has_seen() {
    let examples = all_of(&pairs(), 0.0);
    for (number, learner) in learners(&examples).into_iter().enumerate() {
        let whole = first(&examples, examples.train.len());
        let loss = |values: &[f32]| learner.loss(values, &whole, &Objective::default()).unwrap();
        let mut trainer = Trainer::new(learner.as_ref(), &examples, options(), None).unwrap();
        let outcome = trainer.run(&mut go_on).unwrap();
        assert_eq!((outcome.stopped, outcome.steps), (Stopped::Done, 20));
        let (before, after) = (loss(&learner.start()), loss(&outcome.values));
        // Where passages stay as they are, so few steps gain less.
        let most = if number < 4 { 0.9 } else { 0.98 };
        assert!(after < most * before, "learner {number}: {before} to {after}");
    }
}

#[test]
fn a_checkpoint_goes_on_as_if_nothing_had_happened() {
    let examples = all_of(&pairs(), 0.2);
    let learner = head(Some(2), true, &examples);
    let options = TrainOptions { proximal: 0.1, patience: 50, evaluate_every: 2, ..options() };
    let whole =
        Trainer::new(&learner, &examples, options.clone(), None).unwrap().run(&mut go_on).unwrap();
    for cut in [1, 2, 7] {
        let mut trainer = Trainer::new(&learner, &examples, options.clone(), None).unwrap();
        let mut left = cut;
        let stop = &mut |_: &Trainer<'_>, _: &Step| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert_eq!(trainer.run(stop).unwrap().stopped, Stopped::Asked);
        let bytes = trainer.checkpoint().to_bytes().unwrap();
        let checkpoint = Checkpoint::from_bytes(&bytes).unwrap();
        assert_eq!(checkpoint, trainer.checkpoint());
        let mut resumed = Trainer::resume(&learner, &examples, checkpoint).unwrap();
        let outcome = resumed.run(&mut go_on).unwrap();
        assert_eq!(outcome.values, whole.values, "cut after {cut}");
        assert_eq!(outcome.held_out, whole.held_out);
        for cut in [0, 8, 100, bytes.len() / 2, bytes.len() - 1] {
            assert!(Checkpoint::from_bytes(&bytes[..cut]).is_err());
        }
    }
    let trainer = Trainer::new(&learner, &examples, options.clone(), None).unwrap();
    let other = head(Some(2), false, &examples);
    assert!(matches!(
        Trainer::resume(&other, &examples, trainer.checkpoint()),
        Err(CheckpointError::Learner)
    ));
    let others = all_of(&pairs()[1..], 0.2);
    let trainer = Trainer::new(&learner, &examples, options, None).unwrap();
    assert!(matches!(
        Trainer::resume(&learner, &others, trainer.checkpoint()),
        Err(CheckpointError::Examples)
    ));
}

#[test]
fn training_ends_early_with_the_best_values() {
    let examples = all_of(&pairs(), 0.4);
    let learner = head(None, false, &examples);
    let options =
        TrainOptions { epochs: 500, rate: 0.3, patience: 3, evaluate_every: 1, ..options() };
    let mut trainer = Trainer::new(&learner, &examples, options, None).unwrap();
    let mut least = f64::INFINITY;
    let watch = &mut |_: &Trainer<'_>, step: &Step| {
        least = least.min(step.held_out.unwrap());
        ControlFlow::Continue(())
    };
    let outcome = trainer.run(watch).unwrap();
    assert_eq!(outcome.stopped, Stopped::Early);
    let least = least.min(outcome.held_out_before.unwrap());
    assert_eq!(outcome.held_out, Some(least));
    let of_best = Trainer::new(&learner, &examples, self::options(), Some(outcome.values));
    assert_eq!(of_best.unwrap().held_out_loss().unwrap(), Some(least));
}

#[test]
fn what_diverges_keeps_its_last_good_values() {
    let examples = all_of(&pairs(), 0.0);
    let learner = head(None, false, &examples);
    let wild = TrainOptions {
        rate: 100.0,
        max_norm: None,
        optimizer: Optimizer::Sgd { momentum: 1e30 },
        schedule: Schedule::Constant,
        warmup: 0.0,
        epochs: 100,
        ..options()
    };
    let mut trainer = Trainer::new(&learner, &examples, wild, None).unwrap();
    let outcome = trainer.run(&mut go_on).unwrap();
    assert_eq!(outcome.stopped, Stopped::Diverged);
    assert!(outcome.values.iter().all(|value| value.is_finite()));
    learner.adapter(&outcome.values).unwrap();
}

#[test]
fn the_proximal_term_holds_values_back() {
    let examples = all_of(&pairs(), 0.0);
    let learner = head(None, false, &examples);
    let moved = |proximal| {
        let options = TrainOptions { proximal, ..options() };
        let outcome =
            Trainer::new(&learner, &examples, options, None).unwrap().run(&mut go_on).unwrap();
        update::norm(&update::difference(&learner.start(), &outcome.values))
    };
    let (free, held) = (moved(0.0), moved(10.0));
    assert!(held < 0.75 * free, "{held} beside {free}");
}

#[test]
fn a_batch_beyond_the_budget_is_cut_and_a_pair_beyond_it_refused() {
    let examples = all_of(&pairs(), 0.0);
    let learner = bert(lora(false), &examples);
    let whole = learner.bytes(&first(&examples, 6));
    let with = |memory| {
        let options = TrainOptions { memory, max_steps: Some(2), ..options() };
        Trainer::new(&learner, &examples, options, None)
    };
    let outcome = with(whole / 2).unwrap().run(&mut go_on).unwrap();
    assert_eq!(outcome.stopped, Stopped::Done);
    assert!(matches!(with(1000), Err(TrainError::TooLarge { budget: 1000, .. })));
}

#[test]
fn options_out_of_range_are_named() {
    let examples = all_of(&pairs(), 0.0);
    let learner = head(None, false, &examples);
    let named = |change: &dyn Fn(&mut TrainOptions)| {
        let mut options = options();
        change(&mut options);
        Trainer::new(&learner, &examples, options, None).err().unwrap().to_string()
    };
    assert!(named(&|o| o.batch = 1).contains("batch"));
    assert!(named(&|o| o.accumulate = 0).contains("accumulate"));
    assert!(named(&|o| o.epochs = 0).contains("epochs"));
    assert!(named(&|o| o.max_steps = Some(0)).contains("max_steps"));
    assert!(named(&|o| o.rate = f64::NAN).contains("rate"));
    assert!(named(&|o| o.warmup = 2.0).contains("warmup"));
    assert!(named(&|o| o.max_norm = Some(0.0)).contains("max_norm"));
    assert!(named(&|o| o.proximal = -1.0).contains("proximal"));
    assert!(named(&|o| o.objective.temperature = 0.0).contains("temperature"));
    assert!(named(&|o| o.objective.matryoshka = vec![6]).contains("Matryoshka"));
    let none = Examples::default();
    let error = Trainer::new(&learner, &none, options(), None).err().unwrap();
    assert!(matches!(error, TrainError::TooFew(0, 2)));
    let model = crate::bert::tests::toy();
    let error = BertLearner::new(model, lora(false), &examples.texts, TOKENS).err().unwrap();
    assert!(matches!(error, TrainError::NotTrainable));
}

#[test]
fn an_adapter_for_questions_asks_as_it_learnt_to_and_goes_through_its_file() {
    let examples = all_of(&pairs(), 0.0);
    for learner in [query(None, &examples), query(Some(3), &examples)] {
        let adapter = learner.query_adapter(&moved(&learner)).unwrap();
        let bytes = adapter.to_bytes().unwrap();
        let back = QueryAdapter::from_bytes(&bytes, adapter.model(), learner.dim()).unwrap();
        // What training differentiates is what a question becomes.
        let batch = first(&examples, 2);
        let objective = Objective { symmetric: false, temperature: 1.0, ..Objective::default() };
        let loss = learner.loss(&moved(&learner), &batch, &objective).unwrap();
        let score = |anchor: usize, column: usize| -> f64 {
            let mut question = learner.vector(anchor).to_vec();
            back.apply(&mut question);
            let pairs = question.iter().zip(learner.vector(column));
            pairs.map(|(x, y)| f64::from(x * y)).sum()
        };
        let of_row = |row: usize| {
            let scores = batch.columns.iter().map(|&column| score(batch.anchors[row], column));
            let scores: Vec<f64> = scores.collect();
            scores.iter().map(|x| x.exp()).sum::<f64>().ln() - scores[batch.targets[row]]
        };
        let expected = (of_row(0) + of_row(1)) / 2.0;
        assert!((loss - expected).abs() < 1e-4, "{loss}, not {expected}");
        let untouched = learner.query_adapter(&learner.start()).unwrap();
        let mut question = learner.vector(0).to_vec();
        untouched.apply(&mut question);
        assert!(question.iter().zip(learner.vector(0)).all(|(x, y)| (x - y).abs() < 1e-6));
        let mut nothing = vec![0.0; learner.dim()];
        back.apply(&mut nothing);
        assert!(nothing.iter().all(|x| *x == 0.0));

        // It is no adapter of the model itself, nor that one of this kind; cut short or for another model it is none at all.
        let shape = learner.adapter(&learner.start()).unwrap().shape().clone();
        assert!(Adapter::from_bytes(&bytes, adapter.model(), shape).is_err());
        let plain = learner.adapter(&learner.start()).unwrap().to_bytes(adapter.model()).unwrap();
        assert!(QueryAdapter::from_bytes(&plain, adapter.model(), learner.dim()).is_err());
        for cut in [0, 8, 100, bytes.len() - 1] {
            assert!(QueryAdapter::from_bytes(&bytes[..cut], adapter.model(), 6).is_err());
        }
        let other = crate::ModelId { release: [9; 32], ..adapter.model() };
        assert!(QueryAdapter::from_bytes(&bytes, other, learner.dim()).is_err());
        assert!(QueryAdapter::from_bytes(&bytes, adapter.model(), 7).is_err());
    }
}
