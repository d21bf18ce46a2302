//! What a filter compares with.

use std::cmp::Ordering;

use super::date::{Span, parse_date, parse_relative};

/// A value as it was written, and what it can stand for (FLT-05 to FLT-08).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    /// As written, without its quotes.
    pub(super) text: String,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Size(u64),
    Time(Span),
    /// Of a field that is text or may be anything.
    Any {
        folded: String,
        number: Option<f64>,
        span: Option<Span>,
    },
}

impl Literal {
    pub(super) fn size(text: &str) -> Option<Self> {
        Some(Self { text: text.to_owned(), value: Value::Size(parse_size(text)?) })
    }

    pub(super) fn time(text: &str, now_ns: i64) -> Option<Self> {
        let span = parse_date(text).or_else(|| parse_relative(text, now_ns))?;
        Some(Self { text: text.to_owned(), value: Value::Time(span) })
    }

    /// Text and nothing else.
    pub(super) fn text(text: &str) -> Self {
        let value = Value::Any { folded: fold(text), number: None, span: None };
        Self { text: text.to_owned(), value }
    }

    /// A number, a date or text, whatever it can be read as.
    pub(super) fn any(text: &str, now_ns: i64) -> Self {
        let span = parse_date(text).or_else(|| parse_relative(text, now_ns));
        let value = Value::Any { folded: fold(text), number: parse_number(text), span };
        Self { text: text.to_owned(), value }
    }

    /// How a size in bytes compares with this.
    pub(super) fn place_size(&self, size: u64) -> Option<Ordering> {
        match &self.value {
            Value::Size(limit) => Some(size.cmp(limit)),
            Value::Time(_) | Value::Any { .. } => None,
        }
    }

    /// How a time compares with this.
    pub(super) fn place_time(&self, ns: i64) -> Option<Ordering> {
        match &self.value {
            Value::Time(span) => Some(span.place(i128::from(ns))),
            Value::Size(_) | Value::Any { .. } => None,
        }
    }

    /// How a text compares with this: as numbers, else as dates, else as text; `None` where the
    /// literal is a number or a date and the text is neither (FLT-06).
    pub(super) fn place_text(&self, text: &str) -> Option<Ordering> {
        let Value::Any { folded, number, span } = &self.value else { return None };
        if let Some(number) = number
            && let Some(fact) = parse_number(text)
        {
            return fact.partial_cmp(number);
        }
        if let Some(span) = span
            && let Some(fact) = parse_date(text)
        {
            return Some(span.place(fact.start));
        }
        if number.is_some() || span.is_some() {
            return folds(text).eq(folded.chars()).then_some(Ordering::Equal);
        }
        Some(folds(text).cmp(folded.chars()))
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        match &self.value {
            Value::Any { folded, .. } => fold(text).contains(folded.as_str()),
            Value::Size(_) | Value::Time(_) => false,
        }
    }
}

/// Lower case, character by character, so that it does not depend on what is around.
fn fold(text: &str) -> String {
    folds(text).collect()
}

fn folds(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

/// A plain decimal number, finite.
fn parse_number(text: &str) -> Option<f64> {
    let plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    if !text.chars().all(plain) {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The units of [`parse_size`], in lower case, and their bytes.
const UNITS: [(&str, u64); 14] = [
    ("b", 1),
    ("k", 1_000),
    ("kb", 1_000),
    ("m", 1_000_000),
    ("mb", 1_000_000),
    ("g", 1_000_000_000),
    ("gb", 1_000_000_000),
    ("t", 1_000_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("bytes", 1),
];

/// Bytes of a unit, in any case.
pub(super) fn unit(text: &str) -> Option<u64> {
    UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, bytes)| bytes)
}

/// `2MB`, `1.5GiB`, `300`.
fn parse_size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let unit = if rest.is_empty() { 1 } else { unit(rest)? };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let bytes = number.parse::<f64>().ok()? * unit as f64;
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}
