//! docs/benchmarks/embedder.{json,md}, from the rows.

use std::path::Path;

use anyhow::Result;

use super::rows::{
    Agreement, Beside, Dated, Inference, OURS, Peak, Peft, Quality, Row, Static, Training,
};
use super::{agreement, inference, quality, statics, training};
use crate::bench::report::{Report, put};

/// Writes the report; `missing` says why there are no peers, where there should be.
pub fn write(root: &Path, command: &str, rows: &[Dated], missing: Option<&str>) -> Result<Report> {
    let mut report = Report::new("embedder");
    let bare: Vec<Row> = rows.iter().map(|dated| dated.row.clone()).collect();
    for row in &bare {
        let version = match row {
            Row::Inference(it) if !it.engine.starts_with(OURS) => {
                let (name, _) = it.engine.split_once(' ').unwrap_or((&it.engine, ""));
                format!("{name} {}", it.version)
            }
            Row::Training(it) if it.engine != OURS => format!("{} {}", it.engine, it.version),
            Row::Static(it) if it.engine != OURS => format!("{} {}", it.engine, it.version),
            _ => continue,
        };
        if !report.versions.contains(&version) {
            report.versions.push(version);
        }
    }
    report.rows = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    report.goals.extend(inference::goals(&bare));
    report.goals.extend(agreement::goals(&bare));
    report.goals.extend(statics::goals(&bare));
    report.goals.extend(training::goals(&bare));
    report.goals.extend(quality::goals(&bare));
    report.goals.push(quality::size()?);
    report.write(root, command, &page(rows, &report.date, missing))?;
    Ok(report)
}

const INTRODUCTION: &str = "\
# The embedder beside others

all-MiniLM-L6-v2 and the built-in static model, on one thread. Times are CPU time of a text: the least of all rounds, and \
the middle one in parentheses. In a round every engine is timed once with every batch, one after the other, so that what \
else the machine does hits all alike. A chunk has 256 tokens and a question 12, markers included, cut from a retrieval \
set. Ours are timed from text to unit vector; ONNX Runtime (one thread, all optimisations) is handed the tokens and \
stops at the last layer's states or their mean.
";

fn page(rows: &[Dated], today: &str, missing: Option<&str>) -> String {
    let mut text = INTRODUCTION.to_owned();
    let heading = |text: &mut String, title: &str, dates: Vec<&str>| {
        put(text, format_args!("\n## {title}\n"));
        if let Some(other) = dates.into_iter().find(|date| *date != today) {
            put(text, format_args!("Kept from the run of {other}, perhaps on another machine.\n"));
        }
    };
    macro_rules! of {
        ($kind:ident) => {
            rows.iter()
                .filter_map(|dated| match &dated.row {
                    Row::$kind(it) => Some((dated.date.as_str(), it)),
                    _ => None,
                })
                .unzip::<_, _, Vec<_>, Vec<_>>()
        };
    }
    let (dates, inference) = of!(Inference);
    if !inference.is_empty() {
        heading(&mut text, "MiniLM: time", dates);
        self::inference(&mut text, &inference);
    }
    let (_, peaks) = of!(Peak);
    self::peaks(&mut text, &peaks, &inference);
    let (dates, agreement) = of!(Agreement);
    if !agreement.is_empty() {
        heading(&mut text, "MiniLM: agreement", dates);
        self::agreement(&mut text, &agreement);
    }
    let (dates, statics) = of!(Static);
    if !statics.is_empty() {
        heading(&mut text, "The static model", dates);
        self::statics(&mut text, &statics);
    }
    let (dates, trainings) = of!(Training);
    if !trainings.is_empty() {
        heading(&mut text, "Training", dates);
        let (_, adapters) = of!(Peft);
        self::trainings(&mut text, &trainings, &adapters);
    }
    let (dates, found) = of!(Quality);
    if !found.is_empty() {
        heading(&mut text, "What models find", dates);
        self::found(&mut text, &found);
    }
    let (dates, tuned) = of!(Tuning);
    if !tuned.is_empty() {
        heading(&mut text, "What fine-tuning brings", dates);
        text += TUNING;
        table(&mut text, &tuned);
    }
    if let Some(reason) = missing {
        put(&mut text, format_args!("\n## Not measured\n\n- onnxruntime: {reason}"));
    }
    text
}

/// A line for each engine, a column for each batch.
fn inference(text: &mut String, rows: &[&Inference]) {
    let mut cases: Vec<(&str, u32)> = Vec::new();
    let mut engines: Vec<&str> = Vec::new();
    for row in rows {
        if !cases.contains(&(&row.text, row.batch)) {
            cases.push((&row.text, row.batch));
        }
        if !engines.contains(&row.engine.as_str()) {
            engines.push(&row.engine);
        }
    }
    *text += "| CPU ms |";
    for (kind, batch) in &cases {
        *text += &format!(" a {kind}, {batch} in a call |");
    }
    *text += &format!("\n| --- |{}\n", " --- |".repeat(cases.len()));
    for engine in &engines {
        *text += &format!("| {engine} |");
        for case in &cases {
            let same =
                |it: &&&Inference| it.engine == *engine && (it.text.as_str(), it.batch) == *case;
            let cell =
                rows.iter().find(same).map(|it| format!("{:.2} ({:.2})", it.cpu_ms, it.median_ms));
            *text += &format!(" {} |", cell.unwrap_or_default());
        }
        text.push('\n');
    }
    text.push('\n');
    for engine in &engines {
        let note = rows.iter().find(|it| it.engine == *engine).and_then(|it| it.note.as_ref());
        note.into_iter().for_each(|note| put(text, format_args!("- {engine}: {note}.")));
    }
}

