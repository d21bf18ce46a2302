//! When, and how much of the time, a node trains for rounds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// The smallest share of the time that training may be given: below it, hardly a step would be taken in a window.
const LEAST_SHARE: f64 = 0.01;
/// Most parts of a day.
const MAX_HOURS: usize = 24;

/// When, and how much of the time, a node trains. Nothing is forbidden by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// What has to hold, all of it; empty for nothing.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The parts of the day, in local time; empty for all of it.
    #[serde(default)]
    pub hours: Vec<Hours>,
    /// The largest share of the time, above 0 and at most 1.
    #[serde(default = "all")]
    pub cpu_share: f64,
}

fn all() -> f64 {
    1.0
}

impl Default for Schedule {
    fn default() -> Self {
        Self { when: Vec::new(), hours: Vec::new(), cpu_share: all() }
    }
}

impl Schedule {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// What does not, for the person who wrote it.
    pub fn check(&self) -> Result<(), String> {
        if !(LEAST_SHARE..=1.0).contains(&self.cpu_share) {
            return Err(format!(
                "training takes a share of the time between {LEAST_SHARE} and 1, not {}",
                self.cpu_share
            ));
        }
        if self.hours.len() > MAX_HOURS || self.when.len() > 2 {
            return Err(format!("at most {MAX_HOURS} parts of a day, and each condition once"));
        }
        Ok(())
    }
}

/// What has to hold for training to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Nothing of normal priority takes more than a fifth of the processors.
    Idle,
    /// The machine is on mains power.
    Mains,
}

/// A part of the day, from a minute on and up to another one; past midnight where that comes earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    to: u16,
}

impl Hours {
    /// Whether a minute of the day is in it.
    pub const fn contains(self, minute: u16) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }

    /// Minutes from `minute` until it begins.
    pub const fn begins_in(self, minute: u16) -> u16 {
        (self.from + DAY - minute % DAY) % DAY
    }

    /// When it begins, as `22:00`.
    pub fn beginning(self) -> String {
        clock(self.from)
    }
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// A text that is no part of a day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no part of a day: write it as 22:00-06:00, with two different times")]
pub struct ParseHoursError(String);

impl FromStr for Hours {
    type Err = ParseHoursError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let minute = |text: &str, most: u16| {
            let (hours, minutes) = text.split_once(':')?;
            let digits = |text: &str| match text.len() {
                1 | 2 if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse::<u16>().ok(),
                _ => None,
            };
            let (hours, minutes) = (digits(hours)?, digits(minutes)?);
            Some(60 * hours + minutes).filter(|minute| minutes < 60 && *minute <= most)
        };
        let parsed = text.trim().split_once('-').and_then(|(from, to)| {
            let (from, to) = (minute(from.trim(), DAY - 1)?, minute(to.trim(), DAY)?);
            (from != to).then_some(Self { from, to })
        });
        parsed.ok_or_else(|| ParseHoursError(text.to_owned()))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", clock(self.from), clock(self.to))
    }
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_day_wrap_around_midnight_and_leave_out_their_end() {
        // The part, a minute, whether it is in, and minutes until it begins.
        let cases = [
            ("22:00-06:00", 22 * 60, true, 0),
            ("22:00-06:00", 23 * 60 + 59, true, 1_321),
            ("22:00-06:00", 0, true, 22 * 60),
            ("22:00-06:00", 5 * 60 + 59, true, 961),
            ("22:00-06:00", 6 * 60, false, 16 * 60),
            ("22:00-06:00", 21 * 60 + 59, false, 1),
            ("9:00-17:30", 9 * 60, true, 0),
            ("9:00-17:30", 17 * 60 + 30, false, 930),
            ("00:00-24:00", 1_439, true, 1),
            ("00:00-24:00", 0, true, 0),
        ];
        for (text, minute, within, wait) in cases {
            let hours: Hours = text.parse().expect(text);
            assert_eq!((hours.contains(minute), hours.begins_in(minute)), (within, wait), "{text}");
            assert_eq!(hours.to_string().parse(), Ok(hours));
        }
    }

    #[test]
    fn what_is_no_part_of_a_day_is_refused() {
        for text in [
            "",
            "22:00",
            "22-6",
            "22:00-22:00",
            "24:00-06:00",
            "22:60-06:00",
            "22:00-24:01",
            "-1:00-06:00",
            "22:00-06:00-07:00",
            "+2:00-06:00",
            "022:00-06:00",
            "a:b-c:d",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
            let json = format!("\"{text}\"");
            assert!(serde_json::from_str::<Hours>(&json).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_are_bounded() {
        for (cpu_share, fine) in [
            (1.0, true),
            (0.5, true),
            (0.01, true),
            (0.0, false),
            (-1.0, false),
            (1.01, false),
            (f64::NAN, false),
            (f64::INFINITY, false),
        ] {
            let schedule = Schedule { cpu_share, ..Schedule::default() };
            assert_eq!(schedule.check().is_ok(), fine, "{cpu_share}");
        }
    }
}
