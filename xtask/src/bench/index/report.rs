//! docs/benchmarks/index.{json,md} and its plots, from the rows.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::goals::goals;
use super::peers::Skipped;
use super::plots;
use super::rows::{OWN, Point, Row};
use crate::bench::report::{self, Earlier, Report, put};

/// Recalls that the tables give the cheapest setting for.
const RECALLS: [f64; 3] = [0.90, 0.95, 0.99];

/// Writes everything below docs/benchmarks; the report tells whether goals were met.
pub fn write(root: &Path, command: &str, rows: &[Row], skipped: &[Skipped]) -> Result<Report> {
    let mut report = Report::new("index");
    for row in rows.iter().filter(|row| !row.is_ours()) {
        let version = format!("{} {}", row.engine, row.version);
        if !report.versions.contains(&version) {
            report.versions.push(version);
        }
    }
    report.rows = rows.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
    report.goals = goals(rows);
    let mut text = INTRODUCTION.to_owned();
    let folder = root.join("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    for group in groups(rows) {
        section(&mut text, &group);
        for plot in plots::of_group(&group) {
            picture(&mut text, &folder, &plot)?;
        }
    }
    growth(&mut text, rows);
    for plot in plots::of_growth(rows) {
        picture(&mut text, &folder, &plot)?;
    }
    if !skipped.is_empty() {
        text += "\n## Not measured\n\n";
        for one in skipped {
            put(&mut text, format_args!("- {}: {}", one.peer, without_folders(&one.reason)));
        }
    }
    report.write(root, command, &text)?;
    Ok(report)
}

/// The rows of the report that is there, if one is, with a note of when they were measured.
pub fn earlier(root: &Path) -> Result<Vec<Row>> {
    let Earlier { date, mut rows } = report::earlier::<Row>(root, "index")?;
    // What was kept before has its note already.
    let measured =
        rows.iter_mut().filter(|row| row.note.as_ref().is_none_or(|note| !note.contains(KEPT)));
    for row in measured {
        let kept = format!("{KEPT} {date}, perhaps on another machine");
        row.note = Some(row.note.take().map_or(kept.clone(), |note| format!("{note}; {kept}")));
    }
    Ok(rows)
}

/// How the note of a row begins that was not measured now.
const KEPT: &str = "kept from the run of";

const INTRODUCTION: &str = "\
# The index beside others

Every engine gets the same vectors and questions and runs in a process of its own. Recall@10 is the share of the ten \
answers that are as good as the exact tenth, so ties count. Builds start from vectors that are there: embedding is not \
counted. CPU time is the steadier figure, as the machine is shared. Questions are asked one at a time on one thread; a \
time includes embedding the question where the table says \"with question\". Peers are called from Python, which adds \
some microseconds. *Recomputed* counts chunks that were embedded again, or scored with vectors kept beside the codes. \
Memory is the peak of the process that searches, Python and its libraries included; pages of files that the system \
keeps for SQLite and the like are not.
";

/// Rows of the same vectors, in order of size.
fn groups(rows: &[Row]) -> Vec<Vec<&Row>> {
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| group[0].comparable(row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups.sort_by_key(|group| (group[0].n, group[0].dim));
    for group in &mut groups {
        group.sort_by_key(|row| !row.is_ours());
    }
    groups
}

fn section(text: &mut String, group: &[&Row]) {
    let first = group[0];
    put(text, format_args!("\n## {} chunks: {}, {} dimensions", first.n, first.data, first.dim));
    disk(text, group);
    notes(text, group);
    queries(text, group);
}

fn disk(text: &mut String, group: &[&Row]) {
    *text += "\n| engine | index, bytes a chunk | folder, bytes a chunk | of the text | build, CPU s, 1 thread | CPU s, 2 threads \
              | peak MiB to build | peak MiB to search |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in group {
        let build = |threads| row.build(threads).map_or("".into(), |build| short(build.cpu_s));
        let peak = row.builds.iter().map(|build| build.peak_mb).fold(0.0, f64::max);
        let share = row.share_of_text().map_or("".into(), |share| format!("{:.1}%", 100.0 * share));
        let lexical = row.lexical_bytes.map_or(String::new(), |bytes| {
            format!(" (lexical search {} of it)", short(bytes as f64 / row.n as f64))
        });
        put(
            text,
            format_args!(
                "| {} | {} | {}{lexical} | {share} | {} | {} | {peak:.0} | {:.0} |",
                row.label(),
                short(row.index_per_chunk()),
                short(row.folder_per_chunk()),
                build(1),
                build(2),
                row.peak_mb
            ),
        );
    }
}

/// What has to be said of some engines' numbers.
fn notes(text: &mut String, group: &[&Row]) {
    let noted: Vec<_> = group.iter().filter_map(|row| Some((row, row.note.as_ref()?))).collect();
    if !noted.is_empty() {
        text.push('\n');
    }
    for (row, note) in noted {
        put(text, format_args!("- {}: {note}.", row.label()));
    }
}

