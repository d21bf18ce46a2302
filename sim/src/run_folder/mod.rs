//! A run's folder: what was simulated, what was measured, and the tables and pages made of it.
//!
//! [`RunFolder`] writes it, a line at a time, so that what was measured is there whenever a run ends; [`Run`] reads it back. Everything but
//! `timing.json` is the same each time that the same scenario runs on the same kind of machine.

mod checkpoint;
mod error;
mod events;
pub(crate) mod lines;
mod outputs;
#[cfg(feature = "parquet")]
mod parquet;
mod run;
mod tables;
#[cfg(test)]
mod tests;
mod versions;

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use error::FolderError;
pub(crate) use error::io;
use events::EventLog;
pub use events::MAX_EVENTS;
pub(crate) use lines::MAX_LINES;
pub use outputs::write_outputs;
pub(crate) use run::text;
pub use run::{Next, Run, summary, timing};
pub(crate) use tables::table;
pub use versions::{FORMAT, Versions};

use crate::metrics::{Event, Metric, Timing};
use crate::report::Summary;
use crate::training::Checkpoint;

const SCENARIO: &str = "scenario.toml";
const VERSIONS: &str = "versions.json";
const METRICS: &str = "metrics.jsonl";
const EVENTS: &str = "events.jsonl";
const SUMMARY: &str = "summary.json";
const TIMING: &str = "timing.json";
const ROUNDS_TABLE: &str = "rounds.csv";
const SEARCHES_TABLE: &str = "searches.csv";
/// The same tables, where Covey was built to write them.
const ROUNDS_PARQUET: &str = "rounds.parquet";
const SEARCHES_PARQUET: &str = "searches.parquet";
const REPORT: &str = "report.html";
const CHECKPOINT: &str = "checkpoint";
const TENSORBOARD: &str = "tensorboard";
/// All that a run writes, but for the folder with TensorBoard's files.
const FILES: [&str; 12] = [
    VERSIONS,
    SCENARIO,
    METRICS,
    EVENTS,
    SUMMARY,
    TIMING,
    ROUNDS_TABLE,
    SEARCHES_TABLE,
    ROUNDS_PARQUET,
    SEARCHES_PARQUET,
    REPORT,
    CHECKPOINT,
];

/// What is behind the name of a file while it is written.
const PART: &str = ".part";

/// A run's folder while it is written. One process at a time has it.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
    events: EventLog,
    /// When lines were last made to outlive a loss of power.
    synced: Instant,
}

/// How long a line may wait for that.
const SYNC_EVERY: Duration = Duration::from_secs(1);

impl RunFolder {
    /// Begins a run in a new or empty folder; `scenario` is the whole of it, every field resolved.
    ///
    /// # Errors
    /// If something is in the folder, a run or anything else, or if the disk says no.
    pub fn create(path: &Path, scenario: &str, versions: &Versions) -> Result<Self, FolderError> {
        fs::create_dir_all(path).map_err(io("create", path))?;
        if is_begun(path) {
            return Err(FolderError::Taken(path.to_owned()));
        }
        if has_more_than_a_beginning(path)? {
            return Err(FolderError::Foreign(path.to_owned()));
        }
        let metrics = lock(&path.join(METRICS), path)?;
        // Another process may have been first.
        if is_begun(path) {
            return Err(FolderError::Taken(path.to_owned()));
        }
        write_json(&path.join(VERSIONS), versions)?;
        write(&path.join(SCENARIO), scenario.as_bytes())?;
        Self::append_to(path, metrics)
    }

    /// Begins a run in the place of another, of which everything is deleted; in a new or empty folder as [`RunFolder::create`] does.
    ///
    /// # Errors
    /// If something else is in the folder, if a run is being written there, or if the disk says no.
    pub fn replace(path: &Path, scenario: &str, versions: &Versions) -> Result<Self, FolderError> {
        if path.join(VERSIONS).exists() {
            Run::versions(path)?;
            // Before anything goes.
            if has_others(path)? {
                return Err(FolderError::Foreign(path.to_owned()));
            }
            drop(lock(&path.join(METRICS), path)?);
            clear(path)?;
        }
        Self::create(path, scenario, versions)
    }

    /// Goes on with a run from `next`: what was written from there on is dropped. Without, all of it is kept.
    ///
    /// # Errors
    /// If a file is damaged, another process has the folder, or the disk says no.
    pub fn resume(run: &Run, next: Option<Next>) -> Result<Self, FolderError> {
        let path = &run.path;
        let metrics_path = path.join(METRICS);
        // Held until the file has been replaced, and then again on the new one.
        let held = lock(&metrics_path, path)?;
        let first = run.scenario.seed;
        lines::retain(&metrics_path, |metric: &Metric| {
            next.is_none_or(|next| next.keeps(metric, first))
        })?;
        if let Some(next) = next {
            let end = end_of_kept(run, next);
            events::retain(&path.join(EVENTS), |event| match next.repeat(event.seed, first) {
                Ordering::Less => true,
                Ordering::Equal => event.at_s <= end,
                Ordering::Greater => false,
            })?;
        }
        remove(&path.join(SUMMARY))?;
        let metrics = lock(&metrics_path, path)?;
        drop(held);
        Self::append_to(path, metrics)
    }

