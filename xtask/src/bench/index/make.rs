//! Making a set of any size: text files, what a model makes of their chunks, and questions.
//!
//! The texts are those of retrieval sets, as far as they go. Beyond them, documents are put together from runs
//! of words out of three real ones, most of them out of the first: so a chunk has neighbours that share its
//! topic, and words keep their company. The questions are the sets' own.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use covey_embedder::eval::Set;
use covey_index::{Collection, Disk, Encoder, Profile, UpdateOptions};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde_json::json;

use super::encoders::{Watched, model};
use super::ours::is_slow;
use super::sets::{About, Model};

/// Questions of a set.
const QUESTIONS: usize = 200;
/// Bytes of a text file.
const FILE: usize = 256 * 1024;
/// Text files written before it is known how many bytes make a chunk.
const FIRST: usize = 8;
/// Documents with less text have too little to be put together from.
const SUBSTANTIAL: usize = 400;
const SEED: u64 = 1;

/// Makes a set of a little more than `chunks` chunks in `folder` from the retrieval sets in `data`.
///
/// Of the model that is built in the set keeps the files; of one that is slow the chunks, whose vectors
/// are looked up.
pub fn make(folder: &Path, chunks: u64, data: &[PathBuf], known: Model) -> Result<()> {
    if folder.join("set.json").exists() {
        bail!("{} is made already", folder.display());
    }
    let files = folder.join("files");
    fs::create_dir_all(&files)?;
    let mut sources = Vec::new();
    let mut questions = Vec::new();
    for one in data {
        let set = Set::read(one, "test")?;
        let wanted = QUESTIONS / data.len();
        let step = (set.queries.len() / wanted).max(1);
        questions.extend(set.queries.into_iter().step_by(step).take(wanted).map(|one| one.text));
        let texts = set.documents.into_iter().map(|one| format!("{}\n{}", one.title, one.text));
        let texts: Vec<String> = texts.collect();
        let enough = texts.iter().any(|text| text.len() >= SUBSTANTIAL);
        ensure!(enough && wanted > 0, "{}: too little to make a set of", one.display());
        sources.push(texts);
    }
    let encoder = model(known)?;
    ask(folder, &questions, &*encoder)?;

    let records = is_slow(known).then(|| folder.join("chunks.jsonl"));
    let watched = Watched::new(encoder).writing(&folder.join("vectors.f32"), records.as_deref())?;
    let mut cut = Collection::in_memory(&watched)?;
    // Only the vectors are wanted: the rest is to cost little.
    let mut settings = Profile::Small.settings();
    settings.flat = u32::MAX;
    cut.set_settings(settings)?;
    let mut writer = Writer { texts: Texts::new(sources), folder: &files, files: 0, bytes: 0 };
    writer.write(FIRST * FILE)?;
    loop {
        let options = UpdateOptions::default();
        let report =
            cut.update(&files, &Disk, &watched, &options, &mut |_| ControlFlow::Continue(()))?;
        ensure!(report.skipped_count == 0, "text files were skipped: {:?}", report.skipped.first());
        let (have, _) = watched.texts();
        eprintln!("{have} chunks");
        if have >= chunks {
            break;
        }
        let each = writer.bytes as f64 / have as f64;
        writer.write(((chunks - have) as f64 * each * 1.002) as usize + 1024)?;
    }
    watched.finish()?;
    if records.is_some() {
        fs::remove_dir_all(&files)?;
    }
    let data = format!("retrieval sets and texts put together from them, {}", known.name());
    let about = About {
        data: Some(data),
        dim: Some(watched.dim()),
        text_bytes: Some(writer.bytes as u64),
        model: Some(known),
    };
    fs::write(folder.join("set.json"), serde_json::to_string(&about)?)?;
    Ok(())
}

/// Writes the questions and their vectors.
fn ask(folder: &Path, questions: &[String], encoder: &dyn Encoder) -> Result<()> {
    let lines: String =
        questions.iter().map(|question| format!("{}\n", json!({ "query": question }))).collect();
    fs::write(folder.join("queries.jsonl"), lines)?;
    let texts: Vec<&str> = questions.iter().map(String::as_str).collect();
    let vectors: Vec<u8> = encoder.encode(&texts)?.iter().flat_map(|x| x.to_le_bytes()).collect();
    Ok(fs::write(folder.join("queries.f32"), vectors)?)
}

struct Writer<'a> {
    texts: Texts,
    folder: &'a Path,
    files: usize,
    bytes: usize,
}

