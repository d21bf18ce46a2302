use std::fs;

use super::*;
use crate::bench::report::{Goal, earlier};

fn inference(engine: &str, text: &str, batch: u32, cpu_ms: f64) -> Row {
    Row::Inference(Inference {
        engine: engine.into(),
        version: "1.2.3".into(),
        note: (!engine.starts_with(OURS)).then(|| "as it came".into()),
        text: text.into(),
        batch,
        cpu_ms,
        median_ms: cpu_ms * 1.1,
        rounds: 3,
    })
}

fn rows() -> Vec<Dated> {
    let mut rows = Vec::new();
    for batch in [1, 8, 32] {
        rows.push(inference("covey f32", "chunk", batch, 70.0));
        rows.push(inference("covey int8", "chunk", batch, 30.0));
        rows.push(inference("onnxruntime f32", "chunk", batch, 84.0));
        rows.push(inference("onnxruntime int8", "chunk", batch, 120.0));
    }
    for path in ["f32", "int16", "int8"] {
        rows.push(inference(&format!("covey {path}"), "question", 1, 0.8));
    }
    let peak = |numbers: &str, giga| {
        Row::Peak(Peak { numbers: numbers.into(), giga, instructions: "avx2".into() })
    };
    rows.push(peak("f32", 110.0));
    rows.push(peak("int8", 240.0));
    rows.push(Row::Static(Static {
        engine: OURS.into(),
        version: "0.1.0".into(),
        mega_tokens: 12.5,
        chunks: Some(35_000.0),
        chunk_us: Some(61.0),
    }));
    rows.into_iter().map(|row| Dated { date: "2026-01-02".into(), row }).collect()
}

fn find<'a>(goals: &'a [Goal], part: &str) -> &'a Goal {
    let named = goals.iter().find(|goal| goal.name.contains(part));
    named.unwrap_or_else(|| panic!("no goal about {part} in {goals:#?}"))
}

#[test]
fn goals_follow_from_the_rows() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let report = write(root.path(), "a command", &rows(), None).expect("it is written");
    let goals = &report.goals;
    let whole = find(goals, "int8, batch 8: times as fast");
    assert!(!whole.met && (whole.value - 2.8).abs() < 1e-9, "beside the best, which is f32");
    let floats = find(goals, "f32, batch 32: times as fast");
    assert!(floats.met && (floats.value - 1.2).abs() < 1e-9);
    assert!(find(goals, "a question of 12 tokens").met);
    // 6.04 thousand million operations at 240 a second take 25.2 ms.
    let peak = find(goals, "at the processor's peak");
    assert!(peak.met && (peak.value - 30.0 / 25.17).abs() < 0.01, "{peak:?}");
    assert!(find(goals, "chunks a second").met && !find(goals, "one chunk alone").met);
    assert!(report.versions.contains(&"onnxruntime 1.2.3".to_owned()));
}

#[test]
fn a_page_has_a_line_for_each_engine_and_rows_are_read_back() {
    let root = tempfile::tempdir().expect("a temporary folder");
    assert!(earlier::<Dated>(root.path(), "embedder").expect("none is fine").rows.is_empty());
    let rows = rows();
    write(root.path(), "a command", &rows, Some("no network")).expect("it is written");
    assert_eq!(earlier::<Dated>(root.path(), "embedder").expect("rows").rows, rows);
    let page = fs::read_to_string(root.path().join("docs/benchmarks/embedder.md")).expect("a page");
    for part in [
        "| CPU ms | a chunk, 1 in a call | a chunk, 8 in a call |",
        "| onnxruntime f32 | 84.00 (92.40) |",
        "- onnxruntime f32: as it came.",
        "Kept from the run of 2026-01-02",
        "This processor has avx2.",
        "| int8 | 240 | 25.2 | 1.19 |",
        "- onnxruntime: no network",
    ] {
        assert!(page.contains(part), "no {part:?} in\n{page}");
    }
    assert!(!page.contains("MiniLM: agreement"), "there are no such rows");
}
