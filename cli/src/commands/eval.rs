//! `covey eval`.

mod report;

use std::fs::Permissions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use covey_embedder::eval::{
    Judgements, ReadError, RetrieveError, Run, RunError, Set, judgements, retrieve,
};
use covey_embedder::{Compute, Embedder};
use covey_node::api::{ApiError, ErrorCode, EvalReport, Progress, Reply};
use tempfile::NamedTempFile;

use self::report::{Ranked, notes, report};
use super::collections::{absolute, existing};
use crate::progress::Bar;
use crate::session::Session;

/// Results kept for each query, unless more of them count.
const DEPTH: usize = 100;

const EXAMPLES: &str = "\
Example: covey eval ~/sets/scifact
         covey eval ~/sets/scifact --model all-MiniLM-L6-v2 --run-out minilm.run
         covey eval ~/sets/scifact --compare minilm.run
         covey eval ~/sets/scifact --run-in bm25.run --k 10,1000";

/// Measure how well a model finds what judges found relevant
///
/// FOLDER is a retrieval set in the layout of BEIR: corpus.jsonl and queries.jsonl with `_id`, `title` and `text`, and
/// qrels/SPLIT.tsv with a header, then query, document and grade. Every document is embedded and scored for every judged
/// query. nDCG, recall and MRR are as trec_eval has them, so they compare with published ones. --compare says
/// whether a difference could be chance: Fisher's paired randomisation test over queries.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Eval {
    /// The retrieval set's folder
    folder: PathBuf,
    /// The model, by name or id (by default the built-in one)
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Where transformers compute: cpu, or cuda or wgpu if covey was built with it (by default as config.toml says)
    #[arg(long, value_name = "DEVICE")]
    device: Option<Compute>,
    /// Whose judgements count: a file of that name in qrels
    #[arg(long, default_value = "test")]
    split: String,
    /// How many results of a query count, at most 1000; several with commas between
    #[arg(long, value_delimiter = ',', default_value = "10,100",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    k: Vec<u16>,
    /// Write the model's rankings to a TREC run file: 100 results a query, or as many as --k says
    #[arg(long, value_name = "FILE")]
    run_out: Option<PathBuf>,
    /// Score the rankings in a TREC run file; no model is needed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "run_out"])]
    run_in: Option<PathBuf>,
    /// Compare with the rankings in a TREC run file, or with another model's
    #[arg(long, value_name = "FILE|MODEL")]
    compare: Option<String>,
    /// Show each query, too
    #[arg(long)]
    per_query: bool,
}

impl Eval {
    pub fn run(mut self, session: &Session<'_>) -> Result<(), ApiError> {
        self.k.sort_unstable();
        self.k.dedup();
        let folder = existing(&self.folder)?;
        // What can be wrong is found out before anything is embedded.
        let first = match &self.run_in {
            Some(file) => Source::file(file)?,
            None => Source::Model(session.embedder(self.model.as_deref(), self.device)?),
        };
        let second = self
            .compare
            .as_deref()
            .map(|it| Source::named(it, self.device, session))
            .transpose()?;
        let embeds = first.is_model() || second.as_ref().is_some_and(Source::is_model);
        let judged = Judged::read(&folder, &self.split, embeds)?;
        let out = self.run_out.as_deref().map(|path| Out::open(path, &judged)).transpose()?;
        let rank = |source: Source| source.rank(&judged, self.depth(), session);
        let first = rank(first)?;
        if let Some(out) = out {
            out.write(&first)?;
        }
        let second = second.map(rank).transpose()?;
        let (judgements, set) = (judged.judgements(), judged.set());
        let (run, compared, per_query) =
            report(&first, second.as_ref(), judgements, &self.k, self.per_query);
        let ranked: Vec<&Ranked> = std::iter::once(&first).chain(&second).collect();
        let notes = notes(set.map(|set| set.gaps), &ranked, judgements, &self.k);
        session.output.done(Reply::Evaluated(Box::new(EvalReport {
            set: folder,
            split: self.split,
            queries: judgements.len() as u64,
            documents: set.map(|set| set.documents.len() as u64),
            run,
            compared,
            per_query,
            notes,
        })))
    }

    fn depth(&self) -> usize {
        self.k.last().map_or(DEPTH, |k| DEPTH.max(usize::from(*k)))
    }
}

/// Where rankings come from.
enum Source {
    Model(Arc<dyn Embedder>),
    File(String, Run),
}

impl Source {
    fn file(path: &Path) -> Result<Self, ApiError> {
        let run = Run::read(path).map_err(|error| unreadable(&error))?;
        Ok(Self::File(path.to_string_lossy().into_owned(), run))
    }

