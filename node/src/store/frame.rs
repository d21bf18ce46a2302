//! One framed record: length, checks, payload (docs/spec/append-log.md). Shared by the append-only
//! log and the backup file.
//!
//! Both checks cover the frame's place in the file, so that bytes of an older file, or of another
//! place, never pass for a record.

use covey_crypto::Digest;

use super::MAX_RECORD;

/// Bytes before the payload: its length (u32, little-endian) and a check on place and length.
pub const HEAD: usize = 8;
/// Bytes after the payload: a check on place and payload.
pub const TAIL: usize = 16;
/// The largest frame.
pub const MAX_FRAME: usize = HEAD + MAX_RECORD + TAIL;

/// The frame of `payload` at byte `offset` of a file. `payload` has at most [`MAX_RECORD`] bytes.
pub fn encode(offset: u64, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= MAX_RECORD, "checked by the caller");
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut frame = Vec::with_capacity(HEAD + payload.len() + TAIL);
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&head_check(offset, length));
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&payload_check(offset, payload));
    frame
}

/// What stands at the start of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// A whole record, and the length of its frame.
    Record(&'a [u8], usize),
    /// The start of a record that the bytes end within.
    Short,
    /// No record.
    Bad,
}

/// Decodes the frame that starts `bytes`, which were read at byte `offset` of a file (checks A2 to A4).
pub fn decode(offset: u64, bytes: &[u8]) -> Decoded<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Decoded::Short;
    };
    let Some(length) = payload_length(offset, *head) else {
        return Decoded::Bad;
    };
    let Some((payload, rest)) = rest.split_at_checked(length) else {
        return Decoded::Short;
    };
    match rest.first_chunk::<TAIL>() {
        None => Decoded::Short,
        Some(check) if *check == payload_check(offset, payload) => {
            Decoded::Record(payload, HEAD + length + TAIL)
        }
        Some(_) => Decoded::Bad,
    }
}

/// The payload's length, if `head` is the head of a frame at `offset` (checks A2 and A3).
pub fn payload_length(offset: u64, head: [u8; HEAD]) -> Option<usize> {
    let [a, b, c, d, check @ ..] = head;
    let length = [a, b, c, d];
    let value = usize::try_from(u32::from_le_bytes(length)).ok()?;
    (value <= MAX_RECORD && check == head_check(offset, length)).then_some(value)
}

fn head_check(offset: u64, length: [u8; 4]) -> [u8; 4] {
    first(&Digest::of("covey frame head 1", &[&offset.to_le_bytes(), &length]))
}

fn payload_check(offset: u64, payload: &[u8]) -> [u8; TAIL] {
    first(&Digest::of("covey frame 1", &[&offset.to_le_bytes(), payload]))
}

fn first<const N: usize>(digest: &Digest) -> [u8; N] {
    std::array::from_fn(|i| digest.as_bytes()[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_decodes_at_its_own_place_only() {
        let frame = encode(16, b"payload");
        assert_eq!(decode(16, &frame), Decoded::Record(b"payload", frame.len()));
        assert_eq!(decode(17, &frame), Decoded::Bad);
        let longer = [&frame[..], b"more"].concat();
        assert_eq!(decode(16, &longer), Decoded::Record(b"payload", frame.len()));
    }

    #[test]
    fn every_cut_is_short_and_every_flipped_bit_is_bad() {
        let frame = encode(0, b"payload");
        for position in 0..frame.len() {
            assert_eq!(decode(0, &frame[..position]), Decoded::Short, "cut to {position}");
            for bit in 0..8 {
                let mut bent = frame.clone();
                bent[position] ^= 1 << bit;
                assert_eq!(decode(0, &bent), Decoded::Bad, "bit {bit} of byte {position}");
            }
        }
    }

    #[test]
    fn the_bytes_are_pinned() {
        let frame = encode(16, b"covey");
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "05000000689715f1636f7665797b79be616aec09a7295e24d9502dfd26");
    }

    #[test]
    fn a_length_beyond_the_bound_is_refused_before_anything_is_read() {
        let length = u32::try_from(MAX_RECORD + 1).expect("fits").to_le_bytes();
        let check = head_check(0, length);
        let head: Vec<u8> = length.into_iter().chain(check).collect();
        assert_eq!(decode(0, &head), Decoded::Bad);
    }
}
