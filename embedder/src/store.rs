//! A directory of models: one folder each, pulled, verified and recorded.
//!
//! ```text
//! DIR/.lock                     held while a model is being installed
//! DIR/all-MiniLM-L6-v2/         model.json, config.json, tokenizer.json, model.safetensors
//! DIR/my-static/                model.json, model.cvst
//! DIR/.precisions.json          numbers chosen for models, {"all-MiniLM-L6-v2":"int8"}
//! ```
//!
//! `model.json` ([`Manifest`]) records size and SHA-256 of every file, and the model's
//! id; both are checked again on every load. A folder appears by one rename, after its
//! files are verified, loaded once and synced, so it is complete or absent.

mod adapted;
mod directory;
mod error;
mod hub;
mod install;
mod manifest;
mod pinned;
mod precisions;
mod pull;
mod pypi;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use adapted::LearnerError;
pub use error::ModelError;
pub use manifest::Family;
pub use pull::{PullProgress, PullSource, PullStage};

use crate::bert::{BertFiles, BertModel, Precision};
use crate::compute::Backend;
use crate::{BUILTIN_NAME, Compute, Embedder, ModelId, StaticModel, builtin};
use error::io_at;
use manifest::{ADAPTER, Manifest};

/// What a person is told about a model at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Name to load it by.
    pub name: String,
    /// The exact model.
    pub id: ModelId,
    /// How it computes.
    pub family: Family,
    /// Length of its vectors.
    pub dim: usize,
    /// Content tokens that count.
    pub max_tokens: usize,
    /// Size of its files, or of its part of the program.
    pub bytes: u64,
    /// Licence, as its source states it.
    pub licence: String,
    /// Where it came from.
    pub source: String,
    /// Whether it is part of the program.
    pub builtin: bool,
}

/// A directory of models, plus the built-in one.
#[derive(Clone, Debug)]
pub struct ModelStore {
    dir: PathBuf,
    compute: Compute,
}

impl ModelStore {
    /// Opens `dir`, creating it if needed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made.
    pub fn open(dir: &Path) -> Result<Self, ModelError> {
        fs::create_dir_all(dir).map_err(io_at(dir))?;
        Ok(Self { dir: dir.to_owned(), compute: Compute::Cpu })
    }

    /// The same models, of which transformers are loaded to compute on `compute`, and all are trained there. A device
    /// other than the processor computes in f32, whatever numbers were chosen; static models look up on the
    /// processor always.
    #[must_use]
    pub fn on(mut self, compute: Compute) -> Self {
        self.compute = compute;
        self
    }

    /// Where its models compute.
    #[must_use]
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// The models at hand: the built-in one, then those of the directory by name.
    /// Folders whose record is unreadable are left out; [`load`](Self::load) says why.
    ///
    /// # Errors
    ///
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<ModelInfo>, ModelError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(io_at(&self.dir))? {
            let name = entry.map_err(io_at(&self.dir))?.file_name();
            let Some(name) = name.to_str().filter(|name| manifest::is_name(name)) else { continue };
            if let Ok(manifest) = Manifest::read(&self.dir.join(name)) {
                found.push(manifest.info(name));
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.insert(0, builtin_info()?);
        Ok(found)
    }

    /// Loads a model by its name, by its id in full, or by its id as displayed. It computes with
    /// the numbers that [`set_precision`](Self::set_precision) remembers.
    ///
    /// # Errors
    ///
    /// When there is no such model, or its files are missing, damaged or changed.
    pub fn load(&self, name_or_id: &str) -> Result<Arc<dyn Embedder>, ModelError> {
        self.load_as(name_or_id, None)
    }

    /// The same with a choice of the numbers that a model of the `bert` family computes with;
    /// the others have none.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_with(
        &self,
        name_or_id: &str,
        precision: Precision,
    ) -> Result<Arc<dyn Embedder>, ModelError> {
        self.load_as(name_or_id, Some(precision))
    }

    /// The numbers that [`load`](Self::load) has a model compute with: what was chosen for it, or
    /// [`Precision::Auto`].
    ///
    /// # Errors
    ///
    /// When the file of choices cannot be read.
    pub fn precision(&self, name: &str) -> Result<Precision, ModelError> {
        precisions::of(&self.dir, name)
    }

