//! Cutting a document's text into chunks of at most a window of tokens.
//!
//! A document comes in sections (headings, symbols, records). Each is cut into windows that end, where
//! possible, at a paragraph or a line, and that overlap a little so that a sentence cut in two is
//! whole in one of them. Sections too small to say anything alone share a chunk with their
//! neighbours, unless they are records.

mod tokens;

use std::ops::Range;

use crate::document::{Extracted, Format};
use crate::encoder::{EncodeError, Encoder};

use tokens::tokens;

/// Tokens of a chunk where the model allows as many.
const DEFAULT_WINDOW: usize = 256;
/// Tokens a model adds to each text for itself.
const SPECIAL_TOKENS: usize = 2;
/// The smallest window, for a model that would otherwise allow none.
const MIN_WINDOW: usize = 8;
/// Tokens shared by two neighbouring chunks.
const OVERLAP: usize = 32;
/// The longest indentation that is kept, in bytes.
pub(crate) const MAX_INDENT: usize = 64;
/// A chunk's most bytes, whatever its tokens: some tokenizers make one token of a whole line.
pub(crate) const MAX_CHUNK_BYTES: usize = 16 * 1024;

/// A piece of a document that gets one vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where it lies in the extracted text, in bytes.
    pub(crate) span: Range<usize>,
    /// The section it is from, by position in [`Extracted::sections`]; of several that share the
    /// chunk, the one with the most text.
    pub(crate) section: u32,
}

/// Cuts a document.
pub(crate) fn chunk(
    extracted: &Extracted,
    format: Format,
    encoder: &dyn Encoder,
) -> Result<Vec<Chunk>, EncodeError> {
    let window =
        encoder.max_tokens().saturating_sub(SPECIAL_TOKENS).clamp(MIN_WINDOW, DEFAULT_WINDOW);
    let overlap = OVERLAP.min(window / 4);
    let text = extracted.text.as_str();

    // Part of a line of code says less than nothing.
    let code = format == Format::Code;
    let least = if code { LINE } else { INSIDE };

    let mut counted = Vec::new();
    for (section, number) in extracted.sections.iter().zip(0u32..) {
        let spans = tokens(text, section.range.clone(), encoder)?;
        if !spans.is_empty() {
            counted.push((number, spans));
        }
    }
    if !format.has_records() {
        // Symbols are shorter than what is written under a heading, and siblings explain each other.
        let small = if code { window / 2 } else { window / 4 };
        counted = join_small(counted, small, window);
    }
    let mut chunks = Vec::new();
    for (section, spans) in counted {
        for span in windows(text, &spans, window, overlap, least) {
            chunks.push(Chunk { span: keep_indent(text, span, format), section });
        }
    }
    Ok(chunks)
}

/// A section's number and its tokens.
type Counted = (u32, Vec<Range<usize>>);

/// Joins sections of fewer than `small` tokens with what follows as far as a window has room, under the
/// number of the one with the most text. The smallest, such as a heading without text or the first
/// line of a type, join with what follows even where that then takes more than a window, and at the end
/// with what is before.
fn join_small(sections: Vec<Counted>, small: usize, window: usize) -> Vec<Counted> {
    let tiny = window / 8;
    let mut joined: Vec<Counted> = Vec::new();
    let mut largest = 0;
    for (section, spans) in sections {
        match joined.last_mut() {
            Some((last, all))
                if all.len() < tiny || (all.len() < small && all.len() + spans.len() <= window) =>
            {
                if spans.len() >= largest {
                    largest = spans.len();
                    *last = section;
                }
                all.extend(spans);
            }
            _ => {
                largest = spans.len();
                joined.push((section, spans));
            }
        }
    }
    if joined.len() > 1
        && let Some((_, end)) = joined.pop_if(|(_, last)| last.len() < tiny)
        && let Some((_, all)) = joined.last_mut()
    {
        all.extend(end);
    }
    joined
}

/// Spans of at most `window` tokens that cover all of them.
fn windows(
    text: &str,
    tokens: &[Range<usize>],
    window: usize,
    overlap: usize,
    least: u8,
) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut first = 0;
    while first < tokens.len() {
        let start = tokens[first].start;
        // What is a little more than a window is cut so that no scrap is left over.
        let left = tokens.len() - first;
        let room = if left > window && left * 2 < window * 3 { left * 2 / 3 } else { window };
        let most = tokens[first..]
            .iter()
            .take(room)
            .take_while(|token| token.end - start <= MAX_CHUNK_BYTES)
            .count()
            .max(1);
        let limit = first + most;
        if limit == tokens.len() {
            spans.push(start..tokens[limit - 1].end);
            break;
        }
        let cut = best_cut(text, tokens, first + most / 2 + 1, limit);
        spans.push(start..tokens[cut - 1].end);
        first = overlap_start(text, tokens, first, cut, overlap.min(most / 4), least);
    }
    spans
}

/// The token in `low..=limit` to end before: the last that starts a paragraph, else a line, else
/// a sentence, else a word, else the limit.
fn best_cut(text: &str, tokens: &[Range<usize>], low: usize, limit: usize) -> usize {
    let mut best = (0, limit);
    for at in (low.min(limit)..=limit).rev() {
        let strength = break_before(text, tokens, at);
        if strength > best.0 {
            best = (strength, at);
        }
    }
    best.1
}

/// Where the next chunk begins: up to `overlap` tokens back, at the strongest break there is, and
/// always further than the last one began. Without a break of at least `least`, at the cut.
fn overlap_start(
    text: &str,
    tokens: &[Range<usize>],
    first: usize,
    cut: usize,
    overlap: usize,
    least: u8,
) -> usize {
    let low = cut.saturating_sub(overlap).max(first + 1);
    let mut best = (0, low);
    for at in low..cut {
        let strength = break_before(text, tokens, at);
        if strength > best.0 {
            best = (strength, at);
        }
    }
    if best.0 < least { cut } else { best.1 }
}

/// How good a place to cut is: inside a word, between words, after a sentence, line or paragraph.
const INSIDE: u8 = 0;
const WORD: u8 = 1;
const SENTENCE: u8 = 2;
const LINE: u8 = 3;
const PARAGRAPH: u8 = 4;

/// How good a place to cut lies before token `at`.
fn break_before(text: &str, tokens: &[Range<usize>], at: usize) -> u8 {
    let (before, after) = (&tokens[at - 1], tokens.get(at));
    let gap = after.map_or("", |after| text.get(before.end..after.start).unwrap_or(""));
    match gap.bytes().filter(|&b| b == b'\n').count() {
        0 if !gap.contains(char::is_whitespace) => INSIDE,
        0 if text[..before.end].ends_with(['.', '!', '?', '。']) => SENTENCE,
        0 => WORD,
        1 => LINE,
        _ => PARAGRAPH,
    }
}

/// The first line of a piece of code keeps its indentation.
fn keep_indent(text: &str, span: Range<usize>, format: Format) -> Range<usize> {
    if format != Format::Code {
        return span;
    }
    // No further back than an indentation goes: a whole program may be one line.
    let before = &text.as_bytes()[span.start.saturating_sub(MAX_INDENT + 1)..span.start];
    let indent = before.iter().rev().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let starts_line = indent == span.start || before[..before.len() - indent].ends_with(b"\n");
    if starts_line && indent <= MAX_INDENT { span.start - indent..span.end } else { span }
}

#[cfg(test)]
mod tests;
