//! Dates as people and programs write them, in one spelling that compares as text.

use mail_parser::DateTime;

/// Most of a date that is looked at.
const MAX_LEN: usize = 64;

/// A year, month, day or instant in ISO 8601, an instant in UTC and to the second; none where the text
/// is no date. A time without a zone is taken for UTC.
pub(super) fn normal(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > MAX_LEN {
        return None;
    }
    iso(text).or_else(|| {
        let date = DateTime::parse_rfc822(text)?;
        let months =
            ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
        let lower = text.to_ascii_lowercase();
        months.iter().any(|month| lower.contains(month)).then_some(())?;
        instant(&date)
    })
}

/// An instant as text, in UTC.
pub(super) fn instant(date: &DateTime) -> Option<String> {
    let sound = date.year >= 1
        && date.year <= 9999
        && (1..=12).contains(&date.month)
        && (1..=31).contains(&date.day)
        && date.hour < 24
        && date.minute < 60
        && date.second <= 60
        && date.tz_hour < 24
        && date.tz_minute < 60;
    if !sound {
        return None;
    }
    let utc = DateTime::from_timestamp(date.to_timestamp());
    Some(format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second
    ))
}

/// What PDF makes of it: `D:YYYYMMDDHHmmSS` and perhaps a zone.
pub(super) fn compact(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches("D:");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let part = |at: usize| text.get(at..at + 2);
    let day = match digits {
        0..4 => return None,
        4..6 => return text.get(..4).map(str::to_owned),
        6..8 => return normal(&format!("{}-{}", &text[..4], part(4)?)),
        _ => format!("{}-{}-{}", &text[..4], part(4)?, part(6)?),
    };
    if digits < 12 {
        return normal(&day);
    }
    let second = if digits >= 14 { part(12)? } else { "00" };
    let zone = text[digits..].replace('\'', "");
    normal(&format!("{day}T{}:{}:{second}{zone}", part(8)?, part(10)?))
}

fn iso(text: &str) -> Option<String> {
    let mut scan = Scan(text);
    let year = scan.number(4, 4)?;
    if scan.0.is_empty() {
        return Some(format!("{year:04}"));
    }
    let separator = scan.one_of(&['-', '/', '.'])?;
    let month = scan.number(1, 2).filter(|month| (1..=12).contains(month))?;
    if scan.0.is_empty() {
        return Some(format!("{year:04}-{month:02}"));
    }
    scan.one_of(&[separator])?;
    let day = scan.number(1, 2).filter(|day| (1..=31).contains(day))?;
    if scan.0.is_empty() {
        return Some(format!("{year:04}-{month:02}-{day:02}"));
    }
    scan.one_of(&['T', 't', ' '])?;
    let hour = scan.number(1, 2)?;
    scan.one_of(&[':'])?;
    let minute = scan.number(2, 2)?;
    let mut second = 0;
    if scan.one_of(&[':']).is_some() {
        second = scan.number(2, 2)?;
        if scan.one_of(&['.', ',']).is_some() {
            scan.0 = scan.0.trim_start_matches(|c: char| c.is_ascii_digit());
        }
    }
    let (before_gmt, tz_hour, tz_minute) = scan.zone()?;
    instant(&DateTime {
        year: year as u16,
        month: month as u8,
        day: day as u8,
        hour: hour as u8,
        minute: minute as u8,
        second: second as u8,
        tz_before_gmt: before_gmt,
        tz_hour: tz_hour as u8,
        tz_minute: tz_minute as u8,
    })
}

/// What is left to read.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn number(&mut self, least: usize, most: usize) -> Option<u32> {
        let digits = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        (digits >= least).then(|| number.parse().ok()).flatten()
    }

    fn one_of(&mut self, marks: &[char]) -> Option<char> {
        let mark = self.0.chars().next().filter(|c| marks.contains(c))?;
        self.0 = &self.0[mark.len_utf8()..];
        Some(mark)
    }

    /// Whether before Greenwich, hours and minutes; none where something else follows.
    fn zone(&mut self) -> Option<(bool, u32, u32)> {
        self.0 = self.0.trim();
        if matches!(self.0, "" | "Z" | "z" | "UTC" | "GMT") {
            return Some((false, 0, 0));
        }
        let sign = self.one_of(&['+', '-'])?;
        let hour = self.number(2, 2)?;
        self.one_of(&[':']);
        let minute = if self.0.is_empty() { 0 } else { self.number(2, 2)? };
        self.0.is_empty().then_some((sign == '-', hour, minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_one_spelling() {
        for (text, expected) in [
            ("2024", Some("2024")),
            ("2024-5", Some("2024-05")),
            (" 2024-05-01 ", Some("2024-05-01")),
            ("2024/5/1", Some("2024-05-01")),
            ("2024-05-01T10:30:00Z", Some("2024-05-01T10:30:00Z")),
            ("2024-05-01 00:30:59.25 +0200", Some("2024-04-30T22:30:59Z")),
            ("2024-12-31T23:30-01:00", Some("2025-01-01T00:30:00Z")),
            ("Wed, 01 May 2024 10:30:00 +0200", Some("2024-05-01T08:30:00Z")),
            ("2024-13-01", None),
            ("2024-05-01T25:00", None),
            ("2024-05-01T10:00+99:99", None),
            ("20240501", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(normal(text).as_deref(), expected, "{text:?}");
        }
        for (text, expected) in [
            ("D:20240501103000+02'00'", Some("2024-05-01T08:30:00Z")),
            ("D:20240501103000Z", Some("2024-05-01T10:30:00Z")),
            ("D:20240501", Some("2024-05-01")),
            ("D:2024", Some("2024")),
            ("D:2024é", Some("2024")),
            ("never", None),
        ] {
            assert_eq!(compact(text).as_deref(), expected, "{text:?}");
        }
    }
}
