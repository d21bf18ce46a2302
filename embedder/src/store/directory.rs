//! A model that is already on disk, as sentence-transformers or `covey model distill` left it.

use std::path::Path;

use serde::Deserialize;

use super::ModelError;
use super::manifest::{CONFIG, TOKENIZER, WEIGHTS, limit_of, read_limited};
use super::pull::{Fetched, Progress, PullProgress, PullStage};

pub(super) const POOLING: &str = "1_Pooling/config.json";
pub(super) const SENTENCE: &str = "sentence_bert_config.json";

/// `[CLS]` and `[SEP]`, which the limit in sentence_bert_config.json counts.
const MARKERS: usize = 2;

/// Positions that a model without a stated limit is used for.
const USUAL_POSITIONS: usize = 256;

/// Reads the model at `path` and the name that it suggests.
pub(super) fn fetch(path: &Path, progress: Progress<'_>) -> Result<(Fetched, String), ModelError> {
    progress(PullProgress::at(PullStage::Contacting, path.display()));
    let name = path
        .canonicalize()
        .ok()
        .as_deref()
        .and_then(Path::file_name)
        .map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned());
    if path.extension().is_some_and(|extension| extension == "cvst") {
        return Ok((Fetched::Static(read_static(path)?), name));
    }
    if let Some(file) = only_static_file(path) {
        return Ok((Fetched::Static(read_static(&file)?), name));
    }
    Ok((read_bert(path)?, name))
}

/// Reads `config.json`, `tokenizer.json`, `model.safetensors` and the settings beside them.
pub(super) fn read_bert(folder: &Path) -> Result<Fetched, ModelError> {
    let read = |file: &str| {
        let path = folder.join(file);
        if !path.is_file() {
            let reason =
                format!("there is no {file}; a BERT model has {CONFIG}, {TOKENIZER} and {WEIGHTS}");
            return Err(ModelError::NotAModel { path: folder.to_owned(), reason });
        }
        read_limited(&path, limit_of(file))
    };
    let optional = |file: &str| {
        let path = folder.join(file);
        if path.is_file() { read_limited(&path, limit_of(file)).map(Some) } else { Ok(None) }
    };
    if let Some(json) = optional(POOLING)? {
        check_pooling(folder, &json)?;
    }
    let positions = match optional(SENTENCE)? {
        Some(json) => parse::<Sentence>(folder, SENTENCE, &json)?.max_seq_length,
        None => USUAL_POSITIONS,
    };
    Ok(Fetched::Bert {
        config: read(CONFIG)?,
        tokenizer: read(TOKENIZER)?,
        weights: read(WEIGHTS)?,
        max_tokens: positions.saturating_sub(MARKERS),
    })
}

#[derive(Deserialize)]
struct Sentence {
    max_seq_length: usize,
}

#[derive(Deserialize)]
struct Pooling {
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_max_tokens: bool,
}

fn check_pooling(folder: &Path, json: &[u8]) -> Result<(), ModelError> {
    let pooling: Pooling = parse(folder, POOLING, json)?;
    let others = pooling.pooling_mode_cls_token || pooling.pooling_mode_max_tokens;
    if pooling.pooling_mode_mean_tokens && !others {
        return Ok(());
    }
    let reason =
        format!("{POOLING} asks for another pooling than the mean, which is all there is here");
    Err(ModelError::NotAModel { path: folder.to_owned(), reason })
}

fn parse<T: for<'de> Deserialize<'de>>(
    folder: &Path,
    file: &str,
    json: &[u8],
) -> Result<T, ModelError> {
    serde_json::from_slice(json).map_err(|error| ModelError::NotAModel {
        path: folder.join(file),
        reason: error.to_string(),
    })
}

fn read_static(path: &Path) -> Result<Vec<u8>, ModelError> {
    read_limited(path, limit_of(super::manifest::STATIC_MODEL))
}

fn only_static_file(folder: &Path) -> Option<std::path::PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut models = files.filter(|path| path.extension().is_some_and(|e| e == "cvst"));
    let model = models.next()?;
    models.next().is_none().then_some(model)
}
