//! The word pieces of a vocabulary in one hash table, looked up by bytes.

/// Marks a piece that continues a word.
pub(super) const CONTINUATION: &str = "##";

/// Numbers of pieces by their bytes. A lookup never allocates: all pieces lie in one
/// buffer and an open-addressed table points into it.
pub(super) struct Pieces {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    /// Longest piece in bytes, at a word's start and within a word.
    longest: [usize; 2],
}

#[derive(Clone, Copy)]
struct Slot {
    tag: u32,
    id: u32,
    start: u32,
    /// Twice the length, plus one within a word. No piece is empty, so zero marks a free slot.
    shape: u32,
}

const FREE: Slot = Slot { tag: 0, id: 0, start: 0, shape: 0 };

/// The state of the hash before the first byte, at a word's start and within a word.
const SEEDS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];

fn step(state: u64, byte: u8) -> u64 {
    (state ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

impl Pieces {
    /// Takes every distinct piece with its number; `None` if their bytes are beyond 4 GiB.
    pub(super) fn new<'a>(vocabulary: impl Iterator<Item = (&'a str, u32)>) -> Option<Self> {
        let pieces: Vec<(&str, u32)> = vocabulary.collect();
        let slots = (pieces.len() * 2).next_power_of_two().max(2);
        let mut table = Self { slots: vec![FREE; slots], bytes: Vec::new(), longest: [0; 2] };
        for (piece, id) in pieces {
            let (place, piece) = match piece.strip_prefix(CONTINUATION) {
                // Text sets every `#` apart as a word, so no word starts with two.
                Some(rest) => (1, rest),
                None => (0, piece),
            };
            if !piece.is_empty() {
                table.insert(place, piece.as_bytes(), id)?;
            }
        }
        Some(table)
    }

    fn insert(&mut self, place: usize, piece: &[u8], id: u32) -> Option<()> {
        let hash = piece.iter().fold(SEEDS[place], |state, &byte| step(state, byte));
        let start = u32::try_from(self.bytes.len()).ok()?;
        let shape = u32::try_from(piece.len() * 2 + place).ok()?;
        let mut slot = self.home(hash);
        while self.slots[slot].shape != 0 {
            slot = self.after(slot);
        }
        self.slots[slot] = Slot { tag: tag(hash), id, start, shape };
        self.bytes.extend_from_slice(piece);
        self.longest[place] = self.longest[place].max(piece.len());
        Some(())
    }

    /// The longest piece that `word[from..]` starts with: its number and its end in `word`.
    pub(super) fn longest(&self, word: &[u8], from: usize) -> Option<(u32, usize)> {
        /// Prefixes whose hashes are kept; longer pieces are rare and hashed anew.
        const KEPT: usize = 64;
        let place = usize::from(from > 0);
        let rest = &word[from..];
        let most = rest.len().min(self.longest[place]);
        let mut hashes = [0; KEPT];
        let mut state = SEEDS[place];
        for (hash, &byte) in hashes.iter_mut().zip(&rest[..most]) {
            state = step(state, byte);
            *hash = state;
        }
        (1..=most).rev().find_map(|length| {
            let hash = match hashes.get(length - 1) {
                Some(&hash) => hash,
                None => rest[KEPT..length].iter().fold(hashes[KEPT - 1], |s, &b| step(s, b)),
            };
            self.find(hash, place, &rest[..length]).map(|id| (id, from + length))
        })
    }

    fn find(&self, hash: u64, place: usize, piece: &[u8]) -> Option<u32> {
        let mut slot = self.home(hash);
        loop {
            let found = self.slots[slot];
            if found.shape == 0 {
                return None;
            }
            if found.tag == tag(hash)
                && found.shape as usize == piece.len() * 2 + place
                && self.bytes[found.start as usize..][..piece.len()] == *piece
            {
                return Some(found.id);
            }
            slot = self.after(slot);
        }
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_piece_wins_and_places_are_kept_apart() {
        let long = "x".repeat(90);
        let words = ["a", "ab", "abc", "##c", "##cd", "é", "##é", "#", "##", &long];
        let pieces = Pieces::new(words.iter().copied().zip(0..)).unwrap();
        let check = |word: &str, from: usize, expected: Option<(&str, usize)>| {
            let expected = expected.map(|(piece, end)| {
                (words.iter().position(|word| *word == piece).unwrap() as u32, end)
            });
            assert_eq!(pieces.longest(word.as_bytes(), from), expected, "{word} from {from}");
        };
        check("abcd", 0, Some(("abc", 3)));
        check("abd", 0, Some(("ab", 2)));
        check("abcd", 2, Some(("##cd", 4)));
        check("abcd", 3, None);
        check("bcd", 0, None);
        check("cd", 0, None);
        check("aéc", 1, Some(("##é", 3)));
        check("é", 0, Some(("é", 2)));
        check("#", 0, Some(("#", 1)));
        check(&"x".repeat(100), 0, Some((&long, 90)));
        check(&"x".repeat(89), 0, None);
    }

    #[test]
    fn a_vocabulary_of_nothing_matches_nothing() {
        assert_eq!(Pieces::new(std::iter::empty()).unwrap().longest(b"word", 0), None);
    }
}
