//! MiniLM here against the reference implementation, on 100 texts.
//!
//! golden/make_golden.py made the values with sentence-transformers on PyTorch.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use covey_embedder::{Embedder, ModelStore, Precision, default_cache, testing};
use serde_json::Value;

struct Golden {
    texts: Vec<String>,
    rows: Vec<Vec<f32>>,
}

fn golden() -> Golden {
    let file: Value = serde_json::from_str(include_str!("../golden/minilm.json")).unwrap();
    let rows = file["rows"].as_array().unwrap();
    let embedding = |row: &Value| {
        let bytes = data_encoding::BASE64.decode(row["embedding"].as_str().unwrap().as_bytes());
        bytes.unwrap().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    Golden {
        texts: rows.iter().map(|row| row["text"].as_str().unwrap().to_owned()).collect(),
        rows: rows.iter().map(embedding).collect(),
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// MiniLM computing with the given numbers.
fn minilm(precision: Precision) -> Option<Arc<dyn Embedder>> {
    let store = testing::store_with_minilm()?;
    Some(store.load_with(testing::MINILM_NAME, precision).unwrap())
}

/// Checks the least and the mean cosine with the reference implementation.
fn check(precision: Precision, least: f64, mean: f64) {
    let Some(model) = minilm(precision) else { return };
    let golden = golden();
    assert_eq!((golden.texts.len(), model.dim(), model.max_tokens()), (100, 384, 254));
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
    let found = model.embed(&texts).unwrap();
    let (mut lowest, mut sum) = (1.0, 0.0);
    for ((text, expected), found) in texts.iter().zip(&golden.rows).zip(found.chunks(384)) {
        let cosine = cosine(expected, found);
        assert!(cosine >= least, "{precision:?}: {cosine} for {text:?}");
        lowest = cosine.min(lowest);
        sum += cosine;
    }
    let found = sum / texts.len() as f64;
    assert!(found >= mean, "{precision:?}: {found} on average");
    println!("{precision:?}: cosine {lowest:.8} at least, {found:.8} on average");
}

#[test]
fn minilm_in_f32_agrees_with_the_reference_on_100_texts() {
    check(Precision::F32, 0.99999, 0.99999);
    check(Precision::Reference, 0.99999, 0.99999);
}

#[test]
fn minilm_in_whole_numbers_is_close_to_the_reference_on_100_texts() {
    // A third of the texts are single words and signs, which rounding to bytes hurts most.
    check(Precision::Int16, 0.9999, 0.9999);
    check(Precision::Int8, 0.99, 0.999);
}

#[test]
fn minilm_is_one_model_in_any_numbers() {
    let Some(model) = minilm(Precision::Auto) else { return };
    for precision in [Precision::F32, Precision::Int16, Precision::Int8, Precision::Reference] {
        assert_eq!(minilm(precision).unwrap().id(), model.id());
    }
}

#[test]
fn minilm_embeds_a_text_alike_alone_and_in_a_batch() {
    for precision in [Precision::F32, Precision::Int16, Precision::Int8] {
        let Some(model) = minilm(precision) else { return };
        let golden = golden();
        let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
        let together = model.embed(&texts).unwrap();
        for (text, row) in texts.iter().zip(together.chunks(384)).step_by(5) {
            let alone = model.embed(&[text]).unwrap();
            let apart = alone.iter().zip(row).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart <= 1e-5, "{precision:?}: {apart} for {text:?}");
        }
    }
}

#[test]
fn minilm_token_spans_cover_the_words_of_a_long_text() {
    let Some(model) = testing::minilm() else { return };
    let text = "Größe 機械 tokenization! ".repeat(200);
    let spans = model.token_spans(&text).unwrap();
    assert!(spans.len() > 1_000, "not truncated: {}", spans.len());
    assert!(spans.is_sorted_by(|a, b| a.end <= b.start));
    let covered: String = spans.iter().map(|span| &text[span.clone()]).collect();
    assert_eq!(covered, text.replace(' ', ""));
}

#[test]
#[cfg(unix)]
fn minilm_loads_with_the_numbers_that_were_chosen() {
    let (Some(shared), Some(cache)) = (testing::store_with_minilm(), default_cache()) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let name = testing::MINILM_NAME;
    std::os::unix::fs::symlink(cache.join(name), dir.path().join(name)).unwrap();
    let store = ModelStore::open(dir.path()).unwrap();
    let embed = |model: Arc<dyn Embedder>| model.embed(&["a pear tree"]).unwrap();
    for precision in [Precision::F32, Precision::Int8, Precision::Auto] {
        store.set_precision(name, precision).unwrap();
        let chosen = embed(store.load(name).unwrap());
        assert_eq!(chosen, embed(shared.load_with(name, precision).unwrap()), "{precision:?}");
        assert_eq!(
            chosen == embed(shared.load_with(name, Precision::F32).unwrap()),
            precision.here() == Precision::F32
        );
    }
}
