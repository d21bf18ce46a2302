use proptest::prelude::*;

use super::*;
use crate::fixture::WordEncoder;

fn encoder(max_tokens: usize) -> WordEncoder {
    WordEncoder::new(16).with_max_tokens(max_tokens)
}

fn cut(text: &str, format: Format, max_tokens: usize) -> Vec<String> {
    chunk(text, format, &encoder(max_tokens))
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
    let chunks = chunk(text, Format::Markdown, &encoder(258)).expect("encodes");
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].title, "Guide › Install");
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

proptest! {
    #[test]
    fn every_token_is_in_a_chunk_and_no_chunk_is_too_long(
        text in "([a-zé]{1,9}[ .]{1,2}|\n|\n\n|# h\n){0,300}",
        max_tokens in 4usize..80,
        format in prop_oneof![Just(Format::Text), Just(Format::Markdown), Just(Format::Code)],
    ) {
        let encoder = encoder(max_tokens);
        let chunks = chunk(&text, format, &encoder).expect("encodes");
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
