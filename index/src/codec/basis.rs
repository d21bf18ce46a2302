//! From a centred vector to the coordinates that are coded.

use super::rotate::Rotation;
use crate::vectors::dot;

/// The directions a codec looks along.
pub(super) enum Basis {
    /// All of them, rotated as a whole; vectors are filled with zeros up to `padded` first.
    Rotation { seed: u64, padded: usize, rotation: Rotation },
    /// Learnt directions.
    Rows(Rows),
}

/// Directions as rows of small integers, with what one stands for.
pub(super) struct Rows {
    pub(super) dim: usize,
    /// Bits of an entry as stored, 4 or 8.
    pub(super) bits: u8,
    pub(super) steps: Vec<f32>,
    pub(super) entries: Vec<i8>,
    /// The same as numbers.
    floats: Vec<f32>,
}

impl Basis {
    pub(super) fn rotation(dim: usize, seed: u64) -> Self {
        let padded = dim.next_multiple_of(8);
        Self::Rotation { seed, padded, rotation: Rotation::new(padded, seed) }
    }

    pub(super) fn is_rotation(&self) -> bool {
        matches!(self, Self::Rotation { .. })
    }

    /// The coordinates of a vector, which it may use as scratch.
    pub(super) fn project(&self, vector: &mut Vec<f32>) -> Vec<f32> {
        match self {
            Self::Rotation { padded, rotation, .. } => {
                vector.resize(*padded, 0.0);
                rotation.apply(vector);
                std::mem::take(vector)
            }
            Self::Rows(rows) => {
                rows.floats.chunks_exact(rows.dim).map(|row| dot(row, vector)).collect()
            }
        }
    }
}

impl Basis {
    /// The vector with these coordinates and nothing along other directions.
    pub(super) fn lift(&self, coordinates: &[f32], dim: usize) -> Vec<f32> {
        match self {
            Self::Rotation { rotation, .. } => {
                let mut vector = coordinates.to_vec();
                rotation.undo(&mut vector);
                vector.truncate(dim);
                vector
            }
            Self::Rows(rows) => {
                let mut vector = vec![0f32; dim];
                for (row, &x) in rows.floats.chunks_exact(dim).zip(coordinates) {
                    vector.iter_mut().zip(row).for_each(|(sum, entry)| *sum += x * entry);
                }
                vector
            }
        }
    }
}

impl Rows {
    /// Rounds directions (row-major) to entries of `bits` bits.
    pub(super) fn of(directions: &[f32], dim: usize, bits: u8) -> Self {
        let most = f32::from((1i8 << (bits - 2)) | ((1i8 << (bits - 2)) - 1));
        let (mut steps, mut entries) = (Vec::new(), Vec::with_capacity(directions.len()));
        for row in directions.chunks_exact(dim) {
            let largest = row.iter().fold(0f32, |max, x| max.max(x.abs()));
            let step = if largest > 0.0 { largest / most } else { 1.0 };
            steps.push(step);
            entries.extend(row.iter().map(|x| (x / step).round().clamp(-most, most) as i8));
        }
        Self::new(dim, bits, steps, entries)
    }

    /// Rows as they were stored.
    pub(super) fn new(dim: usize, bits: u8, steps: Vec<f32>, entries: Vec<i8>) -> Self {
        let rows = entries.chunks_exact(dim).zip(&steps);
        let floats = rows.flat_map(|(row, &step)| row.iter().map(move |&x| f32::from(x) * step));
        Self { dim, bits, floats: floats.collect(), steps, entries }
    }
}
