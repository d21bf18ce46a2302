//! Training for a round: from own files and a plan to an update. And what own files make of a candidate, which is trained on nothing.

use covey_embedder::adapter::AdapterConfig;
use covey_embedder::train::{Examples, Learner, Pair, TrainError, TrainOptions, Trainer, update};
use covey_privacy::ledger::CollectionKey;
use covey_protocol::ids::ModelId;
use covey_protocol::round::{Check, Checked, Measure, Plan, Weighting};

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
    /// How the values moved, times their weight.
    pub update: Vec<f32>,
    /// The weight, if there is one, and the measures.
    pub extras: Vec<f64>,
    /// What was learnt from, for the ledger.
    pub collections: Vec<CollectionKey>,
    /// What there is to tell the person.
    pub told: Told,
}

/// What training came to, for the person whose node it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told {
    /// Pairs there were.
    pub pairs: usize,
    /// Steps that were taken.
    pub steps: usize,
    /// Length of the update.
    pub norm: f64,
}

/// The adapter's configuration in a plan.
pub(crate) fn adapter(json: &[u8]) -> Result<AdapterConfig, ApiError> {
    serde_json::from_slice(json).map_err(|error| {
        let message = format!("{}: {error}", Check::Model);
        ApiError::new(ErrorCode::WrongModel, message)
    })
}

