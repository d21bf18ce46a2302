use proptest::prelude::*;

use std::path::Path;

use super::*;
use crate::document::{Section, extract};
use crate::fixture::WordEncoder;

fn encoder(max_tokens: usize) -> WordEncoder {
    WordEncoder::new(16).with_max_tokens(max_tokens)
}

/// A text with the sections its format gives it; a blank one has none.
fn document(text: &str, format: Format) -> Extracted {
    extract(format, Path::new("a"), text.into()).unwrap_or_else(|_| Extracted {
        text: text.to_owned(),
        attributes: Default::default(),
        sections: Vec::<Section>::new(),
    })
}

fn cut(text: &str, format: Format, max_tokens: usize) -> Vec<String> {
    chunk(&document(text, format), format, &encoder(max_tokens))
        .expect("the fixture never fails")
        .into_iter()
        .map(|chunk| text[chunk.span].to_owned())
        .collect()
}

#[test]
fn a_short_text_is_one_chunk_without_its_margins() {
    assert_eq!(cut("\n  one two\nthree  \n", Format::Text, 64), ["one two\nthree"]);
}

#[test]
fn a_cut_falls_on_a_paragraph_where_there_is_one() {
    let first = "alpha ".repeat(10);
    let second = "beta ".repeat(10);
    let text = format!("{}\n\n{}", first.trim(), second.trim());
    let chunks = cut(&text, Format::Text, 18);
    assert_eq!(chunks[0], first.trim());
    assert!(chunks[1].ends_with("beta"), "{chunks:?}");
}

#[test]
fn neighbours_overlap() {
    let text = (0..100).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    let chunks = cut(&text, Format::Text, 34);
    for pair in chunks.windows(2) {
        let last = pair[0].split(' ').next_back().expect("not empty");
        assert!(pair[1].contains(last), "{pair:?}");
    }
}

#[test]
fn small_sections_join_under_the_title_of_the_largest() {
    let text = "# Guide\n\n## Install\n\nrun the installer and wait for it to finish\n";
    let document = document(text, Format::Markdown);
    let chunks = chunk(&document, Format::Markdown, &encoder(258)).expect("encodes");
    assert_eq!(chunks.len(), 1);
    assert_eq!(document.sections[chunks[0].section as usize].title, "Guide › Install");
    assert_eq!(chunks[0].span, 0..text.trim_end().len());
}

#[test]
fn code_keeps_the_indentation_of_its_first_line() {
    let body: String = (0..40).map(|i| format!("    let value{i} = {i};\n")).collect();
    let text = format!("fn main() {{\n{body}}}\n");
    let chunks = cut(&text, Format::Code, 42);
    assert!(chunks.len() > 2);
    for piece in &chunks[1..] {
        assert!(piece.starts_with("    let"), "{piece:?}");
    }
}

#[test]
fn an_indentation_is_all_blanks_before_a_lines_first_token_up_to_a_bound() {
    let blanks = |n| " ".repeat(n);
    for (before, kept) in [
        (String::new(), 0),
        ("a\n \t".to_owned(), 2),
        ("a ".to_owned(), 0),
        ("\n".to_owned() + &blanks(MAX_INDENT), MAX_INDENT),
        ("\n".to_owned() + &blanks(MAX_INDENT + 1), 0),
        (blanks(MAX_INDENT), MAX_INDENT),
        (blanks(MAX_INDENT + 1), 0),
        ("é".to_owned() + &blanks(MAX_INDENT), 0),
    ] {
        let text = format!("{before}x");
        let span = keep_indent(&text, before.len()..text.len(), Format::Code);
        assert_eq!(span, before.len() - kept..text.len(), "{text:?}");
    }
}

#[test]
fn a_word_without_end_is_cut_into_bounded_chunks() {
    let text = "x".repeat(100_000);
    let chunks = cut(&text, Format::Text, 256);
    assert!(chunks.iter().all(|chunk| chunk.len() <= MAX_CHUNK_BYTES));
    assert!(chunks.len() >= 100_000 / MAX_CHUNK_BYTES);
}

