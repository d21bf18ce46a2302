//! `covey privacy`: what a promise costs before anybody joins, and what has been spent.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use covey_node::api::{ApiError, ErrorCode, OutsidersPlan, PrivacyPlan, Reply};
use covey_privacy::accountant::{AccountingError, PoissonRate, Rounds};
use covey_privacy::encode::MAX_UNITS;
use covey_privacy::ledger::Unit;
use covey_privacy::plan::{Goal, plan};
use covey_privacy::statement::OutsiderStatement;
use covey_privacy::{ClipNorm, Delta, Epsilon, Sharers};
use covey_protocol::limits::{MAX_COHORT, MAX_COMPLETE_COHORT, MAX_ENTRIES};
use covey_protocol::secagg::{Bounds, Fault, Parameters, Reason, Topology};

use crate::output::Output;
use crate::show::plot;
use crate::text::parse_permille;

const EXAMPLES: &str = "\
Example: covey privacy plan --epsilon 8 --rounds 10 --cohort 200 --parameters 9216
         covey privacy plan --epsilon 4 --delta 1e-6 --rounds 50 --cohort 500 --parameters 9216 \
--dropout 0.2 --svg epsilon.svg";

/// Plan what training gives away, and see what it has given away so far
#[derive(Debug, Subcommand)]
pub enum Privacy {
    Plan(Box<PlanArgs>),
    /// Show what this node's part in rounds has given away so far, by the ledger that it keeps itself
    Report,
}

/// Find the noise for a promise, epsilon after each round, and whether anything is left to learn
///
/// Every round is taken to be joined, and counts in full: who takes part is no secret from the coordinator and the cohort. The noise is
/// made for the fewest who certainly add it: the cohort without those who may drop out or collude with the coordinator.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PlanArgs {
    /// The most that all rounds may give away
    #[arg(long, value_parser = above_zero, allow_negative_numbers = true)]
    epsilon: Epsilon,
    /// The chance that they give away more
    #[arg(long, default_value = "1e-5", value_parser = parse::<Delta>, allow_negative_numbers = true)]
    delta: Delta,
    /// How many rounds
    #[arg(long, value_parser = rounds, allow_negative_numbers = true)]
    rounds: Rounds,
    /// How many peers take part in a round
    #[arg(long, value_parser = cohort, allow_negative_numbers = true)]
    cohort: u32,
    /// Share of them that may drop out
    #[arg(long, default_value = "0.1", value_parser = parse_permille, allow_negative_numbers = true)]
    dropout: u16,
    /// Share of them that may collude with the coordinator; at least one is taken to
    #[arg(long, default_value = "0.1", value_parser = parse_permille, allow_negative_numbers = true)]
    collusion: u16,
    /// How many parameters are trained
    #[arg(long, value_parser = parameters, allow_negative_numbers = true)]
    parameters: u32,
    /// Each update's largest L2 norm; with --document that of each document's gradient
    #[arg(long, default_value = "1", value_parser = parse::<ClipNorm>, allow_negative_numbers = true)]
    clip: ClipNorm,
    /// Hide single documents rather than whole peers
    #[arg(long)]
    document: bool,
    /// Most documents of a peer that count in a round
    #[arg(long, default_value_t = 32, requires = "document", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_UNITS)))]
    documents: u32,
    /// Also show what outsiders learn, if each round is a secret, independent draw at this rate
    #[arg(long, value_name = "RATE", value_parser = parse::<PoissonRate>, allow_negative_numbers = true)]
    poisson: Option<PoissonRate>,
    /// Draw epsilon over rounds into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What is said where documents are to be hidden.
const DOCUMENTS: &str = "any one document is hidden; all documents of a peer together, and what they have in common, are not";

impl PlanArgs {
    pub fn run(self, output: &Output) -> Result<(), ApiError> {
        let reply = self.plan()?;
        if let Some(path) = &self.svg {
            std::fs::write(path, plot::svg(&reply.curve)).map_err(|error| {
                ApiError::new(
                    ErrorCode::Storage,
                    format!("cannot write {}: {error}", path.display()),
                )
            })?;
        }
        output.done(Reply::PrivacyPlan(Box::new(reply)))
    }

