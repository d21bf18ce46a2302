//! Small numbers packed into as few bits as the largest of them needs.

use crate::bytes::Reader;

/// The most bits of one number.
const MAX_WIDTH: u32 = 32;

/// Bits that hold `x`.
pub(crate) fn width_of(x: u32) -> u32 {
    u32::BITS - x.leading_zeros()
}

/// Bytes that `count` numbers of `width` bits take.
pub(crate) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends numbers of `width` bits each, lowest bit first, filled with zero bits to a whole byte.
pub(crate) fn pack(out: &mut Vec<u8>, numbers: impl Iterator<Item = u32>, width: u32) {
    let (mut word, mut filled) = (0u64, 0);
    for number in numbers {
        debug_assert!(width_of(number) <= width && width <= MAX_WIDTH);
        word |= u64::from(number) << filled;
        filled += width;
        while filled >= 8 {
            out.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(word as u8);
    }
}

/// The `i`th number of `width` bits; `None` past the end.
pub(crate) fn unpack(bytes: &[u8], i: usize, width: u32) -> Option<u32> {
    if width > MAX_WIDTH {
        return None;
    }
    let bit = i.checked_mul(width as usize)?;
    if bit + width as usize > bytes.len() * 8 {
        return None;
    }
    let rest = &bytes[(bit / 8).min(bytes.len())..];
    let word = match rest.first_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    Some(((word >> (bit % 8)) & ((1u64 << width) - 1)) as u32)
}

/// Appends a number in groups of seven bits, lowest first.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut x: u64) {
    while x >= 0x80 {
        out.push(x as u8 | 0x80);
        x >>= 7;
    }
    out.push(x as u8);
}

/// Reads what [`put_varint`] wrote, in its shortest form only.
pub(crate) fn varint(reader: &mut Reader<'_>) -> Option<u64> {
    let mut x = 0u64;
    for shift in (0..64).step_by(7) {
        let [byte] = reader.array()?;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 || shift > 0 && byte == 0 {
            return None;
        }
        x |= part << shift;
        if byte < 0x80 {
            return Some(x);
        }
    }
    None
}

/// Signed numbers near zero as unsigned ones near zero.
pub(crate) fn zigzag(x: i64) -> u64 {
    (x << 1 ^ x >> 63).cast_unsigned()
}

pub(crate) fn unzigzag(x: u64) -> i64 {
    (x >> 1).cast_signed() ^ -(x & 1).cast_signed()
}

/// Appends ascending numbers, none above `last`, in about two bits more than `log2(last / count)`
/// each, so that any can be read by itself (Elias, "Efficient storage and retrieval by content and
/// address of static files", 1974): low bits packed, high bits as a unary sequence.
pub(crate) fn put_ascending(out: &mut Vec<u8>, numbers: &[u32]) {
    let last = numbers.last().copied().unwrap_or(0);
    let low = low_width(last, numbers.len());
    let mask = ((1u64 << low) - 1) as u32;
    pack(out, numbers.iter().map(|x| x & mask), low);
    let mut unary = vec![0u8; unary_len(last, numbers.len())];
    for (i, x) in numbers.iter().enumerate() {
        let bit = (x >> low) as usize + i;
        unary[bit / 8] |= 1 << (bit % 8);
    }
    out.extend_from_slice(&unary);
}

/// The `i`th of `count` numbers that [`put_ascending`] wrote with this largest one.
pub(crate) fn ascending(bytes: &[u8], i: usize, count: usize, last: u32) -> Option<u32> {
    let low = low_width(last, count);
    let packed = packed_len(count, low);
    let bits = unpack(bytes.get(..packed)?, i, low)?;
    let unary = bytes.get(packed..packed + unary_len(last, count))?;
    let mut left = i as u32;
    for (at, &byte) in unary.iter().enumerate() {
        let ones = byte.count_ones();
        if left < ones {
            let mut byte = byte;
            for _ in 0..left {
                byte &= byte - 1;
            }
            let bit = 8 * at + byte.trailing_zeros() as usize;
            let high = u32::try_from(bit.checked_sub(i)?).ok()?;
            return high.checked_shl(low).map(|high| high | bits);
        }
        left -= ones;
    }
    None
}

