//! Rows of our own engine, on the same vectors and questions as the peers'.
//!
//! Each build and each search is a process of its own, as with the peers: this program again, told which step
//! to take (see [`super::steps`]).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use covey_index::Profile;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::rows::{Build, K, OURS, Row};
use super::sets::{Model, Set};
use super::steps::{Built, Kind, Searched, Shape, Step};

/// Scores this close are equal: equal texts have equal vectors, in any order. The peers' script takes the same.
const TIE: f32 = 1e-6;
/// Up to so many chunks every profile is built with one thread and with two, and its lexical search is measured.
const THOROUGH: u64 = 20_000;

/// How our own engine is measured.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Take rows from an earlier run where they are there.
    pub keep: bool,
    /// So many questions where each costs seconds.
    pub few: Option<usize>,
    /// Only these profiles; all without.
    pub profiles: Vec<String>,
}

/// A row for each profile on `set`, and one for the other shape of `fast`.
pub fn ours(root: &Path, set: &Set, options: &Options) -> Result<Vec<Row>> {
    let folder = set.vectors.parent().context("a set is a folder")?;
    let name = folder.file_name().context("a set's folder has a name")?;
    let place = root.join("target/bench-ours").join(name);
    fs::create_dir_all(&place)?;
    let corpus = match &set.files {
        Some(files) => files.clone(),
        None => corpus(set, &place)?,
    };
    let (dim, start) = set.layout(&set.vectors)?;
    let n = (fs::metadata(&set.vectors)?.len() - start) / (4 * dim as u64);
    let mut variants: Vec<(String, Profile, Shape)> =
        Profile::ALL.map(|profile| (profile.name().into(), profile, Shape::Chosen)).into();
    // As it is not, to show where the crossing lies.
    let flat = n <= u64::from(Profile::Fast.settings().flat);
    let (name, shape) =
        if flat { ("blocks", Shape::Blocks) } else { ("all codes swept", Shape::Flat) };
    variants.push((format!("fast, {name}"), Profile::Fast, shape));
    if !options.profiles.is_empty() {
        variants.retain(|(_, profile, _)| options.profiles.iter().any(|one| one == profile.name()));
    }
    let runner = Runner { set: folder, place: &place, corpus: &corpus, few: options.few };
    let mut rows = Vec::new();
    for (variant, profile, shape) in variants {
        let kept = place.join(format!("{}.json", variant.replace([' ', ','], "-")));
        if options.keep && kept.exists() {
            rows.push(serde_json::from_str(&fs::read_to_string(&kept)?)?);
            continue;
        }
        eprintln!("{OURS}: {variant}");
        let row = row(set, &runner, (n, dim), &variant, profile, shape)?;
        fs::write(&kept, serde_json::to_string(&row)?)?;
        rows.push(row);
    }
    Ok(rows)
}

/// Builds with each number of threads, and searches what the last build left.
fn row(
    set: &Set,
    runner: &Runner<'_>,
    (n, dim): (u64, usize),
    variant: &str,
    profile: Profile,
    shape: Shape,
) -> Result<Row> {
    let step = |kind| Step { profile: profile.name().into(), shape, kind, dim };
    let threads: &[u32] = match shape {
        Shape::Chosen if n <= THOROUGH => &[2, 1],
        Shape::Chosen => &[2],
        Shape::Flat | Shape::Blocks => &[2],
    };
    let mut builds: Vec<Build> = Vec::new();
    let mut last = None;
    for threads in threads.iter().copied() {
        let lexical = n <= THOROUGH && threads == 1;
        let built: Built = runner.run(&step(Kind::Build { threads, lexical }), threads)?;
        ensure!(built.chunks == n, "{} records became {} chunks", n, built.chunks);
        builds.push(built.build.clone());
        last = Some(built);
    }
    let built = last.context("at least one build")?;
    builds.sort_by_key(|build| build.threads);
    let searched: Searched = runner.run(&step(Kind::Search), 1)?;
    let how = if set.files.is_some() { "text files" } else { "one record a chunk" };
    Ok(Row {
        engine: OURS.into(),
        variant: variant.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        data: set.data.clone(),
        n,
        dim: dim as u32,
        note: Some(format!(
            "{how}; {} segment(s); builds include reading, cutting into chunks and coding, but neither \
             tokens nor vectors",
            built.segments
        )),
        text_bytes: set.text_bytes,
        // Shapes are for their searches.
        builds: if shape == Shape::Chosen { builds } else { Vec::new() },
        index_bytes: built.index_bytes,
        folder_bytes: built.folder_bytes,
        lexical_bytes: Some(built.lexical_bytes).filter(|bytes| *bytes > 0),
        open_ms: searched.open_ms,
        peak_mb: searched.peak_mb,
        before_mb: searched.before_mb,
        points: searched.points,
    })
}

/// Records of a file: a search extracts the files it recomputes chunks of.
const RECORDS: usize = 100;

/// The chunks as records.
fn corpus(set: &Set, place: &Path) -> Result<PathBuf> {
    let folder = place.join("files");
    fs::create_dir_all(&folder)?;
    for (number, texts) in set.texts()?.chunks(RECORDS).enumerate() {
        let mut lines = String::new();
        for text in texts {
            lines += &json!({ "text": text }).to_string();
            lines.push('\n');
        }
        let path = folder.join(format!("chunks-{number:05}.jsonl"));
        // Its time stays, if it is there: the index goes by it.
        if fs::read_to_string(&path).ok().as_ref() != Some(&lines) {
            fs::write(&path, lines)?;
        }
    }
    Ok(folder)
}

/// Starts steps.
struct Runner<'a> {
    set: &'a Path,
    place: &'a Path,
    corpus: &'a Path,
    few: Option<usize>,
}

impl Runner<'_> {
    fn run<T: DeserializeOwned>(&self, step: &Step, threads: u32) -> Result<T> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "index", "--set"]).arg(self.set);
        command.args(["--step", &serde_json::to_string(step)?]);
        command.arg("--place").arg(self.place).arg("--corpus").arg(self.corpus);
        if let Some(few) = self.few {
            command.arg("--few").arg(few.to_string());
        }
        command.env("RAYON_NUM_THREADS", threads.to_string());
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "a step of {OURS} failed, see above: {step:?}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// Share of the first [`K`] of `found` (scores by the exact inner product) that reach `kth`, the exact
/// [`K`]th best score: the measure the peers' rows hold too, in which ties count. Each id is given once.
pub fn recall(found: &[f32], kth: f32) -> f64 {
    let good = found.iter().take(K).filter(|score| **score >= kth - TIE).count();
    good as f64 / K as f64
}

/// Whether encoding a text with this model costs so much that few questions have to do.
pub fn is_slow(model: Model) -> bool {
    match model {
        Model::Static => false,
        Model::Minilm => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_with_the_last_exact_answer_count() {
        let exact = [0.9, 0.8, 0.7, 0.7, 0.7, 0.6, 0.6, 0.6, 0.5, 0.5];
        assert_eq!(recall(&exact, 0.5), 1.0);
        assert_eq!(recall(&[0.9, 0.5, 0.5, 0.4], 0.5), 0.3);
        assert_eq!(recall(&[0.5; 20], 0.5), 1.0);
    }
}
