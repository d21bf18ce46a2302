//! What is wrong with a scenario, and where.

use std::fmt;

/// Most problems that are shown.
const SHOWN: usize = 20;

/// A scenario that cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ScenarioError {
    /// All that is wrong, in the file's order.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said; nothing for what was said nowhere.
    pub place: Option<Place>,
    /// What it is and what to do.
    pub what: String,
}

/// Where a field was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of the file, from 1.
    Line(usize),
    /// An override, as `key=value`.
    Set(String),
}

impl ScenarioError {
    pub(super) fn one(place: Option<Place>, what: impl Into<String>) -> Self {
        Self { problems: vec![Problem { place, what: what.into() }] }
    }

    /// An error, if there are problems.
    pub(super) fn unless_empty(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().take(SHOWN).enumerate() {
            let end = if number == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        let more = self.problems.len().saturating_sub(SHOWN);
        if more > 0 { write!(f, "\nand {more} more") } else { Ok(()) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place::Line(line)) => write!(f, "line {line}: ")?,
            Some(Place::Set(set)) => write!(f, "--set {set}: ")?,
            None => {}
        }
        f.write_str(&self.what)
    }
}