/// Trains from `values` on `pairs`. `watch` hears after each step how many are done, and of how many, and ends it early with what there
/// is: partial work is welcome, and how much it was is nobody's business. But none at all is no update.
///
/// # Errors
/// If there are too few pairs, the plan is for another model, or nothing comes of it.
pub fn train(
    models: &dyn Models,
    plan: &Checked,
    values: Vec<f32>,
    pairs: &[Pair],
    seed: u64,
    watch: &dyn Fn(usize, usize) -> bool,
) -> Result<Trained, ApiError> {
    let plan = plan.plan();
    let learning = &plan.learning;
    let mut examples = examples(pairs, ENOUGH);
    keep_some(&mut examples.held_out, if measures_loss(plan) { MOST_HELD_OUT } else { 0 });
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
    check_fit(&*learner, &values)?;
    let outcome = run(&*learner, &examples, plan, &values, seed, watch).map_err(failed)?;
    if outcome.diverged {
        let message =
            "training diverged: the loss was no number; the plan's learning rate may be too high";
        return Err(ApiError::new(ErrorCode::Internal, message));
    }
    if outcome.steps == 0 {
        let message = "the time to train was over before the first step was done";
        return Err(ApiError::new(ErrorCode::Timeout, message));
    }
    Ok(outcome.trained(plan, &values, count))
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
        Trained { update, extras, collections: Vec::new(), told }
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

/// What own held-out pairs make of the candidate of an evaluation. It leaves the node masked, if at all.
pub(crate) fn evaluate(
    models: &dyn Models,
    plan: &Checked,
    before: Vec<f32>,
    after: Vec<f32>,
    pairs: &[Pair],
    ended: &mut dyn FnMut() -> bool,
) -> Result<Trained, ApiError> {
    let (plan, learning) = (plan.plan(), plan.plan().learning);
    let sizes = (usize::from(learning.batch), usize::from(learning.max_tokens));
    let adapter = adapter(&plan.adapter)?;
    let compared = Compared { base: plan.model, adapter, before: Some(before), after };
    let found = compare(models, compared, pairs, sizes, ended)?;
    let enough = found.filter(|(_, _, count)| *count >= learning.min_pairs as usize);
    let Some((before, after, count)) = enough else {
        let message = "there are too few held-out pairs in these collections to evaluate with";
        return Err(ApiError::new(ErrorCode::NotFound, message));
    };
    let no_worse = is_as_good(before, after);
    let extras = vec![bounded(before), bounded(after), f64::from(u8::from(no_worse))];
    let told = Told { pairs: count, steps: 0, norm: 0.0 };
    Ok(Trained { update: Vec::new(), extras, collections: Vec::new(), told })
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
    seed: u64,
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
    while steps < total && !diverged && !over {
        diverged = trainer.step()?.is_none();
        if !diverged {
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
mod tests {
    use covey_crypto::{Digest, SecretKey};
    use covey_embedder::adapter::HeadConfig;
    use covey_embedder::{ModelStore, train::Batch};
    use covey_privacy::ledger::Unit;
    use covey_privacy::{ClipNorm, Delta};
    use covey_protocol::ids::{Epoch, GroupId, NodeId, UnixMillis};
    use covey_protocol::round::{
        Contribution, Learning, PLAN_VERSION, Rule, SignedPlan, Start, Task, Timing,
    };
    use covey_protocol::secagg::{Bounds, Members, Parameters, Topology};

    use super::*;
    use crate::models::StoredModels;

    const THINGS: [&str; 12] = [
        "kettle",
        "bicycle",
        "orchard",
        "beehive",
        "violin",
        "greenhouse",
        "barrel",
        "bread",
        "telescope",
        "stove",
        "compost",
        "loom",
    ];

    /// Each thing belongs to the one three places on, which no model knows.
    fn pairs() -> Vec<Pair> {
        let pair = |place: usize| Pair {
            anchor: THINGS[place].to_owned(),
            positive: THINGS[(place + 3) % THINGS.len()].to_owned(),
            document: place.to_string(),
            ..Pair::default()
        };
        (0..THINGS.len()).map(pair).collect()
    }

    fn plan(model: &crate::models::ModelHandle, config: &AdapterConfig, start: Start) -> Checked {
        let key = SecretKey::from_seed(&[1; 32]);
        let me = NodeId::new(key.public());
        let others = (2..5).map(|seed| NodeId::new(SecretKey::from_seed(&[seed; 32]).public()));
        let members = Members::new(others.chain([me])).expect("four");
        let mut plan = Plan {
            version: PLAN_VERSION,
            group: GroupId(Digest::ZERO),
            epoch: Epoch(0),
            members: members.digest(),
            coordinator: me,
            round: 1,
            attempts: 1,
            model: model.id,
            adapter: serde_json::to_vec(config).expect("JSON"),
            start,
            task: Task::Train,
            learning: Learning {
                epochs: 10,
                batch: 16,
                max_steps: 10,
                rate: 1e-2,
                proximal: 0.0,
                max_tokens: 16,
                min_pairs: 2,
            },
            contribution: Contribution {
                clip: ClipNorm::new(100.0).expect("a norm"),
                noise: None,
                unit: Unit::Peer,
                delta: Delta::new(1e-5).expect("a delta"),
                rotate: false,
                weighting: Weighting::Uniform,
                measures: vec![],
            },
            sum: Parameters {
                topology: Topology::Complete,
                entries: 1,
                min_cohort: 4,
                max_cohort: 4,
                bounds: Bounds::default(),
            },
            rule: Rule::Average { rate: 1.0 },
            timing: Timing {
                opens: UnixMillis(1),
                check_in_by: UnixMillis(60_001),
                phase_ms: 1_000,
                upload_ms: 1_000,
            },
        };
        plan.sum.entries = plan.entries().expect("it fits");
        SignedPlan::sign(&plan, &key).expect("sound").verify(&me).expect("signed")
    }

    #[test]
    fn an_update_leads_where_the_pairs_are_told_apart_better() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ModelStore::open(folder.path()).expect("a store");
        let models = StoredModels::new(store, None);
        let model = models.current().expect("the built-in one");
        let config = AdapterConfig::Head(HeadConfig::default());
        let all = examples(&pairs(), ENOUGH);
        let learner = models.learner(model.id, config.clone(), &all.texts, 16).expect("fits");
        let start = learner.start();
        let plan = plan(&model, &config, Start::of(&start));
        let trained =
            train(&models, &plan, start.clone(), &pairs(), 1, &|_, _| false).expect("trains");
        assert!(trained.told.steps > 0 && trained.told.norm > 0.0, "{:?}", trained.told);
        let loss = |values: &[f32]| {
            let examples: Vec<_> = all.train.iter().collect();
            let batch: Batch = all.batch(&examples, &[]);
            let options = TrainOptions::default();
            learner.loss(values, &batch, &options.objective).expect("a loss")
        };
        let moved: Vec<f32> = start.iter().zip(&trained.update).map(|(a, b)| a + b).collect();
        let (before, after) = (loss(&start), loss(&moved));
        assert!(after < 0.9 * before, "the loss went from {before} to {after}");
    }
}
