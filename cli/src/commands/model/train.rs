//! `covey model train`.

use std::fs::File;
use std::io::{BufReader, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use covey_embedder::adapter::{Adapter, AdapterConfig, HeadConfig, LoraConfig, Target};
use covey_embedder::train::{
    Checkpoint, CheckpointError, Examples, Learner, Objective, Outcome, Pair, PairRules, Stopped,
    TrainError, TrainOptions, Trainer,
};
use covey_embedder::{Compute, Family, LearnerError, ModelInfo, ModelStore};
use covey_node::api::{
    ApiError, DroppedPairs, ErrorCode, MineReport, Progress, Reply, TrainReport,
};
use covey_node::durable::create_dir;
use covey_node::models::{compute_error, model_entry, model_error};
use covey_protocol::ids::Name;
use tempfile::NamedTempFile;

use super::mine::{mine, negatives};
use super::store;
use crate::progress::Bar;
use crate::session::Session;

/// How often a checkpoint is written.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(20);

const EXAMPLES: &str = "\
Each line of PAIRS is {\"anchor\": \"a question\", \"positive\": \"what answers it\"}, with \"negatives\" (a list) and \
\"document\" (a name) if there are any.

Examples: covey model train --pairs pairs.jsonl --name my-model
          covey model train --pairs pairs.jsonl --name my-minilm --model all-MiniLM-L6-v2 --peft ~/my-minilm-lora
          covey model train --mine --name my-model
          covey model train --mine notes,papers --negatives 4 --name my-model
          covey eval ~/sets/mine --model my-model --compare covey-static-en-512";

/// Fine-tune a model on pairs of texts that belong together, on this machine
///
/// A transformer gets low-rank updates of its projections (LoRA), a static model a linear map; the model
/// itself stays as it is, and the result is a new one beside it, of the same lineage. Nothing leaves the machine. A
/// part of the pairs is held out before training; their loss before and after is shown.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Train {
    /// The pairs, a file of JSON lines
    #[arg(long, value_name = "PAIRS", required_unless_present = "mine")]
    pairs: Option<PathBuf>,
    /// Learn from your own collections: all, or those named, with commas; see `covey model mine`
    #[arg(long, value_name = "COLLECTION", num_args = 0.., value_delimiter = ',')]
    mine: Option<Vec<Name>>,
    /// For each mined pair so many texts of other documents that rank high for it
    #[arg(long, value_name = "N", default_value_t = 0, requires = "mine", value_parser = negatives())]
    negatives: u16,
    /// The new model's name
    #[arg(long)]
    name: String,
    /// The model to start from
    #[arg(long, default_value = covey_embedder::BUILTIN_NAME)]
    model: String,
    /// Rank of the adapter: 8 for a transformer by default, and a full map for a static model
    #[arg(long)]
    rank: Option<usize>,
    /// Projections of a transformer that get an update, with commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "query,value")]
    targets: Vec<Projection>,
    /// Let only one of the two factors move, as training with noise does best (FFA-LoRA)
    #[arg(long)]
    freeze_a: bool,
    /// Let a static model's tokens have weights that move, too
    #[arg(long)]
    token_weights: bool,
    /// Times that every pair is looked at
    #[arg(long, default_value_t = 3)]
    epochs: usize,
    /// Pairs that are told from each other at a time: 32 for a transformer by default, 256 for a static model
    #[arg(long)]
    batch: Option<usize>,
    /// Learning rate: .0002 for a transformer by default, .001 for a static model
    #[arg(long)]
    rate: Option<f64>,
    /// What cosines are divided by
    #[arg(long, default_value_t = 0.05)]
    temperature: f32,
    /// Also train the first so many dimensions to do alone, with commas (Matryoshka)
    #[arg(long, value_delimiter = ',', value_name = "DIMENSIONS")]
    matryoshka: Vec<usize>,
    /// Tokens of a text that count in training
    #[arg(long, default_value_t = 128)]
    tokens: usize,
    /// Most pairs of one document
    #[arg(long, default_value_t = 16)]
    per_document: usize,
    /// Share of the documents whose pairs are held out
    #[arg(long, default_value_t = 0.1, value_parser = share)]
    held_out: f64,
    /// Looks at the held-out pairs, one an epoch, that may bring nothing better; 0 to train to the end
    #[arg(long, default_value_t = 2)]
    patience: usize,
    /// MiB that a batch may need
    #[arg(long, default_value_t = 2048)]
    memory: usize,
    /// Where to compute: cpu, or cuda or wgpu if covey was built with it (by default as config.toml says)
    #[arg(long, value_name = "DEVICE")]
    device: Option<Compute>,
    /// What order is drawn from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Keep training in this file as it goes, and go on from it if it is there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Write the adapter to this file, too
    #[arg(long, value_name = "FILE")]
    adapter_out: Option<PathBuf>,
    /// Write the adapter to this folder for Python's `peft`, too (transformers only)
    #[arg(long, value_name = "FOLDER")]
    peft: Option<PathBuf>,
}

