//! Models that an adapter makes of others.

use std::path::Path;

use super::install::Installer;
use super::manifest::{ADAPTER, BERT_FILES, Manifest, limit_of, read_limited};
use super::pull::{describe_static, record};
use super::{Family, ModelError, ModelInfo, ModelStore, load_bert};
use crate::Embedder;
use crate::adapter::{Adapter, AdapterConfig};
use crate::bert::Precision;
use crate::compute::{Backend, Compute};
use crate::train::{BertLearner, Learner, StaticLearner, TrainError};

/// A static model takes its adapter in, so that it costs nothing to use.
fn add_static(
    store: &ModelStore,
    installer: &Installer,
    base: &ModelInfo,
    bytes: &[u8],
    name: &str,
) -> Result<ModelInfo, ModelError> {
    let folder = || store.dir.join(&base.name);
    let broken = |source| ModelError::Static { folder: folder(), source };
    let model = store.load_static(&base.name)?;
    let adapter = Adapter::from_bytes(bytes, model.id(), model.shape())
        .map_err(|source| ModelError::Adapter { base: base.name.clone(), source })?;
    let model = model.adapted(&adapter, name).map_err(broken)?;
    let bytes = model.to_bytes().map_err(broken)?;
    let source = format!("trained from {}", base.name);
    let (info, files) = describe_static(&model, &source, &bytes);
    record(installer, info, &files, None)
}

/// A transformer keeps its adapter beside its files, which are shared with the base where the disk allows.
fn add_bert(
    store: &ModelStore,
    installer: &Installer,
    base: &ModelInfo,
    bytes: &[u8],
    name: &str,
) -> Result<ModelInfo, ModelError> {
    let folder = store.dir.join(&base.name);
    let manifest = Manifest::read(&folder)?;
    if manifest.has(ADAPTER) {
        return Err(ModelError::Adapted { name: base.name.clone() });
    }
    let model =
        load_bert(&folder, name, &manifest, (Precision::default(), Backend::cpu()), Some(bytes))?;
    let mut info = base.clone();
    info.name = name.to_owned();
    info.id = model.id();
    info.source = format!("trained from {}", base.name);
    info.bytes += bytes.len() as u64;
    let shared = Some((&manifest, folder.as_path(), BERT_FILES.as_slice()));
    record(installer, info, &vec![(ADAPTER, bytes)], shared)
}

impl ModelStore {
    /// Adds the model that the adapter in `bytes` makes of the model `base`, under another name. It is of the
    /// same lineage, and is loaded and used like any other.
    ///
    /// # Errors
    ///
    /// When a model is called so already, there is no such base, the adapter is for another model or damaged, or the files cannot be written.
    pub fn add_adapted(
        &self,
        base: &str,
        bytes: &[u8],
        name: &str,
    ) -> Result<ModelInfo, ModelError> {
        // Held from here, so that neither the name is taken nor the base replaced meanwhile.
        let installer = Installer::begin(&self.dir)?;
        self.check_free(name)?;
        let base = self.info(base)?;
        match base.family {
            Family::Static => add_static(self, &installer, &base, bytes, name),
            Family::Bert => add_bert(self, &installer, &base, bytes, name),
        }
    }

    /// Reads an adapter's file.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is too large.
    pub fn read_adapter(path: &Path) -> Result<Vec<u8>, ModelError> {
        read_limited(path, limit_of(ADAPTER))
    }
}

/// Why a model cannot be trained.
#[derive(Debug, thiserror::Error)]
pub enum LearnerError {
    /// The model cannot be loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The adapter does not fit it, or a text cannot be cut into tokens.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl ModelStore {
    /// The model `base` with an adapter that has learnt nothing yet, and `texts` at hand, of which the first
    /// `max_tokens` tokens count each. It learns on the store's [device](Self::on).
    ///
    /// # Errors
    ///
    /// When there is no such model, it has an adapter already, the configuration does not fit it, or the device
    /// cannot be used.
    pub fn learner(
        &self,
        base: &str,
        config: AdapterConfig,
        texts: &[String],
        max_tokens: usize,
    ) -> Result<Box<dyn Learner>, LearnerError> {
        match self.info(base)?.family {
            Family::Static => {
                let model = self.load_static(base)?;
                let learner = StaticLearner::new(&model, config, texts, max_tokens)?;
                if self.compute == Compute::Cpu {
                    return Ok(Box::new(learner));
                }
                Ok(Box::new(learner.on(Backend::open(self.compute).map_err(ModelError::from)?)))
            }
            Family::Bert => {
                if Manifest::read(&self.dir.join(base))?.has(ADAPTER) {
                    return Err(ModelError::Adapted { name: base.to_owned() }.into());
                }
                let model = self.load_bert(base)?;
                Ok(Box::new(BertLearner::new(model, config, texts, max_tokens)?))
            }
        }
    }
}
