//! A campaign by real nodes: everybody opts in with a file of pairs, the first starts rounds, and one waits.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::lab::{GROUP, Lab};
use super::rows::Settings;

const POLL: Duration = Duration::from_secs(1);
/// The longest that a campaign may take.
const LONGEST: Duration = Duration::from_secs(3 * 3_600);
/// Members that must be honest for a sum, and fewest in a round.
const HONEST: &str = "3";
const COHORT: &str = "5";

/// Everybody takes part, each with its file.
pub fn opt_in(lab: &Lab, files: &[PathBuf], settings: &Settings) -> Result<()> {
    for (member, file) in lab.members.iter().zip(files) {
        let file = file.to_str().context("the path of a file of pairs is no UTF-8")?;
        let mut arguments = words(&["train", "opt-in", GROUP, "--pairs", file]);
        arguments.extend(words(&["--min-honest", HONEST, "--max-steps", "100000"]));
        arguments.extend(noise(settings));
        member.json(&arguments)?;
    }
    Ok(())
}

/// Begins the rounds.
pub fn start(lab: &Lab, model: &str, settings: &Settings) -> Result<()> {
    let numbers = [
        ("--rounds", settings.rounds.to_string()),
        ("--epochs", settings.epochs.to_string()),
        ("--max-steps", settings.steps.to_string()),
        ("--rate", settings.rate.to_string()),
        ("--proximal", settings.proximal.to_string()),
        ("--clip", settings.clip.to_string()),
        ("--rule", settings.rule.clone()),
        ("--server-rate", settings.server_rate.to_string()),
    ];
    let mut arguments = words(&["train", "start", GROUP, "--model", model]);
    arguments.extend(words(&["--min-cohort", COHORT, "--window", "1h"]));
    arguments.extend(words(&["--phase", "120s", "--pause", "0s", "--release", "never"]));
    arguments.extend(numbers.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
    if let Some(rank) = settings.rank {
        arguments.extend(["--rank".to_owned(), rank.to_string()]);
    }
    arguments.extend(noise(settings));
    lab.coordinator().json(&arguments)?;
    Ok(())
}

/// Waits until all rounds are over, and gives the attempts; `look` is called now and then with how everybody stands.
pub fn wait(
    lab: &Lab,
    poll: Option<Duration>,
    look: &mut dyn FnMut(usize, &Value),
) -> Result<Vec<Value>> {
    let begun = Instant::now();
    let mut told = 0;
    loop {
        for (number, member) in lab.members.iter().enumerate() {
            let learning = member.learning()?;
            look(number, &learning);
            if let Some(why) = learning["refused"].as_str() {
                bail!("member {number} takes no part: {why}");
            }
        }
        let campaign = lab.coordinator().learning()?["campaign"].take();
        if let Some(problem) = campaign["problem"].as_str() {
            bail!("the coordinator cannot go on: {problem}");
        }
        let history = campaign["history"].as_array().context("there is a history")?;
        for attempt in &history[told.min(history.len())..] {
            eprintln!("  {attempt}");
            if let Some(why) = attempt["failed"].as_str() {
                bail!("an attempt failed: {why}");
            }
        }
        told = history.len();
        if campaign["left"].is_null() {
            return Ok(history.clone());
        }
        if begun.elapsed() > LONGEST {
            bail!("the rounds have taken more than {} hours", LONGEST.as_secs() / 3_600);
        }
        sleep(poll.unwrap_or(POLL));
    }
}

fn noise(settings: &Settings) -> Vec<String> {
    match settings.epsilon {
        Some(epsilon) => vec!["--epsilon".to_owned(), epsilon.to_string()],
        None => words(&["--without-noise"]),
    }
}

fn words(all: &[&str]) -> Vec<String> {
    all.iter().map(|word| (*word).to_owned()).collect()
}
