//! Training for a round: from own files and a plan to an update. And what own files make of a candidate, which is trained on nothing.

use covey_embedder::adapter::AdapterConfig;
use covey_embedder::train::{Examples, Learner, Pair, TrainError, TrainOptions, Trainer, update};
use covey_privacy::ledger::CollectionKey;
use covey_protocol::ids::ModelId;
use covey_protocol::round::{Check, Checked, Measure, Plan, Weighting};

use super::{Update, documents};
use crate::api::{ApiError, ErrorCode};
use crate::held_out::{examples, keep_some};
use crate::models::Models;

/// Held-out pairs that are enough to tell how a loss moved.
const ENOUGH: usize = 4;
/// Most held-out pairs that values are compared by.
const MOST_COMPARED: usize = 2_000;
/// Most held-out pairs that losses are told of in a round: looking at more would take longer than training does.
const MOST_HELD_OUT: usize = 64;
/// A loss is worse if it is larger by more than this share.
const WORSE: f64 = 0.02;

/// What training came to. It leaves the node masked, if at all.
#[derive(Debug, Clone)]
pub struct Trained {
    /// How the values moved, or are to.
    pub update: Update,
    /// The weight, if there is one, and the measures.
    pub extras: Vec<f64>,
    /// What was learnt from, for the ledger.
    pub collections: Vec<CollectionKey>,
    /// What there is to tell the person.
    pub told: Told,
    /// Why nothing was learnt, and zeros are sent, in a round with noise.
    pub nothing: Option<String>,
}

impl Trained {
    /// What is sent by who learnt nothing: zeros, as if its part were taken out, which is what the noise is made to hide. Whoever stayed away
    /// instead would tell the coordinator, for nothing, that a plan fails on its texts.
    pub(crate) fn nothing(plan: &Checked, why: &str) -> Self {
        Self {
            update: Update::nothing(plan),
            extras: vec![0.0; plan.layout().extras.len()],
            collections: Vec::new(),
            told: Told::default(),
            nothing: Some(why.to_owned()),
        }
    }
}

/// What training came to, for the person whose node it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// Pairs there were.
    pub pairs: usize,
    /// Steps that were taken; documents that were looked at, where each counts by itself.
    pub steps: usize,
    /// Length of the update; of the documents' gradients, on average.
    pub norm: f64,
}

/// The adapter's configuration in a plan.
pub(crate) fn adapter(json: &[u8]) -> Result<AdapterConfig, ApiError> {
    serde_json::from_slice(json).map_err(|error| {
        let message = format!("{}: {error}", Check::Model);
        ApiError::new(ErrorCode::WrongModel, message)
    })
}

/// What there is to train for a round.
pub struct Training<'a> {
    /// How.
    pub plan: &'a Checked,
    /// What to start from.
    pub values: Vec<f32>,
    /// What to learn from. Where documents are protected a document's pairs say so, and nothing of another one decides which they are.
    pub pairs: &'a [Pair],
    /// What order, and which documents, are drawn from.
    pub seed: u64,
    /// Hears after each step how many are done, and of how many, and ends it early with what there is: partial work is welcome, and how much it was is
    /// nobody's business. But none at all is no update.
    pub watch: &'a dyn Fn(usize, usize) -> bool,
    /// How many documents there is time for, to be told before the first, given what does the largest that there may be: if how long one takes decided whether
    /// there is time for another, noise would not hide it. When `watch` ends it early all the same, nothing comes of any of them.
    pub fit: &'a dyn Fn(&mut dyn FnMut()) -> usize,
}

/// Trains. With noise something always comes of it, if only zeros (R15).
///
/// # Errors
/// If the plan is for another model; without noise also if there are too few pairs, or nothing comes of it.
pub fn train(models: &dyn Models, training: Training<'_>) -> Result<Trained, ApiError> {
    let Training { plan, ref values, .. } = training;
    let learnt = match plan.plan().learning.documents {
        0 => learn(models, &training),
        _ => documents::learn(models, &training),
    };
    or_nothing(models, plan, values, learnt)
}

/// R15: what fails is zeros where there is noise, unless it would fail whatever the texts are.
fn or_nothing(
    models: &dyn Models,
    plan: &Checked,
    values: &[f32],
    learnt: Result<Trained, ApiError>,
) -> Result<Trained, ApiError> {
    match learnt {
        Err(why) if plan.cost().is_some() => {
            check_model(models, plan.plan(), values)?;
            Ok(Trained::nothing(plan, &why.message))
        }
        other => other,
    }
}

