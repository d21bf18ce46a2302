//! Tokens of a stretch of text, made safe to slice with.

use std::ops::Range;

use crate::encoder::{EncodeError, Encoder};

/// The tokenizer is given at most this much at once.
const BLOCK: usize = 32 * 1024;
/// A longer token is cut: a chunk is bounded in bytes, and a token must fit in one.
const MAX_TOKEN: usize = 256;

/// Byte ranges of the tokens in `range` of `text`: in order, not overlapping, not empty, and on
/// character boundaries, whatever the tokenizer said.
pub(super) fn tokens(
    text: &str,
    range: Range<usize>,
    encoder: &dyn Encoder,
) -> Result<Vec<Range<usize>>, EncodeError> {
    let mut spans = Vec::new();
    let mut start = range.start;
    while start < range.end {
        let end = block_end(text, start, range.end);
        let mut reached = start;
        for span in encoder.token_spans(&text[start..end])? {
            let low = start.saturating_add(span.start).max(reached);
            let high = start.saturating_add(span.end).min(end);
            if low < high && text.is_char_boundary(low) && text.is_char_boundary(high) {
                push_cut(text, low..high, &mut spans);
                reached = high;
            }
        }
        start = end;
    }
    Ok(spans)
}

/// Where to stop a block that starts at `start`: after its last newline, else space, else character.
fn block_end(text: &str, start: usize, limit: usize) -> usize {
    if limit - start <= BLOCK {
        return limit;
    }
    let end = text.floor_char_boundary(start + BLOCK);
    let block = &text[start..end];
    let cut = block.rfind('\n').or_else(|| block.rfind(' '));
    cut.map_or(end, |at| start + at + 1)
}

fn push_cut(text: &str, span: Range<usize>, spans: &mut Vec<Range<usize>>) {
    let mut start = span.start;
    while span.end - start > MAX_TOKEN {
        let end = text.floor_char_boundary(start + MAX_TOKEN);
        spans.push(start..end);
        start = end;
    }
    spans.push(start..span.end);
}