/// Titles and texts of the chunks of a file of this name.
fn titled(name: &str, text: &str, format: Format, max_tokens: usize) -> Vec<(String, String)> {
    let document = extract(format, Path::new(name), text.into()).expect("has text");
    let chunks = chunk(&document, format, &encoder(max_tokens)).expect("encodes");
    let title = |chunk: &Chunk| document.sections[chunk.section as usize].title.clone();
    chunks.iter().map(|c| (title(c), document.text[c.span.clone()].to_owned())).collect()
}

#[test]
fn records_never_share_a_chunk() {
    let text = "{\"text\":\"one\"}\n{\"text\":\"two\"}\n{\"title\":\"T\",\"text\":\"three\"}\n";
    let got = titled("a.jsonl", text, Format::JsonLines, 258);
    let got: Vec<(&str, &str)> = got.iter().map(|(t, c)| (t.as_str(), c.as_str())).collect();
    assert_eq!(got, [("", "one"), ("", "two"), ("T", "T\nthree")]);
}

#[test]
fn small_symbols_share_a_chunk_and_the_first_line_of_a_type_is_never_alone() {
    let function = |name: &str, words: usize| {
        format!("    fn {name}() {{\n{}    }}\n\n", "        a b c d;\n".repeat(words / 4))
    };
    let text = format!(
        "impl Bee {{\n{}{}{}}}\n",
        function("one", 4),
        function("two", 8),
        function("long", 52)
    );
    let got = titled("a.rs", &text, Format::Code, 66);
    let titles: Vec<&str> = got.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(titles, ["Bee › two", "Bee › long"]);
    assert!(got[0].1.starts_with("impl Bee {") && got[0].1.contains("fn one"));

    let text = format!("impl Bee {{\n{}}}\n", function("long", 120));
    let got = titled("a.rs", &text, Format::Code, 66);
    assert!(got[0].1.starts_with("impl Bee {\n    fn long"), "{got:?}");
    assert!(got.iter().all(|(title, _)| title == "Bee › long"), "{got:?}");
    for (_, piece) in &got[1..] {
        assert!(piece.starts_with("        a b c d;"), "a whole line: {piece:?}");
    }
}

#[test]
fn what_is_a_little_longer_than_a_window_is_cut_in_even_parts() {
    let text = (0..68).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    let words: Vec<usize> =
        cut(&text, Format::Text, 66).iter().map(|c| c.split(' ').count()).collect();
    assert_eq!(words.len(), 2);
    assert!(words.iter().all(|&count| count > 32), "{words:?}");
}

proptest! {
    #[test]
    fn every_token_is_in_a_chunk_and_no_chunk_is_too_long(
        text in "([a-zé]{1,9}[ .]{1,2}|\n|\n\n|# h\n){0,300}",
        max_tokens in 4usize..80,
        format in prop_oneof![Just(Format::Text), Just(Format::Markdown), Just(Format::Code)],
    ) {
        let encoder = encoder(max_tokens);
        let chunks = chunk(&document(&text, format), format, &encoder).expect("encodes");
        let tokens = tokens::tokens(&text, 0..text.len(), &encoder).expect("encodes");
        let window = max_tokens.saturating_sub(SPECIAL_TOKENS).max(MIN_WINDOW);
        for token in &tokens {
            let inside = chunks.iter().any(|c| c.span.start <= token.start && token.end <= c.span.end);
            prop_assert!(inside, "{token:?} is in no chunk");
        }
        for c in &chunks {
            let count = encoder.token_spans(&text[c.span.clone()]).expect("encodes").len();
            prop_assert!(count <= window, "{count} tokens in a window of {window}");
        }
        prop_assert!(chunks.windows(2).all(|pair| pair[0].span.start < pair[1].span.start));
    }
}
