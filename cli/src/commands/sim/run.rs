//! `covey sim run`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use covey_node::api::{ApiError, ErrorCode, Progress};
use covey_node::cancel::CancelFlag;
use covey_sim::metrics::{Metric, Timing};
use covey_sim::report::{Summary, results};
use covey_sim::run_folder::{Next, Run as RunRead, RunFolder, Versions, is_begun};
use covey_sim::scenario::Scenario;
use covey_sim::sweep::end_with;
use covey_sim::training::Checkpoint;
use covey_sim::{Begin, Happened, SimError};
use serde_json::json;

use super::place::{
    absolute, done, failed, free, judged, scenario_of, setting, text_of, unwritten,
};
use crate::output::Output;
use crate::progress::Bar;
use crate::text::clean;

const EXAMPLES: &str = "\
Example: covey sim run quick
         covey sim run private --set privacy.epsilon=2 --set peers=100 --out private-2
         covey sim run embedder --set data.folder=sets/nfcorpus --set repeats=3
         covey sim run my.toml --check";

/// Run a scenario and write what came of it into a folder
///
/// SCENARIO is a file, or the name of one that is ready (`covey sim list`). The folder has the resolved scenario, every figure as
/// JSON lines and CSV, event files for TensorBoard, and report.html with plots. Interrupted, it keeps what was measured, and the same
/// command with --out and that folder goes on from there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// The scenario
    scenario: String,
    /// Change a field of it, such as training.mu=0.01; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    /// The folder to write (by default one with the scenario's name, here)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Begin anew if there is a run in the folder
    #[arg(long)]
    force: bool,
    /// Only check the scenario and print it with every field
    #[arg(long)]
    check: bool,
    /// The process of the sweep that this is a trial of, which it does not outlive
    #[arg(long, value_name = "PID", hide = true)]
    driver: Option<u32>,
}

impl Run {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        if let Some(driver) = self.driver {
            end_with(driver).map_err(failed)?;
        }
        let scenario = scenario_of(&text_of(&self.scenario)?, &self.set)?;
        let text = scenario
            .to_toml()
            .map_err(|error| ApiError::new(ErrorCode::Usage, error.to_string()))?;
        judged(&scenario)?;
        if self.check {
            if output.is_json() {
                return done(output, "sim_scenario", json!({ "toml": text }));
            }
            return output.line(text.trim_end()).map(drop);
        }
        let path = match &self.out {
            Some(path) => path.clone(),
            None => free(&scenario.name),
        };
        let path = absolute(&path)?;
        let (mut folder, next, checkpoint) = open(&path, &text, &scenario, self.force)?;
        let Some(next) = next else {
            output.notice("This run came to its end before; --force begins anew.");
            let run = RunRead::open(&path).map_err(|error| unwritten(&error))?;
            let summary = covey_sim::run_folder::write_outputs(&run, true);
            return told(output, &path, &summary.map_err(|error| unwritten(&error))?);
        };
        if next.round > 0 || next.hour > 1 || next.seed != scenario.seed {
            let from = match checkpoint.as_ref().map(|it| it.round) {
                Some(round) => format!("from its round {round} on"),
                None => "from its beginning".to_owned(),
            };
            output.notice(&format!(
                "Going on with the run in {}; what was not written down of the repeat under way is done again {from}, with the same outcome.",
                path.display()
            ));
        }
        let cancel = CancelFlag::new();
        let interrupted = cancel.clone();
        // A second Ctrl-C ends it at once, with what is written so far.
        let handler = ctrlc::set_handler(move || {
            if interrupted.is_cancelled() {
                std::process::exit(130);
            }
            interrupted.cancel();
        });
        handler.map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))?;
        let begun = Instant::now();
        let is_new = next == Next { seed: scenario.seed, round: 0, hour: 1 };
        let skipped = checkpoint.as_ref().map_or(0, |it| u64::from(it.round) + 1);
        let mut watch = Watch::new(&scenario, next, skipped, output);
        let begin = Begin { seed: next.seed, checkpoint };
        let came = covey_sim::run_scenario(&scenario, Some(begin), &cancel, &mut |happened| {
            watch.hear(happened, &mut folder)
        });
        let timing = watch.timing(begun);
        let came_to_nothing = watch.over == 0 && is_new;
        drop(watch);
        match came {
            Ok(()) => {
                let summary = folder.finish(timing).map_err(|error| unwritten(&error))?;
                told(output, &path, &summary)
            }
            Err(error) if came_to_nothing => {
                folder.discard().map_err(|error| unwritten(&error))?;
                Err(failed(error))
            }
            Err(error) => {
                folder.stop(timing).map_err(|error| unwritten(&error))?;
                let path = path.display();
                let hint = format!(
                    "what was measured is in {path}; the same command with --out {path} goes on"
                );
                Err(failed(error).hint(hint))
            }
        }
    }
}

