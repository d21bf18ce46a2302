//! How well retrieval goes in each of a `bert` model's numbers: nDCG@10 over all documents of a
//! folder in BEIR's layout, and, for every 50th document and 5th question, how far vectors and scores are
//! from those in f32. `cargo run --release --example quality -- scifact F32 Int16 Int8`

use std::error::Error;
use std::path::Path;

use covey_embedder::eval::{Measures, Set, evaluate, retrieve};
use covey_embedder::{Embedder, Precision, testing};

const PLACES: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, precisions @ ..] = arguments.as_slice() else {
        return Err("usage: quality FOLDER [F32|Int16|Int8]...".into());
    };
    let set = Set::read(Path::new(folder), "test")?;
    let texts = set.documents.iter().step_by(50).map(|document| document.full_text());
    let questions = set.queries.iter().step_by(5).map(|query| query.text.clone());
    let (texts, questions): (Vec<String>, Vec<String>) = (texts.collect(), questions.collect());
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
        let dim = model.dim();
        let run = retrieve(model.as_ref(), &set, PLACES, &mut |_, _| ())?;
        let found = evaluate(&run, &set.judgements, PLACES);
        println!("{name}: nDCG@{PLACES} {:.4}", Measures::mean(found.values()).ndcg);
        let truth = [embed(exact.as_ref(), &texts)?, embed(exact.as_ref(), &questions)?];
        let here = [embed(model.as_ref(), &texts)?, embed(model.as_ref(), &questions)?];
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

fn embed(model: &dyn Embedder, texts: &[String]) -> Result<Vec<f32>, Box<dyn Error>> {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok(model.embed(&texts)?)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}