impl Writer<'_> {
    /// Writes files with so many bytes more.
    fn write(&mut self, bytes: usize) -> Result<()> {
        let end = self.bytes + bytes;
        while self.bytes < end {
            let wanted = FILE.min(end - self.bytes);
            let source = self.files % self.texts.sources.len();
            let mut text = String::new();
            while text.len() < wanted {
                text += &self.texts.next(source);
                text += "\n\n";
            }
            // Folders of a thousand files.
            let folder = self.folder.join(format!("{:03}", self.files / 1000));
            fs::create_dir_all(&folder)?;
            let path = folder.join(format!("{:03}.txt", self.files % 1000));
            let mut file = fs::File::create(&path).with_context(|| path.display().to_string())?;
            file.write_all(text.as_bytes())?;
            self.files += 1;
            self.bytes += text.len();
        }
        Ok(())
    }
}

/// Documents of several sources without end.
struct Texts {
    sources: Vec<Vec<String>>,
    /// How many of each were given out.
    given: Vec<usize>,
    rng: ChaCha20Rng,
}

impl Texts {
    fn new(sources: Vec<Vec<String>>) -> Self {
        Self { given: vec![0; sources.len()], sources, rng: ChaCha20Rng::seed_from_u64(SEED) }
    }

    /// A document of this source, or of the next that has some left; after the last, one put together.
    fn next(&mut self, source: usize) -> String {
        for step in 0..self.sources.len() {
            let at = (source + step) % self.sources.len();
            if let Some(text) = self.sources[at].get(self.given[at]) {
                self.given[at] += 1;
                return text.clone();
            }
        }
        self.mixed(source)
    }

    fn below(&mut self, bound: usize) -> usize {
        // A bias of 2^-40 and less does no harm here.
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }

    fn mixed(&mut self, source: usize) -> String {
        let from: [usize; 3] = std::array::from_fn(|_| self.substantial(source));
        let words = 90 + self.below(90);
        let (mut text, mut count) = (String::new(), 0);
        while count < words {
            let pick = self.below(10);
            let number = from[if pick < 6 { 0 } else { 1 + pick % 2 }];
            let (take, at) = (4 + self.below(12), self.rng.next_u64());
            let document = &self.sources[source][number];
            let start = document.ceil_char_boundary((at % document.len() as u64) as usize);
            // The first may be the rest of a word.
            let run = document[start..].split_whitespace().skip(1).take(take);
            for word in run {
                if !text.is_empty() {
                    text.push(' ');
                }
                text += word;
                count += 1;
            }
            if take > 11 && !text.is_empty() {
                text.push('.');
            }
        }
        text
    }

    /// A document with enough text. Each source has one.
    fn substantial(&mut self, source: usize) -> usize {
        loop {
            let number = self.below(self.sources[source].len());
            if self.sources[source][number].len() >= SUBSTANTIAL {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(folder: &Path) -> PathBuf {
        let data = folder.join("data");
        fs::create_dir_all(data.join("qrels")).expect("a folder");
        let document = |id: usize| {
            let words: Vec<String> = (0..120).map(|word| format!("w{}", word * id % 211)).collect();
            json!({ "_id": id.to_string(), "title": "words", "text": words.join(" ") }).to_string()
        };
        let documents: Vec<String> = (1..20).map(document).collect();
        fs::write(data.join("corpus.jsonl"), documents.join("\n")).expect("writes");
        fs::write(data.join("queries.jsonl"), r#"{"_id": "q", "text": "w3 w6"}"#).expect("writes");
        fs::write(data.join("qrels/test.tsv"), "q\td\ts\nq\t3\t1\n").expect("writes");
        data
    }

    #[test]
    fn a_set_is_made_of_real_texts_and_mixed_ones() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (data, set) = (data(folder.path()), folder.path().join("set"));
        make(&set, 100, std::slice::from_ref(&data), Model::Static).expect("it is made");
        let made = super::super::sets::Set::open(&set).expect("a set");
        let dim = made.dim.expect("raw vectors");
        let chunks = fs::metadata(&made.vectors).expect("vectors").len() as usize / (4 * dim);
        assert!(chunks >= 100, "{chunks}");
        assert_eq!(made.questions().expect("questions"), ["w3 w6"]);
        assert_eq!(made.read(&made.queries).expect("vectors").len(), dim);
        let first = fs::read_to_string(set.join("files/000/000.txt")).expect("a file");
        assert!(first.starts_with("words\nw0 w1 w2") && first.len() > 19 * 300);
        assert!(make(&set, 100, &[data], Model::Static).is_err(), "it is there already");
    }
}
