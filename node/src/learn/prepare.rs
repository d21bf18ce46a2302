//! Training for a round: from own files and a plan to an update. And what own files make of a candidate, which is trained on nothing.

use std::ops::ControlFlow;

use covey_embedder::adapter::AdapterConfig;
use covey_embedder::train::{
    Examples, Learner, Pair, PairRules, Stopped, TrainError, TrainOptions, Trainer, update,
};
use covey_privacy::ledger::CollectionKey;
use covey_protocol::ids::ModelId;
use covey_protocol::round::{Check, Checked, Measure, Weighting};

use crate::api::{ApiError, ErrorCode};
use crate::models::Models;

/// Most pairs of one document.
const PER_DOCUMENT: usize = 16;
/// Share of documents whose pairs are held out: the first of these that gives enough. The documents of a smaller share are among those of a
/// larger one.
const HELD_OUT: [f64; 4] = [0.1, 0.2, 0.3, 0.5];
/// Held-out pairs that are enough.
const ENOUGH: usize = 4;
/// Most held-out pairs that values are compared by.
const MOST_COMPARED: usize = 2_000;
/// A loss is worse if it is larger by more than this share.
const WORSE: f64 = 0.02;

/// What training came to. It leaves the node masked, if at all.
pub(super) struct Trained {
    /// How the values moved, times their weight.
    pub(super) update: Vec<f32>,
    /// The weight, if there is one, and the measures.
    pub(super) extras: Vec<f64>,
    /// What was learnt from, for the ledger.
    pub(super) collections: Vec<CollectionKey>,
}

/// The adapter's configuration in a plan.
pub(super) fn adapter(json: &[u8]) -> Result<AdapterConfig, ApiError> {
    serde_json::from_slice(json).map_err(|error| {
        let message = format!("{}: {error}", Check::Model);
        ApiError::new(ErrorCode::WrongModel, message)
    })
}

/// Trains from `values` on `pairs`. `watch` hears after each step how many are done, and of how many, and ends it early with what there
/// is: partial work is welcome, and how much it was is nobody's business. But none at all is no update.
pub(super) fn train(
    models: &dyn Models,
    plan: &Checked,
    values: Vec<f32>,
    pairs: &[Pair],
    seed: u64,
    watch: &dyn Fn(usize, usize) -> bool,
) -> Result<Trained, ApiError> {
    let plan = plan.plan();
    let learning = &plan.learning;
    let examples = examples(pairs);
    let count = examples.train.len();
    if count < learning.min_pairs as usize {
        let message = format!(
            "there are {count} pairs to learn from in these collections, and the plan wants {}",
            learning.min_pairs
        );
        return Err(ApiError::new(ErrorCode::NotFound, message));
    }
    let tokens = usize::from(learning.max_tokens);
    let config = adapter(&plan.adapter)?;
    let learner = models.learner(plan.model, config, &examples.texts, tokens)?;
    let fits = learner.layout().len() == values.len();
    if !fits || !values.iter().all(|value| value.is_finite()) {
        let message = format!("{}, or are not finite", Check::Start);
        return Err(ApiError::new(ErrorCode::WrongModel, message));
    }
    let outcome = run(&*learner, &examples, plan, &values, seed, watch).map_err(failed)?;
    if outcome.stopped == Stopped::Diverged {
        let message =
            "training diverged: the loss was no number; the plan's learning rate may be too high";
        return Err(ApiError::new(ErrorCode::Internal, message));
    }
    if outcome.steps == 0 {
        let message = "the time to train was over before the first step was done";
        return Err(ApiError::new(ErrorCode::Timeout, message));
    }
    let contribution = &plan.contribution;
    let mut update = update::difference(&outcome.values, &values);
    let clipped =
        update.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() > contribution.clip.get();
    let mut extras = Vec::new();
    if let Weighting::Pairs { .. } = contribution.weighting {
        let weight = contribution.weight(count);
        update.iter_mut().for_each(|value| *value *= weight as f32);
        extras.push(weight);
    }
    extras.extend(contribution.measures.iter().map(|measure| match measure {
        Measure::LossBefore => outcome.held_out_before.unwrap_or(0.0),
        Measure::LossAfter => outcome.held_out.unwrap_or(0.0),
        Measure::Clipped => f64::from(u8::from(clipped)),
        // No plan that trains has it.
        Measure::NoWorse => 0.0,
    }));
    Ok(Trained { update, extras, collections: Vec::new() })
}

