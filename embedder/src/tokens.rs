//! Text to token numbers and byte spans, over the `tokenizers` crate.

use std::ops::Range;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{Encoding, Tokenizer};

use crate::EmbedError;

/// Bytes of text tried per wanted token before looking further into a long text.
const BYTES_PER_TOKEN: usize = 12;

/// A tokenizer that yields content tokens only, never padded, cut where asked.
pub(crate) struct ContentTokenizer {
    inner: Tokenizer,
}

impl ContentTokenizer {
    /// Reads a `tokenizer.json`, dropping the truncation and padding it ships with.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, EmbedError> {
        let mut inner = Tokenizer::from_bytes(json).map_err(failed)?;
        inner.with_truncation(None).map_err(failed)?;
        inner.with_padding(None);
        Ok(Self { inner })
    }

    /// Builds BERT's uncased WordPiece over `vocabulary`, whose order gives the numbers.
    /// Words that no piece matches get the number `vocabulary.len()`.
    pub(crate) fn word_piece<'a>(
        vocabulary: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Self, EmbedError> {
        // A control character keeps the marker from ever matching text.
        const UNKNOWN: &str = "\u{1}unknown";
        let mut numbers = WordPiece::read_bytes(b"").map_err(failed)?;
        for (number, token) in vocabulary.chain([UNKNOWN]).enumerate() {
            numbers.insert(token.to_owned(), u32::try_from(number).map_err(failed)?);
        }
        let model = WordPiece::builder()
            .vocab(numbers)
            .unk_token(UNKNOWN.to_owned())
            .build()
            .map_err(failed)?;
        let mut inner = Tokenizer::new(model);
        inner.with_normalizer(Some(BertNormalizer::default())).map_err(failed)?;
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        Ok(Self { inner })
    }

    /// The number of `token`, if the vocabulary has it.
    pub(crate) fn id_of(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token with this number.
    pub(crate) fn token_of(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The first `limit` content tokens, looking only as far into the text as needed.
    pub(crate) fn ids(&self, text: &str, limit: usize) -> Result<Vec<u32>, EmbedError> {
        let mut budget = limit.saturating_mul(BYTES_PER_TOKEN);
        loop {
            let prefix = whole_words(text, budget);
            let encoding = self.encode(prefix)?;
            if encoding.len() >= limit || prefix.len() == text.len() {
                let ids = encoding.get_ids();
                return Ok(ids[..ids.len().min(limit)].to_vec());
            }
            budget = budget.saturating_mul(4);
        }
    }

    /// Byte span of every content token.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<Range<usize>>, EmbedError> {
        let encoding = self.encode(text)?;
        Ok(encoding.get_offsets().iter().map(|&(start, end)| start..end).collect())
    }

    fn encode(&self, text: &str) -> Result<Encoding, EmbedError> {
        self.inner.encode(text, false).map_err(failed)
    }
}

/// The shortest prefix of at least `budget` bytes that ends before whitespace, where
/// tokenization of the rest cannot change the tokens of the prefix.
fn whole_words(text: &str, budget: usize) -> &str {
    if text.len() <= budget {
        return text;
    }
    let rest = text.as_bytes()[budget..].iter().position(u8::is_ascii_whitespace);
    rest.map_or(text, |offset| &text[..budget + offset])
}

fn failed(error: impl std::fmt::Display) -> EmbedError {
    EmbedError::Tokenizer(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
