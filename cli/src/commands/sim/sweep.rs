//! `covey sim sweep`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};
use covey_node::api::{ApiError, ErrorCode, Progress as Shown};
use covey_node::cancel::CancelFlag;
use covey_sim::run_folder::Versions;
use covey_sim::scenario::Scenario;
use covey_sim::sweep::gather::gather;
use covey_sim::sweep::ray::Cluster;
use covey_sim::sweep::{
    Driver, Progress, State, Sweep as Grid, SweepError, SweepFolder, Trial, Vary, drive, ray,
};
use serde_json::json;

use super::place::{absolute, done, free, judged, scenario_of, setting, text_of, unwritten};
use crate::output::Output;
use crate::progress::Bar;
use crate::text::clean;

const EXAMPLES: &str = "\
Example: covey sim sweep quick --vary training.mu=0,0.01,0.1 --vary seed=1,2,3 --out mu-sweep
         covey sim sweep my.toml --grid sweep.toml --out mu-sweep --jobs 4
         covey sim sweep quick --vary seed=1,2,3 --out seeds --engine ray --address auto";

/// How often a trial is started again, if not said otherwise.
const RETRIES: u32 = 3;

/// Run a scenario for each combination of values
///
/// Each trial is a process with a folder of its own in DIR/trials. The same command with --out DIR goes on with what is missing or has failed, and values can be
/// added. DIR/sweep.csv and DIR/sweep.json have what all trials came to.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Sweep {
    /// The scenario: a file, or the name of one that is ready
    scenario: String,
    /// Change a field of it for all trials; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// A field and the values that it takes, such as seed=1,2,3; may be given several times
    #[arg(long, value_name = "KEY=VALUES")]
    vary: Vec<Vary>,
    /// A file with a table `vary` of the same
    #[arg(long, value_name = "FILE", conflicts_with = "vary")]
    grid: Option<PathBuf>,
    /// The sweep's folder (by default one with the scenario's name, here)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many trials run at a time (by default as many as there are processors)
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// How often a trial is started again whose process or machine is lost
    #[arg(long, default_value_t = RETRIES)]
    retries: u32,
    /// Where trials run
    #[arg(long, value_enum, default_value_t = Engine::Local)]
    engine: Engine,
    /// Where the Ray cluster is, as Ray's documents say
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// A Python that has Ray
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// Only say which trials there are
    #[arg(long)]
    list: bool,
    /// Run this one alone, as a task of an array does
    #[arg(long, value_name = "N", conflicts_with = "list")]
    trial: Option<usize>,
}

/// Where trials run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// As processes of this machine
    Local,
    /// As tasks of a Ray cluster
    Ray,
}

