#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::date::{Span, parse_date};
use super::*;

const SPEC: &str = include_str!("../../../docs/spec/filters.md");

/// One file of the tables.
struct Case {
    name: String,
    path: String,
    kind: String,
    size: u64,
    time: i64,
    keys: Vec<(String, String)>,
}

impl Facts for Case {
    fn path(&self) -> &str {
        &self.path
    }
    fn kind(&self) -> &str {
        &self.kind
    }
    fn size(&self) -> u64 {
        self.size
    }
    fn modified_ns(&self) -> i64 {
        self.time
    }
    fn values(&self, key: &str, visit: &mut dyn FnMut(&str)) {
        self.keys.iter().filter(|(name, _)| name == key).for_each(|(_, value)| visit(value));
    }
}

fn ns(text: &str) -> i64 {
    i64::try_from(parse_date(text).unwrap().start).unwrap()
}

/// The cells of every row that follows the row of these headings.
fn table(headings: &str) -> Vec<Vec<String>> {
    let lines = SPEC.lines().skip_while(|line| *line != headings).skip(2);
    lines.take_while(|line| line.starts_with('|')).map(cells).collect()
}

fn cells(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "\u{1}");
    let cells = row.trim_matches('|').split('|');
    cells.map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}

/// What stands between the first and the last back quote.
fn code(cell: &str) -> String {
    cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap_or(cell).to_owned()
}

fn files() -> Vec<Case> {
    table("| file | path | type | size | time | keys |")
        .into_iter()
        .map(|row| Case {
            name: row[0].clone(),
            path: code(&row[1]),
            kind: code(&row[2]),
            size: row[3].parse().unwrap(),
            time: ns(&row[4]),
            keys: row[5]
                .split('`')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        })
        .collect()
}

#[test]
fn the_cases_of_the_specification_hold() {
    let files = files();
    assert_eq!(files.len(), 3);
    assert_eq!(files[0].keys.len(), 6);
    let now = ns("2024-03-08T12:00:00Z");
    let cases = table("| filter | passes |");
    assert!(cases.len() > 80, "{}", cases.len());
    for row in cases {
        let (text, expected) = (code(&row[0]), row[1].clone());
        let parsed = Filter::parse(&text, now);
        if let Some(error) = expected.strip_prefix("error ") {
            let (at, what) = error.split_once(": ").unwrap();
            let what = code(what).replace("``", "`");
            let error = parsed.expect_err(&text);
            assert_eq!(error.at, at.parse::<usize>().unwrap(), "{text}: {error}");
            assert!(error.what.contains(&what), "{text}: {error}");
            continue;
        }
        let filter = parsed.unwrap_or_else(|error| panic!("{text}: {error}"));
        let passing: Vec<&str> =
            files.iter().filter(|file| filter.matches(*file)).map(|file| &*file.name).collect();
        assert_eq!(passing.join(" "), expected, "{text}");
        let again = Filter::parse(&filter.to_string(), now).unwrap();
        assert_eq!(again, filter, "{text} printed as {filter}");
    }
}

#[test]
fn what_the_file_alone_decides() {
    let files = files();
    let cases = [
        ("type == pdf", Some(false), Some(true), false),
        ("tag == work", None, None, true),
        ("type == pdf and tag == work", Some(false), None, true),
        ("type == pdf or tag == work", None, Some(true), true),
        ("not (type == pdf and tag == work)", Some(true), None, true),
        ("tag == work and type == pdf or size == 1200", Some(true), None, true),
    ];
    for (text, a, b, needs) in cases {
        let filter = Filter::parse(text, 0).unwrap();
        assert_eq!(filter.decide(&files[0]), a, "{text}");
        assert_eq!(filter.decide(&files[1]), b, "{text}");
        assert_eq!(filter.needs_values(), needs, "{text}");
    }
}

#[test]
fn bounds_are_kept() {
    let too_long = format!("tag == {}", "x".repeat(MAX_FILTER_BYTES));
    let nested = |depth: usize| format!("{}tag == x{}", "(".repeat(depth), ")".repeat(depth));
    let nots = |depth: usize| format!("{}tag == x", "not ".repeat(depth));
    let patterns = |count: usize| vec!["path matches a"; count].join(" or ");
    let key = |bytes: usize| format!("{} == x", "k".repeat(bytes));
    let cases = [
        (too_long, false),
        (nested(MAX_DEPTH), true),
        (nested(MAX_DEPTH + 1), false),
        (nots(MAX_DEPTH), true),
        (nots(MAX_DEPTH + 1), false),
        (patterns(MAX_PATTERNS), true),
        (patterns(MAX_PATTERNS + 1), false),
        (key(MAX_KEY_BYTES), true),
        (key(MAX_KEY_BYTES + 1), false),
    ];
    for (text, good) in cases {
        assert_eq!(Filter::parse(&text, 0).is_ok(), good, "{:.60}", text);
    }
}

