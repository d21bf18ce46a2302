//! ONNX Runtime, in a process of its own that answers line by line (xtask/peers/onnx_peer.py).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use covey_embedder::{default_cache, testing};
use serde::Deserialize;
use serde_json::{Value, json};

use super::talk::Talk;
use super::texts::{BATCH, Texts};
use crate::venv;

/// Where the engine's name says that it is the one others are compared with.
pub const REFERENCE: &str = "onnxruntime f32";
/// Name of the batch whose vectors are compared.
const COMPARED: &str = "compared";
const QUERY: &str = "query";
const SCRIPT: &str = "onnx_peer.py";

/// The process.
pub struct Peers {
    talk: Talk,
    pub engines: Vec<Engine>,
}

/// A graph that it runs.
#[derive(Clone, Debug, Deserialize)]
pub struct Engine {
    pub name: String,
    pub version: String,
    pub note: String,
}

/// What is timed: so many chunks, or a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    Chunks(usize),
    Query,
}

impl Peers {
    /// Installs what it needs below target/ and starts it.
    pub fn start(root: &Path, texts: &Texts) -> Result<Self> {
        let scripts = root.join("xtask/peers");
        let requirements = scripts.join("requirements-embedder.txt");
        let python = venv::prepare(root, "embedder", &requirements)?.whole()?;
        testing::minilm().ok_or_else(|| anyhow!("MiniLM cannot be fetched, see above"))?;
        let model = default_cache().context("there is no folder for models")?;
        let folder = root.join("target/bench-embedder");
        fs::create_dir_all(&folder)?;
        let file = folder.join("texts.json");
        fs::write(&file, serde_json::to_vec(&batches(texts))?)?;
        let (talk, mut first) = Talk::start(
            SCRIPT,
            Command::new(python)
                .arg(scripts.join(SCRIPT))
                .arg("--model")
                .arg(model.join(testing::MINILM_NAME))
                .arg("--texts")
                .arg(file)
                .arg("--cache")
                .arg(&folder),
        )?;
        Ok(Self { talk, engines: serde_json::from_value(first["engines"].take())? })
    }

    /// CPU seconds of a call for the batch, the mean of `calls`.
    pub fn time(&mut self, engine: &str, batch: Batch, calls: u32) -> Result<f64> {
        let answer =
            self.talk.ask(&json!({"time": name(batch), "engine": engine, "calls": calls}))?;
        answer["seconds"].as_f64().context("onnx_peer.py gave no time")
    }

    /// Unit vectors of the texts that are compared.
    pub fn vectors(&mut self, engine: &str) -> Result<Vec<Vec<f64>>> {
        let mut answer = self.talk.ask(&json!({"embed": COMPARED, "engine": engine}))?;
        Ok(serde_json::from_value(answer["vectors"].take())?)
    }
}

fn name(batch: Batch) -> String {
    match batch {
        Batch::Chunks(count) => format!("chunks-{count}"),
        Batch::Query => QUERY.to_owned(),
    }
}

/// Every batch that may be asked for.
fn batches(texts: &Texts) -> Value {
    let mut batches = serde_json::Map::new();
    for count in super::inference::BATCHES {
        batches.insert(name(Batch::Chunks(count)), json!(texts.chunks[..count.min(BATCH)]));
    }
    batches.insert(name(Batch::Query), json!([texts.query]));
    batches.insert(COMPARED.to_owned(), json!(texts.compared));
    json!({ "batches": batches })
}
