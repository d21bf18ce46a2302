#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::analysis::analyzer;
use super::*;

const TEXTS: [(&str, &str); 6] = [
    ("Tides", "The moon pulls the ocean; tides follow the moon."),
    ("Bread", "Flour, water, salt and time make bread."),
    ("Oceans", "Oceans store heat and carbon."),
    ("", "Café crème, naïve Ångström"),
    ("Empty", ""),
    ("Code", "fn read_header(bytes: &[u8]) -> Header { Header::from_le_bytes(bytes) }"),
];

fn fill(lexical: &mut Lexical, segment: u64) {
    for (chunk, (title, text)) in TEXTS.iter().enumerate() {
        lexical.add(segment, chunk as u32, title, text).unwrap();
    }
}

fn ask(lexical: &Lexical, query: &str) -> Vec<(u64, u32)> {
    let hits = lexical.reader().unwrap().search(query, 10, &|_, _| true).unwrap();
    assert!(hits.iter().all(|hit| hit.score > 0.0));
    assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
    hits.iter().map(|hit| (hit.segment, hit.chunk)).collect()
}

fn words(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    analyzer().token_stream(text).process(&mut |token| all.push(token.text.clone()));
    all
}

fn covered(lexical: &Lexical) -> Vec<u64> {
    lexical.segments().keys().copied().collect()
}

#[test]
fn texts_become_words() {
    let cases: [(&str, &[&str]); 7] = [
        ("", &[]),
        ("The Tides and tidal", &["tide", "tidal"]),
        ("naïve CAFÉ", &["naiv", "cafe"]),
        ("read_header(u8)", &["read", "header", "u8"]),
        ("running, runs", &["run", "run"]),
        ("a\0b \u{feff}", &["b"]),
        (&"x".repeat(200), &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(words(text), expected, "{text:?}");
    }
}

#[test]
fn questions_find_chunks() {
    let mut lexical = Lexical::in_memory().unwrap();
    fill(&mut lexical, 7);
    assert_eq!(ask(&lexical, "moon"), [], "nothing before the commit");
    lexical.commit().unwrap();
    let cases: [(&str, &[u32]); 10] = [
        ("moon tide", &[0]),
        ("OCEAN", &[2, 0]),
        ("cafe", &[3]),
        ("header", &[5]),
        ("bread AND NOT \"ocean\" title:(~^", &[2, 1, 0]),
        ("zebra", &[]),
        ("the of and", &[]),
        ("", &[]),
        ("\0\u{1}\n", &[]),
        ("+-&&||!(){}[]^\"~*?:\\/", &[]),
    ];
    for (query, expected) in cases {
        let mut found: Vec<u32> = ask(&lexical, query).iter().map(|&(_, chunk)| chunk).collect();
        if query.starts_with("bread") {
            found.sort_unstable_by(|a, b| b.cmp(a));
        }
        assert_eq!(found, expected, "{query:?}");
    }
    let reader = lexical.reader().unwrap();
    assert_eq!(reader.search("moon", 0, &|_, _| true).unwrap(), []);
    let long = "moon ".repeat(50_000);
    assert_eq!(reader.search(&long, 3, &|_, _| true).unwrap().len(), 1);
}

#[test]
fn only_live_chunks_take_a_place_among_the_best() {
    let mut lexical = Lexical::in_memory().unwrap();
    for chunk in 0..2000 {
        let text = if chunk % 100 == 99 { "filler filler filler needle" } else { "needle" };
        lexical.add(u64::from(chunk % 3), chunk, "", text).unwrap();
        if chunk % 500 == 499 {
            // Several parts, each with some of every segment's chunks.
            lexical.write(&lexical.next.clone()).unwrap();
        }
    }
    lexical.commit().unwrap();
    let reader = lexical.reader().unwrap();
    let hits = reader.search("needle", 5, &|_, chunk| chunk % 100 == 99).unwrap();
    let found: Vec<(u64, u32)> = hits.iter().map(|hit| (hit.segment, hit.chunk)).collect();
    assert_eq!(found, [(0, 99), (0, 399), (0, 699), (0, 999), (0, 1299)]);
    assert_eq!(reader.search("needle", 5, &|_, _| false).unwrap(), []);
}

#[test]
fn files_that_were_missing_are_added_later_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut lexical = Lexical::open_or_create(dir.path()).unwrap();
    lexical.add(1, 0, "", "bread").unwrap();
    lexical.miss(1, [2, 5, 6, 7].into());
    lexical.commit().unwrap();
    drop(lexical);

    // Cut off after much was written, it starts over.
    let mut lexical = Lexical::open_or_create(dir.path()).unwrap();
    assert_eq!(lexical.segments()[&1], [2, 5, 6, 7].into());
    lexical.resume(1).unwrap();
    let long = "needle ".repeat(MAX_INDEXED_BYTES / 7);
    for chunk in 0..=MAX_WAITING_BYTES / MAX_INDEXED_BYTES + 1 {
        lexical.add(1, 1 + chunk as u32, "", &long).unwrap();
    }
    drop(lexical);
    let mut lexical = Lexical::open_or_create(dir.path()).unwrap();
    assert!(lexical.segments().is_empty());
    lexical.add(1, 0, "", "bread").unwrap();
    lexical.miss(1, [2, 5, 6, 7].into());
    lexical.commit().unwrap();
    assert_eq!(ask(&lexical, "needle"), []);

    lexical.resume(1).unwrap();
    lexical.add(1, 3, "", "needle").unwrap();
    lexical.miss(1, [7].into());
    lexical.commit().unwrap();
    assert_eq!(ask(&lexical, "bread"), [(1, 0)]);
    assert_eq!(ask(&lexical, "needle"), [(1, 3)]);
    assert_eq!(lexical.segments()[&1], [7].into());
}