impl Sweep {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        let scenario = scenario_of(&text_of(&self.scenario)?, &self.set)?;
        let text = scenario
            .to_toml()
            .map_err(|error| ApiError::new(ErrorCode::Usage, error.to_string()))?;
        let (trials, scenarios) = self.trials(&text)?;
        let path = match &self.out {
            Some(path) => path.clone(),
            None => free(&format!("{}-sweep", scenario.name)),
        };
        let folder = SweepFolder::open(&absolute(&path)?, &text).map_err(failed)?;
        unchanged(&folder, &trials, &scenarios)?;
        if self.list {
            return list(output, &trials);
        }
        let some = match self.trial {
            Some(number) => trials.get(number..=number).ok_or_else(|| {
                let message = format!("there are {} trials, numbered from 0", trials.len());
                ApiError::new(ErrorCode::Usage, message)
            })?,
            None => &trials[..],
        };
        let cancel = CancelFlag::new();
        let interrupted = cancel.clone();
        ctrlc::set_handler(move || interrupted.cancel())
            .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let came = match self.engine {
            Engine::Local => self.locally(&folder, some, &cancel, output),
            Engine::Ray => self.on_ray(&folder, some, &text, &cancel, output),
        };
        let came = came.map_err(failed)?;
        if self.trial.is_none() {
            gather(&folder, &trials, &came).map_err(failed)?;
        }
        cancel.check().map_err(|error| {
            let folder = folder.path().display();
            error.hint(format!("the same command with --out {folder} goes on with what is missing"))
        })?;
        told(output, &folder, some, &came)
    }

    /// The grid and its scenarios; each of them has to be sound before anything runs.
    fn trials(&self, text: &str) -> Result<(Vec<Trial>, Vec<Scenario>), ApiError> {
        let grid = match &self.grid {
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    let message = format!("cannot read {}: {error}", file.display());
                    ApiError::new(ErrorCode::Storage, message)
                })?;
                Grid::from_toml(&text).map_err(failed)?
            }
            None => Grid { vary: self.vary.clone() },
        };
        let trials = grid.trials().map_err(failed)?;
        let scenarios = trials.iter().map(|trial| scenario_of(text, &trial.settings));
        let scenarios = scenarios.collect::<Result<Vec<Scenario>, _>>()?;
        scenarios.iter().try_for_each(judged)?;
        Ok((trials, scenarios))
    }

    fn locally(
        &self,
        folder: &SweepFolder,
        trials: &[Trial],
        cancel: &CancelFlag,
        output: &Output,
    ) -> Result<Vec<State>, SweepError> {
        let binary = this_binary()?;
        let driver = std::process::id().to_string();
        let command = |trial: &Trial, _: u32| {
            let mut command = Command::new(&binary);
            command.args(["sim", "run", "--driver", &driver]).arg(folder.scenario());
            for setting in trial.overrides() {
                command.args(["--set", &setting]);
            }
            command.arg("--out").arg(folder.trial(trial)).arg("--quiet");
            command
        };
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let driver = Driver {
            folder,
            at_once: self.jobs.map_or(processors, NonZeroUsize::get),
            retries: self.retries,
            command: &command,
            is_cancelled: &|| cancel.is_cancelled(),
        };
        let mut watch = Watch::new(trials.len(), output);
        drive(&driver, trials, &mut |trial, progress| watch.hear(trial, &progress))
    }

    fn on_ray(
        &self,
        folder: &SweepFolder,
        trials: &[Trial],
        text: &str,
        cancel: &CancelFlag,
        output: &Output,
    ) -> Result<Vec<State>, SweepError> {
        let binary = this_binary()?;
        let command = |trial: &Trial| {
            let mut command: Vec<String> =
                ["{binary}", "sim", "run", "{files}/scenario.toml"].map(str::to_owned).to_vec();
            for setting in trial.overrides() {
                command.extend(["--set".to_owned(), setting]);
            }
            command.extend(["--out", "{out}", "--quiet"].map(str::to_owned));
            command
        };
        let cluster = Cluster {
            folder,
            python: &self.python,
            address: self.address.as_deref(),
            cpus: 1.0,
            retries: self.retries,
            binary: &binary,
            files: BTreeMap::from([("scenario.toml".to_owned(), text.to_owned())]),
            command: &command,
            is_cancelled: &|| cancel.is_cancelled(),
        };
        let mut watch = Watch::new(trials.len(), output);
        ray::run(&cluster, trials, &mut |trial, progress| watch.hear(trial, &progress))
    }
}

/// That no trial which is done could come out otherwise now: a table is of one Covey, one data set and one model.
fn unchanged(
    folder: &SweepFolder,
    trials: &[Trial],
    scenarios: &[Scenario],
) -> Result<(), ApiError> {
    // Trials mostly have the same files, which take a while to read.
    let mut known: Vec<(&Scenario, Versions)> = Vec::new();
    for (trial, scenario) in trials.iter().zip(scenarios) {
        if !folder.is_done(trial) {
            continue;
        }
        let alike = |(other, _): &&(&Scenario, Versions)| {
            (&other.data.folder, &other.data.split) == (&scenario.data.folder, &scenario.data.split)
                && other.learner == scenario.learner
        };
        let now = match known.iter().find(alike) {
            Some((_, versions)) => versions.clone(),
            None => {
                let now = Versions::of(env!("CARGO_PKG_VERSION"), scenario);
                let now = now.map_err(|error| unwritten(&error))?;
                known.push((scenario, now.clone()));
                now
            }
        };
        if let Some(differs) = folder.differs(trial, &now, scenario) {
            let set = clean(&trial.overrides().join(" "));
            let message =
                format!("the trial {set} is done, and could come out otherwise now: {differs}");
            let own = folder.trial(trial);
            return Err(ApiError::new(ErrorCode::Exists, message).hint(format!(
                "name another folder with --out, or delete {} to have it run again",
                own.display()
            )));
        }
    }
    Ok(())
}

