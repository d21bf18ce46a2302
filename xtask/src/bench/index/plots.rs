//! Which plots are drawn from the rows.

use super::rows::Row;
use crate::bench::svg::{Axis, Series, plot};

/// Latency over size is shown for the cheapest setting that reaches this.
pub const RECALL: f64 = 0.95;
/// Settings below this recall are left out of plots: nobody would use them.
const SHOWN: f64 = 0.8;

const RECALL_AXIS: Axis = Axis { label: "recall@10", log: false };
const BYTES: Axis = Axis { label: "index, bytes a chunk", log: true };
const CPU: Axis = Axis { label: "CPU a question, ms", log: true };
const CHUNKS: Axis = Axis { label: "chunks", log: true };
const P50: Axis = Axis { label: "p50 at recall@10 of 0.95, ms", log: true };
const MEMORY: Axis = Axis { label: "peak memory of a search, MiB", log: true };

/// A finished plot.
pub struct Plot {
    pub file: String,
    pub title: String,
    pub svg: String,
}

/// Plots of rows of the same vectors: what recall costs in bytes, and in time.
pub fn of_group(group: &[&Row]) -> Vec<Plot> {
    let first = group[0];
    let at = format!("{}-{}", first.n, first.dim);
    let on = format!("{} chunks, {} dimensions", first.n, first.dim);
    let bytes = |row: &Row| {
        let shown = row.frontier().into_iter().filter(|point| point.recall >= SHOWN);
        shown.map(|point| (row.index_per_chunk(), point.recall)).collect()
    };
    let time = |row: &Row| {
        let shown = row.frontier().into_iter().filter(|point| point.recall >= SHOWN);
        shown.map(|point| (point.recall, point.cpu_ms)).collect()
    };
    let each = |points: &dyn Fn(&Row) -> Vec<(f64, f64)>| {
        let series = group.iter().map(|row| Series {
            name: row.label(),
            strong: row.is_ours(),
            points: points(row),
        });
        series.collect::<Vec<_>>()
    };
    [
        drawn(
            format!("index-bytes-{at}.svg"),
            format!("Bytes and recall, {on}"),
            &BYTES,
            &RECALL_AXIS,
            &each(&bytes),
        ),
        drawn(
            format!("index-time-{at}.svg"),
            format!("Recall and time, {on}"),
            &RECALL_AXIS,
            &CPU,
            &each(&time),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Plots over the number of chunks; none where each engine was measured at one size.
pub fn of_growth(rows: &[Row]) -> Vec<Plot> {
    let grown = grown(rows);
    let each = |value: &dyn Fn(&Row) -> Option<f64>| {
        let series = grown.iter().map(|(name, rows)| Series {
            name: name.clone(),
            strong: rows[0].is_ours(),
            points: rows.iter().filter_map(|row| Some((row.n as f64, value(row)?))).collect(),
        });
        series.collect::<Vec<_>>()
    };
    let p50 = |row: &Row| row.cheapest(RECALL).map(|point| point.p50_ms);
    let memory = |row: &Row| Some(row.peak_mb);
    [
        drawn("index-latency.svg".into(), "Latency and size".into(), &CHUNKS, &P50, &each(&p50)),
        drawn(
            "index-memory.svg".into(),
            "Memory and size".into(),
            &CHUNKS,
            &MEMORY,
            &each(&memory),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Engines measured at more than one size: their name, and their rows by size. Ours come first.
pub fn grown(rows: &[Row]) -> Vec<(String, Vec<&Row>)> {
    let mut series: Vec<(String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let name = format!("{}, {}-d", row.label(), row.dim);
        match series.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rows)) => rows.push(row),
            None => series.push((name, vec![row])),
        }
    }
    for (_, rows) in &mut series {
        rows.sort_by_key(|row| row.n);
    }
    series.retain(|(_, rows)| rows[0].n < rows[rows.len() - 1].n);
    series.sort_by_key(|(_, rows)| !rows[0].is_ours());
    series
}

fn drawn(file: String, title: String, x: &Axis, y: &Axis, series: &[Series]) -> Option<Plot> {
    let svg = plot(&title, x, y, series)?;
    Some(Plot { file, title, svg })
}

#[cfg(test)]
mod tests {
    use super::super::rows::{OURS, tests::row};
    use super::*;

    #[test]
    fn only_what_was_measured_at_several_sizes_grows() {
        let rows = [
            row("hnswlib", "M=16", 10_000, 10),
            row("leann", "hnsw", 5000, 10),
            row("hnswlib", "M=16", 5000, 10),
            row(OURS, "fast", 5000, 10),
            row(OURS, "fast", 10_000, 10),
        ];
        let grown = grown(&rows);
        assert_eq!(grown.iter().map(|(_, rows)| rows.len()).collect::<Vec<_>>(), [2, 2]);
        assert!(grown[0].1[0].is_ours() && grown[1].1[0].n == 5000);
        assert_eq!(of_growth(&rows).len(), 2);
        assert!(of_growth(&rows[..2]).is_empty());
    }

    #[test]
    fn a_group_shows_bytes_and_time() {
        let rows = [row("hnswlib", "M=16", 5000, 1684), row(OURS, "small", 5000, 17)];
        let plots = of_group(&rows.iter().collect::<Vec<_>>());
        let files: Vec<&str> = plots.iter().map(|plot| plot.file.as_str()).collect();
        assert_eq!(files, ["index-bytes-5000-384.svg", "index-time-5000-384.svg"]);
        assert!(plots.iter().all(|plot| plot.svg.contains("covey: small")));
    }
}