    /// Remembers the numbers that [`load`](Self::load) has the model `name` compute with;
    /// [`Precision::Auto`] forgets the choice. Models that are loaded already stay as they are.
    ///
    /// # Errors
    ///
    /// When there is no such model, it has no choice of numbers, or the choice cannot be written.
    pub fn set_precision(&self, name: &str, precision: Precision) -> Result<(), ModelError> {
        let models = self.list()?;
        match models.iter().find(|model| model.name == name) {
            None => Err(unknown(name, models)),
            Some(model) if model.family != Family::Bert => {
                Err(ModelError::OneWay { name: name.to_owned(), family: model.family })
            }
            Some(_) => precisions::set(&self.dir, name, precision),
        }
    }

    fn load_as(
        &self,
        name_or_id: &str,
        precision: Option<Precision>,
    ) -> Result<Arc<dyn Embedder>, ModelError> {
        if name_or_id == BUILTIN_NAME {
            return Ok(builtin()?);
        }
        if manifest::is_name(name_or_id) && self.dir.join(name_or_id).is_dir() {
            return self.load_folder(name_or_id, precision);
        }
        let models = self.list()?;
        let mut matching = models.iter().filter(|model| is_id_of(name_or_id, &model.id));
        match matching.next() {
            Some(model) if model.builtin => Ok(builtin()?),
            Some(model) => self.load_folder(&model.name, precision),
            None => Err(unknown(name_or_id, models)),
        }
    }

    /// Loads a model of the `bert` family by its name, for distilling from it.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and when the model is of another family.
    pub fn load_bert(&self, name: &str) -> Result<BertModel, ModelError> {
        if !manifest::is_name(name) || !self.dir.join(name).is_dir() {
            return Err(unknown(name, self.list()?));
        }
        let folder = self.dir.join(name);
        let manifest = Manifest::read(&folder)?;
        if manifest.family != Family::Bert {
            return Err(ModelError::Family {
                name: name.to_owned(),
                family: manifest.family,
                wanted: Family::Bert,
            });
        }
        let how = (Precision::Reference, Backend::open(self.compute)?);
        let model = load_bert(&folder, name, &manifest, how, None)?;
        manifest.expect_id(&folder, model.id())?;
        Ok(model)
    }

    /// A static model, the built-in one included, to be trained.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), and when the model is of another family.
    pub fn load_static(&self, name: &str) -> Result<Arc<StaticModel>, ModelError> {
        if name == BUILTIN_NAME {
            return Ok(crate::builtin_model()?);
        }
        let info = self.info(name)?;
        if info.family != Family::Static {
            return Err(ModelError::Family {
                name: name.to_owned(),
                family: info.family,
                wanted: Family::Static,
            });
        }
        let folder = self.dir.join(name);
        let manifest = Manifest::read(&folder)?;
        let model = read_static(&folder, &manifest)?;
        manifest.expect_id(&folder, model.id())?;
        Ok(Arc::new(model))
    }

    /// What is known of the model called `name`.
    ///
    /// # Errors
    ///
    /// When there is no such model, or its record is unreadable.
    pub fn info(&self, name: &str) -> Result<ModelInfo, ModelError> {
        if name == BUILTIN_NAME {
            return builtin_info();
        }
        if !manifest::is_name(name) || !self.dir.join(name).is_dir() {
            return Err(unknown(name, self.list()?));
        }
        Ok(Manifest::read(&self.dir.join(name))?.info(name))
    }

    /// Checks that a new model may be called `name`.
    ///
    /// # Errors
    ///
    /// When it is no folder name, or a model is called so already.
    pub fn check_free(&self, name: &str) -> Result<(), ModelError> {
        pull::check_name(name)?;
        if self.dir.join(name).exists() { Err(ModelError::Taken(name.to_owned())) } else { Ok(()) }
    }

