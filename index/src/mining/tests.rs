use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use super::*;
use crate::collection::{Collection, UpdateOptions};
use crate::document::{classify, extract};
use crate::files::MemoryFiles;
use crate::fixture::WordEncoder;

/// The pairs of a file of this name.
fn found(name: &str, bytes: impl Into<Vec<u8>>) -> (Vec<TextPair>, LeftOut) {
    let (path, bytes) = (Path::new(name), bytes.into());
    let format = classify(path, &bytes).expect("is of a known kind");
    pairs(&extract(format, path, bytes).expect("is read"), format, path)
}

fn check(name: &str, text: &str, expected: &[(PairKind, &str, &str)]) {
    let (pairs, _) = found(name, text);
    let got: Vec<_> =
        pairs.iter().map(|it| (it.kind, it.anchor.as_str(), it.passage.as_str())).collect();
    assert_eq!(got, expected, "{name}");
}

use PairKind::{Code, Heading, Title};

#[test]
fn headings_and_titles_of_markdown_are_not_in_what_belongs_to_them() {
    let text = "# Compost heaps\n\nHeat comes from microbes.\n\n## Turning it ##\n\nTurn it each month.\n\nOften too wet\n---\n\nAdd brown leaves.\n\n## Empty one\n\n## 12\n\nA numbered part of it.\n";
    let expected = [
        (Title, "Compost heaps", "Heat comes from microbes."),
        (Heading, "Compost heaps: Turning it", "Turn it each month."),
        (Heading, "Compost heaps: Often too wet", "Add brown leaves."),
        (Heading, "Compost heaps: 12", "A numbered part of it."),
    ];
    check("a.md", text, &expected);
    assert_eq!(found("a.md", text).1, LeftOut { bare: 1, ..LeftOut::default() });
}

#[test]
fn a_title_in_front_matter_is_not_in_the_text() {
    let text = "---\ntitle: On keeping bees\nauthor: Ada\n---\n\nOn keeping\nbees\n\nHives stand in the sun.\n\n# A heading here\n\nAnd its own text.\n";
    let expected = [
        (Title, "On keeping bees", "Hives stand in the sun."),
        (Heading, "A heading here", "And its own text."),
    ];
    check("a.md", text, &expected);
    // However long it is.
    let long = format!("author: Ada\n{}", "note: some more to say of it\n".repeat(2_000));
    check("a.md", &text.replace("author: Ada\n", &long), &expected);
}

#[test]
fn titles_of_pages_mails_and_records() {
    let page = "<html><head><title>Bees at home</title></head><body><p>Hives like the sun.</p><h1>Bees at home</h1><p>They fly far.</p><h2>Their honey</h2><p>It keeps for years.</p></body></html>";
    let expected = [
        (Title, "Bees at home", "Hives like the sun."),
        (Heading, "Bees at home", "They fly far."),
        (Heading, "Bees at home: Their honey", "It keeps for years."),
    ];
    check("a.html", page, &expected);
    let mail = "From: ada@example.org\nSubject: The leaking roof\nDate: Mon, 4 May 2026 10:00:00 +0000\n\nIt drips in the attic.\n";
    check("a.eml", mail, &[(Title, "The leaking roof", "It drips in the attic.")]);
    let lines = "{\"title\": \"First of these\", \"text\": \"What the first says.\"}\n{\"text\": \"Without any title.\"}\n{\"title\": \"Third of these\", \"text\": \"What the third says.\"}\n";
    check(
        "a.jsonl",
        lines,
        &[
            (Title, "First of these", "What the first says."),
            (Title, "Third of these", "What the third says."),
        ],
    );
    let (pairs, _) = found("a.jsonl", lines);
    assert_eq!(pairs.iter().map(|pair| pair.record).collect::<Vec<_>>(), [Some(0), Some(2)]);
    let table = "title,text\nThe long winter,Snow lay until May.\n";
    check("a.csv", table, &[(Title, "The long winter", "Snow lay until May.")]);
}

