//! Learning together, and what it costs.

use std::io::{self, Write};
use std::time::Duration;

use covey_node::api::{
    Adopt, AdoptedRelease, CampaignInfo, Change, Condition, LearnInfo, LearningNow, NoiseInfo,
    OptIn, PastRound, PlanInfo, PrivacyAccount, ReleaseInfo, ReleaseList, RoundInfo, StepsInfo,
    Watched,
};
use covey_node::env::{Clock, WallClock};
use covey_privacy::ledger::Unit;
use covey_protocol::ids::UnixMillis;

use super::Style;
use crate::text::{bytes, clean, count, duration, rounded_up, time};

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
            let bound = match choice.epsilon {
                Some(epsilon) => {
                    let each = of_each(choice.unit);
                    format!("up to epsilon {epsilon}{each} at delta {}", choice.delta)
                }
                None => "without noise, and without a bound".to_owned(),
            };
            let rounds = count(it.rounds, "round");
            writeln!(out, "  Takes part with {}, {bound}; {rounds} so far.", sources(choice))?;
            if choice.unit == Unit::Document {
                writeln!(out, "  {BY_DOCUMENT}")?;
            }
        }
    }
    if let Some(doing) = &it.doing {
        let round = it.plan.as_ref().map(|plan| plan.round);
        writeln!(out, "  Now: {}", now(doing, round, it.training))?;
    }
    // Who coordinates is told below, of the cohort that there is.
    if let Some(noise) = it.plan.as_ref().and_then(|plan| plan.noise)
        && it.campaign.is_none()
    {
        self::noise(&noise, out, style)?;
    }
    if let Some(trained) = &it.trained {
        let (pairs, steps) = (count(trained.pairs, "pair"), count(trained.steps, "step"));
        let seconds = trained.ms as f64 / 1e3;
        let norm = trained.norm;
        let round = trained.round;
        if trained.by_document {
            let documents = count(trained.steps, "document");
            writeln!(
                out,
                "  Trained for round {round}: {documents} of those with {pairs} in {seconds:.1} s, gradients of length {norm:.4} on average"
            )?;
        } else {
            writeln!(
                out,
                "  Trained for round {round}: {steps} on {pairs} in {seconds:.1} s, update {norm:.4}"
            )?;
        }
        if let Some(why) = &trained.nothing {
            let why = clean(why);
            writeln!(out, "  Nothing was learnt, so zeros are sent, at the same price: {why}")?;
        }
    }
    if let Some(refused) = &it.refused {
        writeln!(out, "  {} {}", style.bad("No part is taken:"), clean(refused))?;
    }
    if let Some(why) = &it.not_adopted {
        writeln!(out, "  Release {} is not used: {}.", it.release, clean(why))?;
    }
    if let Some(strangers) = &it.strangers {
        let change = format!("covey train limits {} --known-for 7d", it.group);
        writeln!(
            out,
            "  Nothing keeps the coordinator from choosing a cohort of its own: {strangers} ({} demands such).",
            style.bold(&change)
        )?;
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
            let phase = phase(round, WallClock.now());
            writeln!(out, "  {phase}, {} of {} done", round.done, round.participants)?;
        }
        (None, Some(left)) => {
            writeln!(out, "  Waits for the next of {}.", count(left.into(), "round"))?
        }
        (None, None) => writeln!(out, "  No rounds are under way (`covey train start`).")?,
    }
    if let Some(noise) = &it.noise {
        self::noise(noise, out, style)?;
    }
    if it.rounds > 0 {
        let cost = match it.epsilon.zip(it.delta) {
            Some((epsilon, delta)) => {
                let epsilon = rounded_up(epsilon, 2);
                match it.unit {
                    Unit::Peer => {
                        format!("epsilon {epsilon} at delta {delta} for who took part in all")
                    }
                    Unit::Document => format!(
                        "epsilon {epsilon} at delta {delta} for each document of who took part in all, without a bound for all of its documents together"
                    ),
                }
            }
            None => "without a bound on what they give away".to_owned(),
        };
        let rounds = count(it.rounds.into(), "round");
        writeln!(out, "  Learnt in {rounds} of at least {} members, {cost}.", it.participants)?;
    }
    match (&it.next_release, it.release_every_s) {
        (Some(next), _) => writeln!(out, "  The next release {}.", clean(next))?,
        (None, Some(every)) => {
            let every = span(every);
            writeln!(out, "  A release is made by itself, at most one in {every}.")?;
        }
        (None, None) => {}
    }
    let first = it.history.len().saturating_sub(LISTED);
    it.history[first..].iter().try_for_each(|past| {
        write!(out, "    ")?;
        self::past(past, out, style)
    })
}

