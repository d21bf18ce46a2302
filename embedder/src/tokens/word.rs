//! A word while it is gathered: its normalised bytes, and where they came from.

use std::ops::Range;

/// One word. While its bytes lie in the text as they are here, but for case, it is plain
/// and needs no record of where each came from.
#[derive(Default)]
pub(super) struct Word {
    bytes: Vec<u8>,
    /// For each byte the span of its character in the text, unless plain.
    origins: Vec<Range<usize>>,
    plain: bool,
    chars: usize,
    whole: Range<usize>,
}

/// The lower case of each letter or digit of ASCII; zero for every other byte.
const PLAIN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_lowercase();
        }
        byte += 1;
    }
    table
};

impl Word {
    /// Adds the letters and digits that `rest`, which lies at byte `at` of the text, starts
    /// with, and returns how many they are. Of a word beyond `most_chars`, only its
    /// extent is kept.
    pub(super) fn push_plain(&mut self, rest: &[u8], at: usize, most_chars: usize) -> usize {
        let before = self.bytes.len();
        let letters = rest.iter().map(|&byte| PLAIN[usize::from(byte)]);
        self.bytes.extend(letters.take_while(|&letter| letter != 0));
        let count = self.bytes.len() - before;
        if count == 0 {
            return 0;
        }
        if self.is_empty() {
            self.begin(at);
        } else if !self.plain || self.whole.end != at {
            self.record_origins(before);
            self.origins.extend((at..at + count).map(|at| at..at + 1));
        }
        self.end(at + count, count, most_chars);
        count
    }

    /// Adds what the character at `span` of the text became.
    pub(super) fn push(&mut self, bytes: &[u8], span: Range<usize>, most_chars: usize) {
        if self.is_empty() {
            self.begin(span.start);
        }
        self.record_origins(self.bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.origins.resize(self.bytes.len(), span.clone());
        let chars = bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        self.end(span.end, chars, most_chars);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.origins.clear();
        self.chars = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chars == 0
    }

    pub(super) fn chars(&self) -> usize {
        self.chars
    }

    /// The normalised word; meaningless beyond the limit of characters.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the word lies in the text.
    pub(super) fn whole(&self) -> Range<usize> {
        self.whole.clone()
    }

    /// Where a part of [`bytes`](Self::bytes), not empty, lies in the text.
    pub(super) fn span(&self, part: Range<usize>) -> Range<usize> {
        if self.plain {
            return self.whole.start + part.start..self.whole.start + part.end;
        }
        self.origins[part.start].start..self.origins[part.end - 1].end
    }

    fn begin(&mut self, at: usize) {
        self.whole = at..at;
        self.plain = true;
    }

    fn end(&mut self, at: usize, chars: usize, most_chars: usize) {
        self.whole.end = at;
        self.chars += chars;
        if self.chars > most_chars {
            self.bytes.clear();
            self.origins.clear();
        }
    }

    /// Writes down where the first `count` bytes came from, if that was plain until now.
    fn record_origins(&mut self, count: usize) {
        if self.plain {
            self.plain = false;
            let start = self.whole.start;
            self.origins.extend((start..start + count).map(|at| at..at + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_word_know_where_they_came_from() {
        let check = |build: &dyn Fn(&mut Word), bytes: &str, spans: &[Range<usize>]| {
            let mut word = Word::default();
            // What a word held before leaves no trace.
            word.push("ß".as_bytes(), 0..2, 100);
            word.clear();
            build(&mut word);
            assert_eq!(word.bytes(), bytes.as_bytes());
            let found: Vec<_> = (0..bytes.len()).map(|at| word.span(at..at + 1)).collect();
            assert_eq!(found, spans);
            assert_eq!(word.whole(), spans[0].start..spans[spans.len() - 1].end);
        };
        let plain = |word: &mut Word| assert_eq!(word.push_plain(b"Ab-c", 3, 100), 2);
        check(&plain, "ab", &[3..4, 4..5]);
        let gap = |word: &mut Word| {
            plain(word);
            assert_eq!(word.push_plain(b"9", 7, 100), 1);
        };
        check(&gap, "ab9", &[3..4, 4..5, 7..8]);
        let accent = |word: &mut Word| {
            plain(word);
            word.push(b"e", 5..7, 100);
            assert_eq!(word.push_plain(b"Z ", 7, 100), 1);
        };
        check(&accent, "abez", &[3..4, 4..5, 5..7, 7..8]);
        check(&|word| word.push("각".as_bytes(), 0..3, 100), "각", &[0..3, 0..3, 0..3]);
    }

    #[test]
    fn a_word_that_is_too_long_keeps_its_extent_only() {
        let mut word = Word::default();
        assert_eq!(word.push_plain(&[b'a'; 70], 10, 100), 70);
        assert_eq!((word.chars(), word.bytes().len()), (70, 70));
        for at in [80, 200] {
            assert_eq!(word.push_plain(&[b'a'; 70], at, 100), 70);
        }
        word.push("é".as_bytes(), 270..272, 100);
        assert_eq!((word.chars(), word.bytes().len(), word.whole()), (211, 0, 10..272));
    }
}
