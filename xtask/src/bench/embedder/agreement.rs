//! How near our vectors are to those of ONNX Runtime in f32.

use anyhow::{Context, Result};
use covey_embedder::{Precision, testing};

use super::Bench;
use super::peers::REFERENCE;
use super::rows::{Agreement, OURS, Row};
use crate::bench::report::Goal;

/// One minus the cosine in f32, for any text.
const FLOATS: f64 = 1e-5;
/// Mean cosine in whole numbers.
const WHOLE: f64 = 0.999;

/// Embeds the same texts in every way; nothing without the reference.
pub fn measure(bench: &mut Bench<'_>) -> Result<Vec<Row>> {
    let Some(peers) = &mut bench.peers else { return Ok(Vec::new()) };
    eprintln!("agreement");
    let reference = peers.vectors(REFERENCE)?;
    let names: Vec<String> = peers.engines.iter().map(|engine| engine.name.clone()).collect();
    let mut rows = Vec::new();
    let store = testing::store_with_minilm().context("MiniLM cannot be fetched, see above")?;
    let texts: Vec<&str> = bench.texts.compared.iter().map(String::as_str).collect();
    for path in [Precision::F32, Precision::Int16, Precision::Int8] {
        let model = store.load_with(testing::MINILM_NAME, path)?;
        let vectors = model.embed(&texts)?;
        let vectors =
            vectors.chunks(model.dim()).map(|row| row.iter().copied().map(f64::from).collect());
        let vectors: Vec<Vec<f64>> = vectors.collect();
        rows.push(compare(format!("{OURS} {}", path.name()), &vectors, &reference)?);
    }
    for name in names.into_iter().filter(|name| name != REFERENCE) {
        let vectors = peers.vectors(&name)?;
        rows.push(compare(name, &vectors, &reference)?);
    }
    Ok(rows)
}

fn compare(engine: String, vectors: &[Vec<f64>], reference: &[Vec<f64>]) -> Result<Row> {
    anyhow::ensure!(vectors.len() == reference.len(), "{engine} embedded other texts");
    let cosines: Vec<f64> = vectors.iter().zip(reference).map(|(a, b)| cosine(a, b)).collect();
    Ok(Row::Agreement(Agreement {
        engine,
        reference: REFERENCE.to_owned(),
        texts: cosines.len() as u32,
        mean: cosines.iter().sum::<f64>() / cosines.len() as f64,
        least: cosines.iter().copied().fold(f64::INFINITY, f64::min),
    }))
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// What was aimed at, as far as there are rows for it.
pub fn goals(rows: &[Row]) -> Vec<Goal> {
    let mut goals = Vec::new();
    for row in rows {
        let Row::Agreement(it) = row else { continue };
        let Some(path) = it.engine.strip_prefix(OURS).map(str::trim) else { continue };
        if path == Precision::F32.name() {
            let name = "f32: one minus the cosine with ONNX Runtime's f32, at most over all texts";
            goals.push(Goal::at_most(name.to_owned(), 1.0 - it.least, FLOATS));
        } else {
            let name = format!("{path}: mean cosine with ONNX Runtime's f32");
            goals.push(Goal::at_least(name, it.mean, WHOLE));
        }
    }
    goals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_text_counts_in_f32_and_the_mean_in_whole_numbers() {
        let reference = [vec![1.0, 0.0], vec![0.0, 1.0]];
        let vectors = [vec![2.0, 0.0], vec![0.1, 1.0]];
        let rows = ["covey f32", "covey int8", "onnxruntime int8"]
            .map(|name| compare(name.to_owned(), &vectors, &reference).expect("as many"));
        let Row::Agreement(it) = &rows[0] else { panic!("{rows:?}") };
        let off = 1.0 / 1.01_f64.sqrt();
        assert!((it.least - off).abs() < 1e-12 && (it.mean - (1.0 + off) / 2.0).abs() < 1e-12);
        let goals = goals(&rows);
        assert_eq!(goals.len(), 2, "peers have none: {goals:?}");
        assert!(!goals[0].met && (goals[0].value - (1.0 - off)).abs() < 1e-12);
        assert!(!goals[1].met && (goals[1].value - it.mean).abs() < 1e-12);
        assert!(compare("x".into(), &vectors[..1], &reference).is_err());
    }
}
