//! `covey sim compare`.

use std::path::PathBuf;

use clap::Args;
use covey_node::api::{ApiError, ErrorCode};
use covey_sim::report::{Measured, Summary, compare};
use covey_sim::run_folder::Run;
use serde_json::json;

use super::place::{done, unwritten};
use crate::output::Output;

/// Put runs side by side: what differs between their scenarios, and what they came to
#[derive(Debug, Args)]
pub struct Compare {
    /// Folders of runs
    #[arg(required = true, num_args = 1.., value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Also write a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Compare {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        let runs: Result<Vec<Run>, _> = self.runs.iter().map(|path| Run::open(path)).collect();
        let runs = runs.map_err(|error| unwritten(&error))?;
        let comparison = compare(&runs);
        if let Some(path) = &self.html {
            std::fs::write(path, &comparison.html).map_err(|error| {
                let message = format!("cannot write {}: {error}", path.display());
                ApiError::new(ErrorCode::Storage, message)
            })?;
        }
        if output.is_json() {
            let summaries: Vec<_> = runs
                .iter()
                .map(|run| {
                    let measured = Measured::of(&run.metrics);
                    let summary = Summary::of(&run.scenario, &measured, run.complete);
                    json!({ "folder": run.path.to_string_lossy(), "summary": summary })
                })
                .collect();
            return done(output, "sim_compared", json!({ "runs": summaries }));
        }
        output.line(comparison.text.trim_end()).map(drop)
    }
}
