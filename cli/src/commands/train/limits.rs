//! `covey train limits`, and the options about time and machine that it shares with `opt-in`.

use clap::Args;
use covey_node::api::{ApiError, Call, ChangeLimits, Condition, Hours, Schedule};
use covey_protocol::ids::Name;

use crate::session::Session;
use crate::text::{parse_permille, parse_seconds, parse_size};

const EXAMPLES: &str = "\
Examples: covey train limits lab                                (show them)
          covey train limits lab --epsilon 12                   (a larger budget; the ledger hears of it)
          covey train limits lab --when idle,mains --hours 22:00-06:00 --cpu-share 0.5
          covey train limits lab --when any --hours any         (train at any time again)";

/// Show the terms on which this node takes part, or change some of them
///
/// What is not named stays as it is. Times and shares are heeded at once; where another term changes, training that is under way begins
/// anew, and only an update that was masked already stays in its round. `covey train opt-in` chooses other collections, and whether noise is asked for.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LimitsArgs {
    /// The group
    group: Name,
    /// The most that all rounds together may give away
    #[arg(long)]
    epsilon: Option<f64>,
    /// The chance that they give away more
    #[arg(long)]
    delta: Option<f64>,
    /// The most that one round may give away
    #[arg(long)]
    round_epsilon: Option<f64>,
    /// Fewest honest members whose updates are summed, yours included
    #[arg(long)]
    min_honest: Option<u32>,
    /// Share of the members that may collude with the coordinator without harm, from 0 to below 0.5
    #[arg(long, value_parser = parse_permille, value_name = "SHARE")]
    collusion: Option<u16>,
    /// Count towards --min-honest only members who have been in the group so long, and whom the coordinator did not invite; any to
    /// count all
    #[arg(long, value_name = "TIME", value_parser = parse_known_for)]
    known_for: Option<u64>,
    /// Most steps of training in a round
    #[arg(long)]
    max_steps: Option<u32>,
    /// Most bytes of values and masked update in a round, such as 64MiB
    #[arg(long, value_parser = parse_size)]
    max_bytes: Option<u64>,
    #[command(flatten)]
    schedule: ScheduleArgs,
}

/// When, and how much of the time, training may go on.
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// Train only while the machine is idle, on mains power, or both: any, idle, mains or idle,mains
    ///
    /// Idle: over the last ten seconds or more, work of normal priority has taken at most a fifth of all processors. A machine without a
    /// battery is on mains power. What cannot be told (`covey train status` says so) keeps training waiting.
    #[arg(long, value_parser = parse_when, value_name = "WHEN")]
    when: Option<When>,
    /// Train only in these parts of the day, in local time: 22:00-06:00, several with commas, or any
    #[arg(long, value_parser = parse_hours, value_name = "HOURS")]
    hours: Option<Parts>,
    /// Share of the time that training takes at most, of every processor: it rests between steps
    #[arg(long, value_name = "SHARE")]
    cpu_share: Option<f64>,
}

/// Conditions as they were typed.
#[derive(Debug, Clone)]
struct When(Vec<Condition>);

/// Parts of the day as they were typed.
#[derive(Debug, Clone)]
struct Parts(Vec<Hours>);

impl ScheduleArgs {
    /// As a schedule of its own.
    pub fn schedule(self) -> Schedule {
        let nothing = Schedule::default();
        Schedule {
            when: self.when.map_or(nothing.when, |When(when)| when),
            hours: self.hours.map_or(nothing.hours, |Parts(hours)| hours),
            cpu_share: self.cpu_share.unwrap_or(nothing.cpu_share),
        }
    }
}

impl LimitsArgs {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let change = ChangeLimits {
            group: self.group,
            epsilon: self.epsilon,
            delta: self.delta,
            round_epsilon: self.round_epsilon,
            min_honest: self.min_honest,
            collusion_permille: self.collusion,
            known_for_s: self.known_for,
            max_steps: self.max_steps,
            max_bytes: self.max_bytes,
            when: self.schedule.when.map(|When(when)| when),
            hours: self.schedule.hours.map(|Parts(hours)| hours),
            cpu_share: self.schedule.cpu_share,
        };
        session.show(Call::TrainLimits(change), "looking")
    }
}

fn parse_known_for(text: &str) -> Result<u64, String> {
    if text == "any" { Ok(0) } else { parse_seconds(text) }
}

fn parse_when(text: &str) -> Result<When, String> {
    let mut when = Vec::new();
    if text == "any" {
        return Ok(When(when));
    }
    for name in text.split(',') {
        let condition = match name {
            "idle" => Condition::Idle,
            "mains" => Condition::Mains,
            _ => return Err(format!("`{name}` is none of any, idle and mains")),
        };
        if !when.contains(&condition) {
            when.push(condition);
        }
    }
    Ok(When(when))
}

fn parse_hours(text: &str) -> Result<Parts, String> {
    if text == "any" {
        return Ok(Parts(Vec::new()));
    }
    let parts = text.split(',').map(str::parse);
    parts
        .collect::<Result<_, _>>()
        .map(Parts)
        .map_err(|error: covey_node::api::ParseHoursError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_and_parts_of_the_day_are_read_as_typed() {
        let cases: [(&str, Option<&[Condition]>); 7] = [
            ("any", Some(&[])),
            ("idle", Some(&[Condition::Idle])),
            ("mains,idle", Some(&[Condition::Mains, Condition::Idle])),
            ("mains,mains", Some(&[Condition::Mains])),
            ("idle,any", None),
            ("", None),
            ("night", None),
        ];
        for (text, expected) in cases {
            let found = parse_when(text).ok().map(|When(when)| when);
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        let parts = |text| parse_hours(text).map(|Parts(parts)| parts.len());
        assert_eq!((parts("any"), parts("22:00-06:00,12:00-13:00")), (Ok(0), Ok(2)));
        assert!(parts("22:00-06:00,").is_err() && parts("").is_err());
    }
}