    fn append_to(path: &Path, metrics: File) -> Result<Self, FolderError> {
        let events = EventLog::open(&path.join(EVENTS), MAX_EVENTS)?;
        Ok(Self { path: path.to_owned(), metrics, events, synced: Instant::now() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what was measured, and what happened until then; both are in the files when this returns.
    ///
    /// # Errors
    /// If a figure is no number, or if the disk says no.
    pub fn metric(&mut self, metric: &Metric) -> Result<(), FolderError> {
        self.events.settle()?;
        let path = self.path.join(METRICS);
        // What cannot be read back, as infinity, would spoil all that comes after it.
        let line = serde_json::to_vec(metric);
        let readable = |line: Vec<u8>| serde_json::from_slice::<Metric>(&line).map(|_| line);
        let mut line = line.and_then(readable).map_err(FolderError::NoNumber)?;
        line.push(b'\n');
        self.metrics.write_all(&line).map_err(io("write", &path))?;
        if self.synced.elapsed() >= SYNC_EVERY {
            self.synced = Instant::now();
            self.metrics.sync_data().map_err(io("write", &path))?;
        }
        Ok(())
    }

    /// Writes down from where rounds can go on.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), FolderError> {
        checkpoint::save(&self.path, checkpoint)
    }

    /// Writes down what happened. After [`MAX_EVENTS`] of them the file only says how many more there were.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn event(&mut self, event: &Event) -> Result<(), FolderError> {
        self.events.add(event)
    }

    /// Ends a run that came to its end: tables, TensorBoard's files, the page and, last, the summary.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn finish(self, timing: Timing) -> Result<Summary, FolderError> {
        self.end(timing, true)
    }

    /// The same for a run that was interrupted, and can be continued.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn stop(self, timing: Timing) -> Result<Summary, FolderError> {
        self.end(timing, false)
    }

    /// Leaves nothing of a run of which nothing came.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn discard(self) -> Result<(), FolderError> {
        clear(&self.path)?;
        // It may have been there before, or there may be something else in it by now.
        let _ = fs::remove_dir(&self.path);
        Ok(())
    }

    fn end(mut self, timing: Timing, complete: bool) -> Result<Summary, FolderError> {
        self.events.settle()?;
        let timing_path = self.path.join(TIMING);
        let timing = match run::timing(&self.path)? {
            Some(earlier) => timing.after(earlier),
            None => timing,
        };
        write_json(&timing_path, &timing)?;
        if complete {
            remove(&self.path.join(CHECKPOINT))?;
        }
        // Read back, so that numbers are those of the file, whether or not the run was interrupted.
        write_outputs(&Run::open(&self.path)?, complete)
    }
}

/// Until when events belong to what is kept: the end of the last round or hour before `next`.
fn end_of_kept(run: &Run, next: Next) -> f64 {
    let kept = run.metrics.iter().filter(|metric| next.keeps(metric, run.scenario.seed));
    let ends = kept.filter_map(|metric| match metric {
        Metric::Round(of) if of.seed == next.seed => Some(of.at_s),
        Metric::Search(of) if of.seed == next.seed => Some(of.at_s),
        Metric::Round(_) | Metric::Search(_) => None,
    });
    ends.fold(f64::NEG_INFINITY, f64::max)
}

/// Opens a file to append to it, unless another process has it.
fn lock(file_path: &Path, folder: &Path) -> Result<File, FolderError> {
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file_path)
        .map_err(io("open", file_path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(FolderError::Busy(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(io("lock", file_path)(error)),
    }
}

/// Writes a file in one step, replacing what has its name: it is one or the other, also after a loss of power.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let part = part_of(path);
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()
    });
    written.map_err(io("write", &part))?;
    fs::rename(&part, path).map_err(io("replace", path))
}

/// Writes a file of JSON for people and programs.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), FolderError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| io("write", path)(io::Error::other(error)))?;
    bytes.push(b'\n');
    write(path, &bytes)
}

/// Whether a run has been begun in a folder.
pub fn is_begun(path: &Path) -> bool {
    path.join(VERSIONS).exists() && path.join(SCENARIO).exists()
}

/// Whether there is more in a folder than a run leaves that was cut off while it began.
fn has_more_than_a_beginning(path: &Path) -> Result<bool, FolderError> {
    let parts = [VERSIONS, SCENARIO].map(|file| part_of(Path::new(file)));
    has_any(path, |entry| {
        let name = entry.file_name();
        let is_empty = || entry.metadata().is_ok_and(|it| it.is_file() && it.len() == 0);
        let of_beginning = name == VERSIONS
            || parts.iter().any(|part| name == part.as_os_str())
            || (name == METRICS && is_empty());
        !of_beginning
    })
}

/// Whether there is anything in a run's folder that is not a run's.
fn has_others(path: &Path) -> Result<bool, FolderError> {
    has_any(path, |entry| {
        !entry.file_name().to_str().is_some_and(|name| {
            name == TENSORBOARD || FILES.contains(&name.strip_suffix(PART).unwrap_or(name))
        })
    })
}

/// Whether there is anything of that kind in a folder.
fn has_any(path: &Path, is_one: impl Fn(&fs::DirEntry) -> bool) -> Result<bool, FolderError> {
    for entry in fs::read_dir(path).map_err(io("list", path))? {
        if is_one(&entry.map_err(io("list", path))?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where a file is written before it gets its name.
fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(PART);
    part.into()
}

/// Deletes all that a run has written, the first of the list last.
fn clear(path: &Path) -> Result<(), FolderError> {
    remove_tree(&path.join(TENSORBOARD))?;
    for file in FILES.iter().rev() {
        let file = path.join(file);
        remove(&part_of(&file))?;
        remove(&file)?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), FolderError> {
    gone(fs::remove_file(path)).map_err(io("remove", path))
}

fn remove_tree(path: &Path) -> Result<(), FolderError> {
    gone(fs::remove_dir_all(path)).map_err(io("remove", path))
}

/// What is not there need not be removed.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