/// Bytes that `count` numbers take which [`put_ascending`] wrote with this largest one; `None` where the
/// bytes are not as it fills them up.
pub(crate) fn ascending_len(bytes: &[u8], count: usize, last: u32) -> Option<usize> {
    let low = low_width(last, count);
    let packed = packed_len(count, low);
    let unary = unary_len(last, count);
    let (lows, highs) = (bytes.get(..packed)?, bytes.get(packed..packed + unary)?);
    let bits = (last >> low) as usize + count;
    let ones: u32 = highs.iter().map(|byte| byte.count_ones()).sum();
    let sound = is_filled(lows, count * low as usize)
        && is_filled(highs, bits)
        && ones as usize == count
        && (count == 0 && last == 0 || ascending(bytes, count - 1, count, last) == Some(last));
    sound.then_some(packed + unary)
}

/// Whether the bits after the first so many are zero.
pub(crate) fn is_filled(bytes: &[u8], bits: usize) -> bool {
    let (whole, rest) = (bits / 8, bits % 8);
    let after = bytes.get(whole..).unwrap_or_default();
    after.iter().enumerate().all(|(i, byte)| if i == 0 { byte >> rest == 0 } else { *byte == 0 })
}

fn low_width(last: u32, count: usize) -> u32 {
    (last / count.max(1) as u32).checked_ilog2().unwrap_or(0)
}

fn unary_len(last: u32, count: usize) -> usize {
    ((last >> low_width(last, count)) as usize + count).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packed_numbers_come_back(width in 0u32..=32, numbers in prop::collection::vec(any::<u32>(), 0..50)) {
            let mask = ((1u64 << width) - 1) as u32;
            let mut bytes = Vec::new();
            pack(&mut bytes, numbers.iter().map(|x| x & mask), width);
            prop_assert_eq!(bytes.len(), packed_len(numbers.len(), width));
            for (i, x) in numbers.iter().enumerate() {
                prop_assert_eq!(unpack(&bytes, i, width), Some(x & mask));
            }
            if width >= 8 {
                prop_assert_eq!(unpack(&bytes, numbers.len(), width), None);
            }
        }

        #[test]
        fn ascending_numbers_come_back(mut numbers in prop::collection::vec(0u32..1 << 24, 1..130)) {
            numbers.sort_unstable();
            let last = numbers[numbers.len() - 1];
            let mut bytes = Vec::new();
            put_ascending(&mut bytes, &numbers);
            prop_assert_eq!(ascending_len(&bytes, numbers.len(), last), Some(bytes.len()));
            bytes.push(0xff);
            for (i, x) in numbers.iter().enumerate() {
                prop_assert_eq!(ascending(&bytes, i, numbers.len(), last), Some(*x));
            }
            prop_assert_eq!(ascending(&bytes[..1], numbers.len() - 1, numbers.len(), last.max(1 << 20)), None);
        }

        #[test]
        fn varints_and_zigzag_come_back(x: u64, y: i64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, x);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(varint(&mut reader), Some(x));
            prop_assert!(reader.finished());
            prop_assert_eq!(unzigzag(zigzag(y)), y);
        }
    }

    #[test]
    fn numbers_that_are_not_filled_up_with_zeros_are_noticed() {
        for numbers in [&[3u32, 9, 40][..], &[0], &[7; 5], &[1, 2, 1 << 20]] {
            let (mut bytes, last) = (Vec::new(), numbers[numbers.len() - 1]);
            put_ascending(&mut bytes, numbers);
            assert_eq!(ascending_len(&bytes, numbers.len(), last), Some(bytes.len()));
            let end = bytes.len() - 1;
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[end] ^= 1 << bit;
                assert_eq!(ascending_len(&other, numbers.len(), last), None, "{numbers:?}: {bit}");
            }
            assert_eq!(ascending_len(&bytes[..end], numbers.len(), last), None);
        }
        assert_eq!(ascending_len(&[], 0, 0), Some(0));
        assert_eq!(ascending_len(&[], 0, 7), None);
    }

    #[test]
    fn a_varint_has_one_form() {
        for bad in [
            &[0x80, 0][..],
            &[0x80],
            &[0xff; 11],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
        ] {
            assert_eq!(varint(&mut Reader::new(bad)), None, "{bad:?}");
        }
    }
}
