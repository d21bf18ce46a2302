//! Sets of vectors that engines are compared on: a folder with chunks' and questions' vectors in it.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::rows::K;

/// What the peers and our own engine are measured on. Vectors have unit length.
#[derive(Clone, Debug)]
pub struct Set {
    /// What the rows call it: the texts and the model.
    pub data: String,
    /// Chunks' vectors and questions' vectors: `.npy`, or raw little-endian `.f32`.
    pub vectors: PathBuf,
    pub queries: PathBuf,
    /// Dimensions of a vector; needed for raw files.
    pub dim: Option<usize>,
    /// The ids of the exact answers: `.npy`, or raw little-endian `.u32`, [`super::rows::K`] a question. Raw ones
    /// are made where they are missing.
    pub truth: PathBuf,
    /// Chunks (`{"text"}`) and questions (`{"query"}`) as JSON lines, for engines that embed on their own.
    pub text: Option<(PathBuf, PathBuf)>,
    /// Bytes of the chunks' raw text.
    pub text_bytes: Option<u64>,
    /// The model that made the vectors, if it is one we have.
    pub model: Option<Model>,
    /// A folder of text files that our own engine indexes by itself, with that model; the vectors are those of its
    /// chunks.
    pub files: Option<PathBuf>,
}

/// A model of our own.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Model {
    /// The one that is built in.
    Static,
    /// all-MiniLM-L6-v2.
    Minilm,
}

impl Model {
    /// What reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "built-in model",
            Self::Minilm => "all-MiniLM-L6-v2",
        }
    }
}

/// What `set.json` in a set's folder says.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    pub data: Option<String>,
    pub dim: Option<usize>,
    pub text_bytes: Option<u64>,
    pub model: Option<Model>,
}

impl Set {
    /// The set in `folder`: `vectors.f32` and `queries.f32`, for which a `truth.u32` is made where there is none; or
    /// `emb.npy`, `qemb.npy` and `truth.npy`. `set.json` (`{"data", "dim", "text_bytes", "model"}`) says what they are; raw
    /// files need its `dim`. Texts are in `chunks.jsonl` and `queries.jsonl`; or in a folder `files`, for which the
    /// model has to be named.
    pub fn open(folder: &Path) -> Result<Self> {
        let folder =
            folder.canonicalize().with_context(|| format!("no folder {}", folder.display()))?;
        let at = |name: &str| folder.join(name);
        let about: About = match fs::read_to_string(at("set.json")) {
            Ok(text) => serde_json::from_str(&text)
                .with_context(|| format!("in {}", at("set.json").display()))?,
            Err(error) if error.kind() == ErrorKind::NotFound => About::default(),
            Err(error) => return Err(error.into()),
        };
        let raw = at("vectors.f32").exists();
        let [vectors, queries, truth] = if raw {
            ["vectors.f32", "queries.f32", "truth.u32"].map(at)
        } else {
            ["emb.npy", "qemb.npy", "truth.npy"].map(at)
        };
        for file in [&vectors, &queries] {
            ensure!(file.exists(), "{} is missing", file.display());
        }
        ensure!(
            !raw || about.dim.is_some_and(|dim| dim > 0),
            "{}: set.json has no dim",
            folder.display()
        );
        let (chunks, questions) = (at("chunks.jsonl"), at("queries.jsonl"));
        let files = Some(at("files")).filter(|files| files.is_dir());
        ensure!(
            files.is_none() || (about.model.is_some() && questions.exists()),
            "{}: files need a model in set.json, and queries.jsonl",
            folder.display()
        );
        let text = (chunks.exists() && questions.exists()).then_some((chunks, questions));
        let name = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut set = Self {
            data: about.data.unwrap_or_else(name),
            vectors,
            queries,
            dim: about.dim,
            truth,
            text,
            text_bytes: about.text_bytes,
            model: about.model,
            files,
        };
        if set.text.is_some() && set.text_bytes.is_none() {
            set.text_bytes = Some(set.texts()?.iter().map(|text| text.len() as u64).sum());
        }
        Ok(set)
    }
}

impl Set {
    /// Dimensions of a vector, and where the first one lies in a file of them.
    pub fn layout(&self, file: &Path) -> Result<(usize, u64)> {
        if let Some(dim) = self.dim {
            return Ok((dim, 0));
        }
        npy(file, "<f4").with_context(|| format!("in {}", file.display()))
    }

