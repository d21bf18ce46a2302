use std::cell::Cell;

use covey_embedder::ModelStore;
use covey_embedder::adapter::{AdapterConfig, HeadConfig};
use covey_embedder::train::Learner;
use covey_privacy::NoiseMultiplier;
use covey_privacy::ledger::Unit;
use covey_protocol::ids::ModelId;
use covey_protocol::limits::PUBLIC_TEXTS;
use covey_protocol::round::{Checked, Learning, Start};

use super::*;
use crate::api::ModelEntry;
use crate::models::{ModelHandle, StoredModels};
use crate::rounds::prepare::tests::bent;
use crate::rounds::{Training, train};

/// A text that [`Picky`] cannot read.
const UNREADABLE: &str = "a text that no model reads";

/// The built-in model, which fails on all texts where one of them is [`UNREADABLE`].
struct Picky(StoredModels);

impl Models for Picky {
    fn current(&self) -> Result<ModelHandle, ApiError> {
        self.0.current()
    }

    fn get(&self, id: ModelId) -> Option<ModelHandle> {
        self.0.get(id)
    }

    fn list(&self) -> Result<Vec<ModelEntry>, ApiError> {
        self.0.list()
    }

    fn learner(
        &self,
        model: ModelId,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Box<dyn Learner>, ApiError> {
        if texts.iter().any(|text| text == UNREADABLE) {
            return Err(ApiError::new(ErrorCode::WrongModel, "it cannot be read"));
        }
        self.0.learner(model, config, texts, max_tokens)
    }

    fn set_current(&self, name: &str) -> Result<ModelHandle, ApiError> {
        self.0.set_current(name)
    }
}

fn pair(document: usize, place: usize) -> Pair {
    const THINGS: [&str; 7] = ["kettle", "orchard", "beehive", "violin", "barrel", "stove", "loom"];
    let thing = |at: usize| THINGS[at % THINGS.len()];
    Pair {
        anchor: format!("{} {} {document}", thing(place), thing(document)),
        positive: format!("of a {} and its {}", thing(place + 3), thing(document + 1)),
        document: format!("document {document}"),
        ..Pair::default()
    }
}

/// Pairs of some documents; all of them have one pair in common.
fn pairs(documents: &[usize]) -> Vec<Pair> {
    let of = |document: &usize| {
        let common = Pair {
            anchor: "what they share".to_owned(),
            positive: "a text in all of them".to_owned(),
            negatives: vec![pair(document + 1, 0).positive],
            ..pair(*document, 0)
        };
        [pair(*document, 0), pair(*document, 1), common]
    };
    documents.iter().flat_map(of).collect()
}

struct Ground {
    models: Picky,
    start: Vec<f32>,
    model: ModelHandle,
    config: AdapterConfig,
    _folder: tempfile::TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = ModelStore::open(folder.path()).expect("a store");
        let models = Picky(StoredModels::new(store, None));
        let model = models.current().expect("the built-in one");
        let config = AdapterConfig::Head(HeadConfig { rank: Some(2), ..HeadConfig::default() });
        let learner = models.learner(model.id, config.clone(), &[], 16).expect("fits");
        Self { start: learner.start(), models, model, config, _folder: folder }
    }

    fn plan(&self, documents: u32, noise: bool) -> Checked {
        bent(&self.model, &self.config, Start::of(&self.start), |plan| {
            plan.contribution.unit = Unit::Document;
            plan.contribution.noise = noise.then_some(NoiseMultiplier::ONE);
            plan.learning = Learning::by_document(documents, 8, 16);
        })
    }

