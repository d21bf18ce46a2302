//! Text to token numbers and byte spans.
//!
//! BERT's uncased WordPiece, which static models and most of the `bert` family use, is
//! done here by [`WordPiece`]; whatever else a `tokenizer.json` asks for is left to the
//! `tokenizers` crate, and both give the same answer wherever both apply.

mod characters;
mod pieces;
mod word;
mod wordpiece;

use std::ops::{ControlFlow, Range};

use tokenizers::{
    ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer,
};

use crate::EmbedError;
use wordpiece::WordPiece;

/// Bytes of text tried per wanted token before looking further into a long text.
const BYTES_PER_TOKEN: usize = 12;

/// Most characters of a word that BERT's uncased models cut into pieces.
const MOST_CHARS: usize = 100;

/// A tokenizer that yields content tokens only, never padded, cut where asked.
pub(crate) struct ContentTokenizer {
    /// BERT's uncased WordPiece, if that is what is wanted.
    fast: Option<WordPiece>,
    /// What `tokenizer.json` describes, if there is one.
    described: Option<Tokenizer>,
    /// Tokens that `described` finds in text before anything else; `fast` does not.
    added: Vec<String>,
}

impl ContentTokenizer {
    /// Reads a `tokenizer.json`, dropping the truncation and padding it ships with.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, EmbedError> {
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(failed)?;
        tokenizer.with_truncation(None).map_err(failed)?;
        tokenizer.with_padding(None);
        let added = tokenizer.get_added_tokens_decoder().into_values();
        let added = added.map(|token| token.content).collect();
        Ok(Self { fast: uncased_bert(&tokenizer), described: Some(tokenizer), added })
    }

    /// Builds BERT's uncased WordPiece over `vocabulary`, whose order gives the numbers.
    /// Words that no piece matches get the number `vocabulary.len()`.
    pub(crate) fn word_piece<'a>(
        vocabulary: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Self, EmbedError> {
        let unknown = u32::try_from(vocabulary.len()).map_err(failed)?;
        let fast = WordPiece::new(vocabulary.zip(0..), unknown, MOST_CHARS);
        let fast = Some(fast.ok_or_else(|| failed("the vocabulary is too large"))?);
        Ok(Self { fast, described: None, added: Vec::new() })
    }

    /// The number of `token`, if a `tokenizer.json` has it.
    pub(crate) fn id_of(&self, token: &str) -> Option<u32> {
        self.described.as_ref()?.token_to_id(token)
    }

    /// The token with this number, if a `tokenizer.json` has it.
    pub(crate) fn token_of(&self, id: u32) -> Option<String> {
        self.described.as_ref()?.id_to_token(id)
    }

    /// The first `limit` content tokens, looking only as far into the text as needed.
    pub(crate) fn ids(&self, text: &str, limit: usize) -> Result<Vec<u32>, EmbedError> {
        let mut ids = Vec::new();
        self.each_id(text, limit, |id| ids.push(id))?;
        Ok(ids)
    }

    /// Hands each of the first `limit` content tokens to `sink`.
    pub(crate) fn each_id(
        &self,
        text: &str,
        limit: usize,
        mut sink: impl FnMut(u32),
    ) -> Result<(), EmbedError> {
        let mut left = limit;
        if left == 0 {
            return Ok(());
        }
        if let Some(fast) = self.fast_for(text) {
            let taken = fast.tokens(text, |id, _| {
                sink(id);
                left -= 1;
                if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            return taken.map_err(failed);
        }
        let Some(described) = &self.described else { return Ok(()) };
        let mut budget = limit.saturating_mul(BYTES_PER_TOKEN);
        loop {
            let prefix = whole_words(text, budget);
            let encoding = described.encode(prefix, false).map_err(failed)?;
            if encoding.len() >= limit || prefix.len() == text.len() {
                encoding.get_ids().iter().take(limit).for_each(|&id| sink(id));
                return Ok(());
            }
            budget = budget.saturating_mul(4);
        }
    }

    /// Byte span of every content token.
    pub(crate) fn spans(&self, text: &str) -> Result<Vec<Range<usize>>, EmbedError> {
        if let Some(fast) = self.fast_for(text) {
            let mut spans = Vec::new();
            let taken = fast.tokens(text, |_, span| {
                spans.push(span);
                ControlFlow::Continue(())
            });
            return taken.map(|()| spans).map_err(failed);
        }
        let Some(described) = &self.described else { return Ok(Vec::new()) };
        let encoding = described.encode(text, false).map_err(failed)?;
        Ok(encoding.get_offsets().iter().map(|&(start, end)| start..end).collect())
    }

    fn fast_for(&self, text: &str) -> Option<&WordPiece> {
        let spoken = |token: &String| text.contains(token.as_str());
        self.fast.as_ref().filter(|_| !self.added.iter().any(spoken))
    }
}

/// The same tokenizer done here, if it is BERT's uncased WordPiece with tokens added, if
/// at all, that text is searched for as it is.
fn uncased_bert(tokenizer: &Tokenizer) -> Option<WordPiece> {
    let ModelWrapper::WordPiece(model) = tokenizer.get_model() else { return None };
    let Some(NormalizerWrapper::BertNormalizer(normalizer)) = tokenizer.get_normalizer() else {
        return None;
    };
    let uncased = normalizer.clean_text
        && normalizer.handle_chinese_chars
        && normalizer.lowercase
        && normalizer.strip_accents.unwrap_or(true);
    let words =
        matches!(tokenizer.get_pre_tokenizer(), Some(PreTokenizerWrapper::BertPreTokenizer(_)));
    // Others may move spans.
    let as_it_is = matches!(
        tokenizer.get_post_processor(),
        None | Some(PostProcessorWrapper::Bert(_) | PostProcessorWrapper::Template(_))
    );
    let added = tokenizer.get_added_tokens_decoder();
    let verbatim = added.values().all(|token| !token.normalized && !token.content.is_empty());
    let continued = model.continuing_subword_prefix == pieces::CONTINUATION;
    if !(uncased && words && as_it_is && verbatim && continued) {
        return None;
    }
    let vocabulary = tokenizer.get_vocab(false);
    let unknown = *vocabulary.get(&model.unk_token)?;
    let pieces = vocabulary.iter().map(|(piece, id)| (piece.as_str(), *id));
    WordPiece::new(pieces, unknown, model.max_input_chars_per_word)
}

/// The shortest prefix of at least `budget` bytes that ends before whitespace, where
/// tokenization of the rest cannot change the tokens of the prefix.
fn whole_words(text: &str, budget: usize) -> &str {
    if text.len() <= budget {
        return text;
    }
    // Form feeds are left out: BERT removes them, which joins what they part.
    let ends = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let rest = text.as_bytes()[budget..].iter().position(ends);
    rest.map_or(text, |offset| &text[..budget + offset])
}

fn failed(error: impl std::fmt::Display) -> EmbedError {
    EmbedError::Tokenizer(error.to_string())
}

#[cfg(test)]
mod tests;