/// Our own settings as they are; the cheapest setting for each recall wanted, where one that serves several
/// stands once; and what was asked of few questions only.
fn queries(text: &mut String, group: &[&Row]) {
    *text += "\n| engine | recall wanted | reached | setting | recomputed | CPU ms | p50 ms | p95 ms | asked |\n\
              | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in group {
        let own = row.points.iter().find(|point| point.setting == OWN);
        own.into_iter().for_each(|point| query(text, row, "own", point));
        let mut last: Option<&Point> = None;
        for wanted in RECALLS.into_iter().rev() {
            let Some(point) = row.cheapest(wanted) else { continue };
            if last.is_none_or(|last| last.setting != point.setting) {
                query(text, row, &format!("{wanted:.2}"), point);
            }
            last = Some(point);
        }
        let best = row.points.iter().max_by(|a, b| a.recall.total_cmp(&b.recall));
        if let (None, Some(best)) = (last, best) {
            query(text, row, "not reached", best);
        }
        let fewer =
            row.points.iter().filter(|point| row.full().all(|one| one.queries > point.queries));
        fewer.for_each(|point| query(text, row, "own", point));
    }
}

fn query(text: &mut String, row: &Row, wanted: &str, point: &Point) {
    let recomputed = point.recomputed.map_or("".into(), short);
    let asked = if point.end_to_end { " with question" } else { "" };
    put(
        text,
        format_args!(
            "| {} | {wanted} | {:.4} | {} | {recomputed} | {} | {} | {} | {}{asked} |",
            row.label(),
            point.recall,
            point.setting,
            short(point.cpu_ms),
            short(point.p50_ms),
            short(point.p95_ms),
            point.queries
        ),
    );
}

/// How engines change with size; nothing where each was measured at one size.
fn growth(text: &mut String, rows: &[Row]) {
    let grown = plots::grown(rows);
    if grown.is_empty() {
        return;
    }
    *text += "\n## Growth\n\nAt the cheapest setting that reaches recall@10 of 0.95.\n\n\
              | engine | chunks | bytes a chunk | build, CPU ms a chunk | recomputed | CPU ms | p50 ms | p95 ms | peak MiB to search |\n\
              | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in grown.into_iter().flat_map(|(_, rows)| rows) {
        let build = row.build(1).or(row.builds.first());
        let build = build.map_or("".into(), |build| short(1e3 * build.cpu_s / row.n as f64));
        let point = row.cheapest(plots::RECALL);
        let cell = |of: &dyn Fn(&Point) -> Option<f64>| point.and_then(of).map_or("".into(), short);
        put(
            text,
            format_args!(
                "| {}, {}-d | {} | {} | {build} | {} | {} | {} | {} | {:.0} |",
                row.label(),
                row.dim,
                row.n,
                short(row.index_per_chunk()),
                cell(&|point| point.recomputed),
                cell(&|point| Some(point.cpu_ms)),
                cell(&|point| Some(point.p50_ms)),
                cell(&|point| Some(point.p95_ms)),
                row.peak_mb
            ),
        );
    }
}

fn picture(text: &mut String, folder: &Path, plot: &plots::Plot) -> Result<()> {
    let path = folder.join(&plot.file);
    fs::write(&path, &plot.svg).with_context(|| format!("cannot write {}", path.display()))?;
    put(text, format_args!("\n![{}]({})", plot.title, plot.file));
    Ok(())
}

/// A message with only the last part of each path in it: the rest is this machine's business.
fn without_folders(reason: &str) -> String {
    let words = reason.split(' ').map(|word| {
        let path = word.trim_start_matches(['\'', '"', '(']).starts_with('/');
        path.then(|| word.rsplit_once('/'))
            .flatten()
            .map_or(word.to_owned(), |(_, last)| format!("…/{last}"))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Three digits that count, or all before the point.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.9995 => format!("{value:.2}"),
        0.0 => "0".into(),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{OURS, tests::row};
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let cases =
            [(1684.5, "1684"), (57.31, "57.3"), (4.126, "4.13"), (0.0215, "0.021"), (0.0, "0")];
        for (value, wanted) in cases {
            assert_eq!(short(value), wanted);
        }
    }

    #[test]
    fn folders_of_this_machine_are_left_out() {
        let reason = "No such file: '/home/me/venv/bin/tool' (see https://example.org/a/b)";
        assert_eq!(without_folders(reason), "No such file: …/tool' (see https://example.org/a/b)");
    }

    #[test]
    fn a_report_has_tables_plots_and_what_was_skipped() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let mut rows = [
            row("hnswlib", "M=16", 5000, 1684),
            row(OURS, "balanced", 5000, 50),
            row(OURS, "balanced", 10_000, 50),
        ];
        rows[0].note = Some("with a remark".into());
        let skipped = [Skipped { peer: "faiss".into(), reason: "not installed".into() }];
        let report = write(root.path(), "a command", &rows, &skipped).expect("it is written");
        assert_eq!(report.rows.len(), 3);
        assert!(report.versions.contains(&"hnswlib 1.2.3".to_owned()));
        let folder = root.path().join("docs/benchmarks");
        let page = fs::read_to_string(folder.join("index.md")).expect("the page");
        let ours = page.find("| covey: balanced |").expect("our row");
        assert!(ours < page.find("| hnswlib: M=16 |").expect("theirs"), "ours come first");
        assert!(page.contains("- hnswlib: M=16: with a remark."));
        assert!(page.contains("- faiss: not installed") && page.contains("## Growth"));
        for link in page.split("](").skip(1).map(|rest| rest.split(')').next().expect("a link")) {
            assert!(folder.join(link).exists(), "{link}");
        }
        let json = fs::read_to_string(folder.join("index.json")).expect("the numbers");
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["rows"][1]["engine"], OURS);
        assert_eq!(earlier(root.path()).expect("rows").len(), 3);
        assert!(json["goals"].as_array().is_some_and(|goals| !goals.is_empty()));
    }
}
