//! What a field may be.

use std::fmt;

use toml::Value;

/// Longest name.
const MAX_NAME: usize = 64;
/// Most characters of a value in a message.
const SHOWN: usize = 60;

/// What a field may be. Its text is what follows "it has to be".
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rule {
    /// A name, also of a folder.
    Name,
    /// A text of at most so many characters.
    Text(usize),
    /// Where a folder lies.
    Folder,
    /// Yes or no.
    Flag,
    /// A whole number.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A number.
    Number {
        /// The least, or what it has to be above.
        least: f64,
        /// Whether it has to be above.
        above: bool,
        /// The most.
        most: f64,
    },
    /// Two numbers, the smaller one first.
    Range {
        /// The least.
        least: f64,
        /// The most.
        most: f64,
    },
    /// One of some words.
    Choice(&'static [&'static str]),
}

impl Rule {
    pub(super) const fn whole(least: u64, most: u64) -> Self {
        Self::Whole { least, most }
    }

    pub(super) const fn number(least: f64, most: f64) -> Self {
        Self::Number { least, above: false, most }
    }

    pub(super) const fn above(least: f64, most: f64) -> Self {
        Self::Number { least, above: true, most }
    }

    pub(super) const fn range(least: f64, most: f64) -> Self {
        Self::Range { least, most }
    }

    /// Whether its values are texts, for which an override needs no quotes.
    pub(super) const fn is_text(&self) -> bool {
        matches!(self, Self::Name | Self::Text(_) | Self::Folder | Self::Choice(_))
    }

    /// Whether its values are numbers.
    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Whole { .. } | Self::Number { .. })
    }

    /// Whether `value` is what the rule says.
    pub(super) fn holds(&self, value: &Value) -> bool {
        match (*self, value) {
            (Self::Name, Value::String(text)) => is_name(text),
            (Self::Text(most), Value::String(text)) => text.chars().count() <= most,
            (Self::Folder, Value::String(text)) => !text.trim().is_empty(),
            (Self::Flag, Value::Boolean(_)) => true,
            (Self::Whole { least, most }, Value::Integer(number)) => {
                u64::try_from(*number).is_ok_and(|number| (least..=most).contains(&number))
            }
            (Self::Number { least, above, most }, value) => number(value).is_some_and(|number| {
                if above {
                    number > least && number <= most
                } else {
                    (least..=most).contains(&number)
                }
            }),
            (Self::Range { least, most }, Value::Array(two)) => match two.as_slice() {
                [low, high] => number(low)
                    .zip(number(high))
                    .is_some_and(|(low, high)| least <= low && low <= high && high <= most),
                _ => false,
            },
            (Self::Choice(words), Value::String(word)) => words.contains(&word.as_str()),
            (
                Self::Name
                | Self::Text(_)
                | Self::Folder
                | Self::Flag
                | Self::Whole { .. }
                | Self::Range { .. }
                | Self::Choice(_),
                _,
            ) => false,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => write!(
                f,
                "a name of at most {MAX_NAME} letters, digits, - and _ that begins with a letter or digit"
            ),
            Self::Text(most) => write!(f, "a text of at most {most} characters"),
            Self::Folder => f.write_str("the path of a folder"),
            Self::Flag => f.write_str("true or false"),
            Self::Whole { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Number { least, above: true, most } => {
                write!(f, "a number above {least} and at most {most}")
            }
            Self::Number { least, above: false, most } => {
                write!(f, "a number from {least} to {most}")
            }
            Self::Range { least, most } => {
                write!(
                    f,
                    "two numbers from {least} to {most}, the smaller one first, such as [{least}, {most}]"
                )
            }
            Self::Choice(words) => write!(f, "one of {}", words.join(", ")),
        }
    }
}

/// A value as a message shows it.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let cut: String = text.chars().take(SHOWN).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { text }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    begins && text.len() <= MAX_NAME && text.bytes().all(plain)
}

/// A number that is finite.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        // Beyond 2^53 this rounds, and every rule's bounds are far below.
        Value::Integer(whole) => *whole as f64,
        Value::Float(number) => *number,
        Value::String(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::Table(_) => return None,
    };
    number.is_finite().then_some(number)
}