    fn plan(&self) -> Result<PrivacyPlan, ApiError> {
        let usage = |error: AccountingError| ApiError::new(ErrorCode::Usage, error.to_string());
        let sharers = self.sharers()?;
        let goal = self.goal(sharers);
        let found = plan(&goal).map_err(usage)?;
        let outsiders = self.poisson.map(|rate| {
            let statement =
                OutsiderStatement::sampled(goal.unit, rate, found.noise, goal.rounds, goal.delta)?;
            let epsilon = statement.claim().epsilon.get();
            Ok(OutsidersPlan { rate: rate.get(), epsilon, statement: statement.to_string() })
        });
        Ok(PrivacyPlan {
            unit: if self.document { "document" } else { "peer" }.to_owned(),
            epsilon: goal.epsilon.get(),
            delta: goal.delta.get(),
            rounds: goal.rounds.get(),
            cohort: goal.cohort,
            documents: if self.document { self.documents } else { 0 },
            dropout_permille: self.dropout,
            collusion_permille: self.collusion,
            survivors: sharers.survivors(),
            honest: sharers.honest(),
            parameters: goal.parameters,
            clip: goal.clip.get(),
            noise: found.noise.get(),
            gaussian_noise: found.gaussian_noise.get(),
            deviation: found.deviation,
            deviation_of_all: found.deviation_of_all,
            noise_over_signal: found.noise_over_signal,
            drowned: found.drowned,
            spent: found.statement.zero_out().epsilon.get(),
            replace_one_spent: found.statement.replace_one().epsilon.get(),
            statement: found.statement.to_string(),
            curve: found.curve,
            outsiders: outsiders.transpose().map_err(usage)?,
            notes: self.document.then(|| DOCUMENTS.to_owned()).into_iter().collect(),
        })
    }

    /// Those whose noise a secure sum of the cohort makes certain.
    fn sharers(&self) -> Result<Sharers, ApiError> {
        let topology =
            if self.cohort <= MAX_COMPLETE_COHORT { Topology::Complete } else { Topology::Sparse };
        let bounds = Bounds {
            collusion_permille: self.collusion,
            dropout_permille: self.dropout,
            ..Bounds::default()
        };
        let (min_cohort, max_cohort) = (self.cohort, self.cohort);
        let sum = Parameters { topology, entries: self.parameters, min_cohort, max_cohort, bounds };
        sum.sharers().map_err(|fault: Fault| {
            let message = match fault.reason {
                Some(Reason::Unreachable(reason)) => reason.to_string(),
                Some(Reason::Left { .. }) | None => fault.check.to_string(),
            };
            ApiError::new(ErrorCode::Usage, message)
                .hint("take a smaller --dropout or --collusion, or a larger --cohort")
        })
    }

    fn goal(&self, sharers: Sharers) -> Goal {
        Goal {
            unit: if self.document { Unit::Document } else { Unit::Peer },
            epsilon: self.epsilon,
            delta: self.delta,
            rounds: self.rounds,
            cohort: self.cohort,
            units: if self.document { self.documents } else { 1 },
            sharers,
            parameters: self.parameters.into(),
            clip: self.clip,
        }
    }
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
    let number: u32 = text
        .parse()
        .map_err(|_| format!("`{text}` is no number of rounds: take from 1 to 100,000,000"))?;
    Rounds::new(number).map_err(|error| error.to_string())
}

fn cohort(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|peers| (3..=MAX_COHORT).contains(peers)).ok_or_else(|| {
        format!(
            "a round has from 3 to {MAX_COHORT} peers, as with fewer than three a sum hides nobody: plan for so many as will take part"
        )
    })
}

