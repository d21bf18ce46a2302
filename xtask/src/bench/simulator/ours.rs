//! Our side: `covey sim run` in a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use covey_sim::run_folder;

use super::{Part, Row, VALUES};

/// How our rows name their engine.
pub const OURS: &str = "covey";

/// Builds the program and says where it is.
pub fn build(root: &Path) -> Result<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["build", "--release", "--workspace", "--bin", "covey"]);
    ensure!(command.stdin(Stdio::null()).status()?.success(), "covey does not build, see above");
    Ok(root.join("target/release/covey"))
}

/// Rounds of the surrogate, with real secure sums or in the clear.
pub fn rounds(covey: &Path, part: Part, peers: u32, rounds: u32, secure: bool) -> Result<Row> {
    let set = [
        format!("peers={peers}"),
        format!("data.examples={}", 2 * peers),
        format!("learner.values={VALUES}"),
        format!("training.rounds={rounds}"),
        "training.steps=1".to_owned(),
        "training.rate=0.3".to_owned(),
        format!("sum.secure={secure}"),
        // Room for a tenth that leaves as it uploads, in rounds of growth.
        "sum.dropout=0.12".to_owned(),
        "sum.window_s=600".to_owned(),
        "sum.phase_s=300".to_owned(),
        "sum.upload_s=600".to_owned(),
        format!("availability.dropout.upload={}", if part == Part::Growth { 0.1 } else { 0.0 }),
    ];
    let what = if secure { "secure sums" } else { "sums in the clear" };
    run(covey, part, what, "quick", &set, peers, rounds)
}

/// Groups of fifty that ask each other for an hour.
pub fn town(covey: &Path, peers: u32) -> Result<Row> {
    run(covey, Part::Town, "searches and churn", "town", &[format!("peers={peers}")], peers, 1)
}

fn run(
    covey: &Path,
    part: Part,
    what: &str,
    scenario: &str,
    set: &[String],
    peers: u32,
    rounds: u32,
) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("run");
    let mut command = Command::new(covey);
    command.args(["--json", "--quiet", "sim", "run", scenario]).arg("--out").arg(&out);
    for set in set {
        command.args(["--set", set]);
    }
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "covey sim run failed: {said}");
    let summary = run_folder::summary(&out)?.context("a run without a summary")?;
    ensure!(summary.complete, "the run is not complete: {said}");
    match (part, summary.rounds, summary.search) {
        (Part::Flower | Part::Growth, Some(rounds), _) => {
            let failed = rounds.failed.context("nobody counted the rounds that failed")?;
            ensure!(failed.mean == 0.0, "{} rounds failed: {said}", failed.mean);
        }
        (Part::Town, _, Some(search)) => {
            let questions = search.questions.map_or(0.0, |of| of.mean);
            ensure!(questions > 0.0, "nobody asked: {said}");
        }
        (Part::Flower | Part::Growth | Part::Town, ..) => bail!("nothing was measured: {said}"),
    }
    let timing = run_folder::timing(&out)?.context("a run without its times")?;
    let mut rounds_s = timing.rounds_s;
    if rounds_s.len() > rounds as usize {
        // What there is before the first round is no round.
        rounds_s.remove(0);
    }
    Ok(Row {
        part,
        date: String::new(),
        engine: OURS.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        what: what.to_owned(),
        peers,
        rounds,
        rounds_s,
        wall_s: timing.wall_s,
        cpu_s: timing.cpu_s,
        peak_mib: timing.peak_mib,
    })
}