    /// The scores of the exact [`K`]th best chunks, for each of these questions' vectors.
    pub fn bars(&self, queries: &[f32]) -> Result<Vec<f32>> {
        let raw = self.truth.extension().is_some_and(|kind| kind == "u32");
        let (first, size) = if raw { (0, 4) } else { (npy(&self.truth, "<i8")?.1, 8) };
        let truth = fs::read(&self.truth)?;
        let (dim, start) = self.layout(&self.vectors)?;
        let mut vectors = fs::File::open(&self.vectors)?;
        let mut row = vec![0u8; dim * 4];
        let one = |(number, query): (usize, &[f32])| {
            let at = first as usize + (number * K + K - 1) * size;
            let id =
                truth.get(at..at + 4).context("there are fewer exact answers than questions")?;
            let id = u32::from_le_bytes(id.try_into().expect("four bytes"));
            vectors.seek(SeekFrom::Start(start + u64::from(id) * row.len() as u64))?;
            vectors.read_exact(&mut row)?;
            let row = row.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value));
            Ok(row.zip(query).map(|(a, b)| a * b).sum())
        };
        queries.chunks_exact(dim).enumerate().map(one).collect()
    }

    /// All rows of one of its files of vectors.
    pub fn read(&self, file: &Path) -> Result<Vec<f32>> {
        let (_, start) = self.layout(file)?;
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let values = bytes.get(start as usize..).unwrap_or_default().as_chunks().0;
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    /// The chunks' texts.
    pub fn texts(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Chunk {
            text: String,
        }
        let (chunks, _) = self.text.as_ref().context("our own engine needs the chunks' texts")?;
        let file = BufReader::new(fs::File::open(chunks)?);
        let parse = |line: std::io::Result<String>| -> Result<String> {
            let chunk: Chunk = serde_json::from_str(&line?)?;
            Ok(chunk.text)
        };
        file.lines()
            .map(|line| parse(line).with_context(|| format!("in {}", chunks.display())))
            .collect()
    }

    /// The questions' texts.
    pub fn questions(&self) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Question {
            query: String,
        }
        let path = self.queries.with_file_name("queries.jsonl");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let parse = |line| serde_json::from_str(line).map(|question: Question| question.query);
        text.lines()
            .map(|line| parse(line).with_context(|| format!("in {}", path.display())))
            .collect()
    }
}

/// Columns of an .npy file (version 1, values of this kind, row by row), and where its values begin.
fn npy(file: &Path, kind: &str) -> Result<(usize, u64)> {
    let mut head = vec![0u8; 10];
    let mut reader = BufReader::new(fs::File::open(file)?);
    reader.read_exact(&mut head)?;
    ensure!(head.starts_with(b"\x93NUMPY\x01"), "it is no .npy file of version 1");
    let mut about = vec![0u8; usize::from(u16::from_le_bytes([head[8], head[9]]))];
    reader.read_exact(&mut about)?;
    let text = String::from_utf8_lossy(&about);
    let kept = text.contains(&format!("'{kind}'")) && text.contains("False");
    ensure!(kept, "it does not hold {kind}, row by row");
    let shape =
        text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(shape, _)| shape);
    let columns = shape.and_then(|shape| shape.split(',').nth(1)?.trim().parse().ok());
    Ok((columns.context("it is no matrix")?, (head.len() + about.len()) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_folder_are_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write =
            |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writes");
        assert!(Set::open(folder.path()).is_err(), "there are no vectors");
        write("emb.npy", "");
        write("qemb.npy", "");
        write("chunks.jsonl", "{\"text\": \"four\"}\n{\"text\": \"\u{fc}\"}\n");
        write("queries.jsonl", "");
        let set = Set::open(folder.path()).expect("a set");
        assert_eq!((set.text_bytes, set.dim), (Some(6), None));
        assert!(set.layout(&set.vectors).is_err(), "it is no .npy file");
        let mut npy = b"\x93NUMPY\x01\0\x40\0".to_vec();
        let about = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        npy.extend(format!("{about:<64}").bytes());
        npy.extend([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_le_bytes).as_flattened());
        fs::write(&set.vectors, npy).expect("writes");
        assert_eq!(set.layout(&set.vectors).expect("a layout"), (3, 74));
        assert_eq!(set.read(&set.vectors).expect("rows"), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);

        write("vectors.f32", "");
        assert!(Set::open(folder.path()).is_err(), "raw vectors need a dimension");
        write("set.json", r#"{"data": "texts, model", "dim": 256}"#);
        write("queries.f32", "");
        let set = Set::open(folder.path()).expect("a set");
        assert_eq!(
            (set.data.as_str(), set.dim, set.text.is_some()),
            ("texts, model", Some(256), true)
        );
    }
}