fn past(it: &PastRound, out: &mut dyn Write, style: Style) -> io::Result<()> {
    write!(out, "round {}", it.round)?;
    match &it.failed {
        Some(why) => {
            writeln!(out, ", attempt {}: {} {}", it.attempt + 1, style.bad("failed:"), clean(why))
        }
        None => {
            let loss = it.loss.map_or_else(String::new, |(before, after)| {
                format!(", held-out loss {before:.4} to {after:.4}")
            });
            let members = count(it.participants.into(), "member");
            let clipped =
                it.clipped.filter(|share| *share > 0.0).map_or_else(String::new, |share| {
                    format!(", {:.0}% of the updates shortened", 100.0 * share)
                });
            match it.no_worse {
                Some(share) => {
                    let percent = 100.0 * share;
                    writeln!(out, ": evaluated by {members}{loss}, {percent:.0}% do no worse")
                }
                None => {
                    let norm = it.norm.unwrap_or(0.0);
                    writeln!(out, ": {members}, update {norm:.4}{loss}{clipped}")
                }
            }
        }
    }
}

/// What is done for a round: `training for round 3, 40%`.
fn now(doing: &str, round: Option<u64>, training: Option<StepsInfo>) -> String {
    let round = round.map_or_else(String::new, |round| format!(" for round {round}"));
    let percent = training.and_then(|steps| (steps.done * 100).checked_div(steps.total));
    let percent = percent.map_or_else(String::new, |percent| format!(", {percent}%"));
    // What waits says why, with a text that the round does not go behind.
    let round = if doing.starts_with("waiting") { String::new() } else { round };
    format!("{}{round}{percent}", clean(doing))
}

/// What is done for a group's round, on a line of its own.
pub fn learning_now(it: &LearningNow, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", it.group, now(&it.doing, it.round, it.training))
}

/// The phase of a round: `Round 3 (attempt 2), uploads, 12 s left`.
pub fn phase(it: &RoundInfo, at: UnixMillis) -> String {
    let left = it.ends.map(|ends| Duration::from_millis(ends.0.saturating_sub(at.0)));
    let left = left.map_or_else(String::new, |left| format!(", {} left", duration(left)));
    format!("Round {}{}: {}{left}", it.round, again(it.attempt), it.phase)
}

fn again(attempt: u32) -> String {
    if attempt > 0 { format!(" (attempt {})", attempt + 1) } else { String::new() }
}

/// How loud the noise is beside what is learnt, and what helps where it drowns that.
fn noise(it: &NoiseInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let ratio = rounded_up(it.over_signal, 2);
    let (of_each, all) = match it.documents {
        0 => (String::new(), "updates"),
        documents => (format!(" of {} each", count(documents.into(), "document")), "gradients"),
    };
    writeln!(
        out,
        "  Noise over signal {ratio} with {}{of_each} and {} values, at best: if all {all} are at the clip norm and point the same way.",
        count(it.cohort.into(), "member"),
        it.values,
    )?;
    if it.over_signal > 1.0 {
        let louder = if it.total > 1.01 * it.multiplier {
            ", a larger smallest cohort (--min-cohort: each adds the noise that the fewest have to)"
        } else {
            ""
        };
        writeln!(
            out,
            "  {} more members{louder}, a lower rank, fewer rounds, or a larger epsilon help.",
            style.bad("The noise drowns the signal:")
        )?;
    }
    Ok(())
}

/// The collections and files of pairs that are learnt from.
fn sources(it: &OptIn) -> String {
    let names = it.collections.iter().map(|name| name.as_str().to_owned());
    let files = it.pairs.iter().map(|file| clean(&file.to_string_lossy()));
    names.chain(files).collect::<Vec<_>>().join(", ")
}

/// The terms on which this node takes part.
pub fn limits(it: &OptIn, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let mut line = |what: &str, is: String| writeln!(out, "  {what:<11} {is}");
    line("learns from", sources(it))?;
    match it.epsilon {
        Some(epsilon) => {
            let each = of_each(it.unit);
            line("epsilon", format!("{epsilon}{each} for all rounds, at delta {}", it.delta))?;
            line("", format!("{} for one attempt", it.round_epsilon.unwrap_or(epsilon)))?;
        }
        None => line("epsilon", "no bound: takes part without noise".to_owned())?,
    }
    if it.unit == Unit::Document {
        line("", BY_DOCUMENT.to_owned())?;
    }
    line(
        "honest",
        format!(
            "{} at least, with {}% colluding",
            count(it.min_honest.into(), "member"),
            f64::from(it.collusion_permille) / 10.0
        ),
    )?;
    if let Some(seconds) = it.known_for_s.filter(|seconds| *seconds > 0) {
        line(
            "",
            format!("in the group for {}, and not invited by the coordinator", span(seconds)),
        )?;
    }
    line("a round", format!("{}, {}", count(it.max_steps.into(), "step"), bytes(it.max_bytes)))?;
    let schedule = &it.schedule;
    let when: Vec<&str> = schedule
        .when
        .iter()
        .map(|condition| match condition {
            Condition::Idle => "while the machine is idle",
            Condition::Mains => "on mains power",
        })
        .collect();
    let hours: Vec<String> = schedule.hours.iter().map(ToString::to_string).collect();
    let when = if when.is_empty() { "at any time".to_owned() } else { when.join(" and ") };
    let hours = if hours.is_empty() { String::new() } else { format!(", {}", hours.join(", ")) };
    line("trains", format!("{when}{hours}"))?;
    line("", format!("at most {}% of the time", 100.0 * schedule.cpu_share))?;
    writeln!(out, "Change one: {}", style.bold(&format!("covey train limits {} --help", it.group)))
}

