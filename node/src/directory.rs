//! An index in a folder of its own: built, searched and looked after without a node.
//!
//! It is a collection of one that no node records; the same code serves it. Its name, which replies need,
//! is that of its folder.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use covey_index::{Collection, Disk, IndexError};
use covey_protocol::ids::{ModelId, Name};

use crate::api::{
    ApiError, ErrorCode, ExportCall, ModelEntry, Profile, Progress, Reply, SearchCall,
};
use crate::cancel::CancelFlag;
use crate::collections::{Collections, Ground, Meter, model_of};
use crate::config::MaxFileMib;
use crate::durable::real_place;
use crate::env::Env;
use crate::errors;
use crate::models::{ModelHandle, Models};
use crate::node::metered;
use crate::query::search_alone;
use crate::store::{IndexPlace, MemoryStores, Stores};

/// What is asked of an index in a folder.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// Index a file or folder (absolute) into it, making it where there is none, or bring it up to date.
    Build {
        /// The file or folder.
        folder: PathBuf,
        /// The settings of a new index; the balanced ones by default.
        profile: Option<Profile>,
        /// The model, by name or id; by default the index's own, or the current one.
        model: Option<String>,
    },
    /// What it holds and takes.
    Info,
    /// Read all of it and check it.
    Verify,
    /// Make it as small as it gets, embedding nothing.
    Compact,
    /// Search it.
    Search(SearchCall),
    /// Write out what it knows.
    Export(ExportCall),
}

/// Carries out what is asked of the index in `dir`. Raising `cancel` ends it early and keeps what is
/// finished.
///
/// # Errors
/// With what happened, why, and what to do.
pub async fn carry_out(
    dir: PathBuf,
    models: Arc<dyn Models>,
    ask: Ask,
    progress: &mut (dyn FnMut(Progress) + Send),
    cancel: CancelFlag,
) -> Result<Reply, ApiError> {
    let env = Env::system().map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("the system gives no randomness: {error}"))
    })?;
    let work = {
        let env = env.clone();
        move |meter: Meter<'_>| answer(&dir, models, ask, env, meter, &cancel)
    };
    metered(&env, progress, work).await
}

fn answer(
    dir: &Path,
    models: Arc<dyn Models>,
    ask: Ask,
    env: Env,
    meter: Meter<'_>,
    cancel: &CancelFlag,
) -> Result<Reply, ApiError> {
    let dir = std::path::absolute(dir).map_err(|error| {
        ApiError::new(ErrorCode::Usage, format!("{} names no place: {error}", dir.display()))
    })?;
    let name = label(&dir);
    let opened = match &ask {
        Ask::Build { folder, .. } => {
            check_apart(folder, &dir)?;
            open_or_none(&dir, &name)?
        }
        Ask::Compact => Some(Collection::open(&dir).map_err(|error| refused(&name, error))?),
        Ask::Info | Ask::Verify | Ask::Search(_) | Ask::Export(_) => {
            Some(Collection::open_read_only(&dir).map_err(|error| refused(&name, error))?)
        }
    };
    let id = model_for(&ask, opened.as_ref(), &*models)?;
    let models: Arc<dyn Models> = Arc::new(Fixed { id, all: models });
    let (parent, folder) = place(&dir)?;
    let ground = Ground {
        env: env.clone(),
        kv: MemoryStores::new().kv(),
        place: IndexPlace::Disk(parent),
        files: Arc::new(Disk),
        models: models.clone(),
        max_file_bytes: MaxFileMib::default().bytes(),
    };
    let collections = Collections::of_one(ground, name.clone(), folder, id, opened);
    let reply = match ask {
        Ask::Build { folder, profile, .. } => {
            let started = std::time::Instant::now();
            collections.add(&folder, Some(name), profile, meter, cancel).map(|mut added| {
                added.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
                Reply::Added(added)
            })
        }
        Ask::Info => collections.index_info(&name).map(Reply::Index),
        Ask::Verify => collections.index_verify(&name).map(Reply::IndexVerified),
        Ask::Compact => collections.index_compact(&name, meter, cancel).map(Reply::IndexCompacted),
        Ask::Search(call) => {
            let call = SearchCall { collection: Some(name), ..call };
            search_alone(&call, &collections, &*models, &env).map(Reply::Search)
        }
        Ask::Export(wish) => {
            collections.index_export(&name, &wish, meter, cancel).map(Reply::IndexExported)
        }
    };
    reply.map_err(without_a_node)
}

