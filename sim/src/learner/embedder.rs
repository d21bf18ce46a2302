//! The embedder that nodes use, trained as they train it: on pairs of texts, by the adapter that a plan names.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use covey_embedder::adapter::{AdapterConfig, HeadConfig, LoraConfig};
use covey_embedder::eval::{self, Measures, Set};
use covey_embedder::train::Pair;
use covey_embedder::{Embedder, ModelStore, PullSource};
use covey_node::models::{ModelHandle, Models, StoredModels};
use covey_node::rounds::{self, Trained, Training};
use covey_protocol::ids::ModelId;
use covey_protocol::round::Checked;
use tempfile::TempDir;

use super::apart::Apart;
use super::{Judged, Learns, steps};
use crate::SimError;

/// Documents that measures look at.
const DEPTH: usize = 10;

/// The task: peers' pairs, and a retrieval set to judge by.
pub struct EmbedderTask {
    ground: Arc<Ground>,
    pairs: Vec<Vec<Pair>>,
}

struct Ground {
    models: StoredModels,
    store: ModelStore,
    /// Where adapted models are for as long as they are judged.
    _folder: TempDir,
    base: ModelHandle,
    config: AdapterConfig,
    start: Vec<f32>,
    set: Set,
    /// What peers are told apart by.
    apart: Apart,
    /// What was judged last, by the values: the base comes again and again.
    judged: Mutex<Option<(Vec<f32>, Judged)>>,
    /// How many were judged, for the names of adapted models.
    count: AtomicU64,
}

/// What is trained of a model.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// Rank of the adapter; a full map behind a static model without, and rank 8 for others.
    pub rank: Option<usize>,
    /// Whether only one factor moves, as under noise (FFA-LoRA).
    pub freeze_a: bool,
}

/// A model in a store of its own.
pub struct Base {
    /// Of the store, and of adapted models for as long as they are judged.
    folder: TempDir,
    store: ModelStore,
    models: StoredModels,
    model: ModelHandle,
}

impl Base {
    /// The model in that folder, or the built-in one.
    ///
    /// # Errors
    /// If it does not load.
    pub fn open(model: Option<&Path>) -> Result<Self, SimError> {
        let folder = tempfile::tempdir().map_err(|error| SimError::bad(&error))?;
        let store = ModelStore::open(folder.path()).map_err(|error| SimError::bad(&error))?;
        let name = match model {
            None => None,
            Some(path) => {
                let from = PullSource::Directory(path.to_owned());
                let added =
                    store.pull(&from, &mut |_| {}).map_err(|error| SimError::bad(&error))?;
                Some(added.name)
            }
        };
        let models = StoredModels::new(store.clone(), name);
        let model = models.current().map_err(SimError::Model)?;
        Ok(Self { folder, store, models, model })
    }

    /// To find things with.
    ///
    /// # Errors
    /// If it does not load.
    pub fn embedder(&self) -> Result<Arc<dyn Embedder>, SimError> {
        self.store.load(&self.model.name).map_err(|error| SimError::bad(&error))
    }
}

impl EmbedderTask {
    /// Peers learn from `pairs` what finds more of `set`. Each is served as well as it finds what it holds out of its pairs in `own`.
    ///
    /// # Errors
    /// If the model cannot be trained so.
    pub fn new(
        base: Base,
        part: Part,
        pairs: Vec<Vec<Pair>>,
        own: &[Vec<Pair>],
        set: Set,
    ) -> Result<Self, SimError> {
        let Base { folder, store, models, model: base } = base;
        let Part { rank, freeze_a } = part;
        let config = if base.family == "static" {
            AdapterConfig::Head(HeadConfig { rank, freeze_a, ..HeadConfig::default() })
        } else {
            let rank = rank.unwrap_or(8);
            let alpha = 2.0 * rank as f32;
            AdapterConfig::Lora(LoraConfig { rank, alpha, freeze_a, ..LoraConfig::default() })
        };
        let start =
            models.learner(base.id, config.clone(), &[], 1).map_err(SimError::Model)?.start();
        let ground = Ground {
            models,
            store,
            _folder: folder,
            base,
            config,
            start,
            set,
            apart: Apart::of(own),
            judged: Mutex::new(None),
            count: AtomicU64::new(0),
        };
        Ok(Self { ground: Arc::new(ground), pairs })
    }
}

impl Ground {
    /// Mean nDCG@10 over the set's questions.
    fn ndcg(&self, model: &dyn Embedder) -> Result<f64, SimError> {
        let run = eval::retrieve(model, &self.set, DEPTH, &mut |_, _| {});
        let run = run.map_err(|error| SimError::bad(&error))?;
        let measures = eval::evaluate(&run, &self.set.judgements, DEPTH);
        Ok(Measures::mean(measures.values()).ndcg)
    }

    fn judge(&self, values: &[f32]) -> Result<Judged, SimError> {
        // Not held while it is computed: whoever waits for a part of that may be given another part that waits for the lock.
        let last = || self.judged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, judged)) = last().as_ref().filter(|(of, _)| of == values) {
            return Ok(*judged);
        }
        let name = format!("judged-{}", self.count.fetch_add(1, Ordering::Relaxed));
        self.models
            .adapted(self.base.id, self.config.clone(), values.to_vec(), &name)
            .map_err(SimError::Model)?;
        let found = self.store.load(&name).map_err(|error| SimError::bad(&error));
        let found = found.and_then(|model| Ok((self.ndcg(&*model)?, self.apart.judge(&*model)?)));
        self.models.remove(&name).map_err(SimError::Model)?;
        let (quality, served) = found?;
        let now = Judged {
            quality,
            worst_decile: served.worst_decile,
            peers_quality: served.mean,
            loss: None,
        };
        *last() = Some((values.to_vec(), now));
        Ok(now)
    }
}

impl Learns for EmbedderTask {
    fn model(&self) -> ModelId {
        self.ground.base.id
    }

    fn adapter(&self) -> Vec<u8> {
        serde_json::to_vec(&self.ground.config).expect("every key in it is a string")
    }

    fn start(&self) -> Vec<f32> {
        self.ground.start.clone()
    }

    fn peers(&self) -> usize {
        self.pairs.len()
    }

    fn examples(&self, peer: usize) -> usize {
        self.pairs[peer].len()
    }

    fn train(
        &self,
        peer: usize,
        plan: &Checked,
        values: Vec<f32>,
        most: u32,
        seed: u64,
    ) -> Result<Trained, SimError> {
        let pairs = &self.pairs[peer];
        let most = steps(pairs.len(), &plan.plan().learning).min(most) as usize;
        let ended = |step: usize, _: usize| step >= most;
        let (watch, fit) = (&ended, &|_: &mut dyn FnMut()| most);
        let training = Training { plan, values, pairs, seed, watch, fit };
        rounds::train(&self.ground.models, training).map_err(SimError::Model)
    }

    fn judge(&self, values: &[f32]) -> Result<Judged, SimError> {
        self.ground.judge(values)
    }

    fn pooled(&self) -> Box<dyn Learns> {
        let all = self.pairs.iter().flatten().cloned().collect();
        Box::new(Self { ground: Arc::clone(&self.ground), pairs: vec![all] })
    }
}
