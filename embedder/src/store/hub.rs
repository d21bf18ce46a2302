//! The Hugging Face hub, by its ordinary client `hf-hub`, anonymously.
//!
//! The client has no timeouts, so it works on a thread of its own, which is abandoned
//! when nothing was heard from it for [`PATIENCE`].

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use hf_hub::api::Progress as HubProgress;
use hf_hub::api::sync::{ApiBuilder, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::ModelError;
use super::directory::{POOLING, SENTENCE, read_bert};
use super::error::io_at;
use super::manifest::{BERT_FILES, limit_of, read_limited};
use super::pinned::Pinned;
use super::pull::{Fetched, Progress, PullProgress, PullStage};

/// How long the hub may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

const HUB: &str = "the Hugging Face hub";

/// The hub, or a mirror of it.
pub(super) struct Hub {
    endpoint: Option<String>,
    patience: Duration,
}

impl Hub {
    /// The hub, or what `HF_ENDPOINT` names instead.
    pub(super) fn from_env() -> Self {
        Self { endpoint: std::env::var("HF_ENDPOINT").ok(), patience: PATIENCE }
    }

    pub(super) fn fetch_pinned(
        &self,
        staging: &Path,
        pinned: &Pinned,
        progress: Progress<'_>,
    ) -> Result<Fetched, ModelError> {
        let names = pinned.files.iter().map(|file| file.name).collect();
        let wanted = Wanted::Exactly(names);
        let paths = self.download(staging, pinned.repo, pinned.revision, wanted, progress)?;
        let read = |number: usize| {
            let file = &pinned.files[number];
            let path = paths.iter().find(|(name, _)| name == file.name).map(|(_, path)| path);
            let path = path.ok_or_else(|| unreachable(format!("{} did not arrive", file.name)))?;
            read_limited(path, file.bytes)
        };
        Ok(Fetched::Bert {
            config: read(0)?,
            tokenizer: read(1)?,
            weights: read(2)?,
            max_tokens: pinned.max_tokens,
        })
    }

    /// Fetches any repository at an exact commit; returns the licence that can be stated.
    pub(super) fn fetch(
        &self,
        staging: &Path,
        repo: &str,
        commit: &str,
        progress: Progress<'_>,
    ) -> Result<(Fetched, String), ModelError> {
        let paths = self.download(staging, repo, commit, Wanted::Model, progress)?;
        // The client's own folders are made of links; the reader wants the plain layout.
        let folder = staging.join("hub-model");
        for (name, path) in &paths {
            let content = read_limited(path, limit_of(name))?;
            let to = folder.join(name);
            let parent = to.parent().unwrap_or(&folder);
            std::fs::create_dir_all(parent).map_err(io_at(parent))?;
            std::fs::write(&to, content).map_err(io_at(&to))?;
        }
        Ok((read_bert(&folder)?, format!("see the model card of {repo} on the hub")))
    }

    fn download(
        &self,
        staging: &Path,
        repo: &str,
        revision: &str,
        wanted: Wanted,
        progress: Progress<'_>,
    ) -> Result<Vec<(String, PathBuf)>, ModelError> {
        progress(PullProgress::at(PullStage::Contacting, HUB));
        let (events, heard) = channel();
        let endpoint = self.endpoint.clone();
        let cache = Cache::new(staging.join("hub"));
        let repo = Repo::with_revision(repo.to_owned(), RepoType::Model, revision.to_owned());
        std::thread::spawn(move || {
            let outcome = download_here(endpoint, cache, repo, wanted, &events);
            // Nobody listens any more once patience ran out.
            let _ = events.send(Event::Done(outcome));
        });
        listen(&heard, self.patience, progress)
    }
}

enum Wanted {
    /// These files, each of which must be there.
    Exactly(Vec<&'static str>),
    /// The files of a BERT model, and its settings where the repository has them.
    Model,
}

enum Event {
    Started { file: String, total: u64 },
    Received(u64),
    Done(Result<Vec<(String, PathBuf)>, String>),
}

fn listen(
    heard: &Receiver<Event>,
    patience: Duration,
    progress: Progress<'_>,
) -> Result<Vec<(String, PathBuf)>, ModelError> {
    let mut now = PullProgress::at(PullStage::Downloading, HUB);
    loop {
        match heard.recv_timeout(patience) {
            Ok(Event::Started { file, total }) => {
                now = PullProgress { what: file, total, ..now };
                now.done = 0;
            }
            Ok(Event::Received(bytes)) => now.done += bytes,
            Ok(Event::Done(outcome)) => return outcome.map_err(unreachable),
            Err(RecvTimeoutError::Timeout) => {
                let seconds = patience.as_secs_f32();
                return Err(unreachable(format!("nothing was heard for {seconds} seconds")));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(unreachable("its answer broke the client".to_owned()));
            }
        }
        progress(now.clone());
    }
}

fn download_here(
    endpoint: Option<String>,
    cache: Cache,
    repo: Repo,
    wanted: Wanted,
    events: &Sender<Event>,
) -> Result<Vec<(String, PathBuf)>, String> {
    let mut builder = ApiBuilder::from_cache(cache).with_token(None).with_progress(false);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    let api = builder.build().map_err(|error| error.to_string())?;
    let repo = api.repo(repo);
    let names = match wanted {
        Wanted::Exactly(names) => names,
        Wanted::Model => present(&repo)?,
    };
    let download = |name: &str| {
        let reporter = Reporter { events: events.clone() };
        let path = repo.download_with_progress(name, reporter);
        path.map(|path| (name.to_owned(), path)).map_err(|error| format!("{name}: {error}"))
    };
    names.into_iter().map(download).collect()
}

fn present(repo: &ApiRepo) -> Result<Vec<&'static str>, String> {
    let info = repo.info().map_err(|error| error.to_string())?;
    let has = |name: &&str| info.siblings.iter().any(|file| file.rfilename == **name);
    let optional = [POOLING, SENTENCE].into_iter().filter(has);
    Ok(BERT_FILES.into_iter().chain(optional).collect())
}

struct Reporter {
    events: Sender<Event>,
}

impl HubProgress for Reporter {
    fn init(&mut self, size: usize, filename: &str) {
        let _ = self.events.send(Event::Started { file: filename.to_owned(), total: size as u64 });
    }

    fn update(&mut self, size: usize) {
        let _ = self.events.send(Event::Received(size as u64));
    }

    fn finish(&mut self) {}
}

fn unreachable(reason: String) -> ModelError {
    ModelError::Unreachable { from: HUB, reason }
}

#[cfg(test)]
mod tests;
