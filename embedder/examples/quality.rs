//! How well retrieval goes in each of a `bert` model's numbers: nDCG@10 over all documents of a
//! folder in BEIR's layout, and, for every 50th document and 5th question, how far vectors and scores are
//! from those in f32. `cargo run --release --example quality -- scifact F32 Int16 Int8`

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;

use covey_embedder::{Embedder, Precision, testing};
use serde_json::Value;

const PLACES: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, precisions @ ..] = arguments.as_slice() else {
        return Err("usage: quality FOLDER [F32|Int16|Int8]...".into());
    };
    let folder = Path::new(folder);
    let judgements = judgements(&folder.join("qrels/test.tsv"))?;
    let documents = texts(&folder.join("corpus.jsonl"))?;
    let mut questions = texts(&folder.join("queries.jsonl"))?;
    questions.retain(|(id, _)| judgements.contains_key(id));
    let store = testing::store_with_minilm().ok_or("no model")?;
    let exact = store.load_with(testing::MINILM_NAME, Precision::F32)?;
    for name in precisions {
        let precision = match name.as_str() {
            "F32" => Precision::F32,
            "Int16" => Precision::Int16,
            "Int8" => Precision::Int8,
            other => return Err(format!("{other} is no precision").into()),
        };
        let model = store.load_with(testing::MINILM_NAME, precision)?;
        let found = [&documents, &questions].map(|texts| embed(model.as_ref(), texts));
        let [rows, asked] = found;
        let (rows, asked) = (rows?, asked?);
        let dim = model.dim();
        let gain = |(question, (id, _)): (&[f32], &(String, String))| {
            ndcg(question, &rows, &documents, &judgements[id])
        };
        let sum: f64 = asked.chunks(dim).zip(&questions).map(gain).sum();
        println!("{name}: nDCG@{PLACES} {:.4}", sum / questions.len() as f64);
        let some: Vec<(String, String)> = documents.iter().step_by(50).cloned().collect();
        let few: Vec<(String, String)> = questions.iter().step_by(5).cloned().collect();
        let truth = [embed(exact.as_ref(), &some)?, embed(exact.as_ref(), &few)?];
        let here = [embed(model.as_ref(), &some)?, embed(model.as_ref(), &few)?];
        let (mut cosine, mut count) = (0.0, 0.0);
        for (a, b) in here.concat().chunks(dim).zip(truth.concat().chunks(dim)) {
            cosine += dot(a, b);
            count += 1.0;
        }
        // Both sides rounded, as where a peer computes otherwise, and the text alone.
        for (name, asked) in [("text and question", &here[1]), ("text", &truth[1])] {
            let (mut squares, mut most, mut pairs) = (0.0, 0.0_f64, 0.0);
            for (a, exact) in asked.chunks(dim).zip(truth[1].chunks(dim)) {
                for (b, expected) in here[0].chunks(dim).zip(truth[0].chunks(dim)) {
                    let apart = dot(a, b) - dot(exact, expected);
                    squares += apart * apart;
                    most = most.max(apart.abs());
                    pairs += 1.0;
                }
            }
            let rms = f64::sqrt(squares / pairs);
            println!(
                "  {name} rounded: scores off by {rms:.5} (rms), {most:.5} at most, in {pairs} pairs"
            );
        }
        println!("  cosine with f32: {:.5}", cosine / count);
    }
    Ok(())
}

fn embed(model: &dyn Embedder, texts: &[(String, String)]) -> Result<Vec<f32>, Box<dyn Error>> {
    let texts: Vec<&str> = texts.iter().map(|(_, text)| text.as_str()).collect();
    Ok(model.embed(&texts)?)
}

fn texts(path: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let text = |line: &str| -> Result<(String, String), Box<dyn Error>> {
        let value: Value = serde_json::from_str(line)?;
        let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
        Ok((field("_id"), format!("{} {}", field("title"), field("text")).trim().to_owned()))
    };
    std::fs::read_to_string(path)?.lines().map(text).collect()
}

type Judgements = HashMap<String, HashMap<String, f64>>;

fn judgements(path: &Path) -> Result<Judgements, Box<dyn Error>> {
    let mut all = Judgements::new();
    for line in std::fs::read_to_string(path)?.lines().skip(1) {
        let [question, document, grade] = line.split('\t').collect::<Vec<_>>()[..] else {
            return Err(format!("no judgement: {line}").into());
        };
        all.entry(question.to_owned()).or_default().insert(document.to_owned(), grade.parse()?);
    }
    Ok(all)
}

fn ndcg(
    question: &[f32],
    rows: &[f32],
    documents: &[(String, String)],
    grades: &HashMap<String, f64>,
) -> f64 {
    let mut order: Vec<(f64, &str)> = rows
        .chunks(question.len())
        .zip(documents)
        .map(|(row, (id, _))| (dot(question, row), id.as_str()))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let sum = |grades: &mut dyn Iterator<Item = f64>| -> f64 {
        grades
            .take(PLACES)
            .enumerate()
            .map(|(place, grade)| grade / (place as f64 + 2.0).log2())
            .sum()
    };
    let found = sum(&mut order.iter().map(|(_, id)| grades.get(*id).copied().unwrap_or(0.0)));
    let mut best: Vec<f64> = grades.values().copied().collect();
    best.sort_by(|a, b| b.total_cmp(a));
    found / sum(&mut best.into_iter()).max(f64::MIN_POSITIVE)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
