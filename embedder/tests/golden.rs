//! MiniLM here against the reference implementation, on 100 texts.
//!
//! golden/make_golden.py made the values with sentence-transformers on PyTorch.

#![allow(clippy::unwrap_used)]

use covey_embedder::testing;
use serde_json::Value;

/// The least cosine that counts as agreement.
const AGREEMENT: f64 = 0.9999;

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

#[test]
fn minilm_agrees_with_the_reference_on_100_texts() {
    let Some(model) = testing::minilm() else { return };
    let golden = golden();
    assert_eq!((golden.texts.len(), model.dim(), model.max_tokens()), (100, 384, 254));
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
    let found = model.embed(&texts).unwrap();
    let mut lowest = (1.0, "");
    for ((text, expected), found) in texts.iter().zip(&golden.rows).zip(found.chunks(384)) {
        let cosine = cosine(expected, found);
        assert!(cosine >= AGREEMENT, "{cosine} for {text:?}");
        if cosine < lowest.0 {
            lowest = (cosine, text);
        }
    }
    println!("lowest cosine {:.7}, for {:?}", lowest.0, lowest.1);
}

#[test]
fn minilm_embeds_a_text_alike_alone_and_in_a_batch() {
    let Some(model) = testing::minilm() else { return };
    let golden = golden();
    let texts: Vec<&str> = golden.texts.iter().map(String::as_str).collect();
    let together = model.embed(&texts).unwrap();
    for (text, row) in texts.iter().zip(together.chunks(384)).step_by(5) {
        let alone = model.embed(&[text]).unwrap();
        let apart = alone.iter().zip(row).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart <= 1e-5, "{apart} for {text:?}");
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
