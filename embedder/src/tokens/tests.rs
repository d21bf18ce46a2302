//! Against the `tokenizers` crate: ids and spans must be identical.

use tokenizers::models::wordpiece::WordPiece as ReferencePiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{AddedToken, ModelWrapper};

use super::*;

const MARKERS: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// The reference over the built-in model's vocabulary, and what is built from its JSON.
fn pair() -> (Tokenizer, ContentTokenizer) {
    let model = crate::StaticModel::from_bytes(crate::builtin::BYTES).unwrap();
    let vocabulary = MARKERS.into_iter().chain(model.parts().vocabulary.iter().map(String::as_str));
    let mut numbers = ReferencePiece::read_bytes(b"").unwrap();
    numbers.extend(vocabulary.map(str::to_owned).zip(0..));
    let pieces = ReferencePiece::builder().vocab(numbers).build().unwrap();
    let mut reference = Tokenizer::new(ModelWrapper::WordPiece(pieces));
    reference.with_normalizer(Some(BertNormalizer::default())).unwrap();
    reference.with_pre_tokenizer(Some(BertPreTokenizer));
    let special: Vec<AddedToken> = MARKERS.iter().map(|m| AddedToken::from(*m, true)).collect();
    reference.add_special_tokens(special).unwrap();
    let json = reference.to_string(false).unwrap();
    let tokenizer = ContentTokenizer::from_json(json.as_bytes()).unwrap();
    assert!(tokenizer.fast.is_some());
    (reference, tokenizer)
}

fn agree((reference, tokenizer): &(Tokenizer, ContentTokenizer), text: &str) {
    let expected = reference.encode(text, false).unwrap();
    let ids = tokenizer.ids(text, usize::MAX).unwrap();
    assert_eq!(ids, expected.get_ids(), "{text:?}");
    let spans: Vec<_> = tokenizer.spans(text).unwrap().iter().map(|s| (s.start, s.end)).collect();
    assert_eq!(spans, expected.get_offsets(), "{text:?}");
}

#[test]
fn every_character_is_cut_as_the_reference_cuts_it() {
    let pair = pair();
    // The other planes hold nothing but private and unassigned places.
    let characters: Vec<char> = ('\0'..'\u{32000}').chain('\u{e0000}'..'\u{e1000}').collect();
    for page in characters.chunks(1_024) {
        let text: String = page.iter().flat_map(|&c| ['a', c, 'b', c, ' ', c, ' ']).collect();
        agree(&pair, &text);
    }
}

#[test]
fn characters_in_any_company_are_cut_as_the_reference_cuts_them() {
    let pair = pair();
    // Letters, accents of several classes and lengths, what vanishes, what parts words, what
    // expands, and marks that stay though canonical ordering moves them.
    let odd: Vec<char> = ('\0'..=char::MAX)
        .filter(|&c| characters::character(c) == characters::Character::Odd)
        .collect();
    assert!(odd.len() > 10, "{}", odd.len());
    let usual: Vec<char> =
        "aZ9é #.\n\u{b}\u{c}\u{a0}\u{2009}ñÅİßΣẞ각中。〆ﬁ≠;\u{37e}\u{340}\u{f900}"
            .chars()
            .chain(
                "\u{301}\u{327}\u{316}\u{345}\u{334}\u{5b0}\u{93c}\u{200d}\u{ad}\u{fffd}\u{0}"
                    .chars(),
            )
            .chain("😀🇩\u{1d15e}\u{2f800}\u{e0100}\u{302e}ក្ខहिन्दीไทย".chars())
            .collect();
    let mut state = 7_u64;
    let mut draw = |count: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % count
    };
    for _ in 0..5_000 {
        let length = 1 + draw(12);
        let mut text = String::new();
        for _ in 0..length {
            match draw(8) {
                0 => text.push(odd[draw(odd.len())]),
                1 => text.push(char::from_u32(draw(0x3000) as u32).unwrap()),
                2..4 => text.push(char::from(b'a' + draw(26) as u8)),
                _ => text.push(usual[draw(usual.len())]),
            }
        }
        agree(&pair, &text);
    }
}