#[test]
fn segments_come_and_go() {
    let mut lexical = Lexical::in_memory().unwrap();
    for segment in 1..=3 {
        fill(&mut lexical, segment);
    }
    lexical.cover(9).unwrap();
    assert!(covered(&lexical).is_empty());
    lexical.commit().unwrap();
    assert_eq!(covered(&lexical), [1, 2, 3, 9]);
    assert_eq!(ask(&lexical, "bread"), [(1, 1), (2, 1), (3, 1)]);
    let before = lexical.reader().unwrap();

    lexical.remove_segment(2).unwrap();
    lexical.remove_segment(77).unwrap();
    lexical.commit().unwrap();
    assert_eq!(covered(&lexical), [1, 3, 9]);
    assert_eq!(ask(&lexical, "bread"), [(1, 1), (3, 1)]);
    assert_eq!(before.search("bread", 9, &|_, _| true).unwrap().len(), 3, "a reader stays");

    fill(&mut lexical, 3);
    lexical.commit().unwrap();
    assert_eq!(ask(&lexical, "bread"), [(1, 1), (3, 1)], "adding again replaces");

    for segment in [1, 3, 9] {
        lexical.remove_segment(segment).unwrap();
    }
    lexical.compact().unwrap();
    assert_eq!((ask(&lexical, "bread"), covered(&lexical)), (vec![], vec![]));
    fill(&mut lexical, 4);
    lexical.commit().unwrap();
    assert_eq!(ask(&lexical, "bread"), [(4, 1)]);
}

#[test]
fn an_index_is_there_again_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("lexical");
    let mut lexical = Lexical::open_or_create(&dir).unwrap();
    fill(&mut lexical, 1);
    lexical.commit().unwrap();
    fill(&mut lexical, 2);
    drop(lexical);

    let mut lexical = Lexical::open_or_create(&dir).unwrap();
    assert_eq!((covered(&lexical), ask(&lexical, "moon")), (vec![1], vec![(1, 0)]));
    // Part of a segment reached the disk, as it does when much text waits.
    lexical.add(2, 0, "", "half moon").unwrap();
    lexical.write(&lexical.covered.clone()).unwrap();
    drop(lexical);

    let mut lexical = Lexical::open_or_create(&dir).unwrap();
    assert_eq!(covered(&lexical), [1], "a part is not the segment");
    fill(&mut lexical, 2);
    lexical.commit().unwrap();
    assert_eq!(covered(&lexical), [1, 2]);
    assert_eq!(ask(&lexical, "moon"), [(1, 0), (2, 0)]);
    assert_eq!(ask(&lexical, "half"), []);
    let open: u64 = lexical.bytes().unwrap();
    lexical.compact().unwrap();
    assert!(lexical.bytes().unwrap() < open);
    assert_eq!(ask(&lexical, "moon"), [(1, 0), (2, 0)]);
}

#[test]
fn two_writers_do_not_meet() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Lexical::open_or_create(dir.path()).unwrap();
    let mut second = Lexical::open_or_create(dir.path()).unwrap();
    fill(&mut first, 1);
    let error = second.add(1, 0, "", "text").unwrap_err();
    assert!(matches!(error, LexicalError::Locked), "{error}");
    assert!(!error.rebuild());
    first.commit().unwrap();
    drop(first);
    second.add(2, 0, "", "text").unwrap();
    second.commit().unwrap();
    assert_eq!(covered(&second), [1, 2], "what failed is forgotten, what another wrote is seen");
    assert_eq!(ask(&second, "bread text"), [(2, 0), (1, 1)]);
}

#[test]
fn parts_are_merged_as_they_gather() {
    let dir = tempfile::tempdir().unwrap();
    let mut lexical = Lexical::open_or_create(dir.path()).unwrap();
    for segment in 0..20 {
        fill(&mut lexical, segment);
        lexical.commit().unwrap();
    }
    assert!(lexical.index.searchable_segment_ids().unwrap().len() < 2 * MERGE_PARTS);
    assert_eq!(lexical.reader().unwrap().search("moon", 50, &|_, _| true).unwrap().len(), 20);
}

