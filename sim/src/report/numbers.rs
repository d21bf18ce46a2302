//! Numbers as people read them.

use super::figure::Figure;

/// A number with three or four digits that count.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !value.is_finite() => "—".to_owned(),
        _ if size == 0.0 => "0".to_owned(),
        _ if !(1e-4..1e9).contains(&size) => {
            let text = format!("{value:.2e}");
            let (digits, power) = text.split_once('e').expect("it was written with an exponent");
            format!("{}e{power}", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        _ if size >= 1e6 => trimmed(value / 1e6, 2) + "M",
        _ if size >= 1e4 => trimmed(value / 1e3, 1) + "k",
        _ if size >= 100.0 => trimmed(value, 0),
        _ if size >= 10.0 => trimmed(value, 1),
        _ if size >= 1.0 => trimmed(value, 2),
        // What is next to 1 is not 1.
        _ if (0.9995..1.0).contains(&size) => trimmed(value, 5),
        _ if size >= 0.1 => trimmed(value, 3),
        _ => trimmed(value, 4),
    }
}

/// Bytes, in powers of a thousand.
pub(super) fn bytes(value: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (mut value, mut unit) = (value, 0);
    while value.abs() >= 999.5 && unit + 1 < units.len() {
        value /= 1e3;
        unit += 1;
    }
    let digits = if unit == 0 || value.abs() >= 100.0 { 0 } else { 1 };
    format!("{} {}", trimmed(value, digits), units[unit])
}

/// Time, in the two largest units that matter.
pub(super) fn seconds(value: f64) -> String {
    let whole = value.round();
    match value.abs() {
        _ if !value.is_finite() => "—".to_owned(),
        0.0 => "0 s".to_owned(),
        size if size < 1.0 => format!("{} ms", number(value * 1e3)),
        size if size < 60.0 => format!("{} s", trimmed(value, 1)),
        size if size < 3_600.0 => pair(whole, 60.0, "min", 1.0, "s"),
        size if size < 86_400.0 => pair(whole, 3_600.0, "h", 60.0, "min"),
        _ => pair(whole, 86_400.0, "d", 3_600.0, "h"),
    }
}

fn pair(value: f64, large: f64, large_name: &str, small: f64, small_name: &str) -> String {
    let (many, rest) = ((value / large).floor(), ((value % large) / small).floor());
    match rest {
        0.0 => format!("{many} {large_name}"),
        _ => format!("{many} {large_name} {rest} {small_name}"),
    }
}

/// Milliseconds.
pub(super) fn millis(value: f64) -> String {
    seconds(value / 1e3)
}

/// A share as percents.
pub(super) fn share(value: f64) -> String {
    format!("{}%", trimmed(value * 100.0, 1))
}

/// A mean, and its interval where there is one that shows.
pub(super) fn figure(figure: &Figure, show: fn(f64) -> String) -> String {
    let mean = show(figure.mean);
    match (figure.low.map(show), figure.high.map(show)) {
        (Some(low), Some(high)) if low != high => format!("{mean} ({low} to {high})"),
        _ => mean,
    }
}

/// With so many digits behind the point, but for zeros at the end.
fn trimmed(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        type Case = (fn(f64) -> String, f64, &'static str);
        let cases: [Case; 20] = [
            (number, 0.0, "0"),
            (number, 0.823_456, "0.823"),
            (number, 0.012_345, "0.0123"),
            (number, 5e-9, "5e-9"),
            (number, 1.0, "1"),
            (number, 123.4, "123"),
            (number, 12_345.0, "12.3k"),
            (number, f64::NAN, "—"),
            (number, -0.00012, "-0.0001"),
            (bytes, 999.0, "999 B"),
            (bytes, 1_000.0, "1 kB"),
            (bytes, 12_345_678.0, "12.3 MB"),
            (bytes, 999_999.0, "1 MB"),
            (seconds, 0.012, "12 ms"),
            (seconds, 12.34, "12.3 s"),
            (seconds, 250.0, "4 min 10 s"),
            (seconds, 7_500.0, "2 h 5 min"),
            (seconds, 172_800.0, "2 d"),
            (millis, 1_500.0, "1.5 s"),
            (share, 0.123_4, "12.3%"),
        ];
        for (show, value, text) in cases {
            assert_eq!(show(value), text, "{value}");
        }
    }
}