#[test]
fn words_and_markers_are_cut_as_the_reference_cuts_them() {
    let pair = pair();
    let x = |count| "x".repeat(count);
    for text in [
        "",
        " ",
        "The quick brown fox jumps over 13 lazy dogs.",
        "don't e-mail me@example.org!",
        "unaffable pneumonoultramicroscopicsilicovolcanoconiosis qqqqqqqq",
        "[CLS] and [SEP] but not [cls] [ SEP] [MASK",
        "a[UNK]b",
        "##ing # ## ###ing",
        &x(99),
        &x(100),
        &x(101),
        &format!("{}é{} y", x(99), x(99)),
        &"é".repeat(100),
        &"é".repeat(101),
        "Größe 機械 학습 été 🙂 naïve\u{ad}ly",
        "tab\tnewline\nreturn\rnull\0bell\u{7}",
        "\u{302e}\u{301}a\u{302e}",
    ] {
        agree(&pair, text);
    }
}

#[test]
fn other_tokenizers_are_left_to_the_reference() {
    let (mut reference, _) = pair();
    let taken = |tokenizer: &Tokenizer| {
        let json = tokenizer.to_string(false).unwrap();
        ContentTokenizer::from_json(json.as_bytes()).unwrap().fast.is_some()
    };
    for normalizer in [
        BertNormalizer::new(true, true, None, false),
        BertNormalizer::new(true, true, Some(false), true),
        BertNormalizer::new(false, true, None, true),
        BertNormalizer::new(true, false, None, true),
    ] {
        reference.with_normalizer(Some(normalizer)).unwrap();
        assert!(!taken(&reference), "{normalizer:?}");
    }
    reference.with_normalizer(Some(BertNormalizer::new(true, true, Some(true), true))).unwrap();
    assert!(taken(&reference));
    reference.add_tokens([AddedToken::from("word", false)]).unwrap();
    assert!(!taken(&reference));
    let (mut reference, _) = pair();
    reference.with_pre_tokenizer(None::<BertPreTokenizer>);
    assert!(!taken(&reference));
}

fn toy() -> ContentTokenizer {
    let vocabulary = ["the", "cat", "##s", "sat", ",", "naive"];
    ContentTokenizer::word_piece(vocabulary.into_iter()).unwrap()
}

#[test]
fn word_piece_lowercases_strips_accents_and_marks_the_unknown() {
    let check = |text: &str, expected: &[u32]| {
        assert_eq!(toy().ids(text, 100).unwrap(), expected, "{text}");
    };
    check("", &[]);
    check(" \n\t", &[]);
    check("The cats sat", &[0, 1, 2, 3]);
    check("cats,Naïve", &[1, 2, 4, 5]);
    check("the dog", &[0, 6]);
    check("\u{1}unknown", &[6]);
}

#[test]
fn a_long_text_is_read_only_as_far_as_needed_and_gives_the_same_tokens() {
    let text = "the cats sat ".repeat(500) + &"x".repeat(5_000);
    let all = toy().ids(&text, usize::MAX).unwrap();
    assert_eq!(all.len(), 2_001);
    for limit in [0, 1, 3, 100, 1_999, 2_001, 5_000] {
        let some = toy().ids(&text, limit).unwrap();
        assert_eq!(some, all[..limit.min(all.len())], "{limit}");
    }
}

#[test]
fn spans_are_bytes_of_the_original_text() {
    let text = "  Naïve, cats";
    let spans = toy().spans(text).unwrap();
    let pieces: Vec<&str> = spans.iter().map(|span| &text[span.clone()]).collect();
    assert_eq!(pieces, ["Naïve", ",", "cat", "s"]);
}
