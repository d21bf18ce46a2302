//! Training of a person's own adapter: from pairs of their texts to what a question's vector becomes.

use std::collections::BTreeSet;
use std::mem::take;
use std::ops::ControlFlow;

use covey_embedder::adapter::{HeadConfig, QueryAdapter};
use covey_embedder::eval::compare;
use covey_embedder::train::{
    Example, Examples, Learner, Pair, QueryLearner, TrainOptions, Trainer,
};

use crate::api::{ApiError, ErrorCode, PersonalLearnt, Progress};
use crate::held_out::{examples, keep_some};
use crate::models::{ModelHandle, embedder_id};

/// Most pairs that are learnt from with a static model, which embeds them in a second, and with a transformer, which takes minutes.
const MOST_PAIRS: (usize, usize) = (20_000, 4_000);
/// Fewer pairs say nothing of others.
const LEAST_PAIRS: usize = 32;
/// Fewer held-out pairs say nothing of when to stop, and as many others of whether anything was learnt.
const LEAST_HELD_OUT: usize = 8;
/// Held-out pairs that a larger share of the documents is held out for.
const ENOUGH_HELD_OUT: usize = 32;
/// Most held-out pairs that places are looked up of.
const MOST_RANKED: usize = 500;
/// Texts that are embedded at a time.
const EMBEDDED: usize = 64;
/// Rank of the map.
const RANK: usize = 32;

/// Hears how far it is, and may end it.
pub(super) type Watch<'a> = &'a mut dyn FnMut(Progress) -> Result<(), ApiError>;

/// Learns from `pairs` for questions to `model`.
pub(super) fn learn(
    model: &ModelHandle,
    mut pairs: Vec<Pair>,
    watch: Watch<'_>,
) -> Result<(QueryAdapter, PersonalLearnt), ApiError> {
    let fast = model.cheap_recompute().is_some();
    keep_some(&mut pairs, if fast { MOST_PAIRS.0 } else { MOST_PAIRS.1 });
    let mut examples = examples(&pairs, ENOUGH_HELD_OUT);
    // Pairs of a document follow each other; one half says when to stop, the other what that is worth.
    let documents: BTreeSet<usize> = examples.held_out.iter().map(|it| it.document).collect();
    let every_second: BTreeSet<usize> = documents.into_iter().step_by(2).collect();
    let (stop_by, judged) = take(&mut examples.held_out)
        .into_iter()
        .partition(|it| every_second.contains(&it.document));
    let judged: Vec<Example> = judged;
    examples.held_out = stop_by;
    let (count, held_out) = (examples.train.len(), judged.len());
    if count < LEAST_PAIRS || held_out.min(examples.held_out.len()) < LEAST_HELD_OUT {
        let message = format!(
            "there are {} pairs of texts to learn from, too few to learn anything that holds for other questions",
            count + held_out + examples.held_out.len()
        );
        return Err(ApiError::new(ErrorCode::NotFound, message).hint(
            "pairs come of titles, headings, comments in code, and results opened by `covey open`; add folders with more of those, or name a \
             file of pairs with --pairs",
        ));
    }
    let vectors = embed(model, &examples.texts, watch)?;
    let head = HeadConfig { rank: Some(RANK.min(model.dim)), ..HeadConfig::default() };
    let learner = QueryLearner::new(embedder_id(model.id), head, model.dim, vectors);
    let learner = learner.map_err(failed)?;
    let options = TrainOptions {
        batch: 256,
        epochs: 40,
        max_steps: Some(2_000),
        rate: 2e-3,
        patience: 4,
        ..TrainOptions::default()
    };
    let mut trainer = Trainer::new(&learner, &examples, options.clone(), None).map_err(failed)?;
    let mut ended = Ok(());
    let outcome = trainer.run(&mut |_, step| {
        ended = watch(progress("training", step.step, step.steps));
        if ended.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    ended?;
    let outcome = outcome.map_err(failed)?;
    let adapter = learner.query_adapter(&outcome.values);
    let adapter = adapter.map_err(|error| internal(&error))?;
    examples.held_out = judged;
    let loss = |values: Vec<f32>| -> Result<f64, ApiError> {
        let trainer = Trainer::new(&learner, &examples, options.clone(), Some(values));
        let loss = trainer.and_then(|trainer| trainer.held_out_loss()).map_err(failed)?;
        loss.ok_or_else(|| internal(&"held-out pairs are all alike"))
    };
    let loss = (loss(learner.start())?, loss(outcome.values)?);
    let before = reciprocal_ranks(&learner, &examples, None);
    let after = reciprocal_ranks(&learner, &examples, Some(&adapter));
    let differences: Vec<f64> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len().max(1) as f64;
    let learnt = PersonalLearnt {
        pairs: count as u64,
        held_out_pairs: held_out as u64,
        loss,
        reciprocal_rank: (mean(&before), mean(&after)),
        p: compare(&differences).map_or(1.0, |it| it.p),
    };
    Ok((adapter, learnt))
}

fn embed(model: &ModelHandle, texts: &[String], watch: Watch<'_>) -> Result<Vec<f32>, ApiError> {
    let mut vectors = Vec::with_capacity(texts.len() * model.dim);
    for (number, some) in texts.chunks(EMBEDDED).enumerate() {
        watch(progress("embedding", number * EMBEDDED, texts.len()))?;
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        vectors.extend(model.encoder.encode(&some).map_err(|error| internal(&error))?);
    }
    Ok(vectors)
}

/// For each held-out anchor (some, if there are many), one divided by the place of what belongs to it among all that belongs to any.
fn reciprocal_ranks(
    learner: &QueryLearner,
    examples: &Examples,
    adapter: Option<&QueryAdapter>,
) -> Vec<f64> {
    let all = examples.train.iter().chain(&examples.held_out);
    let mut candidates: Vec<usize> = all.map(|example| example.positive).collect();
    candidates.sort_unstable();
    candidates.dedup();
    let mut ranked: Vec<&Example> = examples.held_out.iter().collect();
    keep_some(&mut ranked, MOST_RANKED);
    let of_one = |example: &Example| {
        let mut question = learner.vector(example.anchor).to_vec();
        if let Some(adapter) = adapter {
            adapter.apply(&mut question);
        }
        let score = |text: usize| -> f32 {
            learner.vector(text).iter().zip(&question).map(|(a, b)| a * b).sum()
        };
        let own = score(example.positive);
        let others = candidates.iter().filter(|text| !examples.belongs(example.anchor, **text));
        1.0 / (1 + others.filter(|text| score(**text) >= own).count()) as f64
    };
    ranked.into_iter().map(of_one).collect()
}

fn progress(stage: &str, done: usize, total: usize) -> Progress {
    Progress { stage: stage.to_owned(), done: done as u64, total: Some(total as u64), item: None }
}

fn failed(error: covey_embedder::train::TrainError) -> ApiError {
    internal(&error)
}

fn internal(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("training failed: {error}"))
}
