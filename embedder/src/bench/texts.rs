//! Texts to measure with.

use super::{CHUNK, QUERY};
use crate::{BUILTIN_NAME, EmbedError, Embedder, StaticModel};

/// `[CLS]` and `[SEP]`.
const MARKERS: usize = 2;

/// One word in so many is two written as one, which no vocabulary has.
const COMPOUND: usize = 8;
/// One word in so many ends a sentence.
const SENTENCE: usize = 14;

/// Chunks and a question of a model's tokens.
#[derive(Clone, Debug)]
pub struct Texts {
    chunks: Vec<String>,
    /// Of [`QUERY`] tokens, markers included.
    pub query: String,
}

impl Texts {
    /// Made-up English for `model`: common words in no order, a few unknown to it, and punctuation. The same each time.
    ///
    /// # Errors
    ///
    /// When the tokenizer fails, or cuts no text of that length.
    pub fn of(model: &dyn Embedder, count: usize) -> Result<Self, EmbedError> {
        let words = words()?;
        // A chunk that is cut within a word may not have the same tokens again and is left out, so there are spares.
        let text = made_up(&words, 2 * count * CHUNK);
        let content = (CHUNK - MARKERS).min(model.max_tokens());
        let chunks = cut(model, &text, content, count)?;
        let query = cut(model, &text, QUERY - MARKERS, 1)?.pop();
        let short = || EmbedError::Tokenizer("it cuts no text of a chunk's tokens".to_owned());
        if chunks.len() < count {
            return Err(short());
        }
        Ok(Self { chunks, query: query.ok_or_else(short)? })
    }

    /// The first `count` chunks.
    #[must_use]
    pub fn chunks(&self, count: usize) -> Vec<&str> {
        self.chunks.iter().take(count).map(String::as_str).collect()
    }
}

/// At most `most` pieces of `text`, one after the other, each of exactly `tokens` content tokens of `model`.
///
/// # Errors
///
/// When the tokenizer fails.
pub fn cut(
    model: &dyn Embedder,
    text: &str,
    tokens: usize,
    most: usize,
) -> Result<Vec<String>, EmbedError> {
    let spans = model.token_spans(text)?;
    let mut pieces = Vec::new();
    for spans in spans.chunks_exact(tokens.max(1)) {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { continue };
        let piece = &text[first.start..last.end];
        if pieces.len() < most && model.token_spans(piece)?.len() == tokens {
            pieces.push(piece.to_owned());
        }
    }
    Ok(pieces)
}

/// The words of the built-in model's vocabulary that are whole, plain and not short.
fn words() -> Result<Vec<String>, EmbedError> {
    let model = StaticModel::from_bytes(crate::builtin::BYTES)?;
    let plain = |word: &&String| word.len() > 2 && word.bytes().all(|b| b.is_ascii_lowercase());
    let words: Vec<String> = model.parts().vocabulary.iter().filter(plain).cloned().collect();
    if words.is_empty() {
        return Err(EmbedError::Tokenizer(format!("{BUILTIN_NAME} has no words")));
    }
    Ok(words)
}

/// `count` of `words`; vocabularies begin with the common ones, which are taken more often.
fn made_up(words: &[String], count: usize) -> String {
    let mut state = 1_u64;
    let mut next = |below: usize| {
        // Knuth's multiplier and increment; the high bits are the random ones.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below.max(1)
    };
    let mut text = String::new();
    for number in 0..count {
        let among = next(words.len()) + 1;
        text += &words[next(among)];
        text += match number {
            number if number % SENTENCE == SENTENCE - 1 => ". ",
            number if number % COMPOUND == COMPOUND - 1 => "",
            _ => " ",
        };
    }
    text
}
