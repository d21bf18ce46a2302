//! A run, read back from its folder.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::error::{FolderError, io};
use super::versions::{FORMAT, Versions};
use super::{METRICS, SCENARIO, SUMMARY, TIMING, VERSIONS, checkpoint, lines};
use crate::metrics::{Metric, Timing};
use crate::report::Summary;
use crate::scenario::Scenario;
use crate::training::Checkpoint;

/// Largest scenario, summary or record of versions that is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A run, finished or not.
#[derive(Debug, Clone)]
pub struct Run {
    /// Where it is.
    pub path: PathBuf,
    /// Its scenario with every field, as it was written.
    pub scenario_text: String,
    /// The same.
    pub scenario: Scenario,
    /// What made it.
    pub versions: Versions,
    /// What was measured, in the order in which it was written.
    pub metrics: Vec<Metric>,
    /// Whether it came to its end.
    pub complete: bool,
}

/// Where a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// In this repeat; what comes before it is done.
    pub seed: u64,
    /// With this round, 0 for what there is before the first.
    pub round: u32,
    /// And this hour of questions, from 1 on.
    pub hour: u32,
}

impl Run {
    /// Reads a run.
    ///
    /// # Errors
    /// If there is none, or if something of it is damaged; the line is named. A last line that was cut short is left out.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let versions = Self::versions(path)?;
        let scenario_path = path.join(SCENARIO);
        let scenario_text = text(&scenario_path)?.unwrap_or_default();
        let scenario = toml::from_str(&scenario_text).map_err(|error| FolderError::Damaged {
            path: scenario_path,
            why: error.to_string(),
        })?;
        let metrics = lines::read(&path.join(METRICS))?;
        // One that cannot be read is made again.
        let complete = matches!(summary(path), Ok(Some(summary)) if summary.complete);
        let path = path.to_owned();
        Ok(Self { path, scenario_text, scenario, versions, metrics, complete })
    }

    /// What made the run in a folder.
    ///
    /// # Errors
    /// If there is none, or if its layout is another one.
    pub(crate) fn versions(path: &Path) -> Result<Versions, FolderError> {
        let file = path.join(VERSIONS);
        let versions: Versions = json(&file)?.ok_or_else(|| FolderError::NoRun(path.to_owned()))?;
        if versions.format != FORMAT {
            let why = format!(
                "it is of version {} of the folder's layout, and this Covey reads version {FORMAT}",
                versions.format
            );
            return Err(FolderError::Damaged { path: file, why });
        }
        Ok(versions)
    }

    /// What comes next in a run that has not come to its end, as its scenario and the lines that are there say.
    pub fn next(&self) -> Option<Next> {
        if self.complete {
            return None;
        }
        let (rounds, hours) = (self.scenario.training.rounds, self.scenario.search.hours);
        self.scenario
            .seeds()
            .map(|seed| self.after_last(seed))
            .find(|next| (rounds > 0 && next.round <= rounds) || next.hour <= hours)
    }

    /// From where the rounds of the repeat that comes next can go on, if that is known.
    pub fn checkpoint(&self, next: Next) -> Option<Checkpoint> {
        checkpoint::load(&self.path, next)
    }

    fn after_last(&self, seed: u64) -> Next {
        let mut next = Next { seed, round: 0, hour: 1 };
        for metric in &self.metrics {
            match metric {
                Metric::Round(of) if of.seed == seed => {
                    next.round = next.round.max(of.round.saturating_add(1));
                }
                Metric::Search(of) if of.seed == seed => {
                    next.hour = next.hour.max(of.hour.saturating_add(1));
                }
                Metric::Round(_) | Metric::Search(_) => {}
            }
        }
        next
    }
}

impl Next {
    /// Whether a line is of what came before, in a run whose seeds begin with `first`.
    pub(super) fn keeps(&self, metric: &Metric, first: u64) -> bool {
        let seed = match metric {
            Metric::Round(of) => of.seed,
            Metric::Search(of) => of.seed,
        };
        match self.repeat(seed, first) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => match metric {
                Metric::Round(of) => of.round < self.round,
                Metric::Search(of) => of.hour < self.hour,
            },
        }
    }

    /// Whether the repeat of a seed comes before, is, or comes after this one's.
    pub(super) fn repeat(&self, seed: u64, first: u64) -> std::cmp::Ordering {
        seed.wrapping_sub(first).cmp(&self.seed.wrapping_sub(first))
    }
}

/// What a run came to, if it has been summed up.
///
/// # Errors
/// If what is there is damaged.
pub fn summary(path: &Path) -> Result<Option<Summary>, FolderError> {
    json(&path.join(SUMMARY))
}

/// What the machine took for a run, if that was written.
///
/// # Errors
/// If what is there is damaged.
pub fn timing(path: &Path) -> Result<Option<Timing>, FolderError> {
    json(&path.join(TIMING))
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FolderError> {
    let Some(text) = text(path)? else { return Ok(None) };
    let damaged = |error: serde_json::Error| FolderError::Damaged {
        path: path.to_owned(),
        why: error.to_string(),
    };
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

/// A small file's text; none if it is not there.
pub(crate) fn text(path: &Path) -> Result<Option<String>, FolderError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io("open", path))?,
    };
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(io("read", path))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        let why = format!("it is larger than {MAX_FILE_BYTES} bytes");
        return Err(FolderError::Damaged { path: path.to_owned(), why });
    }
    Ok(Some(text))
}
