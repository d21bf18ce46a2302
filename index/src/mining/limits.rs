//! Which texts are worth learning from, and how much of them.

/// Most bytes of the shorter text of a pair; of prose that is longer, as much is taken.
pub const MAX_ANCHOR: usize = 240;
/// Most bytes of the longer one: rather more than the 128 tokens that training looks at by default, and a chunk's in
/// most languages.
pub const MAX_PASSAGE: usize = 2048;
/// Fewer words than this ask for nothing in particular.
const LEAST_ASKED: usize = 2;
/// Fewer words than this say nothing.
const LEAST_SAID: usize = 3;

/// Why two texts are no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// What would be asked is of fewer than two words.
    Short,
    /// What would be asked has no letter.
    Numeric,
    /// A heading is longer than any that a person reads, or cut short in the index.
    Long,
    /// What would belong to it is of fewer than three words.
    Bare,
}

/// The shorter text of a pair from prose: blanks collapsed, cut at a word.
///
/// # Errors
///
/// When it is too short, or has no letter.
pub fn anchor(text: &str) -> Result<String, Unfit> {
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if line.len() + 1 + word.len() > MAX_ANCHOR {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.chars().any(char::is_alphabetic) {
        return Err(if line.is_empty() { Unfit::Short } else { Unfit::Numeric });
    }
    if has_words(&line, LEAST_ASKED) { Ok(line) } else { Err(Unfit::Short) }
}

/// The shorter text of a pair from a heading or title, which is not cut: half of one is another one.
pub(super) fn heading(text: &str) -> Result<String, Unfit> {
    if text.len() > MAX_ANCHOR { Err(Unfit::Long) } else { anchor(text) }
}

/// The longer text of a pair: how `text` begins, cut after a word.
///
/// # Errors
///
/// When it says too little.
pub fn passage(text: &str) -> Result<String, Unfit> {
    let lines = text.trim_end();
    // What indents the first line belongs to it.
    let blank = lines.len() - lines.trim_start().len();
    let start = lines[..blank].rfind('\n').map_or(0, |newline| newline + 1);
    let mut kept = &lines[start..];
    if kept.len() > MAX_PASSAGE {
        let cut = &kept[..kept.floor_char_boundary(MAX_PASSAGE)];
        kept = cut.rfind(char::is_whitespace).map_or(cut, |at| &cut[..at]).trim_end();
        // One word without an end.
        if kept.is_empty() {
            kept = cut;
        }
    }
    if has_words(kept, LEAST_SAID) { Ok(kept.to_owned()) } else { Err(Unfit::Bare) }
}

/// Whether there are at least so many words with a letter in them. Of scripts that put no blanks between words, a
/// sign counts as one.
fn has_words(text: &str, least: usize) -> bool {
    let (mut words, mut inside) = (0, false);
    for c in text.chars() {
        if is_word_alone(c) {
            (words, inside) = (words + 1, false);
        } else if c.is_alphabetic() {
            words += usize::from(!inside);
            inside = true;
        } else if !c.is_numeric() {
            inside = false;
        }
        if words >= least {
            return true;
        }
    }
    false
}

/// Kana, ideographs and Thai.
fn is_word_alone(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
}