/// Something that changed in a group's rounds.
pub fn watched(it: &Watched, out: &mut dyn Write, style: Style) -> io::Result<()> {
    write!(out, "{}  {}: ", time(it.at.0), style.bold(it.group.as_str()))?;
    match &it.change {
        Change::Plan(PlanInfo { round, attempt, check_in_by, .. }) => {
            let left = Duration::from_millis(check_in_by.0.saturating_sub(it.at.0));
            writeln!(out, "follows round {round}{}, {} to train", again(*attempt), duration(left))
        }
        Change::Doing { doing: Some(doing), training } => {
            writeln!(out, "{}", now(doing, None, *training))
        }
        Change::Doing { doing: None, .. } => writeln!(out, "nothing is done here"),
        Change::Summed { rounds } => writeln!(out, "summed, in {} by now", count(*rounds, "round")),
        Change::Refused { why } => {
            writeln!(out, "{} {}", style.bad("no part is taken:"), clean(why))
        }
        Change::Phase(round) => {
            writeln!(out, "{}, {} of {} done", phase(round, it.at), round.done, round.participants)
        }
        Change::Over { ended } => past(ended, out, style),
        Change::Left { rounds: Some(left) } => {
            writeln!(out, "{} left", count((*left).into(), "round"))
        }
        Change::Left { rounds: None } => writeln!(out, "no rounds are under way"),
        Change::Problem { why } => writeln!(out, "{} {}", style.bad("cannot go on:"), clean(why)),
    }
}

/// Seconds in the largest unit that they are a whole number of.
fn span(seconds: u64) -> String {
    let units = [(3_600, "hour"), (60, "minute")];
    let found = units.iter().find(|(unit, _)| seconds.is_multiple_of(*unit));
    match (seconds / 86_400, seconds % 86_400) {
        (1, 0) => "a day".to_owned(),
        (days, 0) => format!("{days} days"),
        _ => found
            .map_or_else(|| count(seconds, "second"), |(unit, name)| count(seconds / unit, name)),
    }
}

/// The releases of a group's model.
pub fn releases(it: &ReleaseList, out: &mut dyn Write, style: Style) -> io::Result<()> {
    if it.releases.is_empty() {
        writeln!(
            out,
            "No release yet: the coordinator makes one with `covey model release`, or `covey train start --release`."
        )?;
    }
    it.releases.iter().try_for_each(|it| release(it, out, style))?;
    if let Some(why) = &it.not_adopted {
        writeln!(out, "The current one is not used: {}.", clean(why))?;
    }
    if let Some(next) = &it.next_release {
        writeln!(out, "The next release {}.", clean(next))?;
    }
    let follows = match it.adopt {
        Adopt::Auto => "New ones are used by themselves if they do no worse on your own pairs",
        Adopt::Ask => "New ones are not used by themselves (`covey model follow`)",
    };
    writeln!(out, "{follows}; {} are kept besides those in use.", count(it.keep.into(), "old one"))
}

fn release(it: &ReleaseInfo, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let here = match (&it.model, it.used) {
        (Some(name), true) => format!("{} (in use)", clean(name)),
        (Some(name), false) => clean(name),
        (None, _) => "not here (`covey model adopt`)".to_owned(),
    };
    writeln!(out, "{}  {}  {here}", style.bold(&format!("release {}", it.number)), it.id)?;
    if let Some(why) = &it.declined {
        writeln!(out, "  declined: {}", clean(why))?;
    }
    let Some(found) = &it.evaluation else { return Ok(()) };
    let (before, after) = found.loss;
    writeln!(
        out,
        "  evaluated by {}, as the coordinator says: loss {before:.4} to {after:.4}, {:.0}% do no worse",
        count(found.members.into(), "member"),
        100.0 * found.no_worse
    )
}

/// A release that is used from now on.
pub fn adopted(it: &AdoptedRelease, out: &mut dyn Write, style: Style) -> io::Result<()> {
    let judged = it.loss.map_or_else(String::new, |(before, after)| {
        format!(", loss on pairs of your own files {before:.4} to {after:.4}")
    });
    writeln!(out, "Uses release {} as {}{judged}.", it.number, style.bold(&clean(&it.model)))
}

/// What is not promised by who protects documents.
const BY_DOCUMENT: &str =
    "Any one document is protected; all of them together, and what they have in common, are not.";

/// What an epsilon is of, where it is not all that the peer has.
const fn of_each(unit: Unit) -> &'static str {
    match unit {
        Unit::Peer => "",
        Unit::Document => " for any one document",
    }
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
    if accounts.iter().any(|it| it.unit == "document" && it.budget.is_some()) {
        writeln!(
            out,
            "Document level: {BY_DOCUMENT} Rounds by document leave the peer and its collections as a whole without a bound."
        )?;
    }
    writeln!(
        out,
        "Assuming the noise that each round's plan promised: that of its fewest honest participants. Every round joined counts in full."
    )
}