#[test]
fn what_documents_rust_and_python() {
    let text = "//! About all of it.\n\nuse std::fmt;\n\n/// A bee that flies.\n///\n/// More about it.\n#[derive(Debug)]\npub struct Bee {\n    /// How many of them.\n    wings: u8,\n}\n\nimpl Bee {\n    // Not of interest here.\n    /// Flies away\n    /// from here.\n    pub fn fly(&self) -> u8 {\n        1\n    }\n\n    fn quiet(&self) {}\n}\n";
    let bee = "#[derive(Debug)]\npub struct Bee {\n    /// How many of them.\n    wings: u8,\n}";
    let fly = "    // Not of interest here.\n    pub fn fly(&self) -> u8 {\n        1\n    }";
    check("a.rs", text, &[(Code, "A bee that flies.", bee), (Code, "Flies away from here.", fly)]);
    let text = "\"\"\"About all of it.\"\"\"\n\n# Not what documents it.\n@cached\ndef one(a):\n    \"\"\"Adds one to it.\n\n    Args:\n        a: a number\n    \"\"\"\n    def inner():\n        \"\"\"Within the other one.\"\"\"\n        pass\n    return a + 1\n\ndef two(a):\n    def inner():\n        \"\"\"Not that of two.\"\"\"\n    return a\n\nclass Bee:\n    r'''A kind of insect.'''\n    wings = 2\n\n    def fly(self): \"Flies away soon.\"; return self.wings\n";
    let one = "# Not what documents it.\n@cached\ndef one(a):\n    def inner():\n        \"\"\"Within the other one.\"\"\"\n        pass\n    return a + 1";
    check(
        "a.py",
        text,
        &[
            (Code, "Adds one to it.", one),
            (Code, "A kind of insect.", "class Bee:\n    wings = 2"),
            (Code, "Flies away soon.", "    def fly(self): ; return self.wings"),
        ],
    );
}

#[test]
fn what_documents_other_languages() {
    let cases = [
        (
            "a.ts",
            "/**\n * Adds two numbers.\n * @param a one\n */\nexport function add(a: number, b: number) { return a + b; }\n\n// Not a doc comment.\nfunction other(a: number) {}\n",
            "Adds two numbers.",
            "export function add(a: number, b: number) { return a + b; }",
        ),
        (
            "a.js",
            "class Bee {\n  /** Flies away soon. */\n  fly(n) { return n; }\n}\n",
            "Flies away soon.",
            "  fly(n) { return n; }\n}",
        ),
        (
            "a.go",
            "package hive\n\n// Fly sends the bees\n// out to the fields.\n//\n// It may rain.\n//go:noinline\nfunc Fly(n int) int {\n\treturn n\n}\n\n//go:noinline\nfunc Rest(n int) int { return n }\n",
            "Fly sends the bees out to the fields.",
            "//go:noinline\nfunc Fly(n int) int {\n\treturn n\n}",
        ),
        (
            "A.java",
            "class Bee {\n    /**\n     * Flies to a flower.\n     *\n     * @return how far\n     */\n    @Override\n    int fly(int far) { return far; }\n}\n",
            "Flies to a flower.",
            "    @Override\n    int fly(int far) { return far; }\n}",
        ),
        (
            "a.c",
            "/* A licence of some kind. */\n\n/** \\brief Adds two numbers. */\nint add(int a, int b) { return a + b; }\n\n/* Plain. */\nint sub(int a, int b) { return a - b; }\n",
            "Adds two numbers.",
            "int add(int a, int b) { return a + b; }",
        ),
        (
            "a.cpp",
            "namespace hive {\n/// Adds two numbers.\ntemplate <class T> T add(T a, T b) { return a + b; }\n}\n",
            "Adds two numbers.",
            "template <class T> T add(T a, T b) { return a + b; }\n}",
        ),
    ];
    for (name, text, anchor, code) in cases {
        check(name, text, &[(Code, anchor, code)]);
    }
}

