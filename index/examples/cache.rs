//! What a cache of embeddings saves: `cargo run -p covey-index --example cache -- FOLDER` takes a folder of
//! `chunks.jsonl` (each with a `text`), their vectors `emb.npy` and those of questions, `qemb.npy`,
//! asks all questions, asks them again, and asks similar ones, with caches of several sizes.

use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::ops::{ControlFlow, Range};
use std::path::Path;

use covey_index::{
    Collection, EncodeError, Encoder, EncoderId, MemoryFiles, Profile, SearchOptions, UpdateOptions,
};

const DIM: usize = 384;

type Rows = Vec<Vec<f32>>;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: cache FOLDER")?;
    let folder = Path::new(&folder);
    let (files, mut known) = (MemoryFiles::new(), HashMap::new());
    let chunks = fs::read_to_string(folder.join("chunks.jsonl"))?;
    for (i, (line, row)) in chunks.lines().zip(rows(&folder.join("emb.npy"))?).enumerate() {
        let chunk: serde_json::Value = serde_json::from_str(line)?;
        let text = chunk["text"].as_str().unwrap_or_default();
        files.insert(format!("/n/{i:05}.txt"), text);
        known.insert(text.trim().to_owned(), row);
    }
    let encoder = Table(known);
    let questions = rows(&folder.join("qemb.npy"))?;
    let similar: Rows = questions.iter().map(|row| towards_nearest(row, &questions)).collect();
    let temp = tempfile::tempdir()?;
    let mut collection = Collection::create(temp.path(), &encoder)?;
    for profile in Profile::ALL {
        collection.set_settings(profile.settings())?;
        let go_on = &mut |_| ControlFlow::Continue(());
        let options = UpdateOptions::default();
        collection.update(Path::new("/n"), &files, &encoder, &options, go_on)?;
        collection.recode(&files, &encoder, &options, go_on)?;
        for kib in [0, 256, 512, 1024, 2048, 4096, 8192] {
            let mut settings = profile.settings();
            settings.cache_bytes = kib << 10;
            collection.set_settings(settings)?;
            let ask = |questions: &Rows| ask(&collection, questions, &files, &encoder);
            let (first, again, similar) = (ask(&questions)?, ask(&questions)?, ask(&similar)?);
            let took = collection.stats().cache_bytes >> 10;
            println!(
                "{:8} at most {kib:4} KiB, took {took:4}: first {first}, again {again}, similar {similar}",
                profile.name()
            );
            settings.cache_bytes = 0;
            collection.set_settings(settings)?;
        }
    }
    Ok(())
}

/// Chunks recomputed for a question on average, and the share that the cache had.
fn ask(
    collection: &Collection,
    questions: &Rows,
    files: &MemoryFiles,
    encoder: &Table,
) -> Result<String, Box<dyn Error>> {
    let (mut recomputed, mut cached) = (0, 0);
    for query in questions {
        let found = collection.search(query, 10, files, encoder, &SearchOptions::default())?;
        (recomputed, cached) = (recomputed + found.recomputed, cached + found.cached);
    }
    let share = 100 * cached / (cached + recomputed).max(1);
    Ok(format!("{:5.1} ({share:2}% cached)", recomputed as f64 / questions.len() as f64))
}

/// The question halfway to the one that is nearest.
fn towards_nearest(row: &[f32], all: &Rows) -> Vec<f32> {
    let dot = |other: &Vec<f32>| row.iter().zip(other).map(|(x, y)| x * y).sum::<f32>();
    let others = all.iter().filter(|other| other.as_slice() != row);
    let nearest = others.max_by(|a, b| dot(a).total_cmp(&dot(b)));
    let Some(nearest) = nearest else { return row.to_vec() };
    let sum: Vec<f32> = row.iter().zip(nearest).map(|(x, y)| x + y).collect();
    let length = sum.iter().map(|x| x * x).sum::<f32>().sqrt();
    sum.iter().map(|x| x / length).collect()
}

/// The rows of a `.npy` file of 32-bit floats.
fn rows(path: &Path) -> Result<Rows, Box<dyn Error>> {
    let bytes = fs::read(path)?;
    let head = bytes.get(8..10).ok_or("no .npy file")?;
    let start = 10 + usize::from(u16::from_le_bytes([head[0], head[1]]));
    let (numbers, _) = bytes.get(start..).ok_or("no .npy file")?.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(numbers.chunks_exact(DIM).map(<[f32]>::to_vec).collect())
}

/// Vectors that were made before, by their texts.
struct Table(HashMap<String, Vec<f32>>);

impl Encoder for Table {
    fn id(&self) -> EncoderId {
        EncoderId { base: [1; 32], release: [1; 32] }
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn max_tokens(&self) -> usize {
        1 << 14
    }

    fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, EncodeError> {
        let mut rows = Vec::new();
        for text in texts {
            let row = self.0.get(text.trim()).ok_or_else(|| EncodeError::new("an unknown text"))?;
            rows.extend_from_slice(row);
        }
        Ok(rows)
    }

    fn token_spans(&self, text: &str) -> Result<Vec<Range<usize>>, EncodeError> {
        let start = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        Ok(text.split_whitespace().map(|word| start(word)..start(word) + word.len()).collect())
    }
}