fn parameters(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|count| (1..=MAX_ENTRIES).contains(count)).ok_or_else(|| {
        format!(
            "from 1 to {MAX_ENTRIES} parameters fit into a sum: take as many as the adapter has (`covey train status` shows it, as values)"
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn args(options: &[&str]) -> Result<PlanArgs, String> {
        let usual = ["covey", "privacy", "plan", "--rounds=10", "--parameters=9216"];
        let line = usual.iter().chain(options);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Privacy(Privacy::Plan(args)) => Ok(*args),
            _ => unreachable!("the line is a plan's"),
        }
    }

    fn planned(options: &[&str]) -> PrivacyPlan {
        args(options).expect("parses").plan().expect("plans")
    }

    #[test]
    fn a_plan_says_whose_noise_it_counts_on() {
        let usual = planned(&["--epsilon", "8", "--cohort", "50"]);
        assert_eq!((usual.survivors, usual.honest), (45, 40));
        assert!(usual.spent <= 8.0 && usual.statement.contains("at least 40 of the 45 or more"));
        assert!(usual.notes.is_empty() && usual.outsiders.is_none());
        let strict =
            planned(&["--epsilon=8", "--cohort=50", "--dropout", "0.3", "--collusion", "0.2"]);
        assert_eq!((strict.survivors, strict.honest), (35, 25));
        assert!(strict.noise_over_signal > usual.noise_over_signal);
        let sparse = planned(&["--epsilon=8", "--cohort=1000"]);
        assert_eq!((sparse.survivors, sparse.honest), (900, 798));
        let document = planned(&["--epsilon=8", "--cohort=50", "--document", "--poisson=0.1"]);
        assert_eq!(document.notes, [DOCUMENTS]);
        assert!(document.outsiders.as_ref().expect("asked for").epsilon < document.spent);
        // The noise is for one document of the 32 that each peer is heard with.
        let ratio = usual.noise_over_signal / document.noise_over_signal;
        assert!((ratio / 32.0 - 1.0).abs() < 1e-3 && usual.documents == 0, "{ratio}");
        let few = planned(&["--epsilon=8", "--cohort=50", "--document", "--documents=1"]);
        assert!((few.noise_over_signal / usual.noise_over_signal - 1.0).abs() < 1e-3);
        assert!(args(&["--epsilon=8", "--cohort=50", "--documents=4"]).is_err());
    }

    #[test]
    fn its_text_fits_and_says_everything() {
        let mut text = Vec::new();
        let reply = planned(&["--epsilon=0.01", "--cohort=16000", "--document", "--poisson=0.1"]);
        crate::show::reply(
            &Reply::PrivacyPlan(Box::new(reply)),
            &mut text,
            crate::show::Style::of(false),
        )
        .expect("writes");
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "of 16000 peers",
            "--dropout 0.1",
            "Note: any one document",
            "10 rounds",
            "Against outsiders",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains(" 0.00 ") && !text.contains("epsilon 0 "), "{text}");
    }

    #[test]
    fn what_makes_no_sense_says_what_does() {
        for (options, says) in [
            (["--epsilon", "-1", "--cohort", "50"], "epsilon is -1, and must be finite"),
            (["--epsilon", "8", "--cohort", "0"], "from 3 to 16384 peers"),
            (["--epsilon", "8", "--cohort", "2"], "from 3 to 16384 peers"),
            (["--epsilon", "8", "--cohort", "-3"], "from 3 to 16384 peers"),
            (["--cohort=50", "--epsilon=8", "--parameters", "0"], "from 1 to 25000000"),
            (["--cohort=50", "--epsilon=8", "--dropout", "-0.1"], "from 0 to below 0.5"),
            (["--cohort=50", "--epsilon=8", "--collusion", "0.5"], "from 0 to below 0.5"),
            (["--cohort=50", "--epsilon=8", "--delta", "1e300"], "delta is 1e300, and must be"),
        ] {
            let usual = ["covey", "privacy", "plan", "--rounds=10"];
            let parameters = (!options.contains(&"--parameters")).then_some("--parameters=9216");
            let line = usual.into_iter().chain(parameters).chain(options);
            let error = Cli::try_parse_from(line).expect_err("refused").to_string();
            assert!(error.contains(says), "{says} in {error}");
        }
        for (options, says) in [
            (
                ["--cohort=3", "--epsilon=8", "--dropout=0.4"],
                "a cohort of 3 cannot keep these bounds",
            ),
            (["--cohort=50", "--epsilon=8", "--clip=1e300"], "a clip norm of 1e300 is too large"),
            (["--cohort=50", "--epsilon=8", "--clip=1e-10"], "a clip norm of 1e-10 is too small"),
        ] {
            let error = args(&options).expect("parses").plan().expect_err("refused");
            assert!(error.message.contains(says), "{says} in {}", error.message);
        }
    }
}
