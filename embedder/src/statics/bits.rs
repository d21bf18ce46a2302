//! Entries of fewer than eight bits, one after the other without gaps.
//!
//! An entry is a two's complement number; its lowest bit comes first, and bits fill each byte
//! from its lowest. What is left of the last byte is zero.

use super::FormatError;

/// Bits of one entry of a row: 2 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits(u8);

impl Bits {
    /// A whole byte for each entry.
    pub const WHOLE: Self = Self(8);

    /// `bits` bits, if rows can have them.
    #[must_use]
    pub fn new(bits: u8) -> Option<Self> {
        (2..=8).contains(&bits).then_some(Self(bits))
    }

    /// The same for entries that are packed; whole bytes are not.
    pub(super) fn packed(bits: u8) -> Option<Self> {
        Self::new(bits).filter(|bits| *bits != Self::WHOLE)
    }

    /// How many.
    #[must_use]
    pub fn get(self) -> u8 {
        self.0
    }

    /// The largest entry; the smallest that is written is its negative, or one less.
    #[must_use]
    pub fn largest(self) -> i8 {
        i8::MAX >> (8 - self.0)
    }

    /// Whether an entry fits.
    pub(super) fn hold(self, entry: i8) -> bool {
        (-self.largest() - 1..=self.largest()).contains(&entry)
    }

    /// Bytes that `entries` take.
    pub(super) fn bytes(self, entries: usize) -> usize {
        (entries * usize::from(self.0)).div_ceil(8)
    }
}

/// Appends the entries, each of which fits.
pub(super) fn pack(entries: &[u8], bits: Bits, out: &mut Vec<u8>) {
    let mask = (1_u64 << bits.0) - 1;
    // Eight entries fill as many bytes as an entry has bits.
    for group in entries.chunks(8) {
        let mut word = 0;
        for (place, &entry) in group.iter().enumerate() {
            word |= (u64::from(entry) & mask) << (place * usize::from(bits.0));
        }
        out.extend_from_slice(&word.to_le_bytes()[..bits.bytes(group.len())]);
    }
}

/// The entries of `packed`, which has [`Bits::bytes`] of them, as bytes.
pub(super) fn unpack(packed: &[u8], bits: Bits, entries: usize) -> Result<Vec<u8>, FormatError> {
    let mut out = vec![0; entries.next_multiple_of(8)];
    // A known width lets the compiler do several entries at once, which shows when a program starts.
    match bits.0 {
        2 => groups::<2>(packed, &mut out),
        3 => groups::<3>(packed, &mut out),
        4 => groups::<4>(packed, &mut out),
        5 => groups::<5>(packed, &mut out),
        6 => groups::<6>(packed, &mut out),
        7 => groups::<7>(packed, &mut out),
        _ => groups::<8>(packed, &mut out),
    }
    let spare = 8 * packed.len() - entries * usize::from(bits.0);
    if packed.last().is_some_and(|last| u32::from(*last) << spare > 0xff) {
        return Err(FormatError::Length("bits after the last row are not zero"));
    }
    out.truncate(entries);
    Ok(out)
}

/// Unpacks eight entries at a time; what the last bytes lack is taken for zeros.
fn groups<const WIDTH: usize>(packed: &[u8], out: &mut [u8]) {
    let (groups, rest) = packed.as_chunks::<WIDTH>();
    let mut last = [0; WIDTH];
    last[..rest.len()].copy_from_slice(rest);
    let (places, _) = out.as_chunks_mut::<8>();
    for (place, group) in places.iter_mut().zip(groups.iter().chain([&last])) {
        let mut word = [0; 8];
        word[..WIDTH].copy_from_slice(group);
        let word = u64::from_le_bytes(word);
        // Up to the top of a byte and back, which repeats the sign.
        *place = std::array::from_fn(|at| {
            (((word >> (at * WIDTH)) << (8 - WIDTH)) as i8 >> (8 - WIDTH)).cast_unsigned()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_any_width_come_back() {
        for bits in (2..8).filter_map(Bits::packed) {
            let (least, most) = (-bits.largest() - 1, bits.largest());
            for count in [0, 1, 7, 8, 9, 64, 301] {
                let entries: Vec<u8> =
                    (least..=most).cycle().take(count).map(i8::cast_unsigned).collect();
                let mut packed = Vec::new();
                pack(&entries, bits, &mut packed);
                assert_eq!(packed.len(), bits.bytes(count), "{bits:?} {count}");
                assert_eq!(unpack(&packed, bits, count).unwrap(), entries, "{bits:?} {count}");
            }
        }
    }

    #[test]
    fn packed_bytes_are_those_of_the_specification() {
        let entries = [1_i8, -1, 15, -16, 0].map(i8::cast_unsigned);
        let mut packed = Vec::new();
        pack(&entries, Bits::new(5).unwrap(), &mut packed);
        // 00001, 11111, 01111, 10000, 00000 from the lowest bit on.
        assert_eq!(packed, [0b1110_0001, 0b0011_1111, 0b0000_1000, 0b0000_0000]);
        packed[3] = 0b0010_0000;
        assert!(unpack(&packed, Bits::new(5).unwrap(), 5).is_err());
    }

    #[test]
    fn widths_have_limits() {
        assert_eq!([0, 1, 9, 255].map(Bits::new), [None; 4]);
        assert_eq!(Bits::new(8), Some(Bits::WHOLE));
        assert_eq!(Bits::packed(8), None);
        let five = Bits::new(5).unwrap();
        assert_eq!([-17, -16, 15, 16].map(|x| five.hold(x)), [false, true, true, false]);
    }
}
