//! Training for a round: from own files and a plan to an update.

use std::ops::ControlFlow;

use covey_embedder::adapter::AdapterConfig;
use covey_embedder::train::{
    Examples, Learner, Pair, PairRules, Stopped, TrainError, TrainOptions, Trainer, update,
};
use covey_privacy::ledger::CollectionKey;
use covey_protocol::round::{Check, Checked, Measure, Weighting};

use crate::api::{ApiError, ErrorCode};
use crate::models::Models;

/// Most pairs of one document.
const PER_DOCUMENT: usize = 16;
/// Share of documents whose pairs are held out.
const HELD_OUT: f64 = 0.1;

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
    let rules = PairRules { per_document: PER_DOCUMENT, held_out: HELD_OUT, seed: 0 };
    let examples = Examples::new(pairs, &rules);
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
    }));
    Ok(Trained { update, extras, collections: Vec::new() })
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
