use covey_crypto::{Digest, SecretKey};
use covey_embedder::adapter::HeadConfig;
use covey_embedder::{ModelStore, train::Batch};
use covey_privacy::ledger::Unit;
use covey_privacy::{ClipNorm, Delta, NoiseMultiplier};
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

/// The update of a peer as a whole.
fn whole(trained: &Trained) -> &[f32] {
    match &trained.update {
        Update::Whole(update) => update,
        Update::Documents(_) => panic!("not by document"),
    }
}

fn plan(model: &crate::models::ModelHandle, config: &AdapterConfig, start: Start) -> Checked {
    bent(model, config, start, |_| ())
}

pub(in crate::rounds) fn bent(
    model: &crate::models::ModelHandle,
    config: &AdapterConfig,
    start: Start,
    bend: impl FnOnce(&mut Plan),
) -> Checked {
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
            documents: 0,
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
    bend(&mut plan);
    plan.sum.entries = plan.entries().expect("it fits");
    SignedPlan::sign(&plan, &key).expect("sound").verify(&me).expect("signed")
}

fn trained_on(
    models: &dyn Models,
    plan: &Checked,
    values: Vec<f32>,
    watch: &dyn Fn(usize, usize) -> bool,
) -> Result<Trained, ApiError> {
    let fit: &dyn Fn(&mut dyn FnMut()) -> usize = &|_| usize::MAX;
    train(models, Training { plan, values, pairs: &pairs(), seed: 1, watch, fit })
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
    let trained = trained_on(&models, &plan, start.clone(), &|_, _| false).expect("trains");
    assert!(trained.told.steps > 0 && trained.told.norm > 0.0, "{:?}", trained.told);
    let loss = |values: &[f32]| {
        let examples: Vec<_> = all.train.iter().collect();
        let batch: Batch = all.batch(&examples, &[]);
        let options = TrainOptions::default();
        learner.loss(values, &batch, &options.objective).expect("a loss")
    };
    let moved: Vec<f32> = start.iter().zip(whole(&trained)).map(|(a, b)| a + b).collect();
    let (before, after) = (loss(&start), loss(&moved));
    assert!(after < 0.9 * before, "the loss went from {before} to {after}");
}

/// Weighted by pairs and with a measure; with noise, if that is asked for.
fn summed(plan: &mut Plan, noise: bool) {
    plan.contribution.noise = noise.then(|| NoiseMultiplier::new(1.0).expect("above 0"));
    plan.contribution.weighting = Weighting::Pairs { cap: 10 };
    plan.contribution.measures = vec![Measure::LossAfter];
}

#[test]
fn r15_with_noise_what_fails_on_texts_is_zeros_and_takes_as_long() {
    let folder = tempfile::tempdir().expect("a folder");
    let models = StoredModels::new(ModelStore::open(folder.path()).expect("a store"), None);
    let model = models.current().expect("the built-in one");
    let config = AdapterConfig::Head(HeadConfig::default());
    let all = examples(&pairs(), ENOUGH);
    let start = models.learner(model.id, config.clone(), &all.texts, 16).expect("fits").start();
    // Weights that overflow, more pairs than there are, no time.
    let huge = vec![f32::MAX; start.len()];
    for (values, min_pairs, over) in [(&huge, 2, false), (&start, 1_000, false), (&start, 2, true)]
    {
        let learn = |noise: bool, steps: &std::cell::Cell<usize>| {
            let plan = bent(&model, &config, Start::of(values), |plan| {
                summed(plan, noise);
                plan.learning.min_pairs = min_pairs;
            });
            let watch = |done: usize, _: usize| {
                steps.set(done);
                over
            };
            (trained_on(&models, &plan, values.clone(), &watch), plan)
        };
        let steps = std::cell::Cell::new(0);
        let (failed, _) = learn(false, &steps);
        let why = failed.expect_err("nobody hides it").message;
        let (trained, plan) = learn(true, &steps);
        let trained = trained.expect("zeros");
        assert_eq!(trained.nothing, Some(why));
        assert_eq!(whole(&trained), vec![0.0; plan.layout().dimension]);
        assert_eq!(trained.extras, [0.0, 0.0]);
        assert_eq!(steps.get(), if over { 0 } else { 10 }, "as many as there are");
    }
    // What no text decides is no reason to send anything.
    let plan = bent(&model, &config, Start::of(&start), |plan| {
        summed(plan, true);
        plan.model.base = Digest::sha256(b"another");
    });
    let error = trained_on(&models, &plan, start, &|_, _| false);
    assert_eq!(error.expect_err("the model is not here").code, ErrorCode::WrongModel);
}

#[test]
fn r15_an_evaluation_with_noise_and_too_few_pairs_is_zeros() {
    let folder = tempfile::tempdir().expect("a folder");
    let models = StoredModels::new(ModelStore::open(folder.path()).expect("a store"), None);
    let model = models.current().expect("the built-in one");
    let config = AdapterConfig::Head(HeadConfig::default());
    let start = models.learner(model.id, config.clone(), &[], 16).expect("fits").start();
    let after: Vec<f32> = start.iter().map(|value| value + 0.5).collect();
    for (noise, few) in [(false, true), (true, true), (true, false)] {
        let plan = bent(&model, &config, Start::of(&start), |plan| {
            plan.task = Task::Evaluate { of: Start::of(&after) };
            let Learning { batch, max_tokens, .. } = plan.learning;
            plan.learning = Learning {
                epochs: 0,
                batch,
                max_steps: 0,
                rate: 0.0,
                proximal: 0.0,
                max_tokens,
                min_pairs: if few { 1_000 } else { 2 },
                documents: 0,
            };
            summed(plan, noise);
            plan.contribution.weighting = Weighting::Uniform;
            plan.contribution.measures = Measure::OF_EVALUATION.to_vec();
        });
        let (before, after) = (start.clone(), after.clone());
        let found = evaluate(&models, &plan, before, after, &pairs(), &mut || false);
        match (noise, few) {
            (false, _) => assert_eq!(found.expect_err("too few").code, ErrorCode::NotFound),
            (true, true) => {
                let zeros = found.expect("zeros");
                assert_eq!((whole(&zeros).len(), &zeros.extras), (0, &vec![0.0; 3]));
                assert!(zeros.nothing.is_some_and(|why| why.contains("too few")));
            }
            (true, false) => assert_eq!(found.expect("judges").nothing, None),
        }
    }
}