fn learn(models: &dyn Models, training: &Training<'_>) -> Result<Trained, ApiError> {
    // Where noise is to hide that it fails, it takes as long as if it did not.
    let Training { plan, values, pairs, seed, watch, .. } = training;
    let (plan, to_the_end) = (plan.plan(), plan.cost().is_some());
    let learning = &plan.learning;
    let mut examples = examples(pairs, ENOUGH);
    keep_some(&mut examples.held_out, if measures_loss(plan) { MOST_HELD_OUT } else { 0 });
    let count = examples.train.len();
    let few = count < learning.min_pairs as usize;
    let too_few = || {
        let message = format!(
            "there are {count} pairs to learn from in these collections, and the plan wants {}",
            learning.min_pairs
        );
        ApiError::new(ErrorCode::NotFound, message)
    };
    if few && !to_the_end {
        return Err(too_few());
    }
    let tokens = usize::from(learning.max_tokens);
    let config = adapter(&plan.adapter)?;
    let learner = models.learner(plan.model, config, &examples.texts, tokens)?;
    let ran = run(&*learner, &examples, plan, values, (*seed, to_the_end), *watch);
    if few {
        return Err(too_few());
    }
    let outcome = ran.map_err(failed)?;
    if outcome.diverged {
        let message =
            "training diverged: the loss was no number; the plan's learning rate may be too high";
        return Err(ApiError::new(ErrorCode::Internal, message));
    }
    if outcome.steps == 0 {
        let message = "the time to train was over before the first step was done";
        return Err(ApiError::new(ErrorCode::Timeout, message));
    }
    let trained = outcome.trained(plan, values, count);
    let Update::Whole(update) = &trained.update else { return Ok(trained) };
    if !update.iter().all(|value| value.is_finite()) {
        let message = "training moved the values further than numbers go";
        return Err(ApiError::new(ErrorCode::Internal, message));
    }
    Ok(trained)
}

/// What training came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The values after it.
    pub values: Vec<f32>,
    /// Steps that were taken.
    pub steps: usize,
    /// Whether the loss was no number.
    pub diverged: bool,
    /// Loss of the held-out pairs before, if there are any.
    pub before: Option<f64>,
    /// And after.
    pub after: Option<f64>,
}

impl Outcome {
    /// What a plan has sent of it, which began with the values `start` and learnt from `count` pairs.
    pub fn trained(&self, plan: &Plan, start: &[f32], count: usize) -> Trained {
        let contribution = &plan.contribution;
        let mut update = update::difference(start, &self.values);
        let mut extras = Vec::new();
        if let Weighting::Pairs { .. } = contribution.weighting {
            let weight = contribution.weight(count);
            update.iter_mut().for_each(|value| *value *= weight as f32);
            extras.push(weight);
        }
        let norm = update.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let clipped = norm > contribution.clip.get();
        extras.extend(contribution.measures.iter().map(|measure| match measure {
            // Who has held nothing out has no loss to tell.
            Measure::LossBefore => self.before.map_or(0.0, bounded),
            Measure::LossAfter => self.after.map_or(0.0, bounded),
            Measure::Clipped => f64::from(u8::from(clipped)),
            // No plan that trains has it.
            Measure::NoWorse => 0.0,
        }));
        let told = Told { pairs: count, steps: self.steps, norm };
        let update = Update::Whole(update);
        Trained { update, extras, collections: Vec::new(), told, nothing: None }
    }
}

/// Values of an adapter that are compared.
pub(crate) struct Compared {
    /// The model whose weights stay.
    pub(crate) base: ModelId,
    /// The adapter.
    pub(crate) adapter: AdapterConfig,
    /// The values that there were before; the model as it is where there were none.
    pub(crate) before: Option<Vec<f32>>,
    /// The others.
    pub(crate) after: Vec<f32>,
}

/// The loss of held-out pairs with the values before and after, and how many pairs that are; nothing if there are too few. Nothing is trained.
/// `ended` is asked between batches whether there is no more time.
pub(crate) fn compare(
    models: &dyn Models,
    compared: Compared,
    pairs: &[Pair],
    (batch, tokens): (usize, usize),
    ended: &mut dyn FnMut() -> bool,
) -> Result<Option<(f64, f64, usize)>, ApiError> {
    let Compared { base, adapter, before, after } = compared;
    let mut examples = examples(pairs, ENOUGH);
    keep_some(&mut examples.held_out, MOST_COMPARED);
    let count = examples.held_out.len();
    if examples.train.len() < 2 || count < 2 {
        return Ok(None);
    }
    let learner = models.learner(base, adapter, &examples.texts, tokens)?;
    let mut loss = |values: Vec<f32>| {
        check_fit(&*learner, &values)?;
        let options = TrainOptions { batch, ..TrainOptions::default() };
        let trainer =
            Trainer::new(&*learner, &examples, options, Some(values)).map_err(uncompared)?;
        let mut late = false;
        let found = trainer.held_out_loss_unless(&mut || {
            late = ended();
            late
        });
        if late {
            let message = "the time to compare was over before it was done";
            return Err(ApiError::new(ErrorCode::Timeout, message));
        }
        found.map_err(uncompared)
    };
    let losses = loss(before.unwrap_or_else(|| learner.start()))?.zip(loss(after)?);
    Ok(losses.map(|(before, after)| (before, after, count)))
}

