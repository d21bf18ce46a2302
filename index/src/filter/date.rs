//! Dates and instants as spans of time: a day is all its nanoseconds (FLT-07).

use std::cmp::Ordering;

const SECOND: i128 = 1_000_000_000;
const DAY: i128 = 86_400 * SECOND;

/// Nanoseconds since 1970, from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: i128,
    end: i128,
}

impl Span {
    /// Where an instant lies: before, in, or after this span.
    pub(super) fn place(self, instant: i128) -> Ordering {
        if instant < self.start {
            Ordering::Less
        } else if instant < self.end {
            Ordering::Equal
        } else {
            Ordering::Greater
        }
    }
}

/// `2024`, `2024-01`, `2024-01-31`, `2024-01-31T10:00` with optional seconds, fraction and zone
/// (`Z` or `+01:00`; UTC without one). A space may stand for the `T`.
pub(super) fn parse_date(text: &str) -> Option<Span> {
    let mut rest = text;
    let year = digits(&mut rest, 4)?;
    if year == 0 {
        return None;
    }
    if rest.is_empty() {
        return Some(Span { start: days(year, 1, 1) * DAY, end: days(year + 1, 1, 1) * DAY });
    }
    let month = digits(take(&mut rest, "-")?, 2)?;
    if !(1..=12).contains(&month) {
        return None;
    }
    let next_month = if month == 12 { days(year + 1, 1, 1) } else { days(year, month + 1, 1) };
    if rest.is_empty() {
        return Some(Span { start: days(year, month, 1) * DAY, end: next_month * DAY });
    }
    let day = digits(take(&mut rest, "-")?, 2)?;
    let date = days(year, month, day);
    if day == 0 || date >= next_month {
        return None;
    }
    if rest.is_empty() {
        return Some(Span { start: date * DAY, end: (date + 1) * DAY });
    }
    let (offset, length) = time_of_day(rest.strip_prefix(['T', 't', ' '])?)?;
    let start = date * DAY + offset;
    Some(Span { start, end: start + length })
}

/// `now`, `today`, either with `-7d` or `+2h` after it: `s`, `m` (minutes), `h`, `d`, `w`.
pub(super) fn parse_relative(text: &str, now_ns: i64) -> Option<Span> {
    let now = i128::from(now_ns);
    let (base, offset) = match text.find(['-', '+']) {
        Some(sign) => text.split_at(sign),
        None => (text, ""),
    };
    let base = if base.eq_ignore_ascii_case("now") {
        Span { start: now, end: now + 1 }
    } else if base.eq_ignore_ascii_case("today") {
        let start = now.div_euclid(DAY) * DAY;
        Span { start, end: start + DAY }
    } else {
        return None;
    };
    let Some(sign) = offset.chars().next() else { return Some(base) };
    let amount = &offset[1..];
    let unit = match amount.chars().next_back()?.to_ascii_lowercase() {
        's' => SECOND,
        'm' => 60 * SECOND,
        'h' => 3600 * SECOND,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => return None,
    };
    let count = &amount[..amount.len() - 1];
    if !count.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let moved = i128::from(count.parse::<u32>().ok()?) * unit;
    let moved = if sign == '-' { -moved } else { moved };
    Some(Span { start: base.start + moved, end: base.end + moved })
}

/// Nanoseconds into the day (a zone may make them negative or more than a day), and how long the
/// unit written last lasts.
fn time_of_day(text: &str) -> Option<(i128, i128)> {
    let mut rest = text;
    let hour = digits(&mut rest, 2)?;
    let minute = digits(take(&mut rest, ":")?, 2)?;
    let mut at = i128::from(hour * 3600 + minute * 60) * SECOND;
    let mut length = 60 * SECOND;
    let mut second = 0;
    if take(&mut rest, ":").is_some() {
        second = digits(&mut rest, 2)?;
        at += i128::from(second) * SECOND;
        length = SECOND;
        if take(&mut rest, ".").is_some() {
            let places = rest.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&places) {
                return None;
            }
            length = 10i128.pow(9 - places as u32);
            at += i128::from(digits(&mut rest, places)?) * length;
        }
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some((at - zone(rest)?, length))
}

/// How far the zone is ahead of UTC.
fn zone(text: &str) -> Option<i128> {
    if text.is_empty() || text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let ahead = match text.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let mut rest = &text[1..];
    let hours = digits(&mut rest, 2)?;
    let minutes = if rest.is_empty() {
        0
    } else {
        let _ = take(&mut rest, ":");
        digits(&mut rest, 2)?
    };
    if !rest.is_empty() || hours > 23 || minutes > 59 {
        return None;
    }
    Some(ahead * i128::from(hours * 60 + minutes) * 60 * SECOND)
}

fn take<'r, 't>(rest: &'r mut &'t str, prefix: &str) -> Option<&'r mut &'t str> {
    *rest = rest.strip_prefix(prefix)?;
    Some(rest)
}

fn digits(rest: &mut &str, count: usize) -> Option<i64> {
    let head = rest.get(..count)?;
    if !head.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    *rest = &rest[count..];
    head.parse().ok()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; `year` is 1 or later.
fn days(year: i64, month: i64, day: i64) -> i128 {
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][month as usize - 1];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years = year - 1;
    let leaps = years / 4 - years / 100 + years / 400;
    let this_year = before + day - 1 + i64::from(leap && month > 2);
    // 719,162 days lie between 0001-01-01 and 1970-01-01.
    i128::from(years * 365 + leaps + this_year - 719_162)
}