#[test]
fn what_is_too_short_too_long_or_no_words_is_left_out_and_counted() {
    let body = "A text that says a few words.";
    let text = format!(
        "intro of the text\n\n# Heap\n\n{body}\n\n# 2024 05 01\n\n{body}\n\n# Two words\n\nToo bare.\n\n# {}\n\n{body}\n\n# 堆肥\n\n堆肥很熱。\n",
        "long ".repeat(60),
    );
    let (pairs, left_out) = found("a.md", text);
    let anchors: Vec<_> = pairs.iter().map(|pair| pair.anchor.as_str()).collect();
    assert_eq!(anchors, ["堆肥"]);
    // The title is the first heading.
    assert_eq!(left_out, LeftOut { short: 2, numeric: 1, long: 1, bare: 1 });
}

#[test]
fn nothing_is_longer_than_its_bound_whatever_a_file_holds() {
    let word = "b".repeat(3 * MAX_PASSAGE);
    let long = "many words in a row ".repeat(1_000);
    let texts = [
        format!("# Two words\n\nShort and then {word}\n"),
        format!("# Two words\n\n{long}\n"),
        format!("# {word} {word}\n\n{long}\n"),
        format!("{}{long}", "# A b\n".repeat(5_000)),
        "# \n#\n##  ##\n\n===\n---\n".to_owned(),
        format!("# é\u{200b}è \u{1}ô\n\ntext with \u{1b} control in it, {long}\n"),
    ];
    for text in texts {
        let (pairs, _) = found("a.md", text.as_str());
        for pair in &pairs {
            assert!(pair.anchor.len() <= MAX_ANCHOR && !pair.anchor.contains('\n'), "{pair:?}");
            assert!(pair.passage.len() <= MAX_PASSAGE, "{}", pair.passage.len());
            assert_eq!(pair.passage.trim_end(), pair.passage);
        }
    }
    let (pairs, _) = found("a.md", format!("# Two words\n\n{long}\n"));
    assert_eq!(pairs.len(), 1);
    assert!(
        pairs[0].passage.len() > MAX_PASSAGE - 8
            && pairs[0].passage.ends_with(['y', 's', 'n', 'a', 'w'])
    );
    let doc = format!("{}fn documented(a: u8) {{}}\n", "/// many words in a row\n".repeat(100));
    let (pairs, _) = found("a.rs", doc);
    assert!(pairs[0].anchor.len() > MAX_ANCHOR - 8 && pairs[0].anchor.starts_with("many words"));
}

#[test]
fn a_file_that_changed_gives_nothing_and_chunks_are_known_by_their_hash() {
    let (files, encoder) = (MemoryFiles::new(), WordEncoder::new(16));
    let bees = "# Keeping bees\n\nHives stand in the sun.\n";
    files.insert("/n/b.md", bees);
    files.insert("/n/a.md", "# Some compost\n\nIt is warm inside.\n");
    files.insert("/n/c.md", "# The third\n\nAnd it will change.\n");
    let mut collection = Collection::in_memory(&encoder).expect("made");
    let options = UpdateOptions::default();
    collection
        .update(Path::new("/n"), &files, &encoder, &options, &mut |_| ControlFlow::Continue(()))
        .expect("updates");
    // As many bytes, and binary.
    files.insert("/n/c.md", vec![0u8; "# The third\n\nAnd it will change.\n".len()]);
    let mut seen = Vec::new();
    collection.snapshot().mine(&files, &mut |mined| {
        match mined {
            Mined::Stale(path) => seen.push((path, None)),
            Mined::File(file) => {
                assert_eq!(file.pairs.len(), 1);
                let hash = Sha256::digest(bees.trim_end()).into();
                let chunk = file.chunk(&hash).map(str::to_owned);
                assert_eq!(chunk.is_some(), file.path.ends_with("b.md"));
                seen.push((file.path, chunk));
            }
        }
        ControlFlow::Continue(())
    });
    let expected = [("/n/a.md", None), ("/n/b.md", Some(bees.trim_end())), ("/n/c.md", None)];
    let seen: Vec<_> =
        seen.iter().map(|(path, it)| (path.to_str().expect("plain"), it.as_deref())).collect();
    assert_eq!(seen, expected);
    let mut visits = 0;
    collection.snapshot().mine(&files, &mut |_| {
        visits += 1;
        ControlFlow::Break(())
    });
    assert_eq!(visits, 1);
}
