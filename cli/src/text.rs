//! Text for terminals: peers' words made harmless, lines cut to width, numbers for people.

use std::time::Duration;

/// `text` on one line, without anything that could move the cursor, change colours, reorder
/// what is seen or hide it.
pub fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_whitespace() => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c if is_harmful(c) => line.push('\u{fffd}'),
            c => line.push(c),
        }
    }
    line.trim().to_owned()
}

/// `text` as it stands, spaces included, with what [`clean`] replaces replaced.
pub fn visible(text: &str) -> String {
    let shown = text.trim_end().chars().map(|c| match c {
        c if c.is_whitespace() => ' ',
        c if is_harmful(c) => '\u{fffd}',
        c => c,
    });
    shown.collect()
}

/// Control characters, bidirectional overrides, invisible and private-use characters.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e007f}' | '\u{f0000}'..='\u{10ffff}')
}

/// `text`, cleaned and broken into at most `most` lines of about `width` characters; what
/// does not fit is marked by an ellipsis.
pub fn wrap(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let text = clean(text);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let full = lines.len() == most;
        let fits = lines
            .last()
            .is_some_and(|line| line.chars().count() + 1 + word.chars().count() <= width);
        match lines.last_mut() {
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            Some(line) if full => {
                line.push('…');
                break;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A duration as a person would say it: `350 µs`, `12 ms`, `1.3 s`, `2 min 5 s`.
pub fn duration(duration: Duration) -> String {
    let us = duration.as_micros();
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{} ms", us / 1_000),
        1_000_000..60_000_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

/// Bytes in binary units: `812 B`, `3.4 KiB`.
pub fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// `1 file`, `2 files`.
pub fn count(n: u64, noun: &str) -> String {
    let plural = match noun.strip_suffix('y') {
        Some(stem) if n != 1 => return format!("{n} {stem}ies"),
        _ if n == 1 => "",
        _ => "s",
    };
    format!("{n} {noun}{plural}")
}

/// A UTC time as `2026-11-22 17:31:41Z`.
pub fn time(unix_ms: u64) -> String {
    let seconds = unix_ms / 1_000;
    let (year, month, day) = civil(seconds / 86_400);
    let (h, m, s) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {h:02}:{m:02}:{s:02}Z")
}

/// A UTC time as `2026-11-22T17:31:41.250Z`.
pub fn time_exact(unix_ms: u64) -> String {
    let text = time(unix_ms).replace(' ', "T");
    format!("{}.{:03}Z", text.trim_end_matches('Z'), unix_ms % 1_000)
}

/// Year, month and day of a day since 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

/// Reads `8MB`, `64MiB` or plain bytes.
///
/// # Errors
/// If it is none of these, or too large.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let units = [
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ];
    let unit = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, bytes) = unit.unwrap_or((text, 1));
    let number = number.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(bytes));
    number.ok_or_else(|| "expected a size such as 8MB, 512kB or 64MiB, or 0".to_owned())
}

/// Reads `90s`, `15m`, `2h` or `7d` as seconds.
///
/// # Errors
/// If it is none of these, or too large.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    let error = || format!("`{text}` is no duration; write for example 90s, 15m, 2h or 7d");
    let split = text.len() - text.chars().last().map_or(0, char::len_utf8);
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    let number: u64 = number.parse().map_err(|_| error())?;
    number.checked_mul(factor).filter(|seconds| *seconds > 0).ok_or_else(error)
}

/// The same, but nothing at all, `0s`, is a pause too.
///
/// # Errors
/// If it is no duration, or too large.
pub fn parse_pause(text: &str) -> Result<u64, String> {
    if text == "0s" { Ok(0) } else { parse_seconds(text) }
}

/// Reads `800us`, `5ms` or `1.5s` as the time that a search may take.
///
/// # Errors
/// If it is none of these, or not between a microsecond and a minute.
pub fn parse_latency(text: &str) -> Result<Duration, String> {
    let units = [("us", 1.0), ("µs", 1.0), ("ms", 1e3), ("s", 1e6)];
    let found = units.iter().find_map(|(unit, us)| Some((text.strip_suffix(unit)?, us)));
    let (number, us) = found.ok_or("expected a time such as 5ms, 800us or 1.5s")?;
    let number: f64 = number.trim().parse().map_err(|_| format!("`{number}` is no number"))?;
    let us = number * us;
    if (1.0..=60e6).contains(&us) {
        Ok(Duration::from_micros(us.round() as u64))
    } else {
        Err("expected between 1us and 60s".to_owned())
    }
}

/// A number with so many decimals, never below what it is: what something costs in privacy.
pub fn rounded_up(value: f64, decimals: u8) -> String {
    let tens = 10_f64.powi(decimals.into());
    format!("{:.1$}", (value * tens).ceil() / tens, usize::from(decimals))
}

/// A number with at least three significant digits, never below what it is, and with an exponent where it would have many zeros.
pub fn three_digits_up(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let exponent = value.abs().log10().floor() as i32;
    let shown = |value: f64| match exponent {
        -4..6 => format!("{value:.0$}", (2 - exponent).max(0) as usize),
        _ => format!("{value:.2e}"),
    };
    let nearest = shown(value);
    if nearest.parse().is_ok_and(|nearest: f64| nearest >= value) {
        return nearest;
    }
    // It was rounded down, so with half a place more it is rounded up.
    let place = if (2..6).contains(&exponent) { 1.0 } else { 10_f64.powi(exponent - 2) };
    shown(value + place / 2.0)
}