    /// Obtains a model, verifies it and adds it to the directory. A pinned model that is
    /// already there and undamaged is not fetched again.
    ///
    /// # Errors
    ///
    /// When no source can be reached, a hash does not match, or the files are no model.
    pub fn pull(
        &self,
        spec: &PullSource,
        progress: &mut dyn FnMut(PullProgress),
    ) -> Result<ModelInfo, ModelError> {
        pull::pull(self, spec, progress)
    }

    /// Writes a distilled model into the directory, replacing one of the same name.
    ///
    /// # Errors
    ///
    /// When its name is no folder name, or the files cannot be written.
    pub fn add_static(&self, model: &StaticModel) -> Result<ModelInfo, ModelError> {
        pull::add_static(self, model)
    }

    /// Deletes a model's folder.
    ///
    /// # Errors
    ///
    /// When there is no such model, it is the built-in one, or it cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<(), ModelError> {
        if name == BUILTIN_NAME {
            return Err(ModelError::Builtin);
        }
        if !manifest::is_name(name) || !self.dir.join(name).is_dir() {
            return Err(unknown(name, self.list()?));
        }
        install::Installer::begin(&self.dir)?.remove(name)
    }

    fn load_folder(
        &self,
        name: &str,
        precision: Option<Precision>,
    ) -> Result<Arc<dyn Embedder>, ModelError> {
        let folder = self.dir.join(name);
        let manifest = Manifest::read(&folder)?;
        let model: Arc<dyn Embedder> = match manifest.family {
            Family::Bert => {
                let precision = precision.map_or_else(|| self.precision(name), Ok)?;
                let how = (precision, Backend::open(self.compute)?);
                Arc::new(load_bert(&folder, name, &manifest, how, None)?)
            }
            Family::Static => Arc::new(read_static(&folder, &manifest)?),
        };
        manifest.expect_id(&folder, model.id())?;
        Ok(model)
    }
}

/// Where models go that several programs and tests share: `COVEY_MODEL_CACHE`, or
/// `covey/models` in the user's cache directory.
#[must_use]
pub fn default_cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(dir) = set("COVEY_MODEL_CACHE") {
        return Some(dir.into());
    }
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let cache = cache.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?;
    Some(cache.join("covey").join("models"))
}

fn load_bert(
    folder: &Path,
    name: &str,
    manifest: &Manifest,
    (precision, backend): (Precision, Backend),
    adapter: Option<&[u8]>,
) -> Result<BertModel, ModelError> {
    let kept = manifest.has(ADAPTER).then(|| manifest.read_file(folder, ADAPTER)).transpose()?;
    let [config, tokenizer, weights] =
        manifest::BERT_FILES.map(|file| manifest.read_file(folder, file));
    let files = BertFiles {
        name,
        config: &config?,
        tokenizer: &tokenizer?,
        weights: &weights?,
        max_tokens: manifest.max_tokens,
        root_weights: manifest.root_weights()?,
        precision,
        backend,
        adapter: adapter.or(kept.as_deref()),
    };
    BertModel::load(&files).map_err(|source| ModelError::Bert { folder: folder.to_owned(), source })
}

fn read_static(folder: &Path, manifest: &Manifest) -> Result<StaticModel, ModelError> {
    let bytes = manifest.read_file(folder, manifest::STATIC_MODEL)?;
    StaticModel::from_bytes(&bytes)
        .map_err(|source| ModelError::Static { folder: folder.to_owned(), source })
}

fn builtin_info() -> Result<ModelInfo, ModelError> {
    let model = builtin()?;
    Ok(ModelInfo {
        name: model.name().to_owned(),
        id: model.id(),
        family: Family::Static,
        dim: model.dim(),
        max_tokens: model.max_tokens(),
        bytes: crate::builtin::BYTES.len() as u64,
        licence: "Apache-2.0".to_owned(),
        source: "part of covey".to_owned(),
        builtin: true,
    })
}

fn is_id_of(text: &str, id: &ModelId) -> bool {
    text == id.full_hex() || text == id.to_string()
}

fn unknown(name: &str, models: Vec<ModelInfo>) -> ModelError {
    let known = models.into_iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
    ModelError::Unknown { name: name.chars().take(80).collect(), known }
}

#[cfg(test)]
mod tests;
