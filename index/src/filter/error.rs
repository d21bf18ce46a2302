//! What is wrong with a filter, and where.

use std::fmt;

/// How many characters of the expression are shown on each side of the place.
const AROUND: usize = 40;

/// An expression that is no filter. Its message shows the place and says what was expected there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    /// Where in the expression, in bytes.
    pub at: usize,
    /// What is wrong there, and what would be right.
    pub what: String,
    before: String,
    after: String,
}

impl FilterError {
    pub(super) fn new(text: &str, at: usize, what: impl Into<String>) -> Self {
        let at = text.floor_char_boundary(at);
        let (before, after) = text.split_at(at);
        let start = before.char_indices().rev().take(AROUND).last().map_or(at, |(i, _)| i);
        let end = after.char_indices().nth(AROUND).map_or(after.len(), |(i, _)| i);
        Self {
            at,
            what: what.into(),
            before: printable(&before[start..]),
            after: printable(&after[..end]),
        }
    }
}

/// One harmless character for each control character, so that the marker stays below its place.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = self.before.chars().count();
        writeln!(f, "this filter cannot be read: {}", self.what)?;
        writeln!(f, "  {}{}", self.before, self.after)?;
        write!(f, "  {:column$}^", "")
    }
}

impl std::error::Error for FilterError {}