/// A share of a group's members below a half, in thousandths. Rounds up: what is to be withstood is never less than asked for.
pub fn parse_permille(text: &str) -> Result<u16, String> {
    let wrong = || format!("`{text}` is no share from 0 to below 0.5, such as 0.1");
    let share: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.0..0.5).contains(&share) {
        return Err(wrong());
    }
    // What is a whole number of thousandths as it was typed is that number, whatever its nearest float comes to.
    let (all, whole) = (share * 1_000.0, (share * 1_000.0).round());
    let permille = if (all - whole).abs() < 1e-9 { whole } else { all.ceil() };
    if permille < 500.0 { Ok(permille as u16) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_whole_and_may_have_a_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("64", 64),
            ("512kB", 512_000),
            ("8 MB", 8_000_000),
            ("64MiB", 64 << 20),
            ("1 GiB", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "MB", "-1", "1.5MB", "8XB", "64Mi", "99999999999GB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_from_a_peer_reaches_the_terminal_raw() {
        let cases = [
            ("plain, with ümläuts and 日本", "plain, with ümläuts and 日本"),
            ("a\u{1b}[2Jb", "a\u{fffd}[2Jb"),
            ("a\u{9b}2Jb\u{7}", "a\u{fffd}2Jb\u{fffd}"),
            ("two\r\nlines\tand a tab", "two lines and a tab"),
            ("gnp\u{202e}exe", "gnp\u{fffd}exe"),
            ("zero\u{200b}width\u{feff}", "zero\u{fffd}width\u{fffd}"),
            ("  ", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(clean(text), expected, "{text:?}");
        }
        assert_eq!(visible("  a\t b\u{1b}[2J  \n"), "  a  b\u{fffd}[2J");
    }

    #[test]
    fn wrapping_keeps_words_and_marks_what_is_cut() {
        assert_eq!(wrap("one two three four", 9, 2), ["one two", "three…"]);
        assert_eq!(wrap("one two", 9, 2), ["one two"]);
        assert_eq!(wrap("", 9, 2), [""; 0]);
        assert_eq!(wrap("overlongword x", 4, 3), ["overlongword", "x"]);
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!(duration(Duration::from_micros(12_345)), "12 ms");
        assert_eq!(duration(Duration::from_secs(125)), "2 min 5 s");
        assert_eq!(bytes(812), "812 B");
        assert_eq!(bytes(3_500), "3.4 KiB");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(2, "entry"), "2 entries");
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
        assert_eq!(time(1_709_210_096_000), "2024-02-29 12:34:56Z");
        assert_eq!(time(1_795_368_701_000), "2026-11-22 17:31:41Z");
    }

    #[test]
    fn what_is_rounded_up_is_never_less() {
        for (value, expected) in [
            (0.0, "0"),
            (0.000_961_2, "0.000962"),
            (0.002, "0.00200"),
            (0.9995, "1.000"),
            (8.0, "8.00"),
            (10.861, "10.9"),
            (12_345.2, "12346"),
            (999_999.5, "1000000"),
            (1.2341e9, "1.24e9"),
            (3.001e-7, "3.01e-7"),
        ] {
            assert_eq!(three_digits_up(value), expected);
        }
        for exponent in -300..300 {
            let value = 1.234_567 * 10_f64.powi(exponent);
            let shown = three_digits_up(value);
            let read: f64 = shown.parse().expect("a number");
            assert!(read >= value && read < value * 1.01 && shown.len() < 10, "{shown} {value:e}");
        }
    }

    #[test]
    fn durations_are_read_strictly() {
        assert_eq!(parse_seconds("15m"), Ok(900));
        assert_eq!(parse_seconds("7d"), Ok(604_800));
        assert_eq!((parse_pause("0s"), parse_pause("2m")), (Ok(0), Ok(120)));
        assert!(parse_pause("0").is_err());
        for bad in ["", "15", "m", "0s", "-1s", "1.5h", "99999999999999999999s", "1é"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_latency_has_a_unit_and_is_bounded() {
        let good =
            [("5ms", 5_000), ("800us", 800), ("800µs", 800), ("1.5s", 1_500_000), ("1 ms", 1_000)];
        for (text, us) in good {
            assert_eq!(parse_latency(text), Ok(Duration::from_micros(us)), "{text}");
        }
        for bad in ["", "5", "0ms", "-1s", "61s", "NaNs", "ms", "fast"] {
            assert!(parse_latency(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shares_are_whole_thousandths_rounded_up() {
        let cases = [
            ("0", Some(0)),
            ("0.07", Some(70)),
            ("0.1", Some(100)),
            ("0.29", Some(290)),
            ("0.0701", Some(71)),
            ("0.00000001", Some(1)),
            ("0.499", Some(499)),
            ("0.4991", None),
            ("0.5", None),
            ("1", None),
            ("-1", None),
            ("-0.1", None),
            ("NaN", None),
            ("inf", None),
            ("10%", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_permille(text).ok(), expected, "{text}");
        }
        for thousandths in 0..500 {
            let typed = format!("{}", f64::from(thousandths) / 1_000.0);
            assert_eq!(parse_permille(&typed), Ok(thousandths), "{typed}");
        }
    }
}
