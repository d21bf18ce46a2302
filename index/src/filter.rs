//! Filters over a file's facts: `type == pdf and size < 2MB`, `tag in (work, urgent)`.
//!
//! Start from [`Filter::parse`]; [`Filter::matches`] asks whether something that tells its
//! [`Facts`] passes. The language, its rules (`FLT-01` ...) and a table of cases are in
//! `docs/spec/filters.md`. An expression is bounded in length, depth and the size of its regular
//! expressions, so that one typed by a stranger costs no more than one's own.

mod date;
mod error;
mod eval;
mod parse;
mod print;
mod token;
mod value;

#[cfg(test)]
mod tests;

use regex::Regex;

pub use error::FilterError;
use value::Literal;

/// The longest expression, in bytes (FLT-02).
pub const MAX_FILTER_BYTES: usize = 4096;
/// How deep parentheses and `not` may nest (FLT-02).
const MAX_DEPTH: usize = 32;
/// The most regular expressions in one filter (FLT-02).
const MAX_PATTERNS: usize = 16;
/// The longest name of a custom key, in bytes (FLT-02).
const MAX_KEY_BYTES: usize = 64;

/// What a filter may ask of a file, or of one section of it.
pub trait Facts {
    /// The path below the root that was added, parts joined by `/`, what is no Unicode replaced.
    fn path(&self) -> &str;
    /// The name of the format, in lower case: `pdf`, `markdown`.
    fn kind(&self) -> &str;
    /// The file's size in bytes.
    fn size(&self) -> u64;
    /// Time of last modification, in nanoseconds since 1970; negative before.
    fn modified_ns(&self) -> i64;
    /// Visits every value of a key such as `author` or `tag`; the key is in lower case. Nothing is
    /// visited where the key is missing.
    fn values(&self, key: &str, visit: &mut dyn FnMut(&str));
}

/// A parsed filter. Its [`Display`](std::fmt::Display) is an expression that means the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    root: Expr,
}

impl Filter {
    /// Parses an expression. `now_ns` is what `now` and `today` in it stand for, in nanoseconds
    /// since 1970.
    pub fn parse(text: &str, now_ns: i64) -> Result<Self, FilterError> {
        Ok(Self { root: parse::parse(text, now_ns)? })
    }

    /// Whether these facts pass.
    pub fn matches(&self, facts: &dyn Facts) -> bool {
        self.root.matches(facts)
    }

    /// What path, type, size and time alone decide: `Some` where no value of another key could
    /// change the answer. So a file can be ruled in or out before its sections are looked at.
    pub fn decide(&self, facts: &dyn Facts) -> Option<bool> {
        self.root.decide(facts)
    }

    /// Whether any key is asked that a section may answer differently from its file, that is,
    /// anything but path, type, size and time.
    pub fn needs_values(&self) -> bool {
        self.root.needs_values()
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Test(Field, Op),
}

#[derive(Clone, Debug, PartialEq)]
enum Field {
    Path,
    Kind,
    Size,
    Time,
    /// Any other key, in lower case.
    Key(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Op {
    Compare(Relation, Literal),
    In(Vec<Literal>),
    Contains(Literal),
    Matches(Pattern),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A regular expression, equal to another of the same text.
#[derive(Clone, Debug)]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}
