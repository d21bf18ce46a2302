//! What is measured of an engine, ours or another's: one row for each set-up and size.

use serde::{Deserialize, Serialize};

/// How our own rows name their engine.
pub const OURS: &str = "covey";
/// How our own rows name the setting that a profile has.
pub const OWN: &str = "as it is";
/// Ranks that count.
pub const K: usize = 10;

/// An engine in one set-up, on one set of vectors.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Row {
    /// `covey`, or the peer's name.
    pub engine: String,
    /// How it was set up; for our own rows the profile: `small`, `balanced` or `fast`.
    pub variant: String,
    pub version: String,
    /// Which texts and model the vectors come from. Rows are compared where this and `n` are equal.
    pub data: String,
    /// Chunks.
    pub n: u64,
    /// Dimensions of a vector.
    pub dim: u32,
    #[serde(default)]
    pub note: Option<String>,
    /// Bytes of the chunks' raw text.
    #[serde(default)]
    pub text_bytes: Option<u64>,
    /// One build for each number of threads, without embedding.
    pub builds: Vec<Build>,
    /// The index itself: what has to be there to search, without texts or lexical search. For our own rows
    /// everything but lexical search, the spans of the texts too.
    pub index_bytes: u64,
    /// The whole folder.
    pub folder_bytes: u64,
    /// Lexical search's share of the folder.
    #[serde(default)]
    pub lexical_bytes: Option<u64>,
    /// Time to open the index, milliseconds.
    pub open_ms: f64,
    /// Peak resident memory of the process that searches (and of its servers), MiB.
    pub peak_mb: f64,
    /// What of it was there before the index was opened.
    pub before_mb: f64,
    /// The index searched with several settings, from quick to thorough.
    pub points: Vec<Point>,
}

/// Building an index from vectors that are there.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Build {
    pub threads: u32,
    pub wall_s: f64,
    pub cpu_s: f64,
    /// Peak resident memory, MiB, the vectors included.
    pub peak_mb: f64,
    /// What of it was there before the build began.
    pub before_mb: f64,
    /// Load of the machine at the end, which wall times suffer from.
    #[serde(default)]
    pub load: f64,
}

/// Searching with one setting.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Point {
    pub setting: String,
    /// Questions asked.
    pub queries: u32,
    pub threads: u32,
    /// Mean share of the ten found that are as good as the exact tenth.
    pub recall: f64,
    /// Wall time a question.
    pub p50_ms: f64,
    pub p95_ms: f64,
    /// CPU time a question, all threads and processes.
    pub cpu_ms: f64,
    /// Mean number of chunks embedded again, or scored with their vectors, after an approximate part; none where there is no such step.
    pub recomputed: Option<f64>,
    /// Whether times include embedding the question.
    pub end_to_end: bool,
    /// The time that each question was given, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<f64>,
    #[serde(default)]
    pub load: f64,
}

impl Row {
    /// Bytes a chunk of the index itself.
    pub fn index_per_chunk(&self) -> f64 {
        self.index_bytes as f64 / self.n as f64
    }

    /// Bytes a chunk of the whole folder.
    pub fn folder_per_chunk(&self) -> f64 {
        self.folder_bytes as f64 / self.n as f64
    }

    /// The folder without lexical search, as a share of the raw text.
    pub fn share_of_text(&self) -> Option<f64> {
        let bytes = self.folder_bytes.saturating_sub(self.lexical_bytes.unwrap_or(0));
        self.text_bytes.filter(|text| *text > 0).map(|text| bytes as f64 / text as f64)
    }

    /// The points at which as many questions were asked as at any: a recall over fewer says less.
    pub fn full(&self) -> impl Iterator<Item = &Point> {
        let most = self.points.iter().map(|point| point.queries).max();
        self.points.iter().filter(move |point| Some(point.queries) == most)
    }

    /// The setting that takes the least CPU time of those that reach `recall`.
    pub fn cheapest(&self, recall: f64) -> Option<&Point> {
        let good = self.full().filter(|point| point.recall >= recall);
        good.min_by(|a, b| a.cpu_ms.total_cmp(&b.cpu_ms))
    }