#[test]
fn the_message_points_at_the_place() {
    let error = Filter::parse("type == pdf and size < ä", 0).unwrap_err();
    let message = error.to_string();
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[1], "  type == pdf and size < ä");
    assert_eq!(lines[2].chars().count(), lines[1].chars().count());
    let long = format!("{} size < \u{1b}[31m", "tag == x or ".repeat(50));
    let message = Filter::parse(&long, 0).unwrap_err().to_string();
    assert!(message.len() < 400 && !message.contains('\u{1b}'), "{message}");
}

#[test]
fn dates_are_spans_of_the_calendar() {
    let day = 86_400_000_000_000;
    let cases = [
        ("1970", Some((0, 365 * day))),
        ("1970-01-01", Some((0, day))),
        ("1969-12-31", Some((-day, 0))),
        ("2000-02-29", Some((11_016 * day, 11_017 * day))),
        ("2024-02", Some((19_754 * day, 19_783 * day))),
        ("1900-02-29", None),
        ("0000", None),
        ("2024-13", None),
        ("2024-00-01", None),
        ("2024-01-00", None),
        ("2024-1-1", None),
        ("20240101", None),
        ("2024-01-01T24:00", None),
        ("1970-01-01T00:01", Some((60_000_000_000, 120_000_000_000))),
        ("1970-01-01 01:00:00.25+01", Some((250_000_000, 260_000_000))),
        ("1970-01-01T00:00:00-0030", Some((1_800_000_000_000, 1_801_000_000_000))),
        ("1970-01-01T00:00:00.1234567890", None),
        ("1970-01-01T00:00:00.", None),
        ("1970-01-01T00:00Zulu", None),
        ("१९७०", None),
    ];
    for (text, expected) in cases {
        let found = parse_date(text);
        match expected {
            Some((start, end)) => {
                let found: Span = found.unwrap_or_else(|| panic!("{text}"));
                assert_eq!(found.start, start, "{text}");
                assert!(found.place(end - 1).is_eq() && found.place(end).is_gt(), "{text}");
            }
            None => assert_eq!(found, None, "{text}"),
        }
    }
}

fn words() -> impl Strategy<Value = String> {
    let fixed = [
        "and",
        "or",
        "not",
        "in",
        "contains",
        "matches",
        "==",
        "!=",
        "<",
        ">=",
        "(",
        ")",
        ",",
        "\"",
        "'",
        "type",
        "size",
        "time",
        "path",
        "tag",
        "2MB",
        "now",
        "-7d",
        "2024-01-31",
        " ",
        "\"a b\"",
        "(?i)[",
        "é",
        "\0",
    ];
    let word = proptest::sample::select(fixed.to_vec()).prop_map(str::to_owned);
    prop::collection::vec(prop_oneof![9 => word, 1 => any::<String>()], 0..40)
        .prop_map(|words| words.join(" "))
}

/// A value as a person could write it.
fn values() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9./-]{1,8}", any::<String>(), Just("now - 3d".to_owned())]
}

fn expressions() -> impl Strategy<Value = String> {
    let quoted = values().prop_map(|value| format!("'{}'", value.replace('\'', "''")));
    let test = (
        prop_oneof![Just("path"), Just("Tag"), Just("type"), Just("'odd key'")],
        prop_oneof![Just("=="), Just("!="), Just("contains")],
        quoted,
    )
        .prop_map(|(field, op, value)| format!("{field} {op} {value}"));
    let timed = (0u32..999).prop_map(|n| format!("time >= now-{n}h and size < {n} KiB"));
    prop_oneof![3 => test, 1 => timed].prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|one| format!("not ({one})")),
            prop::collection::vec(inner.clone(), 1..4).prop_map(|all| all.join(" and ")),
            prop::collection::vec(inner, 1..4).prop_map(|all| format!("({})", all.join(" or "))),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in words(), raw in any::<String>()) {
        for text in [text, raw] {
            match Filter::parse(&text, 0) {
                Ok(filter) => { files().iter().for_each(|file| { filter.matches(file); }); }
                Err(error) => prop_assert!(error.at <= text.len() && !error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn printing_keeps_the_meaning(text in expressions()) {
        prop_assume!(text.len() < MAX_FILTER_BYTES / 2);
        let filter = Filter::parse(&text, 77).unwrap();
        let printed = filter.to_string();
        prop_assert_eq!(Filter::parse(&printed, 77).unwrap(), filter, "{}", printed);
    }
}