/// A projection of a transformer's layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Projection {
    /// What a position asks of the others
    Query,
    /// What a position is found by
    Key,
    /// What a position hands on
    Value,
    /// The layer after attention
    AttentionOutput,
    /// The first layer of the feed-forward part
    Up,
    /// The second
    Down,
}

impl Train {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.require_node()?;
        let store = store(session)?.on(session.compute(self.device)?);
        // What can be wrong is found out before hours of training.
        store.compute().check().map_err(|error| compute_error(&error))?;
        let base = store.info(&self.model).map_err(|error| model_error(&error))?;
        if self.peft.is_some() && base.family == Family::Static {
            return Err(usage("a static model has no layers that `peft` knows; leave --peft out"));
        }
        store.check_free(&self.name).map_err(|error| model_error(&error))?;
        let config = self.adapter(base.family);
        let (pairs, mined) = self.pairs(session)?;
        let rules =
            PairRules { per_document: self.per_document, held_out: self.held_out, seed: self.seed };
        let examples = Examples::new(&pairs, &rules);
        drop(pairs);
        let learner = store
            .learner(&self.model, config.clone(), &examples.texts, self.tokens)
            .map_err(|error| match error {
                LearnerError::Model(error) => model_error(&error),
                LearnerError::Train(error) => train_error(&error),
            })?;
        let outcome = self.train(learner.as_ref(), &examples, base.family, session)?;
        let adapter =
            learner.adapter(&outcome.values).map_err(|error| usage(&error.to_string()))?;
        let moved = outcome.values != learner.start();
        let model = moved.then(|| self.install(&store, &base, &adapter)).transpose()?;
        let used = model.as_ref().map(|model| model.name.clone());
        session.output.done(Reply::Trained(Box::new(TrainReport {
            model: model.as_ref().map(model_entry),
            base: base.name,
            adapter: match config {
                AdapterConfig::Lora(_) => "lora".to_owned(),
                AdapterConfig::Head(_) => "head".to_owned(),
            },
            parameters: outcome.values.len() as u64,
            pairs: examples.train.len() as u64,
            held_out_pairs: examples.held_out.len() as u64,
            dropped: DroppedPairs {
                empty: examples.dropped.empty as u64,
                repeated: examples.dropped.repeated as u64,
                beyond_cap: examples.dropped.beyond_cap as u64,
            },
            steps: outcome.steps as u64,
            stopped: match outcome.stopped {
                Stopped::Done => "done",
                Stopped::Early => "early",
                Stopped::Diverged => "diverged",
                Stopped::Asked => "asked",
            }
            .to_owned(),
            held_out_before: outcome.held_out_before,
            held_out: outcome.held_out,
            mined,
        })))?;
        if let Some(name) = used {
            session.output.notice(&format!("Use it with: covey model use {name}"));
        }
        Ok(())
    }

    fn adapter(&self, family: Family) -> AdapterConfig {
        let (freeze_a, seed) = (self.freeze_a, self.seed);
        match family {
            Family::Bert => {
                let rank = self.rank.unwrap_or(8);
                let alpha = 2.0 * rank as f32;
                let targets = self.targets.iter().map(|target| (*target).into());
                let mut targets: Vec<Target> = targets.collect();
                targets.sort_unstable();
                AdapterConfig::Lora(LoraConfig { rank, alpha, targets, freeze_a, seed })
            }
            Family::Static => {
                let (rank, token_weights) = (self.rank, self.token_weights);
                AdapterConfig::Head(HeadConfig { rank, freeze_a, token_weights, seed })
            }
        }
    }

    /// The pairs of the file and those mined, and what was mined.
    fn pairs(&self, session: &Session<'_>) -> Result<(Vec<Pair>, Option<MineReport>), ApiError> {
        let mut pairs = match &self.pairs {
            Some(path) => read(path)?,
            None => Vec::new(),
        };
        let Some(collections) = &self.mine else { return Ok((pairs, None)) };
        // Text of the person's, for as long as it is read.
        let cache = session.home.cache_dir();
        create_dir(cache)?;
        let folder = tempfile::Builder::new().prefix(".mined-").tempdir_in(cache);
        let folder = folder.map_err(|error| unwritable(cache, &error))?;
        let path = folder.path().join("pairs.jsonl");
        let mut report = mine(session, collections.clone(), &path, self.negatives)?;
        report.path = None;
        pairs.append(&mut read(&path)?);
        Ok((pairs, Some(report)))
    }

    fn options(&self, family: Family) -> TrainOptions {
        let (batch, rate) = match family {
            Family::Bert => (32, 2e-4),
            Family::Static => (256, 1e-3),
        };
        TrainOptions {
            batch: self.batch.unwrap_or(batch),
            rate: self.rate.unwrap_or(rate),
            epochs: self.epochs,
            objective: Objective {
                temperature: self.temperature,
                matryoshka: self.matryoshka.clone(),
                ..Objective::default()
            },
            patience: self.patience,
            seed: self.seed,
            memory: self.memory.saturating_mul(1 << 20),
            ..TrainOptions::default()
        }
    }

    fn train(
        &self,
        learner: &dyn Learner,
        examples: &Examples,
        family: Family,
        session: &Session<'_>,
    ) -> Result<Outcome, ApiError> {
        let options = self.options(family);
        let mut trainer = match self.kept()? {
            Some(kept) if *kept.options() != options => {
                return Err(usage(
                    "the checkpoint was made with other options; give the same, or another file",
                ));
            }
            Some(kept) => Trainer::resume(learner, examples, kept)
                .map_err(|error| checkpoint_error(&error))?,
            None => Trainer::new(learner, examples, options, None)
                .map_err(|error| train_error(&error))?,
        };
        let mut bar = Bar::start("training", session.output);
        let (mut kept, mut failed) = (Instant::now(), None);
        let outcome = trainer.run(&mut |trainer, step| {
            let held_out =
                step.held_out.map_or_else(String::new, |loss| format!(", held out {loss:.4}"));
            bar.update(Progress {
                stage: "training".into(),
                done: step.step as u64,
                total: Some(step.steps as u64),
                item: Some(format!("loss {:.4}{held_out}", step.loss)),
            });
            if let Some(path) = &self.checkpoint
                && (kept.elapsed() >= CHECKPOINT_EVERY || step.step == step.steps)
            {
                kept = Instant::now();
                if let Err(error) = keep(path, &trainer.checkpoint()) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        drop(bar);
        match failed {
            Some(error) => Err(error),
            None => outcome.map_err(|error| train_error(&error)),
        }
    }

    /// Training as an earlier run left it.
    fn kept(&self) -> Result<Option<Checkpoint>, ApiError> {
        let Some(path) = self.checkpoint.as_deref().filter(|path| path.exists()) else {
            return Ok(None);
        };
        let bytes = ModelStore::read_adapter(path).map_err(|error| model_error(&error))?;
        Checkpoint::from_bytes(&bytes).map(Some).map_err(|error| checkpoint_error(&error))
    }

    fn install(
        &self,
        store: &ModelStore,
        base: &ModelInfo,
        adapter: &Adapter,
    ) -> Result<ModelInfo, ApiError> {
        let broken = |error: &dyn std::fmt::Display| {
            ApiError::new(ErrorCode::Internal, format!("the adapter cannot be written: {error}"))
        };
        let bytes = adapter.to_bytes(base.id).map_err(|error| broken(&error))?;
        if let Some(path) = &self.adapter_out {
            write(path, &bytes)?;
        }
        if let Some(folder) = &self.peft
            && let Some(files) =
                adapter.to_peft(python_name(&base.name)).map_err(|error| broken(&error))?
        {
            std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
            write(&folder.join("adapter_config.json"), &files.config)?;
            write(&folder.join("adapter_model.safetensors"), &files.weights)?;
        }
        store.add_adapted(&base.name, &bytes, &self.name).map_err(|error| model_error(&error))
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<Pair>, ApiError> {
    let named = |error: &dyn std::fmt::Display| usage(&format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(|error| named(&error))?;
    Pair::read_lines(BufReader::new(file)).map_err(|error| named(&error))
}

/// The name that Python users load a model by.
fn python_name(name: &str) -> &str {
    if name == "all-MiniLM-L6-v2" { "sentence-transformers/all-MiniLM-L6-v2" } else { name }
}

fn keep(path: &Path, checkpoint: &Checkpoint) -> Result<(), ApiError> {
    let bytes = checkpoint.to_bytes().map_err(|error| checkpoint_error(&error))?;
    write(path, &bytes)
}

/// Writes a file whole or not at all, for this user alone.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), ApiError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)
    });
    written.map(drop).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("cannot write {}: {error}", path.display()))
}

fn train_error(error: &TrainError) -> ApiError {
    let code = match error {
        TrainError::Embed(_) | TrainError::NotTrainable | TrainError::Texts { .. } => {
            ErrorCode::Internal
        }
        TrainError::TooFew(..)
        | TrainError::Option { .. }
        | TrainError::Objective(_)
        | TrainError::Adapter(_)
        | TrainError::TooLarge { .. }
        | TrainError::Refused(_)
        | TrainError::Coupled(_) => ErrorCode::Usage,
    };
    ApiError::new(code, error.to_string())
}

fn checkpoint_error(error: &CheckpointError) -> ApiError {
    match error {
        CheckpointError::Train(error) => train_error(error),
        CheckpointError::Examples | CheckpointError::Learner => usage(&error.to_string()),
        CheckpointError::Safetensors(_)
        | CheckpointError::Metadata(_)
        | CheckpointError::Tensor(_) => ApiError::new(ErrorCode::Corrupt, error.to_string())
            .hint("remove the checkpoint to start anew"),
    }
}

fn usage(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Usage, message)
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=0.5).contains(&share) => Ok(share),
        _ => Err("a share from 0 to 0.5".to_owned()),
    }
}

impl From<Projection> for Target {
    fn from(projection: Projection) -> Self {
        match projection {
            Projection::Query => Self::Query,
            Projection::Key => Self::Key,
            Projection::Value => Self::Value,
            Projection::AttentionOutput => Self::AttentionOutput,
            Projection::Up => Self::Up,
            Projection::Down => Self::Down,
        }
    }
}
