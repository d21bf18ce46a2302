//! One kept vector: its key, its numbers in 12 bits each, and a checksum over both.

use sha2::{Digest, Sha256};

use crate::encoder::EncoderId;

/// How often it was asked for of late, 0 to 3, in the lowest bits; the rest is zero.
const USES: usize = 4;
const KEY: usize = 32;
const SCALE: usize = 4;
const CHECKSUM: usize = 16;
/// The highest level; the lowest is its negative.
const TOP: f32 = 2047.0;

/// What a vector is kept under: the model and the text that it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key([u8; KEY]);

impl Key {
    pub(crate) fn new(encoder: EncoderId, text_hash: &[u8; 32]) -> Self {
        let hash = Sha256::new()
            .chain_update(encoder.base)
            .chain_update(encoder.release)
            .chain_update(text_hash);
        Self(hash.finalize().into())
    }

    /// The key of a slot that holds something.
    pub(super) fn of(slot: &[u8]) -> Option<Self> {
        let key: [u8; KEY] = *slot.get(USES..)?.first_chunk()?;
        (key != [0; KEY]).then_some(Self(key))
    }

    /// A number that is as good as random.
    pub(super) fn number(&self) -> u64 {
        u64::from_le_bytes(*self.0.first_chunk().expect("a key has 32 bytes"))
    }
}

/// Bytes of a slot.
pub(super) fn slot_bytes(dim: usize) -> usize {
    USES + KEY + SCALE + (dim * 12).div_ceil(8) + CHECKSUM
}

/// Fills a slot.
pub(super) fn write(slot: &mut [u8], key: &Key, row: &[f32]) {
    let largest = row.iter().fold(0f32, |most, x| most.max(x.abs()));
    let scale = largest / TOP;
    let level = |x: f32| if scale > 0.0 { (x / scale).round().clamp(-TOP, TOP) as i16 } else { 0 };
    slot.fill(0);
    let (head, checksum) = slot.split_at_mut(slot.len() - CHECKSUM);
    head[USES..][..KEY].copy_from_slice(&key.0);
    head[USES + KEY..][..SCALE].copy_from_slice(&scale.to_le_bytes());
    let values = &mut head[USES + KEY + SCALE..];
    for (pair, bytes) in row.chunks(2).zip(values.chunks_mut(3)) {
        let [a, b] = [0, 1].map(|i| pair.get(i).map_or(0, |x| (level(*x) + 2048) as u16));
        let packed = [a as u8, (a >> 8) as u8 | (b << 4) as u8, (b >> 4) as u8];
        bytes.copy_from_slice(&packed[..bytes.len()]);
    }
    checksum.copy_from_slice(&sum(&head[USES..]));
}

/// The vector in a slot, if it is the key's and whole.
pub(super) fn read(slot: &[u8], key: &Key, dim: usize) -> Option<Vec<f32>> {
    if Key::of(slot).as_ref() != Some(key) || !is_whole(slot) {
        return None;
    }
    let scale = f32::from_le_bytes(*slot.get(USES + KEY..)?.first_chunk()?);
    let values = slot.get(USES + KEY + SCALE..slot.len() - CHECKSUM)?;
    let number = |level: u16| (f32::from(level) - 2048.0) * scale;
    let mut row = Vec::with_capacity(dim + 1);
    for bytes in values.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|i| u16::from(bytes.get(i).copied().unwrap_or(0)));
        row.push(number(a | (b & 15) << 8));
        row.push(number(b >> 4 | c << 4));
    }
    row.truncate(dim);
    (row.len() == dim && row.iter().all(|x| x.is_finite())).then_some(row)
}

/// Whether a slot holds something, as it was written.
pub(super) fn is_whole(slot: &[u8]) -> bool {
    let Some((head, checksum)) = slot.split_last_chunk::<CHECKSUM>() else { return false };
    Key::of(slot).is_some() && sum(&head[USES..]) == *checksum
}

/// How often a slot was asked for of late.
pub(super) fn uses(slot: &[u8]) -> u8 {
    slot[0] & 3
}

pub(super) fn set_uses(slot: &mut [u8], uses: u8) {
    slot[..USES].copy_from_slice(&[uses, 0, 0, 0]);
}

fn sum(bytes: &[u8]) -> [u8; CHECKSUM] {
    *Sha256::digest(bytes).first_chunk().expect("a SHA-256 has 32 bytes")
}
