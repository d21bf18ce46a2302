//! What BERT's uncased normalisation makes of each character.
//!
//! The answers come from the `tokenizers` crate itself, a character at a time, and are
//! kept in pages that are filled when text first needs them. A character alone tells
//! all as long as whatever remains of it is a starter in Unicode's sense: then canonical
//! ordering moves only accents, and those are removed. The few others are [`Odd`].
//!
//! [`Odd`]: Character::Odd

use std::sync::OnceLock;

use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
};

/// What becomes of a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Character {
    /// It vanishes, without parting a word.
    Nothing,
    /// It parts words.
    Space,
    /// It adds this to the word it is in.
    Word(Short),
    /// It is a word of its own: punctuation, or Chinese.
    Alone(Short),
    /// What it becomes depends on its neighbours.
    Odd,
}

/// Up to twelve bytes of UTF-8: the longest that any character becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Short {
    length: u8,
    bytes: [u8; Self::MOST],
}

impl Short {
    const MOST: usize = 12;

    fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::MOST];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { length: text.len() as u8, bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

const PAGE: usize = 256;
const PAGES: usize = (char::MAX as usize + 1) / PAGE;

static TABLE: [OnceLock<Box<[Character; PAGE]>>; PAGES] = [const { OnceLock::new() }; PAGES];

/// What becomes of `c`.
pub(super) fn character(c: char) -> Character {
    let number = c as usize;
    let page = TABLE[number / PAGE].get_or_init(|| {
        let first = number / PAGE * PAGE;
        let entry = |offset| u32::try_from(first + offset).ok().and_then(char::from_u32);
        // Surrogates are no characters and never looked up.
        Box::new(std::array::from_fn(|offset| entry(offset).map_or(Character::Odd, examine)))
    });
    page[number % PAGE]
}

/// BERT's uncased normalisation and cut into words, as the `tokenizers` crate does it.
pub(super) fn reference(text: &str) -> tokenizers::Result<PreTokenizedString> {
    let mut normalized = NormalizedString::from(text);
    BertNormalizer::default().normalize(&mut normalized)?;
    let mut words = PreTokenizedString::from(normalized);
    BertPreTokenizer.pre_tokenize(&mut words)?;
    Ok(words)
}

/// Looks at what becomes of `c` between two letters.
fn examine(c: char) -> Character {
    let Ok(words) = reference(&format!("x{c}x")) else { return Character::Odd };
    let words = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
    let words: Vec<&str> = words.iter().map(|(word, ..)| *word).collect();
    let short = |text: &str| Short::new(text).filter(|_| text.chars().all(is_starter));
    let found = match words[..] {
        ["xx"] => Some(Character::Nothing),
        ["x", "x"] => Some(Character::Space),
        ["x", alone, "x"] => short(alone).map(Character::Alone),
        [word] if word.len() > 2 => short(&word[1..word.len() - 1]).map(Character::Word),
        _ => None,
    };
    found.unwrap_or(Character::Odd)
}

/// Whether canonical ordering leaves `c` where it is: it does not swap places with an
/// accent of the lowest class after it, nor with one of the highest before it.
fn is_starter(c: char) -> bool {
    const LOWEST: char = '\u{334}';
    const HIGHEST: char = '\u{345}';
    let stays = |pair: String| NormalizedString::from(pair.as_str()).nfd().get() == pair;
    stays(format!("{c}{LOWEST}")) && stays(format!("{HIGHEST}{c}"))
}
