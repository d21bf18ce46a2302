//! BERT's uncased WordPiece: the ids and byte spans of the `tokenizers` crate, sooner.
//!
//! Text of ASCII takes one table lookup a byte. Other characters take one in
//! [`characters`](super::characters), and words with an odd one go through `tokenizers`.
//! Greedy longest match as in Wu et al., "Google's Neural Machine Translation System"
//! (2016), section 4.1.

use std::ops::{ControlFlow, Range};

use tokenizers::{OffsetType, Token};

use super::characters::{Character, character, reference};
use super::pieces::Pieces;
use super::word::Word;

/// Cuts text as BERT's uncased models expect it.
pub(super) struct WordPiece {
    pieces: Pieces,
    unknown: u32,
    /// A word of more characters is unknown as a whole.
    most_chars: usize,
}

impl WordPiece {
    /// A tokenizer over `vocabulary`; `None` if that is beyond 4 GiB. What no pieces make
    /// up gets the number `unknown`.
    pub(super) fn new<'a>(
        vocabulary: impl Iterator<Item = (&'a str, u32)>,
        unknown: u32,
        most_chars: usize,
    ) -> Option<Self> {
        Some(Self { pieces: Pieces::new(vocabulary)?, unknown, most_chars })
    }

    /// Hands number and byte span of one token after the other to `sink`, until it breaks.
    pub(super) fn tokens(
        &self,
        text: &str,
        mut sink: impl FnMut(u32, Range<usize>) -> ControlFlow<()>,
    ) -> tokenizers::Result<()> {
        // The only break is the caller's wish to see no more.
        match self.scan(text, &mut sink) {
            Ok(ControlFlow::Continue(()) | ControlFlow::Break(())) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn scan(
        &self,
        text: &str,
        sink: &mut impl FnMut(u32, Range<usize>) -> ControlFlow<()>,
    ) -> tokenizers::Result<ControlFlow<()>> {
        let mut scratch = Scratch::default();
        let mut at = 0;
        // Just after the last character that parts words.
        let mut parted = 0;
        loop {
            at += scratch.word.push_plain(&text.as_bytes()[at..], at, self.most_chars);
            let Some(c) = text[at..].chars().next() else { break };
            let span = at..at + c.len_utf8();
            at = span.end;
            match kind(c) {
                Character::Nothing => {}
                Character::Word(short) => scratch.word.push(short.bytes(), span, self.most_chars),
                Character::Space => {
                    if self.word(&mut scratch, sink).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    parted = at;
                }
                Character::Alone(short) => {
                    if self.word(&mut scratch, sink).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    scratch.word.push(short.bytes(), span, self.most_chars);
                    if self.word(&mut scratch, sink).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    parted = at;
                }
                Character::Odd => {
                    scratch.word.clear();
                    let rest = text[at..].char_indices();
                    let end = rest.map(|(i, c)| (at + i, kind(c))).find_map(|(i, kind)| {
                        matches!(kind, Character::Space | Character::Alone(_)).then_some(i)
                    });
                    at = end.unwrap_or(text.len());
                    if self.odd(&text[parted..at], parted, sink)?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
        }
        Ok(self.word(&mut scratch, sink))
    }

    /// Cuts the word that was gathered, if any, into pieces.
    fn word(
        &self,
        scratch: &mut Scratch,
        sink: &mut impl FnMut(u32, Range<usize>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Scratch { word, cuts } = scratch;
        if word.is_empty() {
            return ControlFlow::Continue(());
        }
        let known = word.chars() <= self.most_chars && self.cut(word.bytes(), cuts);
        let flow = if known {
            let mut from = 0;
            cuts.iter().try_for_each(|&(id, to)| {
                let span = word.span(from..to);
                from = to;
                sink(id, span)
            })
        } else {
            sink(self.unknown, word.whole())
        };
        word.clear();
        flow
    }

    /// Finds number and end of each piece of `word`; false if there is no way.
    fn cut(&self, word: &[u8], cuts: &mut Vec<(u32, usize)>) -> bool {
        cuts.clear();
        let mut from = 0;
        while from < word.len() {
            let Some((id, end)) = self.pieces.longest(word, from) else { return false };
            cuts.push((id, end));
            from = end;
        }
        true
    }

    /// Lets `tokenizers` normalise and split `text`, which starts at byte `offset` of the whole.
    fn odd(
        &self,
        text: &str,
        offset: usize,
        sink: &mut impl FnMut(u32, Range<usize>) -> ControlFlow<()>,
    ) -> tokenizers::Result<ControlFlow<()>> {
        let mut words = reference(text)?;
        words.tokenize(|word| Ok(self.odd_word(word.get())))?;
        let encoding = words.into_encoding(None, 0, OffsetType::Byte)?;
        let mut tokens = encoding.get_ids().iter().zip(encoding.get_offsets());
        Ok(tokens.try_for_each(|(&id, &(start, end))| sink(id, offset + start..offset + end)))
    }

    fn odd_word(&self, word: &str) -> Vec<Token> {
        let token = |id, offsets| Token { id, value: String::new(), offsets };
        let mut cuts = Vec::new();
        if word.chars().count() > self.most_chars || !self.cut(word.as_bytes(), &mut cuts) {
            return vec![token(self.unknown, (0, word.len()))];
        }
        let mut from = 0;
        let cut = |(id, to)| token(id, (std::mem::replace(&mut from, to), to));
        cuts.into_iter().map(cut).collect()
    }
}

#[derive(Default)]
struct Scratch {
    word: Word,
    cuts: Vec<(u32, usize)>,
}

fn kind(c: char) -> Character {
    match c {
        ' ' | '\t' | '\n' | '\r' => Character::Space,
        _ => character(c),
    }
}
