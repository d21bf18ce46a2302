//! `covey privacy`: what a promise costs before anybody joins, and what has been spent.

mod plot;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_node::api::{ApiError, ErrorCode};
use covey_privacy::accountant::{PoissonRate, Rounds};
use covey_privacy::ledger::Unit;
use covey_privacy::plan::{Goal, Plan, plan};
use covey_privacy::statement::OutsiderStatement;
use covey_privacy::{ClipNorm, Delta, Epsilon};

use crate::output::Output;
use crate::text::rounded_up;

const EXAMPLES: &str = "\
Example: covey privacy plan --epsilon 8 --rounds 10 --cohort 200 --parameters 9216
         covey privacy plan --epsilon 4 --delta 1e-6 --rounds 50 --cohort 500 --svg epsilon.svg";

/// Plan what training gives away, and see what it has given away so far
#[derive(Debug, Subcommand)]
pub enum Privacy {
    Plan(Box<PlanArgs>),
    /// Show what this node's part in rounds has given away so far, by the ledger that it keeps itself
    Report,
}

/// Find the noise for a promise, epsilon after each round, and whether anything is left to learn
///
/// Every round is taken to be joined, and counts in full: who takes part is no secret from the coordinator and the cohort.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PlanArgs {
    /// The most that all rounds may give away
    #[arg(long, value_parser = above_zero)]
    epsilon: Epsilon,
    /// The chance that they give away more
    #[arg(long, default_value = "1e-5", value_parser = parse::<Delta>)]
    delta: Delta,
    /// How many rounds
    #[arg(long, value_parser = rounds)]
    rounds: Rounds,
    /// How many peers' updates a round sums
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    cohort: u32,
    /// How many parameters are trained
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    parameters: u64,
    /// Each update's largest L2 norm
    #[arg(long, default_value = "1", value_parser = parse::<ClipNorm>)]
    clip: ClipNorm,
    /// Hide single documents rather than whole peers
    #[arg(long)]
    document: bool,
    /// Also show what outsiders learn, if each round is a secret, independent draw at this rate
    #[arg(long, value_name = "RATE", value_parser = parse::<PoissonRate>)]
    poisson: Option<PoissonRate>,
    /// Draw epsilon over rounds into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl PlanArgs {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        let goal = self.goal();
        let usage = |error: covey_privacy::accountant::AccountingError| {
            ApiError::new(ErrorCode::Usage, error.to_string())
        };
        let found = plan(&goal).map_err(usage)?;
        let outsiders = self
            .poisson
            .map(|rate| {
                OutsiderStatement::sampled(goal.unit, rate, found.noise, goal.rounds, goal.delta)
            })
            .transpose()
            .map_err(usage)?;
        if let Some(path) = &self.svg {
            std::fs::write(path, plot::svg(&found.curve)).map_err(|error| {
                ApiError::new(
                    ErrorCode::Storage,
                    format!("cannot write {}: {error}", path.display()),
                )
            })?;
        }
        if output.is_json() {
            let value = serde_json::json!({
                "version": covey_node::api::API_VERSION, "plan": found, "outsiders": outsiders,
            });
            return output.line(&value.to_string()).map(|_| ());
        }
        output.line(&text(&goal, &found))?;
        if let Some(outsiders) = outsiders {
            output.line(&format!("\n{outsiders}"))?;
        }
        Ok(())
    }

    fn goal(&self) -> Goal {
        Goal {
            unit: if self.document { Unit::Document } else { Unit::Peer },
            epsilon: self.epsilon,
            delta: self.delta,
            rounds: self.rounds,
            cohort: self.cohort,
            parameters: self.parameters,
            clip: self.clip,
        }
    }
}

/// The plan for people.
fn text(goal: &Goal, plan: &Plan) -> String {
    let mut lines = vec![
        format!(
            "Noise multiplier {} (by exact Gaussian accounting {}): standard deviation {} on each coordinate of a round's sum",
            up(plan.noise.get()),
            up(plan.gaussian_noise.get()),
            up(plan.deviation)
        ),
        format!(
            "Noise over signal {:.2} with {} peers and {} parameters, if all updates point the same way",
            plan.noise_over_signal, goal.cohort, goal.parameters
        ),
    ];
    if let Some(drowned) = &plan.drowned {
        lines.push(format!("Warning: {drowned}"));
    }
    lines.push(String::new());
    lines.push("Epsilon over rounds".to_owned());
    lines.extend(plot::text(&plan.curve));
    lines.push(String::new());
    lines.push(plan.statement.to_string());
    lines.join("\n")
}

fn up(value: f64) -> String {
    rounded_up(value, 3)
}

fn parse<T>(text: &str) -> Result<T, String>
where
    T: TryFrom<f64>,
    T::Error: std::fmt::Display,
{
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    T::try_from(number).map_err(|error| error.to_string())
}

fn above_zero(text: &str) -> Result<Epsilon, String> {
    let epsilon = parse::<Epsilon>(text)?;
    if epsilon.get() > 0.0 {
        return Ok(epsilon);
    }
    Err("with an epsilon of zero nothing may depend on anybody, so nothing is learnt: take one above zero".to_owned())
}

fn rounds(text: &str) -> Result<Rounds, String> {
    let number: u32 = text.parse().map_err(|_| format!("`{text}` is no number of rounds"))?;
    Rounds::new(number).map_err(|error| error.to_string())
}