/// Whether a loss is no worse than the one before. One that is no number is.
pub(crate) fn is_as_good(before: f64, after: f64) -> bool {
    after <= before * (1.0 + WORSE)
}

/// What own held-out pairs make of the candidate of an evaluation. It leaves the node masked, if at all; with noise it does, if only as zeros
/// (R15).
pub(crate) fn evaluate(
    models: &dyn Models,
    plan: &Checked,
    before: Vec<f32>,
    after: Vec<f32>,
    pairs: &[Pair],
    ended: &mut dyn FnMut() -> bool,
) -> Result<Trained, ApiError> {
    or_nothing(models, plan, &before, judged(models, plan, &before, after, pairs, ended))
}

fn judged(
    models: &dyn Models,
    plan: &Checked,
    before: &[f32],
    after: Vec<f32>,
    pairs: &[Pair],
    ended: &mut dyn FnMut() -> bool,
) -> Result<Trained, ApiError> {
    let (plan, learning) = (plan.plan(), plan.plan().learning);
    let sizes = (usize::from(learning.batch), usize::from(learning.max_tokens));
    let adapter = adapter(&plan.adapter)?;
    let compared = Compared { base: plan.model, adapter, before: Some(before.to_vec()), after };
    let found = compare(models, compared, pairs, sizes, ended)?;
    let enough = found.filter(|(_, _, count)| *count >= learning.min_pairs as usize);
    let Some((before, after, count)) = enough else {
        let message = "there are too few held-out pairs in these collections to evaluate with";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    };
    let no_worse = is_as_good(before, after);
    let extras = vec![bounded(before), bounded(after), f64::from(u8::from(no_worse))];
    let told = Told { pairs: count, steps: 0, norm: 0.0 };
    let (update, collections) = (Update::Whole(Vec::new()), Vec::new());
    Ok(Trained { update, extras, collections, told, nothing: None })
}

/// R11 and R12, of which no text knows: the model is here, and adapter and values fit it.
pub(super) fn check_model(
    models: &dyn Models,
    plan: &Plan,
    values: &[f32],
) -> Result<(), ApiError> {
    let (config, tokens) = (adapter(&plan.adapter)?, usize::from(plan.learning.max_tokens));
    check_fit(&*models.learner(plan.model, config, &[], tokens)?, values)
}

/// Whether there are as many values as the adapter has, all of them numbers.
fn check_fit(learner: &dyn Learner, values: &[f32]) -> Result<(), ApiError> {
    if learner.layout().len() == values.len() && values.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    let message = format!("{}, or are not finite", Check::Start);
    Err(ApiError::new(ErrorCode::WrongModel, message))
}

/// A loss as it may be told.
fn bounded(loss: f64) -> f64 {
    if loss.is_finite() { loss } else { Measure::LOSS_BOUND }
}

fn uncompared(error: TrainError) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("values cannot be compared: {error}"))
}

fn run(
    learner: &dyn Learner,
    examples: &Examples,
    plan: &Plan,
    values: &[f32],
    (seed, to_the_end): (u64, bool),
    watch: &dyn Fn(usize, usize) -> bool,
) -> Result<Outcome, TrainError> {
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
    let before = trainer.held_out_loss()?;
    let total = trainer.steps();
    let (mut steps, mut diverged, mut over) = (0, false, watch(0, total));
    while steps < total && !over && (to_the_end || !diverged) {
        // After one that diverged, which moves nothing, all others are the same: they are there for the time that they take.
        diverged |= trainer.step()?.is_none();
        if to_the_end || !diverged {
            steps += 1;
            over = watch(steps, total);
        }
    }
    let after = trainer.held_out_loss()?;
    Ok(Outcome { values: trainer.values().to_vec(), steps, diverged, before, after })
}

fn measures_loss(plan: &Plan) -> bool {
    let losses = [Measure::LossBefore, Measure::LossAfter];
    plan.contribution.measures.iter().any(|measure| losses.contains(measure))
}

fn failed(error: TrainError) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("training failed: {error}"))
}

#[cfg(test)]
pub(super) mod tests;
