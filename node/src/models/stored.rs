//! The folder of pulled models as the node's [`Models`]: loaded on first use, kept while the node runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use covey_embedder::adapter::AdapterConfig;
use covey_embedder::train::Learner;
use covey_embedder::{
    BUILTIN_NAME, ComputeError, Embedder, Family, LearnerError, ModelError, ModelInfo, ModelStore,
};
use covey_protocol::ids::ModelId;

use super::{ModelHandle, Models, adapter};
use crate::api::{ApiError, ErrorCode, ModelEntry};

/// A [`ModelStore`] with a current model.
pub struct StoredModels {
    store: ModelStore,
    state: Mutex<State>,
}

struct State {
    /// Name of the current model, as the folder has it.
    current: String,
    loaded: BTreeMap<ModelId, ModelHandle>,
}

impl StoredModels {
    /// Serves the models of `store`; `current` (the built-in one by default) is loaded when first needed.
    pub fn new(store: ModelStore, current: Option<String>) -> Self {
        let current = current.unwrap_or_else(|| BUILTIN_NAME.to_owned());
        Self { store, state: Mutex::new(State { current, loaded: BTreeMap::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn infos(&self) -> Result<Vec<ModelInfo>, ApiError> {
        self.store.list().map_err(|error| model_error(&error))
    }

    /// The model with exactly this id, if it is in the folder.
    fn with_id(&self, id: ModelId) -> Result<Option<ModelInfo>, ApiError> {
        Ok(self.infos()?.into_iter().find(|info| adapter::model_id(info.id) == id))
    }

    /// The model of `info`, loaded outside the lock, as that may take seconds.
    fn load(&self, info: &ModelInfo) -> Result<ModelHandle, ApiError> {
        let id = adapter::model_id(info.id);
        if let Some(handle) = self.state().loaded.get(&id) {
            return Ok(handle.clone());
        }
        let embedder: Arc<dyn Embedder> =
            self.store.load(&info.name).map_err(|error| model_error(&error))?;
        let handle = ModelHandle::new(embedder, family(info.family));
        self.state().loaded.insert(handle.id, handle.clone());
        Ok(handle)
    }

    fn find(&self, name_or_id: &str) -> Result<ModelInfo, ApiError> {
        let is_it = |info: &ModelInfo| {
            info.name == name_or_id || adapter::model_id(info.id).to_string() == name_or_id
        };
        self.infos()?.into_iter().find(is_it).ok_or_else(|| {
            ApiError::new(
                ErrorCode::NotFound,
                format!("there is no model called {name_or_id} here"),
            )
            .hint("list the models with `covey model list`, or get one with `covey model pull`")
        })
    }
}

impl Models for StoredModels {
    fn current(&self) -> Result<ModelHandle, ApiError> {
        let name = self.state().current.clone();
        self.load(&self.find(&name)?)
    }

    fn get(&self, id: ModelId) -> Option<ModelHandle> {
        if let Some(handle) = self.state().loaded.get(&id) {
            return Some(handle.clone());
        }
        let info = self.with_id(id).ok()??;
        self.load(&info).inspect_err(|error| tracing::warn!(%error, "cannot load a model")).ok()
    }

    fn list(&self) -> Result<Vec<ModelEntry>, ApiError> {
        let current = self.state().current.clone();
        let entry =
            |info: &ModelInfo| ModelEntry { current: info.name == current, ..model_entry(info) };
        Ok(self.infos()?.iter().map(entry).collect())
    }

    fn set_current(&self, name: &str) -> Result<ModelHandle, ApiError> {
        let info = self.find(name)?;
        let handle = self.load(&info)?;
        self.state().current = info.name;
        Ok(handle)
    }

    fn learner(
        &self,
        model: ModelId,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Box<dyn Learner>, ApiError> {
        let info = self.with_id(model)?.ok_or_else(|| {
            ApiError::new(ErrorCode::WrongModel, "the model that the group trains is not here")
                .hint("get it with `covey model pull`, and look with `covey model list`")
        })?;
        self.store.learner(&info.name, config, texts, max_tokens).map_err(|error| match error {
            LearnerError::Model(error) => model_error(&error),
            LearnerError::Train(error) => ApiError::new(ErrorCode::WrongModel, error.to_string()),
        })
    }

    fn adapted(
        &self,
        base: ModelId,
        config: AdapterConfig,
        values: Vec<f32>,
        name: &str,
    ) -> Result<ModelHandle, ApiError> {
        // Made before: whoever named it has put into the name what it is made of.
        if let Ok(there) = self.find(name) {
            return self.load(&there);
        }
        let wrong = |error: &dyn std::fmt::Display| {
            ApiError::new(ErrorCode::WrongModel, format!("the adapter does not fit: {error}"))
        };
        let learner = self.learner(base, config, &[], 1)?;
        let made = learner.adapter(&values).map_err(|error| wrong(&error))?;
        let info = self.with_id(base)?.ok_or_else(|| wrong(&"its model is not here"))?;
        let bytes = made.to_bytes(info.id).map_err(|error| wrong(&error))?;
        let added = self.store.add_adapted(&info.name, &bytes, name);
        self.load(&added.map_err(|error| model_error(&error))?)
    }

    fn remove(&self, name: &str) -> Result<(), ApiError> {
        let info = self.find(name)?;
        if self.state().current == info.name {
            let message = format!("{name} is in use");
            return Err(ApiError::new(ErrorCode::Busy, message).hint("use another one first"));
        }
        self.state().loaded.remove(&adapter::model_id(info.id));
        self.store.remove(&info.name).map_err(|error| model_error(&error))
    }
}

/// How a model of the folder is listed; it is not the current one.
pub fn model_entry(info: &ModelInfo) -> ModelEntry {
    ModelEntry {
        name: info.name.clone(),
        id: adapter::model_id(info.id),
        family: family(info.family).to_owned(),
        dim: u32::try_from(info.dim).unwrap_or(u32::MAX),
        current: false,
    }
}

/// What a failure of the folder of models means for the person.
pub fn model_error(error: &ModelError) -> ApiError {
    let message = error.to_string();
    let again = "pull it again with `covey model pull`";
    match error {
        ModelError::Io { .. } => {
            ApiError::new(ErrorCode::Storage, message).hint("check free space and permissions")
        }
        ModelError::Unknown { .. } => ApiError::new(ErrorCode::NotFound, message),
        ModelError::Mismatch { .. }
        | ModelError::Manifest { .. }
        | ModelError::Precisions { .. } => ApiError::new(ErrorCode::Corrupt, message),
        ModelError::Adapter { .. } => ApiError::new(ErrorCode::Corrupt, message)
            .hint("use the adapter with the very model that it was trained on"),
        ModelError::Bert { .. } | ModelError::Static { .. } => {
            ApiError::new(ErrorCode::Corrupt, message).hint(again)
        }
        ModelError::Taken(_) => ApiError::new(ErrorCode::Exists, message),
        ModelError::Unreachable { .. } | ModelError::NoSource(_) => {
            ApiError::new(ErrorCode::Unreachable, message)
                .hint("check the connection, or use `covey model pull --dir FOLDER`")
        }
        ModelError::Builtin
        | ModelError::Adapted { .. }
        | ModelError::Family { .. }
        | ModelError::OneWay { .. }
        | ModelError::TooLarge { .. }
        | ModelError::Name(_)
        | ModelError::NotAModel { .. }
        | ModelError::Unpinned(_) => ApiError::new(ErrorCode::Usage, message),
        ModelError::Embed(_) => ApiError::new(ErrorCode::Internal, message),
        ModelError::Compute(error) => compute_error(error),
    }
}

/// What a device that cannot be used means for the person.
pub fn compute_error(error: &ComputeError) -> ApiError {
    let code = match error {
        ComputeError::NotBuilt { .. } => ErrorCode::Usage,
        ComputeError::Missing { .. } => ErrorCode::NotFound,
        ComputeError::Failed { .. } => ErrorCode::Internal,
    };
    ApiError::new(code, error.to_string())
        .hint("--device names another device for one command, `device` in config.toml for all; a daemon reads that when it starts")
}

const fn family(family: Family) -> &'static str {
    match family {
        Family::Static => "static",
        Family::Bert => "bert",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builtin_model_is_there_without_any_folder_content_and_loads_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let models = StoredModels::new(ModelStore::open(dir.path()).expect("opens"), None);
        let current = models.current().expect("loads");
        assert_eq!(current.name, BUILTIN_NAME);
        let again = models.get(current.id).expect("is known");
        assert!(Arc::ptr_eq(&again.encoder, &current.encoder));
        let list = models.list().expect("lists");
        assert_eq!(list, [current.entry(true)]);
        assert_eq!(models.set_current(&current.id.to_string()).expect("by id").id, current.id);
    }

    #[test]
    fn an_unknown_model_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = ModelStore::open(dir.path()).expect("opens");
        let models = StoredModels::new(store.clone(), None);
        let error = models.set_current("nonesuch").err().expect("is unknown");
        assert_eq!(error.code, ErrorCode::NotFound);
        models.current().expect("still the built-in one");
        let gone = StoredModels::new(store, Some("gone".into()));
        assert_eq!(gone.current().err().expect("is gone").code, ErrorCode::NotFound);
    }
}