/// What the index is called in replies.
fn label(dir: &Path) -> Name {
    let name = dir.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
    name.unwrap_or_else(|| "index".parse().expect("it is a name"))
}

/// The folder that `dir` lies in, and its name there.
fn place(dir: &Path) -> Result<(PathBuf, String), ApiError> {
    match (dir.parent(), dir.file_name().and_then(|name| name.to_str())) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), name.to_owned())),
        _ => {
            let message = format!("{} cannot hold an index", dir.display());
            Err(ApiError::new(ErrorCode::Usage, message).hint("give its folder a plain name"))
        }
    }
}

/// The index in `dir` for writing; `None` where one can be made.
fn open_or_none(dir: &Path, name: &Name) -> Result<Option<Collection>, ApiError> {
    match Collection::open(dir) {
        Ok(index) => Ok(Some(index)),
        Err(IndexError::NotFound { .. }) if is_free(dir) => Ok(None),
        Err(IndexError::NotFound { .. }) => {
            let message = format!("{} is there already and holds no index", dir.display());
            Err(ApiError::new(ErrorCode::Exists, message).hint("choose a new or an empty folder"))
        }
        Err(error) => Err(refused(name, error)),
    }
}

/// Whether nothing is in `dir` but what an interrupted start leaves.
fn is_free(dir: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return !dir.exists() };
    entries.flatten().all(|entry| {
        let name = entry.file_name();
        name == "lock" || name.to_string_lossy().starts_with("tmp-")
    })
}

/// Refuses an index that would take in its own files.
fn check_apart(folder: &Path, dir: &Path) -> Result<(), ApiError> {
    let Some(dir) = real_place(dir) else { return Ok(()) };
    let Ok(inside) = dir.strip_prefix(folder) else { return Ok(()) };
    let hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
    if inside.components().any(hidden) {
        return Ok(());
    }
    let message = format!("{} lies in what is to be indexed", dir.display());
    Err(ApiError::new(ErrorCode::Usage, message)
        .hint("put the index elsewhere, or give its folder a name that starts with a dot"))
}

/// The model that an index has, or is to have.
fn model_for(
    ask: &Ask,
    index: Option<&Collection>,
    models: &dyn Models,
) -> Result<ModelId, ApiError> {
    let wanted = match ask {
        Ask::Build { model: Some(model), .. } => Some(models.set_current(model)?),
        _ => None,
    };
    let Some(index) = index else {
        return Ok(match wanted {
            Some(model) => model.id,
            None => models.current()?.id,
        });
    };
    let id = model_of(index);
    match wanted {
        Some(model) if model.id != id => {
            let message = format!("this index was built with another model than {}", model.name);
            Err(without_a_node(ApiError::new(ErrorCode::WrongModel, message)))
        }
        _ => Ok(id),
    }
}

fn refused(name: &Name, error: IndexError) -> ApiError {
    match error {
        IndexError::NotFound { .. } => ApiError::new(ErrorCode::NotFound, error.to_string())
            .hint("make it with `covey index build FOLDER --out DIR`"),
        error => without_a_node(errors::index(name, error)),
    }
}

/// Commands that a node knows a collection by do not help here.
fn without_a_node(error: ApiError) -> ApiError {
    match error.code {
        ErrorCode::WrongModel | ErrorCode::Corrupt => {
            let hint =
                "build it anew: remove its folder, then `covey index build FOLDER --out DIR`";
            error.hint(hint)
        }
        ErrorCode::Exists if error.hint.as_deref().is_some_and(|it| it.contains("profile")) => {
            error.hint("build another one beside it, or leave `--profile` out")
        }
        ErrorCode::Usage if error.hint.as_deref().is_some_and(|it| it.contains("index profile")) => {
            error.hint("`covey index build` goes on where it was interrupted; with `--profile small` there are no words")
        }
        _ => error,
    }
}

/// All models, with one that is always the current one.
struct Fixed {
    id: ModelId,
    all: Arc<dyn Models>,
}

impl Models for Fixed {
    fn current(&self) -> Result<ModelHandle, ApiError> {
        self.all.get(self.id).ok_or_else(|| {
            let message = "the model that this index was built with is not here";
            ApiError::new(ErrorCode::WrongModel, message)
        })
    }

    fn get(&self, id: ModelId) -> Option<ModelHandle> {
        self.all.get(id)
    }

    fn list(&self) -> Result<Vec<ModelEntry>, ApiError> {
        self.all.list()
    }

    fn set_current(&self, _: &str) -> Result<ModelHandle, ApiError> {
        self.current()
    }
}
