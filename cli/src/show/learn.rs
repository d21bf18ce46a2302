//! Learning together, and what it costs.

use std::io::{self, Write};

use covey_node::api::{
    AdoptedRelease, CampaignInfo, LearnInfo, PastRound, PrivacyAccount, ReleaseInfo,
};

use super::Style;
use crate::text::{clean, count, rounded_up};

/// Rounds that are listed.
const LISTED: usize = 10;

/// How learning stands in each group.
pub fn groups(groups: &[LearnInfo], out: &mut dyn Write, style: Style) -> io::Result<()> {
    if groups.is_empty() {
        writeln!(
            out,
            "No groups yet, so there is nobody to learn with: `covey group create NAME`."
        )?;
    }
    groups.iter().try_for_each(|group| learning(group, out, style))
}

fn learning(it: &LearnInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let coordinator = match (&it.coordinator, it.coordinates) {
        (_, true) => "this node coordinates".to_owned(),
        (Some(name), false) => format!("{} coordinates", clean(name)),
        (None, false) => "nobody coordinates (`covey group coordinator`)".to_owned(),
    };
    writeln!(out, "{}  {coordinator}", style.bold(it.group.as_str()))?;
    match &it.taking_part {
        None => writeln!(out, "  This node takes no part (`covey train opt-in {}`).", it.group)?,
        Some(choice) => {
            let names = choice.collections.iter().map(|name| name.as_str().to_owned());
            let files = choice.pairs.iter().map(|file| clean(&file.to_string_lossy()));
            let names: Vec<String> = names.chain(files).collect();
            let bound = match choice.epsilon {
                Some(epsilon) => format!("up to epsilon {epsilon} at delta {}", choice.delta),
                None => "without noise, and without a bound".to_owned(),
            };
            let rounds = count(it.rounds, "round");
            writeln!(out, "  Takes part with {}, {bound}; {rounds} so far.", names.join(", "))?;
        }
    }
    if let Some(doing) = &it.doing {
        writeln!(out, "  Now: {}", clean(doing))?;
    }
    if let Some(trained) = &it.trained {
        let (pairs, steps) = (count(trained.pairs, "pair"), count(trained.steps, "step"));
        let seconds = trained.ms as f64 / 1e3;
        let norm = trained.norm;
        writeln!(
            out,
            "  Trained for round {}: {steps} on {pairs} in {seconds:.1} s, update {norm:.4}",
            trained.round
        )?;
    }
    if let Some(refused) = &it.refused {
        writeln!(out, "  {} {}", style.bad("No part is taken:"), clean(refused))?;
    }
    match &it.campaign {
        Some(campaign) => self::campaign(campaign, out, style),
        None => Ok(()),
    }
}

fn campaign(it: &CampaignInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    if let Some(problem) = &it.problem {
        writeln!(out, "  {} {}", style.bad("Cannot go on:"), clean(problem))?;
    }
    match (&it.round, it.left) {
        (Some(round), _) => {
            let again = if round.attempt > 0 {
                format!(" (attempt {})", round.attempt + 1)
            } else {
                String::new()
            };
            writeln!(
                out,
                "  Round {}{again}: {}, {} of {} done",
                round.round, round.phase, round.done, round.participants
            )?;
        }
        (None, Some(left)) => {
            writeln!(out, "  Waits for the next of {}.", count(left.into(), "round"))?
        }
        (None, None) => writeln!(out, "  No rounds are under way (`covey train start`).")?,
    }
    if it.rounds > 0 {
        let cost = match it.epsilon.zip(it.delta) {
            Some((epsilon, delta)) => {
                let epsilon = rounded_up(epsilon, 2);
                format!("epsilon {epsilon} at delta {delta} for who took part in all")
            }
            None => "without a bound on what they give away".to_owned(),
        };
        let rounds = count(it.rounds.into(), "round");
        writeln!(out, "  Learnt in {rounds} of at least {} members, {cost}.", it.participants)?;
    }
    let first = it.history.len().saturating_sub(LISTED);
    it.history[first..].iter().try_for_each(|past| self::past(past, out, style))
}

fn past(it: &PastRound, out: &mut dyn Write, style: Style) -> io::Result<()> {
    write!(out, "    round {}", it.round)?;
    match &it.failed {
        Some(why) => {
            writeln!(out, ", attempt {}: {} {}", it.attempt + 1, style.bad("failed:"), clean(why))
        }
        None => {
            let loss = it.loss.map_or_else(String::new, |(before, after)| {
                format!(", held-out loss {before:.4} to {after:.4}")
            });
            let norm = it.norm.unwrap_or(0.0);
            let clipped =
                it.clipped.filter(|share| *share > 0.0).map_or_else(String::new, |share| {
                    format!(", {:.0}% of the updates shortened", 100.0 * share)
                });
            let members = count(it.participants.into(), "member");
            writeln!(out, ": {members}, update {norm:.4}{loss}{clipped}")
        }
    }
}

/// The releases of a group's model.
pub fn releases(releases: &[ReleaseInfo], out: &mut dyn Write, style: Style) -> io::Result<()> {
    if releases.is_empty() {
        return writeln!(
            out,
            "No release yet: the coordinator makes one with `covey model release`."
        );
    }
    for it in releases {
        let here = match (&it.model, it.used) {
            (Some(name), true) => format!("{} (in use)", clean(name)),
            (Some(name), false) => clean(name),
            (None, _) => "not here (`covey model adopt`)".to_owned(),
        };
        writeln!(out, "{}  {}  {here}", style.bold(&format!("release {}", it.number)), it.id)?;
    }
    Ok(())
}

/// A release that is used from now on.
pub fn adopted(it: &AdoptedRelease, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let judged = it.loss.map_or_else(String::new, |(before, after)| {
        format!(", loss on pairs of your own files {before:.4} to {after:.4}")
    });
    writeln!(out, "Uses release {} as {}{judged}.", it.number, style.bold(&clean(&it.model)))
}

/// Every account of the privacy ledger.
pub fn privacy(accounts: &[PrivacyAccount], out: &mut dyn Write, style: Style) -> io::Result<()> {
    if accounts.is_empty() {
        return writeln!(
            out,
            "Nothing was given away: this node has taken part in no round, and has no budget."
        );
    }
    for it in accounts {
        let name = match (&it.collection, &it.pairs) {
            (Some(name), _) => format!("{name} ({} level)", it.unit),
            (None, Some(file)) => format!("{} ({} level)", file.display(), it.unit),
            (None, None) => it.account.clone(),
        };
        let up = |epsilon: Option<f64>| {
            epsilon.map_or_else(|| "no bound".to_owned(), |it| rounded_up(it, 4))
        };
        let budget = it.budget.map_or_else(String::new, |budget| format!(" of {budget}"));
        writeln!(out, "{}", style.bold(&clean(&name)))?;
        writeln!(
            out,
            "  epsilon {}{budget} at delta {}, zero-out ({} for replacing one)",
            up(it.epsilon),
            it.delta,
            up(it.replace_one_epsilon)
        )?;
    }
    writeln!(
        out,
        "Assuming the noise that each round's plan promised: that of its fewest honest participants. Every round joined counts in full."
    )
}