    fn train(
        &self,
        plan: &Checked,
        pairs: &[Pair],
        seed: u64,
        watch: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Trained, ApiError> {
        self.train_as_fits(plan, pairs, seed, watch, &|_| usize::MAX)
    }

    fn train_as_fits(
        &self,
        plan: &Checked,
        pairs: &[Pair],
        seed: u64,
        watch: &dyn Fn(usize, usize) -> bool,
        fit: &dyn Fn(&mut dyn FnMut()) -> usize,
    ) -> Result<Trained, ApiError> {
        let values = self.start.clone();
        train(&self.models, Training { plan, values, pairs, seed, watch, fit })
    }

    /// The documents' parts, in an order that does not depend on the draw.
    fn gradients(&self, plan: &Checked, pairs: &[Pair], seed: u64) -> Vec<Vec<u32>> {
        let trained = self.train(plan, pairs, seed, &|_, _| false).expect("it can");
        assert!(trained.extras.is_empty());
        let Update::Documents(documents) = trained.update else { panic!("not by document") };
        let bits = |document: &Vec<f32>| document.iter().map(|value| value.to_bits()).collect();
        let mut all: Vec<Vec<u32>> = documents.iter().map(bits).collect();
        all.sort_unstable();
        all
    }
}

/// Those of so many that are not held out.
fn learnt_from(count: usize) -> Vec<usize> {
    let held_out = |document: &usize| by_document(&[pair(*document, 0)], 8).train.is_empty();
    (0..count).filter(|document| !held_out(document)).collect()
}

#[test]
fn r16_what_one_document_has_changes_nothing_of_the_others() {
    let ground = Ground::new();
    let plan = ground.plan(64, true);
    let documents = learnt_from(12);
    let all = ground.gradients(&plan, &pairs(&documents), 1);
    assert_eq!(all.len(), documents.len());
    for gone in &documents {
        let others: Vec<usize> = documents.iter().copied().filter(|it| it != gone).collect();
        let without = ground.gradients(&plan, &pairs(&others), 2);
        assert_eq!(without.len(), others.len());
        let left = all.iter().filter(|of| without.contains(of)).count();
        assert_eq!(left, others.len(), "without document {gone}");
    }
    // Nor has a document whose text cannot be read.
    let mut odd = pairs(&documents);
    odd.push(Pair { positive: UNREADABLE.to_owned(), document: "odd 2".to_owned(), ..pair(0, 0) });
    assert!(!by_document(&odd[odd.len() - 1..], 8).train.is_empty(), "it is not held out");
    assert_eq!(ground.gradients(&plan, &odd, 3), all);
    // What is held out never counts.
    let (held_out, fifty) = (0..50).partition::<Vec<usize>, _>(|it| !learnt_from(50).contains(it));
    assert!(!held_out.is_empty() && held_out.len() < 15);
    let count = ground.gradients(&plan, &pairs(&(0..50).collect::<Vec<_>>()), 4).len();
    assert_eq!(count, fifty.len());
}

#[test]
fn as_many_as_the_plan_says_are_drawn_and_time_ends_it() {
    let ground = Ground::new();
    let plan = ground.plan(3, true);
    let all = pairs(&learnt_from(12));
    let every = ground.gradients(&ground.plan(64, true), &all, 1);
    let (mut seen, seeds) = (vec![0; every.len()], 60);
    for seed in 0..seeds {
        let drawn = ground.gradients(&plan, &all, seed);
        assert_eq!(drawn.len(), 3);
        for of in drawn {
            seen[every.iter().position(|it| *it == of).expect("one of them")] += 1;
        }
    }
    let mean = f64::from(3 * seeds as u32) / every.len() as f64;
    // Seeds are fixed, so this fails never or always.
    let even = |count: &i32| (0.3 * mean..2.0 * mean).contains(&f64::from(*count));
    assert!(seen.iter().all(even), "{seen:?}, of {mean}");
    // As many as there is time for, as reckoned before the first.
    let (plan, looked) = (ground.plan(64, true), Cell::new(0));
    let fit = |largest: &mut dyn FnMut()| {
        largest();
        looked.set(looked.get() + 1);
        2
    };
    let trained = ground.train_as_fits(&plan, &all, 1, &|_, total| total != 2, &fit);
    let trained = trained.expect("both");
    assert_eq!((trained.told.steps, looked.get()), (2, 1));
    assert!(matches!(trained.update, Update::Documents(of) if of.len() == 2));
    // Time that is over before all are done is no matter of how far it came.
    let steps = Cell::new(0);
    let watch = |done, total| {
        assert_eq!(total, every.len());
        steps.set(done);
        done == 2
    };
    let trained = ground.train(&plan, &all, 1, &watch).expect("zeros");
    assert_eq!((trained.told.steps, steps.get()), (0, 2));
    assert!(trained.nothing.is_some_and(|why| why.contains("time")));
    assert_eq!(trained.update, Update::Documents(vec![]));
    let late = |done, total| done == total;
    let trained = ground.train(&plan, &all, 1, &late).expect("all of them");
    assert_eq!(trained.told.steps, every.len(), "the last was done in time");
}

#[test]
fn r15_who_has_nothing_sends_zeros_and_the_public_texts_are_as_many_as_counted() {
    let ground = Ground::new();
    for (noise, pairs, over) in [(true, vec![], false), (true, pairs(&[0, 1]), true)] {
        let plan = ground.plan(8, noise);
        let zeros = ground.train(&plan, &pairs, 1, &|_, _| over).expect("zeros");
        assert_eq!(zeros.update, Update::Documents(vec![]));
        assert!(zeros.nothing.is_some() && zeros.extras.is_empty());
    }
    let none = ground.train(&ground.plan(8, false), &[], 1, &|_, _| false);
    assert_eq!(none.expect_err("nobody hides it").code, ErrorCode::NotFound);
    // What no text decides is no reason to send anything.
    let plan = bent(&ground.model, &ground.config, Start::of(&ground.start), |plan| {
        plan.contribution.unit = Unit::Document;
        plan.contribution.noise = Some(NoiseMultiplier::ONE);
        plan.learning = Learning::by_document(8, 8, 16);
        plan.model.base = covey_crypto::Digest::sha256(b"another");
    });
    let error = ground.train(&plan, &pairs(&[0]), 1, &|_, _| false);
    assert_eq!(error.expect_err("the model is not here").code, ErrorCode::WrongModel);
    assert_eq!(PUBLIC.len(), usize::from(PUBLIC_TEXTS));
    let words = |text: &&str| text.split_whitespace().count();
    assert!(PUBLIC.iter().all(|text| (5..=16).contains(&words(text))));
}