fn this_binary() -> Result<PathBuf, SweepError> {
    std::env::current_exe()
        .map_err(|source| SweepError::Process { what: "covey".to_owned(), source })
}

fn list(output: &Output, trials: &[Trial]) -> Result<(), ApiError> {
    if output.is_json() {
        let trials: Vec<_> = trials
            .iter()
            .map(|it| json!({ "number": it.number, "name": it.name, "set": it.overrides() }))
            .collect();
        return done(output, "sim_trials", json!({ "trials": trials }));
    }
    for trial in trials {
        if !output.line(&format!("{:5}  {}", trial.number, trial.overrides().join(" ")))? {
            break;
        }
    }
    Ok(())
}

/// Says what became of all.
fn told(
    output: &Output,
    folder: &SweepFolder,
    trials: &[Trial],
    came: &[State],
) -> Result<(), ApiError> {
    let count = came.iter().filter(|state| **state == State::Done).count();
    let failures = trials.iter().zip(came).filter_map(|(trial, state)| match state {
        State::Failed(why) => Some((trial, why)),
        State::Done | State::Open => None,
    });
    let failures: Vec<(&Trial, &String)> = failures.collect();
    if let Some((trial, why)) = failures.first() {
        let message = format!(
            "{} of {} trials failed; the first is {}: {}",
            failures.len(),
            trials.len(),
            trial.overrides().join(" "),
            clean(why)
        );
        return Err(ApiError::new(ErrorCode::Internal, message)
            .hint(format!("its log is {}", folder.log(trial).display())));
    }
    if count < trials.len() {
        let message = format!(
            "{} of {} trials have not come to an end, and nobody said why",
            trials.len() - count,
            trials.len()
        );
        let folder = folder.path().display();
        return Err(ApiError::new(ErrorCode::Internal, message)
            .hint(format!("the same command with --out {folder} goes on with them")));
    }
    let table = folder.path().join("sweep.csv");
    if output.is_json() {
        let value = json!({ "folder": folder.path().to_string_lossy(), "done": count });
        return done(output, "sim_sweep", value);
    }
    output.line(&format!("{count} trials are done: {}", table.display())).map(drop)
}

fn failed(error: SweepError) -> ApiError {
    let code = match &error {
        SweepError::Grid(_) => ErrorCode::Usage,
        SweepError::Folder(_) => ErrorCode::Storage,
        SweepError::Other(_) => ErrorCode::Exists,
        SweepError::Process { .. } | SweepError::Ray(_) => ErrorCode::Internal,
    };
    ApiError::new(code, error.to_string())
}

/// Shows how far a sweep is.
struct Watch {
    bar: Bar,
    over: u64,
    all: u64,
}

impl Watch {
    fn new(all: usize, output: &Output) -> Self {
        Self { bar: Bar::start("sweeping", output), over: 0, all: all as u64 }
    }

    fn hear(&mut self, trial: &Trial, progress: &Progress) {
        match progress {
            Progress::Skipped | Progress::Done | Progress::Failed(_) => self.over += 1,
            Progress::Started | Progress::Retried(_) => {}
        }
        let item = Some(clean(&trial.overrides().join(" ")));
        let (stage, total) = ("sweeping".to_owned(), Some(self.all));
        self.bar.update(Shown { stage, done: self.over, total, item });
    }
}