    /// The best recall of the settings that recompute at most `cap` chunks.
    pub fn recall_within(&self, cap: f64) -> Option<f64> {
        let within = self.full().filter(|one| one.recomputed.is_some_and(|n| n <= cap));
        within.map(|point| point.recall).max_by(f64::total_cmp)
    }

    /// Settings that no other beats in both recall and CPU time, by recall.
    pub fn frontier(&self) -> Vec<&Point> {
        let beaten = |point: &Point| {
            self.full().any(|other| {
                (other.recall > point.recall && other.cpu_ms <= point.cpu_ms)
                    || (other.recall == point.recall && other.cpu_ms < point.cpu_ms)
            })
        };
        let mut best: Vec<&Point> = self.full().filter(|point| !beaten(point)).collect();
        best.sort_by(|a, b| a.recall.total_cmp(&b.recall));
        best
    }

    /// Whether two rows are of the same vectors.
    pub fn comparable(&self, other: &Self) -> bool {
        (&self.data, self.n, self.dim) == (&other.data, other.n, other.dim)
    }

    /// The build with so many threads.
    pub fn build(&self, threads: u32) -> Option<&Build> {
        self.builds.iter().find(|build| build.threads == threads)
    }

    /// Engine and set-up, for tables and legends.
    pub fn label(&self) -> String {
        format!("{}: {}", self.engine, self.variant)
    }

    pub fn is_ours(&self) -> bool {
        self.engine == OURS
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A row with two points, at recall .9 for 1 ms and at .99 for 4 ms of CPU time.
    pub fn row(engine: &str, variant: &str, n: u64, bytes: u64) -> Row {
        let point = |recall, cpu_ms| Point {
            setting: format!("setting {cpu_ms}"),
            queries: 200,
            threads: 1,
            recall,
            p50_ms: cpu_ms,
            p95_ms: 2.0 * cpu_ms,
            cpu_ms,
            recomputed: Some(16.0 * cpu_ms),
            end_to_end: false,
            limit_ms: None,
            load: 0.0,
        };
        let build = |threads, wall_s| Build {
            threads,
            wall_s,
            cpu_s: 8.0,
            peak_mb: 100.0,
            before_mb: 50.0,
            load: 0.0,
        };
        Row {
            engine: engine.into(),
            variant: variant.into(),
            version: "1.2.3".into(),
            data: "texts".into(),
            n,
            dim: 384,
            note: None,
            text_bytes: Some(n * 1000),
            builds: vec![build(1, 8.0), build(2, 4.0)],
            index_bytes: n * bytes,
            folder_bytes: n * bytes,
            lexical_bytes: None,
            open_ms: 1.0,
            peak_mb: 10.0,
            before_mb: 4.0,
            points: vec![point(0.9, 1.0), point(0.99, 4.0)],
        }
    }

    #[test]
    fn the_cheapest_setting_that_is_good_enough_is_taken() {
        let row = row("a", "b", 100, 10);
        let cpu = |recall| row.cheapest(recall).map(|point| point.cpu_ms);
        assert_eq!(
            [cpu(0.5), cpu(0.9), cpu(0.95), cpu(0.995)],
            [Some(1.0), Some(1.0), Some(4.0), None]
        );
    }

    #[test]
    fn the_frontier_leaves_out_what_another_setting_beats() {
        let mut row = row("a", "b", 100, 10);
        let mut worse = row.points[1].clone();
        worse.recall = 0.95;
        worse.cpu_ms = 5.0;
        row.points.insert(0, worse);
        let frontier: Vec<f64> = row.frontier().iter().map(|point| point.recall).collect();
        assert_eq!(frontier, [0.9, 0.99]);
        assert_eq!([row.recall_within(16.0), row.recall_within(1.0)], [Some(0.9), None]);
        row.points[1].queries = 3;
        assert_eq!(row.cheapest(0.9).map(|point| point.cpu_ms), Some(4.0), "3 of 200 questions");
    }
}