/// A new run's folder, or that of one that was interrupted, and what comes next; nothing if that came to its end. Last, from where its rounds can go on.
fn open(
    path: &Path,
    text: &str,
    scenario: &Scenario,
    force: bool,
) -> Result<(RunFolder, Option<Next>, Option<Checkpoint>), ApiError> {
    let versions = Versions::of(env!("CARGO_PKG_VERSION"), scenario);
    let versions = versions.map_err(|error| unwritten(&error))?;
    let begin = Next { seed: scenario.seed, round: 0, hour: 1 };
    if force {
        let folder = RunFolder::replace(path, text, &versions);
        return Ok((folder.map_err(|error| unwritten(&error))?, Some(begin), None));
    }
    if !is_begun(path) {
        let folder = RunFolder::create(path, text, &versions);
        return Ok((folder.map_err(|error| unwritten(&error))?, Some(begin), None));
    }
    let run = RunRead::open(path).map_err(|error| unwritten(&error))?;
    let differs = match run.scenario_text == text {
        true => run.versions.differ(&versions, scenario),
        false => Some("it is of another scenario".to_owned()),
    };
    if let Some(differs) = differs {
        let message = format!("{} has a run in it that cannot go on: {differs}", path.display());
        return Err(ApiError::new(ErrorCode::Exists, message)
            .hint("name another folder with --out, or begin anew with --force"));
    }
    let next = run.next();
    let folder = RunFolder::resume(&run, next).map_err(|error| unwritten(&error))?;
    Ok((folder, next, next.and_then(|next| run.checkpoint(next))))
}

/// Prints what a run came to.
fn told(output: &Output, path: &Path, summary: &Summary) -> Result<(), ApiError> {
    if output.is_json() {
        let value = json!({ "folder": path.to_string_lossy(), "summary": summary });
        return done(output, "sim_run", value);
    }
    for (name, figure) in results(summary) {
        output.line(&format!("{name:32}{figure}"))?;
    }
    output.line(&format!("\n{}", path.join("report.html").display()))?;
    Ok(())
}

/// Writes down what is measured and shows how far the run is.
struct Watch<'a> {
    next: Next,
    first: u64,
    bar: Bar,
    /// Rounds and hours of all repeats, and how many are over.
    all: u64,
    over: u64,
    timing: Timing,
    scenario: &'a Scenario,
}

impl<'a> Watch<'a> {
    /// So many rounds of the repeat that comes next are not done again.
    fn new(scenario: &'a Scenario, next: Next, skipped: u64, output: &Output) -> Self {
        let rounds = match scenario.training.rounds {
            0 => 0,
            rounds => u64::from(rounds) + 1,
        };
        let each = rounds + u64::from(scenario.search.hours);
        let all = each * u64::from(scenario.repeats.max(1));
        let first = scenario.seed;
        let over = each * next.seed.wrapping_sub(first) + skipped;
        let bar = Bar::start("simulating", output);
        Self { next, first, bar, all, over, timing: Timing::default(), scenario }
    }

    fn hear(&mut self, happened: Happened, folder: &mut RunFolder) -> Result<(), SimError> {
        match happened {
            Happened::Groups(done, all) => {
                let (done, total) = (done as u64, Some(all as u64));
                self.bar.update(Progress {
                    stage: "founding groups".into(),
                    done,
                    total,
                    item: None,
                });
                Ok(())
            }
            Happened::Event(event) => {
                // Of rounds that were written down before the run was interrupted, so were events.
                let round = event.more.get("round").and_then(serde_json::Value::as_u64);
                if event.seed == self.next.seed
                    && round.is_some_and(|it| it < self.next.round.into())
                {
                    return Ok(());
                }
                folder.event(&event).map_err(|error| SimError::bad(&error))
            }
            Happened::Reached(checkpoint) => {
                folder.checkpoint(&checkpoint).map_err(|error| SimError::bad(&error))
            }
            Happened::Measured(metric, seconds) => {
                self.over += 1;
                self.timing.took(seconds);
                let item = match &*metric {
                    Metric::Round(it) => match (&it.failed, it.quality) {
                        (Some(why), _) => clean(why),
                        (None, Some(quality)) => format!("round {}: {quality:.4}", it.round),
                        // Not each one is judged.
                        (None, None) => format!("round {}", it.round),
                    },
                    Metric::Search(it) => format!("hour {}", it.hour),
                };
                let stage = format!("simulating {}", clean(&self.scenario.name));
                let (done, total) = (self.over, Some(self.all));
                self.bar.update(Progress { stage, done, total, item: Some(item) });
                if self.is_there(&metric) {
                    return Ok(());
                }
                folder.metric(&metric).map_err(|error| SimError::bad(&error))
            }
        }
    }

    /// Whether it was written down before the run was interrupted.
    fn is_there(&self, metric: &Metric) -> bool {
        let (seed, before) = match metric {
            Metric::Round(it) => (it.seed, it.round < self.next.round),
            Metric::Search(it) => (it.seed, it.hour < self.next.hour),
        };
        seed.wrapping_sub(self.first) == self.next.seed.wrapping_sub(self.first) && before
    }

    fn timing(&self, begun: Instant) -> Timing {
        let (cpu_s, peak_mib) = covey_sim::usage();
        let rounds_s = self.timing.rounds_s.clone();
        Timing { wall_s: begun.elapsed().as_secs_f64(), cpu_s, peak_mib, rounds_s }
    }
}