    /// The run file of that name where there is one, else the model. What has a `/` can only be a file.
    fn named(name: &str, device: Option<Compute>, session: &Session<'_>) -> Result<Self, ApiError> {
        if name.contains('/') || Path::new(name).exists() {
            return Self::file(Path::new(name));
        }
        session.embedder(Some(name), device).map(Self::Model).map_err(|error| match error.code {
            ErrorCode::NotFound => ApiError::new(
                ErrorCode::NotFound,
                format!("{name} is neither a file here nor a model: {}", error.message),
            )
            .hint("write a run file with --run-out, or get a model with `covey model pull`"),
            _ => error,
        })
    }

    fn is_model(&self) -> bool {
        matches!(self, Self::Model(_))
    }

    fn rank(
        self,
        judged: &Judged,
        depth: usize,
        session: &Session<'_>,
    ) -> Result<Ranked, ApiError> {
        match self {
            Self::Model(model) => {
                let set = judged.set().expect("the whole set is read where a model is asked");
                let mut bar = Bar::start("embedding", session.output);
                let run = retrieve(&*model, set, depth, &mut |done, all| {
                    bar.update(Progress {
                        stage: "embedding".into(),
                        done: done as u64,
                        total: Some(all as u64),
                        item: Some(model.name().to_owned()),
                    });
                })
                .map_err(|error: RetrieveError| {
                    ApiError::new(ErrorCode::Internal, format!("{}: {error}", model.name()))
                })?;
                Ok(Ranked::by_model(&*model, run))
            }
            Self::File(name, run) => Ok(Ranked::in_file(name, run)),
        }
    }
}

/// What rankings are held against: a whole set, or judgements where there is nothing to embed.
enum Judged {
    Set(Box<Set>),
    Alone(Judgements),
}

impl Judged {
    fn read(folder: &Path, split: &str, whole: bool) -> Result<Self, ApiError> {
        let read = match whole {
            true => Set::read(folder, split).map(|set| Self::Set(Box::new(set))),
            false => judgements(folder, split).map(Self::Alone),
        };
        read.map_err(|error| unreadable(&error))
    }

    fn judgements(&self) -> &Judgements {
        match self {
            Self::Set(set) => &set.judgements,
            Self::Alone(judgements) => judgements,
        }
    }

    fn set(&self) -> Option<&Set> {
        match self {
            Self::Set(set) => Some(set),
            Self::Alone(_) => None,
        }
    }
}

/// A run file to be: it appears under its name when it is complete.
struct Out {
    file: NamedTempFile,
    path: PathBuf,
}

impl Out {
    /// Makes sure that the rankings of `judged` can be written to `path`.
    fn open(path: &Path, judged: &Judged) -> Result<Self, ApiError> {
        if let Some(set) = judged.set() {
            let queries = set.queries.iter().map(|query| ("query", &query.id));
            let mut ids = queries.chain(set.documents.iter().map(|it| ("document", &it.id)));
            ids.try_for_each(|(what, id)| Run::check_id(what, id))
                .map_err(|it| unwritten(path, &it))?;
        }
        let path = absolute(path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        // As other files that people make, not for their owner alone.
        let permissions = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder);
        let file = file.map_err(|error| unwritten(&path, &error.into()))?;
        Ok(Self { file, path })
    }

    fn write(self, ranked: &Ranked) -> Result<(), ApiError> {
        let Self { mut file, path } = self;
        let failed = |error: RunError| unwritten(&path, &error);
        let mut out = BufWriter::new(file.as_file_mut());
        ranked.run.write(&mut out, &ranked.tag()).map_err(failed)?;
        out.flush().map_err(|error| failed(error.into()))?;
        drop(out);
        file.persist(&path).map_err(|error| failed(error.error.into()))?;
        Ok(())
    }
}

fn unreadable(error: &ReadError) -> ApiError {
    let layout = "a set has corpus.jsonl, queries.jsonl and qrels/SPLIT.tsv; `covey eval --help` says what is in them";
    let message = error.to_string();
    match error {
        ReadError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            ApiError::new(ErrorCode::NotFound, message).hint(layout)
        }
        ReadError::Io { .. } => ApiError::new(ErrorCode::Storage, message),
        ReadError::Split { .. } => {
            ApiError::new(ErrorCode::NotFound, message).hint("choose one with --split")
        }
        ReadError::Line { .. } | ReadError::Empty { .. } => {
            ApiError::new(ErrorCode::Usage, message)
        }
    }
}

fn unwritten(path: &Path, error: &RunError) -> ApiError {
    let code = match error {
        RunError::Io(_) => ErrorCode::Storage,
        RunError::Id { .. } => ErrorCode::Usage,
        RunError::Score { .. } => ErrorCode::Internal,
    };
    ApiError::new(code, format!("{}: {error}", path.display()))
}