#[test]
fn another_version_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut lexical = Lexical::open_or_create(dir.path()).unwrap();
    fill(&mut lexical, 1);
    lexical.commit().unwrap();
    let mut commit = lexical.writer().unwrap().prepare_commit().unwrap();
    commit.set_payload("999 1");
    commit.commit().unwrap();
    drop(lexical);
    let error = Lexical::open_or_create(dir.path()).map(|_| ()).unwrap_err();
    assert!(matches!(error, LexicalError::Version) && error.rebuild());
}

/// Opens and asks a folder that may be damaged. Only the error's kind may tell; a panic fails the
/// test.
fn opened(dir: &Path) -> Result<Vec<LexicalHit>, LexicalError> {
    Lexical::open_or_create(dir)?.reader()?.search("moon ocean bread", 10, &|_, _| true)
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let mut lexical = Lexical::open_or_create(dir.path()).unwrap();
    (1..4).for_each(|segment| fill(&mut lexical, segment));
    lexical.commit().unwrap();
    drop(lexical);
    let whole = opened(dir.path()).unwrap();
    let mut files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let mut noticed = 0;
    for path in files {
        let bytes = fs::read(&path).unwrap();
        let described = path.extension().is_some_and(|e| e == "json" || e == "lock");
        for at in (0..bytes.len()).step_by(7) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            for damaged in [&flipped[..], &bytes[..at]] {
                fs::write(&path, damaged).unwrap();
                match opened(dir.path()) {
                    // What describes the files has no checksum: harmless changes go unseen.
                    Ok(hits) => assert!(described || hits == whole, "{} {at}", path.display()),
                    Err(_) => noticed += 1,
                }
            }
        }
        fs::write(&path, bytes).unwrap();
    }
    assert!(noticed > 100, "{noticed}");
    assert_eq!(opened(dir.path()).unwrap(), whole);
}

#[test]
fn what_is_no_file_is_damage_and_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut lexical = Lexical::open_or_create(dir.path()).unwrap();
    fill(&mut lexical, 1);
    lexical.commit().unwrap();
    drop(lexical);
    let description = dir.path().join("meta.json");
    fs::remove_file(&description).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&description).status().unwrap();
    assert!(made.success());
    let read = Lexical::open_read_only(dir.path()).map(|_| ());
    let written = Lexical::open_or_create(dir.path()).map(|_| ());
    for result in [read, written] {
        assert!(matches!(result, Err(LexicalError::Damaged(_))), "{result:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Pruning, parts and order of adding change nothing: the result is that of scoring all.
    #[test]
    fn it_agrees_with_scoring_everything(
        chunks in prop::collection::vec(prop::collection::vec(0usize..6, 0..12), 1..120),
        query in prop::collection::vec(0usize..6, 1..4),
        k in 1usize..20,
        parts in 1usize..4,
    ) {
        const WORDS: [&str; 6] = ["river", "stone", "maple", "cloud", "ember", "quartz"];
        let text = |words: &[usize]| words.iter().map(|&w| WORDS[w]).collect::<Vec<_>>().join(" ");
        let mut lexical = Lexical::in_memory().unwrap();
        for (i, words) in chunks.iter().enumerate() {
            lexical.add(0, i as u32, "", &text(words)).unwrap();
            if i % chunks.len().div_ceil(parts) == 0 {
                lexical.write(&Covered::default()).unwrap();
            }
        }
        lexical.commit().unwrap();
        let found = lexical.reader().unwrap().search(&text(&query), k, &|_, c| c % 5 != 0).unwrap();

        let n = chunks.len() as f32;
        let mean = chunks.iter().map(|words| words.len() as f32).sum::<f32>() / n;
        let mut expected: Vec<(f32, u32)> = Vec::new();
        for (i, words) in chunks.iter().enumerate().filter(|(i, _)| i % 5 != 0) {
            let score: f32 = query.iter().map(|word| {
                let tf = words.iter().filter(|w| *w == word).count() as f32;
                let df = chunks.iter().filter(|words| words.contains(word)).count() as f32;
                let idf = (1.0 + (n - df + 0.5) / (df + 0.5)).ln();
                let norm = 1.2 * (0.25 + 0.75 * words.len() as f32 / mean);
                idf * 2.2 * tf / (tf + norm)
            }).sum();
            if score > 0.0 {
                expected.push((score, i as u32));
            }
        }
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        prop_assert_eq!(found.len(), expected.len().min(k));
        for (hit, (score, _)) in found.iter().zip(&expected) {
            prop_assert!((hit.score - score).abs() < 1e-4 * score.max(1.0), "{hit:?} {score}");
        }
    }
}