/// What the processor could do at best, and how near that is.
fn peaks(text: &mut String, rows: &[&Peak], times: &[&Inference]) {
    let Some(first) = rows.first() else { return };
    put(
        text,
        format_args!(
            "\nThis processor has {}. Its peak is measured with a loop of the very instructions that our products are made of \
             (with AVX2 alone: `vpmaddubsw` and `vpmaddwd` for int8, `vpmaddwd` for int16; with VNNI `vpdpbusd` and `vpdpwssd`; \
             `vfmadd231ps` for f32), on registers alone. In int8 a part of the products has sixteen bits, on purpose: those \
             that enter attention, and attention itself.\n\n\
             | numbers | peak, thousand million operations a second | a chunk's products at that, ms | a chunk takes so many times that |\n\
             | --- | --- | --- | --- |",
            if first.instructions.is_empty() {
                "no such instructions"
            } else {
                &first.instructions
            },
        ),
    );
    for row in rows {
        let ideal = inference::ideal_ms(row.giga);
        let engine = format!("{OURS} {}", row.numbers);
        let chunks = times.iter().filter(|it| it.engine == engine && it.text == "chunk");
        let best = chunks.map(|it| it.cpu_ms).min_by(f64::total_cmp);
        let times = best.map_or(String::new(), |best| format!("{:.2}", best / ideal));
        put(text, format_args!("| {} | {:.0} | {ideal:.1} | {times} |", row.numbers, row.giga));
    }
}

fn agreement(text: &mut String, rows: &[&Agreement]) {
    let Some(first) = rows.first() else { return };
    put(
        text,
        format_args!(
            "Cosine with the vector that {} gives the same text, over {} documents and questions.\n\n\
             | engine | 1 - mean cosine | 1 - least cosine |\n| --- | --- | --- |",
            first.reference, first.texts
        ),
    );
    for row in rows {
        let (mean, least) = (1.0 - row.mean, 1.0 - row.least);
        put(text, format_args!("| {} | {mean:.1e} | {least:.1e} |", row.engine));
    }
}

fn statics(text: &mut String, rows: &[&Static]) {
    *text += "| | million tokens/s | chunks/s | one chunk alone, µs |\n| --- | --- | --- | --- |\n";
    for row in rows {
        let cell = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.1}"));
        let name = if row.engine == OURS { "covey" } else { "the `tokenizers` crate" };
        put(
            text,
            format_args!(
                "| {name} | {:.2} | {} | {} |",
                row.mega_tokens,
                row.chunks.map_or(String::new(), |value| format!("{value:.0}")),
                cell(row.chunk_us)
            ),
        );
    }
}

fn trainings(text: &mut String, rows: &[&Training], adapters: &[&Peft]) {
    *text += "\
`lora` is a step of MiniLM with updates of rank 8 on queries and values, 16 pairs of 128 tokens, symmetric InfoNCE and AdamW; memory \
is the most that the process had. `head` is a step of the static model's full map, 256 pairs, texts cut and summed before.

| task | engine | CPU s a step | pairs/s | memory, MiB |
| --- | --- | --- | --- | --- |
";
    for row in rows {
        let memory = row.peak_mb.map_or(String::new(), |mb| format!("{mb:.0}"));
        let Training { task, engine, cpu_s, pairs_per_s, .. } = row;
        put(text, format_args!("| {task} | {engine} | {cpu_s:.4} | {pairs_per_s:.1} | {memory} |"));
    }
    for it in adapters {
        put(
            text,
            format_args!(
                "\nAn adapter written for {}: the least cosine of its vectors with ours is 1 - {:.1e} over {} texts, and with the model \
                 without it {:.3}.",
                it.versions.join(" and "),
                1.0 - it.least,
                it.texts,
                it.without,
            ),
        );
    }
}

fn found(text: &mut String, rows: &[&Quality]) {
    *text += "\
nDCG@10 on the test questions. Differences are question by question, with their 95% interval and the probability of as large a one by chance \
(paired randomisation test, two-sided). The built-in model has seen neither set in training; MiniLM saw \
papers' titles and abstracts (S2ORC) among much else.
";
    table(text, rows);
}

const TUNING: &str = "\
Adapters trained on the set's training questions and their documents, never on its test questions, beside the model without them, as above: \
LoRA (rank 8 on queries and values, 120 steps of 32 pairs) for the transformer, a linear map for the static model. The transformer learns from those documents only that it finds among its first thirty as it is, each \
with one that it ranks from sixth to fortieth and that is not judged to answer: from all of them it unlearns, as most judgements of nfcorpus are loose, 43 documents a question. Settings were chosen on the development questions.
";

fn table(text: &mut String, rows: &[&Quality]) {
    *text += "
| set | model | nDCG@10 | difference | p |
| --- | --- | --- | --- | --- |
";
    for it in rows {
        let (difference, p) = it.beside.as_ref().map_or_else(Default::default, |beside| {
            let Beside { model, difference, low, high, p, .. } = beside;
            (
                format!("{difference:+.4} ({low:+.4} to {high:+.4}) beside {model}"),
                format!("{p:.5}"),
            )
        });
        put(
            text,
            format_args!("| {} | {} | {:.4} | {difference} | {p} |", it.set, it.model, it.ndcg),
        );
    }
}

#[cfg(test)]
mod tests;
