//! Regular-expression search over the lines of a text.
//!
//! Start from [`Grep::new`], then [`Grep::find`] on the bytes of a plain file, or on the text that
//! was extracted from another. A pattern is bounded in length and compiled size, takes time linear
//! in the text, and looks at one line at a time.

#[cfg(test)]
mod tests;

use std::io;
use std::ops::Range;

use grep_matcher::{LineTerminator, Matcher};
use grep_regex::{ErrorKind, RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder, Sink, SinkFinish, SinkMatch};

/// The longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;
/// Most memory the compiled pattern takes, in bytes, and again its cache of states.
const PATTERN_BYTES: usize = 4 << 20;
/// How deep a pattern may nest.
const PATTERN_NEST: u32 = 64;
/// The most of one line that is given back, in bytes.
pub const MAX_LINE_BYTES: usize = 400;
/// Of that, how much stands before the match.
const BEFORE_MATCH: usize = 100;
/// Text searched between two questions whether to stop, in bytes; a longer line is searched whole.
const BLOCK_BYTES: usize = 1 << 20;

/// Whether `a` matches `A`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Case {
    /// It does, unless the pattern has an upper-case letter.
    #[default]
    Smart,
    /// It does not.
    Sensitive,
    /// It does.
    Insensitive,
}

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct GrepOptions {
    /// Whether case matters.
    pub case: Case,
    /// Whether only whole words match.
    pub word: bool,
    /// Whether the pattern is plain text rather than a regular expression.
    pub literal: bool,
    /// The most lines found in one text.
    pub max_matches: usize,
}

impl Default for GrepOptions {
    fn default() -> Self {
        Self { case: Case::Smart, word: false, literal: false, max_matches: 1000 }
    }
}

/// A pattern that cannot be searched for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrepError {
    /// There is nothing to look for.
    #[error("the pattern is empty")]
    Empty,
    /// It is too long, or too large once compiled.
    #[error("the pattern is too large; search for less at once")]
    TooLarge,
    /// It asks for a line's end, which no line contains.
    #[error("the pattern asks for the end of a line, but lines are searched one by one")]
    AcrossLines,
    /// It is no regular expression. The text shows where, and what is wrong.
    #[error("the pattern cannot be read: {0}")]
    Syntax(String),
}

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineMatch {
    /// Its number, from 1.
    pub line_number: u64,
    /// Where it lies in the text, in bytes, without its end.
    pub byte_range: Range<usize>,
    /// Where its first match lies in the text, in bytes.
    pub matched: Range<usize>,
    /// The line; of a long one, the 400 bytes around its match. What is not UTF-8 is replaced.
    pub line: String,
}

/// What one text holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The lines that match, in order.
    pub lines: Vec<LineMatch>,
    /// Whether it ended early: at the most lines, or because it was told to stop.
    pub more: bool,
    /// Whether the text is binary, and therefore has no lines.
    pub binary: bool,
}

/// A compiled search, for any number of texts.
#[derive(Clone, Debug)]
pub struct Grep {
    matcher: RegexMatcher,
    max_matches: usize,
}

impl Grep {
    /// Compiles a pattern.
    pub fn new(pattern: &str, options: &GrepOptions) -> Result<Self, GrepError> {
        if pattern.is_empty() {
            return Err(GrepError::Empty);
        }
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(GrepError::TooLarge);
        }
        let matcher = RegexMatcherBuilder::new()
            .case_smart(options.case == Case::Smart)
            .case_insensitive(options.case == Case::Insensitive)
            .word(options.word)
            .fixed_strings(options.literal)
            .multi_line(true)
            .crlf(true)
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .nest_limit(PATTERN_NEST)
            .build(pattern)
            .map_err(|error| explain(error.kind()))?;
        Ok(Self { matcher, max_matches: options.max_matches })
    }

    /// The lines of a text that match. `stop` is asked about once a megabyte; a text with a zero
    /// byte near its start or in a line that matches is binary and has none. Offsets count in
    /// `text` as it is given, so hand in decoded text where the file is not UTF-8.
    pub fn find(&self, text: &[u8], stop: &dyn Fn() -> bool) -> Found {
        let mut sink = Lines { grep: self, start: 0, first_line: 1, found: Found::default() };
        let mut searcher = SearcherBuilder::new()
            .line_terminator(LineTerminator::crlf())
            .binary_detection(BinaryDetection::quit(0))
            .bom_sniffing(false)
            .line_number(true)
            .build();
        while sink.start < text.len() {
            if sink.found.lines.len() >= self.max_matches || stop() {
                sink.found.more = true;
                break;
            }
            let end = block_end(text, sink.start);
            let block = &text[sink.start..end];
            searcher
                .search_slice(&self.matcher, block, &mut sink)
                .expect("a slice can be read, and the sink does not fail");
            if sink.found.binary {
                return Found { binary: true, ..Found::default() };
            }
            if sink.found.more {
                break;
            }
            sink.start = end;
            sink.first_line += block.iter().filter(|&&byte| byte == b'\n').count() as u64;
        }
        sink.found
    }
}

/// Where a block ends that starts here: after the first line's end past its size.
fn block_end(text: &[u8], start: usize) -> usize {
    let from = start.saturating_add(BLOCK_BYTES);
    let rest = text.get(from..).unwrap_or_default();
    rest.iter().position(|&byte| byte == b'\n').map_or(text.len(), |at| from + at + 1)
}

/// Collects the lines of one block after another.
struct Lines<'g> {
    grep: &'g Grep,
    /// Where the block starts in the text, and the number of its first line.
    start: usize,
    first_line: u64,
    found: Found,
}

impl Sink for Lines<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if self.found.lines.len() >= self.grep.max_matches {
            self.found.more = true;
            return Ok(false);
        }
        let line = found.bytes();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let place = self.grep.matcher.find(line).ok().flatten();
        let at = place.map_or(0..0, |place| place.start()..place.end());
        let start = self.start + found.absolute_byte_offset() as usize;
        let number = found.line_number().expect("asked for when the searcher was made");
        self.found.lines.push(LineMatch {
            line_number: self.first_line + number - 1,
            byte_range: start..start + line.len(),
            matched: start + at.start..start + at.end,
            line: around(line, at.start),
        });
        Ok(true)
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> io::Result<bool> {
        self.found.binary = true;
        Ok(false)
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> io::Result<()> {
        self.found.binary |= finish.binary_byte_offset().is_some();
        Ok(())
    }
}

/// The part of a line that is shown.
fn around(line: &[u8], at: usize) -> String {
    let mut start = 0;
    let mut end = line.len();
    if line.len() > MAX_LINE_BYTES {
        start = at.saturating_sub(BEFORE_MATCH).min(line.len() - MAX_LINE_BYTES);
        end = start + MAX_LINE_BYTES;
        let continues = |byte: u8| byte & 0xc0 == 0x80;
        while start < end && continues(line[start]) {
            start += 1;
        }
        while end > start && end < line.len() && continues(line[end]) {
            end -= 1;
        }
    }
    String::from_utf8_lossy(&line[start..end]).into_owned()
}

fn explain(kind: &ErrorKind) -> GrepError {
    match kind {
        ErrorKind::Regex(message) if message.contains("size limit") => GrepError::TooLarge,
        ErrorKind::Regex(message) => GrepError::Syntax(
            message.chars().filter(|c| !c.is_control() || *c == '\n').collect::<String>(),
        ),
        ErrorKind::NotAllowed(_) | ErrorKind::Banned(_) => GrepError::AcrossLines,
        other => GrepError::Syntax(format!("{other:?}")),
    }
}
