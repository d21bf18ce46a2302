//! Measures here against pytrec_eval and ir_measures, on queries with something to get wrong.
//!
//! golden/make_eval.py made the values.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use covey_embedder::eval::{Grades, Hit, Judgements, Measures, Run, evaluate};
use serde_json::Value;

/// How far a value may be from the reference.
const TOLERANCE: f64 = 1e-6;

struct Golden {
    judgements: Judgements,
    run: Run,
    /// By query.
    expected: BTreeMap<String, Value>,
    means: Value,
}

fn golden() -> Golden {
    let file: Value = serde_json::from_str(include_str!("../golden/eval.json")).unwrap();
    let mut found = Golden {
        judgements: Judgements::new(),
        run: Run::default(),
        expected: BTreeMap::new(),
        means: file["means"].clone(),
    };
    for (query, row) in file["queries"].as_object().unwrap() {
        if let Some(grades) = row["grades"].as_object() {
            let grade = |grade: &Value| i32::try_from(grade.as_i64().unwrap()).unwrap();
            let grades: Grades = grades.iter().map(|(id, it)| (id.clone(), grade(it))).collect();
            found.judgements.insert(query.clone(), grades);
        }
        if let Some(hits) = row["hits"].as_object() {
            let score = |score: &Value| score.as_f64().unwrap() as f32;
            let hit = |(id, it): (&String, &Value)| Hit { document: id.clone(), score: score(it) };
            found.run.insert(query, hits.iter().map(hit).collect()).unwrap();
        }
        if !row["expected"].is_null() {
            found.expected.insert(query.clone(), row["expected"].clone());
        }
    }
    found
}

fn check(what: &str, found: Measures, expected: &Value) {
    let found = [found.ndcg, found.recall, found.reciprocal_rank];
    for (at, found) in found.into_iter().enumerate() {
        let expected = expected[at].as_f64().unwrap();
        assert!((found - expected).abs() <= TOLERANCE, "{what}, {at}: {found}, not {expected}");
    }
}

/// Checks every query and the means.
fn agrees(run: &Run, golden: &Golden) {
    for k in [1, 3, 10, 100] {
        let found = evaluate(run, &golden.judgements, k);
        assert_eq!(found.len(), golden.judgements.len());
        for (query, expected) in &golden.expected {
            check(&format!("{query} at {k}"), found[query], &expected[k.to_string()]);
        }
        check(
            &format!("means at {k}"),
            Measures::mean(found.values()),
            &golden.means[k.to_string()],
        );
    }
    let found = evaluate(run, &golden.judgements, usize::MAX);
    for (query, expected) in &golden.expected {
        let (found, expected) =
            (found[query].reciprocal_rank, expected["recip_rank"].as_f64().unwrap());
        assert!((found - expected).abs() <= TOLERANCE, "{query}: {found}, not {expected}");
    }
    let mean = Measures::mean(found.values()).reciprocal_rank;
    assert!((mean - golden.means["recip_rank"].as_f64().unwrap()).abs() <= TOLERANCE, "{mean}");
}

#[test]
fn eval_measures_agree_with_trec_eval() {
    let golden = golden();
    assert!(golden.judgements.len() >= 40 && golden.expected.len() >= 38);
    agrees(&golden.run, &golden);
}

#[test]
fn eval_measures_are_the_same_of_a_run_that_went_through_a_file() {
    let golden = golden();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("some.run");
    let mut out = Vec::new();
    golden.run.write(&mut out, "golden").unwrap();
    std::fs::write(&path, out).unwrap();
    agrees(&Run::read(&path).unwrap(), &golden);
}
