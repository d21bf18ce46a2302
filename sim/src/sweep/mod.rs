//! Many runs of one scenario with different settings.
//!
//! A [`Sweep`] says what varies and gives the [`Trial`]s of its grid; [`drive`] runs them as processes of this machine, several at a time, and
//! [`ray`] on a cluster. Both run whatever command they are given, and keep each trial in a folder of its own; [`gather`](gather::gather) puts what came out together.

pub mod gather;
mod grid;
mod local;
pub mod ray;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

pub use grid::{MAX_TRIALS, Sweep, Trial, Vary};
pub use local::{Driver, Progress, State, drive, end_with};

use crate::run_folder::{self, FolderError, Run, Versions, io};
use crate::scenario::Scenario;

const SCENARIO: &str = "scenario.toml";

/// Something that keeps a sweep from going on. A trial that fails is none.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// What varies cannot be read.
    #[error("{0}")]
    Grid(String),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The folder has trials of another scenario.
    #[error("{} has a sweep of another scenario in it; name another folder, or delete it", .0.display())]
    Other(PathBuf),
    /// A process cannot be started or waited for.
    #[error("cannot run {what}: {source}")]
    Process {
        /// Which.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Ray's driver did not do what it is there for.
    #[error("{0}")]
    Ray(String),
}

/// A sweep's folder.
#[derive(Debug, Clone)]
pub struct SweepFolder(PathBuf);

impl SweepFolder {
    /// Uses a folder for the trials of a scenario (`scenario` is the whole of it, before anything varies): a new or empty one, or that of the same sweep begun earlier, which
    /// then goes on. What varies may be more than before.
    ///
    /// # Errors
    /// If something else is in it, or if the disk says no.
    pub fn open(path: &Path, scenario: &str) -> Result<Self, SweepError> {
        const OURS: [&str; 4] = ["trials", "logs", SCENARIO, "scenario.toml.part"];
        fs::create_dir_all(path).map_err(io("create", path))?;
        let kept = path.join(SCENARIO);
        let earlier = run_folder::text(&kept)?;
        // Others may be about to begin the same sweep, so that some of it is there.
        for entry in fs::read_dir(path).map_err(io("list", path))? {
            let name = entry.map_err(io("list", path))?.file_name();
            if earlier.is_none() && !OURS.iter().any(|ours| name == *ours) {
                return Err(FolderError::Foreign(path.to_owned()).into());
            }
        }
        for folder in ["trials", "logs"].map(|folder| path.join(folder)) {
            // A folder without trials is something else's, though it has a scenario.
            if earlier.is_some() && !folder.is_dir() {
                return Err(FolderError::Foreign(path.to_owned()).into());
            }
            fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        }
        match earlier {
            Some(earlier) if earlier != scenario => return Err(SweepError::Other(path.to_owned())),
            Some(_) => {}
            None => run_folder::write(&kept, scenario.as_bytes()).or_else(|error| {
                if run_folder::text(&kept)?.as_deref() == Some(scenario) {
                    Ok(())
                } else {
                    Err(error)
                }
            })?,
        }
        Ok(Self(path.to_owned()))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The scenario before anything varies.
    pub fn scenario(&self) -> PathBuf {
        self.0.join(SCENARIO)
    }

    /// Where a trial's run goes.
    pub fn trial(&self, trial: &Trial) -> PathBuf {
        self.0.join("trials").join(&trial.name)
    }

    /// Where what its process says goes.
    pub fn log(&self, trial: &Trial) -> PathBuf {
        self.0.join("logs").join(format!("{}.log", trial.name))
    }

    /// In what a trial that came to its end could come out otherwise now, if in anything. Where it ran does not count, as trials may run on many machines.
    pub fn differs(&self, trial: &Trial, now: &Versions, scenario: &Scenario) -> Option<String> {
        let then = Run::versions(&self.trial(trial)).ok().filter(|_| self.is_done(trial))?;
        let now = Versions { cpu: then.cpu.clone(), ..now.clone() };
        then.differ(&now, scenario)
    }

    /// Whether a trial came to its end, now or in an earlier go.
    pub fn is_done(&self, trial: &Trial) -> bool {
        matches!(run_folder::summary(&self.trial(trial)), Ok(Some(summary)) if summary.complete)
    }
}
