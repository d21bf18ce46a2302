#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use proptest::prelude::*;

use super::*;

fn grep(pattern: &str, options: GrepOptions) -> Grep {
    Grep::new(pattern, &options).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

fn find(pattern: &str, text: impl AsRef<[u8]>) -> Found {
    grep(pattern, GrepOptions::default()).find(text.as_ref(), &|| false)
}

fn numbers(found: &Found) -> Vec<u64> {
    found.lines.iter().map(|line| line.line_number).collect()
}

const TEXT: &str = "Alpha beta\nbeta gamma\r\n\nalphabet\nénorme (x+y)\nlast beta";

#[test]
fn lines_match() {
    let plain = GrepOptions::default();
    let word = GrepOptions { word: true, ..plain };
    let literal = GrepOptions { literal: true, ..plain };
    let sensitive = GrepOptions { case: Case::Sensitive, ..plain };
    let insensitive = GrepOptions { case: Case::Insensitive, ..plain };
    let cases: [(&str, GrepOptions, &[u64]); 17] = [
        ("beta", plain, &[1, 2, 6]),
        ("alpha", plain, &[1, 4]),
        ("Alpha", plain, &[1]),
        ("Alpha", insensitive, &[1, 4]),
        ("alpha", sensitive, &[4]),
        ("alpha", word, &[1]),
        ("^beta", plain, &[2]),
        ("beta$", plain, &[1, 6]),
        ("gamma$", plain, &[2]),
        ("^$", plain, &[3]),
        ("(x+y)", literal, &[5]),
        ("(x+y)", plain, &[]),
        (r"\(x\+y\)", plain, &[5]),
        ("É", insensitive, &[5]),
        (r"\w+\s\w+", plain, &[1, 2, 6]),
        ("(a+)+b", plain, &[4]),
        ("nowhere", plain, &[]),
    ];
    for (pattern, options, expected) in cases {
        let found = grep(pattern, options).find(TEXT.as_bytes(), &|| false);
        assert_eq!(numbers(&found), expected, "{pattern} {options:?}");
        assert!(!found.more && !found.binary, "{pattern}");
        for line in &found.lines {
            assert_eq!(TEXT[line.byte_range.clone()], line.line, "{pattern}");
            assert!(line.byte_range.start <= line.matched.start, "{pattern}");
            assert!(line.matched.end <= line.byte_range.end, "{pattern}");
        }
    }
    assert_eq!(find("énor", TEXT).lines[0].matched, 33..38);
    assert_eq!(find("a", ""), Found::default());
}

#[test]
fn patterns_are_refused_with_a_reason() {
    let nested = format!("{}a{}", "(".repeat(100), ")".repeat(100));
    let long = "a".repeat(MAX_PATTERN_BYTES + 1);
    let cases = [
        ("", "empty"),
        (&long, "too large"),
        (r"(\w{500}){500}", "too large"),
        (r"a\nb", "one by one"),
        ("(", "unclosed group"),
        ("[z-a]", "invalid character class range"),
        ("a{2,1}", "invalid repetition"),
        ("*", "repetition operator missing expression"),
        (r"(a)\1", "backreferences are not supported"),
        ("(?=a)", "look-around"),
        (&nested, "nest"),
        ("\u{1b}[", "unclosed character class"),
    ];
    for (pattern, expected) in cases {
        let error = Grep::new(pattern, &GrepOptions::default()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(expected), "{pattern:.40}: {message}");
        assert!(!message.contains('\u{1b}'), "{message}");
    }
}

#[test]
fn long_lines_are_cut_around_the_match() {
    let line = format!("{}needle{}", "ä".repeat(500_000), "ö".repeat(500_000));
    let found = find("needle", &line);
    assert_eq!(found.lines.len(), 1);
    let hit = &found.lines[0];
    assert_eq!(hit.byte_range, 0..line.len());
    assert_eq!(&line[hit.matched.clone()], "needle");
    assert!(hit.line.len() <= MAX_LINE_BYTES && hit.line.contains("needle"));
    assert!(!hit.line.contains(char::REPLACEMENT_CHARACTER), "{}", hit.line);
    let at_the_end = find("needle$", format!("{}needle", "x".repeat(10_000)));
    assert!(at_the_end.lines[0].line.ends_with("xneedle"));
    assert_eq!(at_the_end.lines[0].line.len(), MAX_LINE_BYTES);
}

#[test]
fn binary_texts_have_no_lines() {
    let cases: [(&[u8], bool); 4] = [
        (b"needle\n\0\nneedle", true),
        (b"\x7fELF\0needle", true),
        (b"\xff\xfen\0e\0e\0d\0l\0e\0", true),
        (b"\xe4 needle \xff", false),
    ];
    for (bytes, binary) in cases {
        let found = find("needle", bytes);
        assert_eq!((found.binary, found.lines.is_empty()), (binary, binary), "{bytes:?}");
    }
    let late = [b"needle\n".repeat(20_000), b"needle \0\n".to_vec()].concat();
    let all = GrepOptions { max_matches: usize::MAX, ..GrepOptions::default() };
    assert_eq!(
        grep("needle", all).find(&late, &|| false),
        Found { binary: true, ..Found::default() }
    );
}

#[test]
fn it_ends_at_the_most_lines_or_when_told() {
    let text = "needle in hay\n".repeat(300_000);
    for (most, more) in [(0, true), (1, true), (299_999, true), (300_000, false), (300_001, false)]
    {
        let options = GrepOptions { max_matches: most, ..GrepOptions::default() };
        let found = grep("needle", options).find(text.as_bytes(), &|| false);
        assert_eq!((found.lines.len(), found.more), (most.min(300_000), more), "{most}");
    }
    let all = GrepOptions { max_matches: usize::MAX, ..GrepOptions::default() };
    let asked = Cell::new(0);
    let found = grep("absent", all).find(text.as_bytes(), &|| {
        asked.set(asked.get() + 1);
        asked.get() == 3
    });
    assert_eq!((asked.get(), found.more), (3, true));
    let found = grep("needle", all).find(text.as_bytes(), &|| false);
    let last = found.lines.last().unwrap();
    assert_eq!(last.line_number, 300_000);
    assert_eq!(last.byte_range, text.len() - 14..text.len() - 1);
}

proptest! {
    /// The same lines as asking each line by itself.
    #[test]
    fn it_agrees_with_line_by_line(
        text in "([ab é]|\n|\r\n){0,60}",
        pattern in prop::sample::select(vec!["a", "b$", "^a", "^$", "é.", r"\bb", "a|é", "[^a]a"]),
    ) {
        let found = find(pattern, &text);
        let regex = regex::Regex::new(&format!("(?R)(?i){pattern}")).unwrap();
        let mut expected = Vec::new();
        for (i, line) in text.split_inclusive('\n').enumerate() {
            let line = line.strip_suffix('\n').unwrap_or(line);
            if regex.is_match(line.strip_suffix('\r').unwrap_or(line)) {
                expected.push(i as u64 + 1);
            }
        }
        prop_assert_eq!(numbers(&found), expected, "{:?} in {:?}", pattern, text);
    }

    #[test]
    fn no_pattern_and_no_text_make_it_panic(pattern in any::<String>(), text: Vec<u8>) {
        if let Ok(grep) = Grep::new(&pattern, &GrepOptions::default()) {
            let found = grep.find(&text, &|| false);
            prop_assert!(found.lines.iter().all(|line| line.byte_range.end <= text.len()));
        }
    }
}