/// What is learnt from, and what is held out: always the same pairs, so that none that was learnt from is ever judged by.
fn examples(pairs: &[Pair]) -> Examples {
    let split = |held_out| {
        let rules = PairRules { per_document: PER_DOCUMENT, held_out, seed: 0 };
        Examples::new(pairs, &rules)
    };
    let mut all = split(HELD_OUT[0]);
    for held_out in &HELD_OUT[1..] {
        if all.held_out.len() >= ENOUGH {
            break;
        }
        all = split(*held_out);
    }
    all
}

/// Values of an adapter that are compared.
pub(super) struct Compared {
    /// The model whose weights stay.
    pub(super) base: ModelId,
    /// The adapter.
    pub(super) adapter: AdapterConfig,
    /// The values that there were before; the model as it is where there were none.
    pub(super) before: Option<Vec<f32>>,
    /// The others.
    pub(super) after: Vec<f32>,
}

/// The loss of held-out pairs with the values before and after, and how many pairs that are; nothing if there are too few. Nothing is trained.
pub(super) fn compare(
    models: &dyn Models,
    compared: Compared,
    pairs: &[Pair],
    batch: usize,
    tokens: usize,
) -> Result<Option<(f64, f64, usize)>, ApiError> {
    let Compared { base, adapter, before, after } = compared;
    let mut examples = examples(pairs);
    examples.held_out.truncate(MOST_COMPARED);
    let count = examples.held_out.len();
    if examples.train.len() < 2 || count < 2 {
        return Ok(None);
    }
    let learner = models.learner(base, adapter, &examples.texts, tokens)?;
    let loss = |values: Vec<f32>| {
        let fits = learner.layout().len() == values.len();
        if !fits || !values.iter().all(|value| value.is_finite()) {
            let message = format!("{}, or are not finite", Check::Start);
            return Err(ApiError::new(ErrorCode::WrongModel, message));
        }
        let options = TrainOptions { batch, ..TrainOptions::default() };
        let trainer =
            Trainer::new(&*learner, &examples, options, Some(values)).map_err(uncompared)?;
        trainer.held_out_loss().map_err(uncompared)
    };
    let losses = loss(before.unwrap_or_else(|| learner.start()))?.zip(loss(after)?);
    Ok(losses.map(|(before, after)| (before, after, count)))
}

/// Whether a loss is no worse than the one before. One that is no number is.
pub(super) fn is_as_good(before: f64, after: f64) -> bool {
    after <= before * (1.0 + WORSE)
}

/// What own held-out pairs make of the candidate of an evaluation. It leaves the node masked, if at all.
pub(super) fn evaluate(
    models: &dyn Models,
    plan: &Checked,
    before: Vec<f32>,
    after: Vec<f32>,
    pairs: &[Pair],
) -> Result<Trained, ApiError> {
    let (plan, learning) = (plan.plan(), plan.plan().learning);
    let (batch, tokens) = (usize::from(learning.batch), usize::from(learning.max_tokens));
    let adapter = adapter(&plan.adapter)?;
    let compared = Compared { base: plan.model, adapter, before: Some(before), after };
    let found = compare(models, compared, pairs, batch, tokens)?;
    let enough = found.filter(|(_, _, count)| *count >= learning.min_pairs as usize);
    let Some((before, after, _)) = enough else {
        let message = "there are too few held-out pairs in these collections to evaluate with";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    };
    let no_worse = is_as_good(before, after);
    let bounded = |loss: f64| if loss.is_finite() { loss } else { Measure::LOSS_BOUND };
    let extras = vec![bounded(before), bounded(after), f64::from(u8::from(no_worse))];
    Ok(Trained { update: Vec::new(), extras, collections: Vec::new() })
}

fn uncompared(error: TrainError) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("values cannot be compared: {error}"))
}

fn run(
    learner: &dyn Learner,
    examples: &Examples,
    plan: &covey_protocol::round::Plan,
    values: &[f32],
    seed: u64,
    watch: &dyn Fn(usize, usize) -> bool,
) -> Result<covey_embedder::train::Outcome, TrainError> {
    let learning = &plan.learning;
    let options = TrainOptions {
        batch: usize::from(learning.batch),
        epochs: usize::from(learning.epochs),
        max_steps: Some(learning.max_steps as usize),
        rate: learning.rate,
        proximal: learning.proximal,
        seed,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(learner, examples, options, Some(values.to_vec()))?;
    trainer.run(&mut |_, step| match watch(step.step, step.steps) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    })
}

fn failed(error: TrainError) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("training failed: {error}"))
}
