//! What models take on this machine.

use std::io::{self, Write};
use std::time::Duration;

use covey_node::api::{BenchedModel, BenchedPath, ModelBench};

use super::Style;
use crate::text::{clean, count, duration};

/// A table for each model, and what to compute with.
pub fn models(it: &ModelBench, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let instructions: Vec<String> = it
        .instructions
        .iter()
        .map(|one| format!("{}{}", if one.here { "" } else { "no " }, clean(&one.name)))
        .collect();
    writeln!(
        out,
        "{}  {}; chunks of {} tokens, questions of {}",
        style.bold("this machine"),
        [vec![count(it.threads, "thread")], instructions].concat().join(", "),
        it.chunk_tokens,
        it.query_tokens,
    )?;
    for model in &it.models {
        writeln!(
            out,
            "\n{}  {}, {} dimensions, {} million tokens/s",
            style.bold(&clean(&model.name)),
            clean(&model.family),
            model.dim,
            number(model.tokens_per_s / 1e6),
        )?;
        writeln!(
            out,
            "  {:<9} {:>10} {:>12} {:>12} {:>12}",
            "path", "chunks/s", "all threads", "one chunk", "question"
        )?;
        for path in &model.paths {
            let used = model.in_use.as_ref() == Some(&path.path);
            let line = row(path, used);
            writeln!(out, "{}", if used { style.bold(&line) } else { line })?;
        }
        if let Some(advice) = advice(model) {
            writeln!(out, "{advice}")?;
        }
    }
    Ok(())
}

fn row(it: &BenchedPath, used: bool) -> String {
    format!(
        "{} {:<9} {:>10} {:>12} {:>12} {:>12}",
        if used { "→" } else { " " },
        clean(&it.path),
        number(it.chunks_per_s),
        number(it.chunks_per_s_all_threads),
        micros(it.chunk_us),
        micros(it.query_us),
    )
}

/// What is used and why, and what to do where another path would be better.
fn advice(it: &BenchedModel) -> Option<String> {
    let (used, pick) = (clean(it.in_use.as_ref()?), clean(it.pick.as_ref()?));
    let name = clean(&it.name);
    let why = if it.chosen { "chosen with --set" } else { "what this processor suggests" };
    let mut text = format!("  in use: {used}, {why}");
    if used == pick {
        text += "; no path that is as exact is clearly faster";
    } else {
        text += &format!(". {pick} is the fastest that is as exact as the processor's own");
        text += &format!("; take it with\n  covey model bench --model {name} --set best");
    }
    if let Some(faster) = it.faster.as_ref().filter(|faster| faster.path != used) {
        let path = clean(&faster.path);
        text += &format!(
            "\n  {path} is {:.2} times as fast as {pick} and rounds more: of ten results the last may be another; take it with\n  \
             covey model bench --model {name} --set {path}",
            faster.times
        );
    }
    Some(text)
}

/// Three digits that count, or all before the point.
fn number(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A time with three digits that count.
fn micros(us: f64) -> String {
    match us {
        us if us < 999.5 => format!("{} µs", number(us)),
        us if us < 999_500.0 => format!("{} ms", number(us / 1e3)),
        us => duration(Duration::from_secs_f64(us / 1e6)),
    }
}

#[cfg(test)]
mod tests {
    use covey_node::api::{FasterPath, Instructions};

    use super::*;

    fn model(in_use: &str, chosen: bool, pick: &str, faster: Option<&str>) -> BenchedModel {
        BenchedModel {
            name: "mini".into(),
            family: "bert".into(),
            dim: 384,
            tokens_per_s: 1.25e7,
            paths: vec![BenchedPath {
                path: in_use.into(),
                chunks_per_s: 18.52,
                chunks_per_s_all_threads: 36.0,
                chunk_us: 54_012.0,
                query_us: 812.4,
            }],
            in_use: Some(in_use.into()),
            chosen,
            pick: Some(pick.into()),
            faster: faster.map(|path| FasterPath { path: path.into(), times: 1.254 }),
        }
    }

    #[test]
    fn a_report_says_what_is_used_and_what_would_be_faster() {
        let it = ModelBench {
            threads: 2,
            instructions: vec![
                Instructions { name: "avx2".into(), here: true },
                Instructions { name: "vnni".into(), here: false },
            ],
            chunk_tokens: 256,
            query_tokens: 12,
            models: vec![model("int16", false, "int16", Some("int8"))],
        };
        let mut text = Vec::new();
        models(&it, &mut text, Style::of(false)).expect("writes");
        let text = String::from_utf8(text).expect("text");
        for part in [
            "2 threads, avx2, no vnni; chunks of 256 tokens",
            "mini  bert, 384 dimensions, 12.5 million tokens/s",
            "→ int16           18.5         36.0      54.0 ms       812 µs",
            "in use: int16, what this processor suggests; no path",
            "int8 is 1.25 times as fast as int16",
            "--model mini --set int8",
        ] {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
    }

    #[test]
    fn advice_fits_what_is_in_use() {
        let advice = |model| advice(&model).expect("there is a choice");
        let better = advice(model("int16", false, "f32", None));
        assert!(better.contains("--set best") && !better.contains("int8"), "{better}");
        let taken = advice(model("int8", true, "int16", Some("int8")));
        assert!(taken.contains("chosen with --set") && !taken.contains("1.25"), "{taken}");
        let one_way = BenchedModel { in_use: None, ..model("static", false, "", None) };
        assert_eq!(super::advice(&one_way), None);
    }
}
