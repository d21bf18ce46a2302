//! Products of whole numbers, of eight or sixteen bits, with sums in i32: exact as long as
//! these do not overflow (then they wrap), and so the same on every processor.

use super::level::{Kind, Level};
use super::{TILE, WIDTH, portable};

/// A product's rows and columns.
pub(crate) type Tile = [[i32; WIDTH]; TILE];

/// Numbers that stand in panels, and what rows are multiplied with them.
///
/// Consecutive inputs stand together in groups of 32 bits.
pub(crate) trait Weight: Copy + Default {
    /// The entries of the rows on the left.
    type Left: Copy + Default + Into<i32>;
    /// As many weights as a group has.
    type Group: Copy + Default + AsRef<[Self]> + AsMut<[Self]>;
    /// Inputs of a group; rows are padded to multiples of it.
    const GROUP: usize;

    /// A row's whole groups, and what is left of it.
    fn groups(row: &[Self]) -> (&[Self::Group], &[Self]);

    /// Multiplies rows, `stride` apart, with a panel; see [`Panel::multiply`].
    fn product(
        level: Level,
        left: &[Self::Left],
        stride: usize,
        panel: &[Step<Self>],
        out: &mut [i32],
        out_stride: usize,
    );
}

/// The most inputs of a group.
const MOST_GROUP: usize = 4;

/// One group of inputs' weights for each of a panel's columns.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Step<W: Weight>(pub(super) [W::Group; WIDTH]);

/// Weights in panels of [`WIDTH`] columns, padded with zeros both ways.
pub(crate) struct Panels<W: Weight> {
    data: Vec<Step<W>>,
    /// Steps of a panel.
    steps: usize,
    inputs: usize,
}

impl<W: Weight> Default for Panels<W> {
    fn default() -> Self {
        Self { data: Vec::new(), steps: 0, inputs: 0 }
    }
}

impl<W: Weight> Panels<W> {
    /// Packs `weight`, `[inputs, outputs]` row-major.
    pub(crate) fn pack(weight: &[W], inputs: usize, outputs: usize) -> Self {
        let mut panels = Self::default();
        panels.clear(inputs, outputs);
        panels.set_inputs(weight, outputs, outputs);
        panels
    }

    /// Makes it `[inputs, outputs]` of zeros.
    pub(crate) fn clear(&mut self, inputs: usize, outputs: usize) {
        self.steps = inputs.div_ceil(W::GROUP);
        self.inputs = inputs;
        self.data.clear();
        let zeros = Step([W::Group::default(); WIDTH]);
        self.data.resize(self.steps * outputs.div_ceil(WIDTH), zeros);
    }

    /// Sets the weights of inputs `0..`, rows of `columns` entries that start `stride` apart; an output beyond `columns`, or
    /// an input beyond the rows, keeps what it has, unless it shares a group with one that is set: then it becomes zero.
    pub(crate) fn set_inputs(&mut self, rows: &[W], stride: usize, columns: usize) {
        for (at, rows) in rows.chunks(W::GROUP * stride).enumerate() {
            for first in (0..columns).step_by(WIDTH) {
                let width = WIDTH.min(columns - first);
                let mut block = [[W::default(); WIDTH]; MOST_GROUP];
                for (block, row) in block.iter_mut().zip(rows.chunks(stride)) {
                    match row[first..].first_chunk::<WIDTH>().filter(|_| width == WIDTH) {
                        Some(row) => *block = *row,
                        None => block[..width].copy_from_slice(&row[first..][..width]),
                    }
                }
                let step = &mut self.data[first / WIDTH * self.steps + at].0;
                for (column, group) in step.iter_mut().enumerate().take(width) {
                    let group = group.as_mut();
                    for (entry, row) in group.iter_mut().zip(&block) {
                        *entry = row[column];
                    }
                }
            }
        }
    }

    /// Sets the weights of one output; those of inputs that `column` lacks stay.
    pub(crate) fn set_output(&mut self, output: usize, column: &[W]) {
        let panel = &mut self.data[output / WIDTH * self.steps..][..self.steps];
        let (groups, rest) = W::groups(column);
        for (step, group) in panel.iter_mut().zip(groups) {
            step.0[output % WIDTH] = *group;
        }
        if let Some(step) = panel.get_mut(groups.len()) {
            step.0[output % WIDTH].as_mut()[..rest.len()].copy_from_slice(rest);
        }
    }

    /// Rows of the matrix.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The panels, left to right.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Panel<'_, W>> {
        self.data.chunks_exact(self.steps.max(1)).map(Panel)
    }
}

/// [`WIDTH`] columns of [`Panels`].
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a, W: Weight>(&'a [Step<W>]);

impl<W: Weight> Panel<'_, W> {
    /// Multiplies up to [`TILE`](super::TILE) rows of `left`, whose length is a multiple of
    /// `stride`, with the panel. Rows of `out`, `out_stride` apart, that are not among those of
    /// `left` keep what they held.
    ///
    /// Products of bytes are added in pairs of sixteen bits on some processors: of a column's
    /// weights for inputs `2i` and `2i + 1`, neither what is above zero may add up to more than
    /// [`PAIR`], nor what is below to less than minus that.
    ///
    /// # Panics
    ///
    /// When `left` has too many rows, or rows shorter than the panel, or more than `out`.
    pub(crate) fn multiply(
        self,
        level: Level,
        left: &[W::Left],
        stride: usize,
        out: &mut [i32],
        out_stride: usize,
    ) {
        let rows = left.len() / stride;
        assert!(left.len().is_multiple_of(stride) && rows <= TILE, "rows of a tile");
        assert!(self.0.len() * W::GROUP <= stride, "rows as long as the panel");
        assert!(out_stride >= WIDTH && out.len() + out_stride >= rows * out_stride + WIDTH);
        W::product(level, left, stride, self.0, out, out_stride);
    }
}

/// The most that two neighbours among a column's bytes may add up to: 255 times this fits sixteen
/// bits.
pub(crate) const PAIR: i32 = 128;

/// The most that `terms` products' factors may be, either way of zero, for sums that fit an i32;
/// `most` if that is less.
pub(crate) fn most_factor(terms: usize, most: u32) -> f32 {
    let root = (i32::MAX as usize / terms.max(1)).isqrt();
    root.min(most as usize) as f32
}

/// Implements [`Weight`] by a function for each level.
macro_rules! weight {
    ($left:ty, $weight:ty, $group:literal, $avx2:ident, $avx512:ident) => {
        impl Weight for $weight {
            type Left = $left;
            type Group = [$weight; $group];
            const GROUP: usize = $group;

            fn groups(row: &[Self]) -> (&[Self::Group], &[Self]) {
                row.as_chunks()
            }

            fn product(
                level: Level,
                left: &[$left],
                stride: usize,
                panel: &[Step<$weight>],
                out: &mut [i32],
                out_stride: usize,
            ) {
                match level.0 {
                    Kind::Portable => portable::product(left, stride, panel, out, out_stride),
                    // SAFETY: the level vouches for the processor.
                    #[cfg(target_arch = "x86_64")]
                    #[allow(unsafe_code)]
                    Kind::Avx2 => unsafe {
                        super::x86_int::$avx2(left, stride, panel, out, out_stride);
                    },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    #[allow(unsafe_code)]
                    Kind::Avx512 => unsafe {
                        super::x86_int::$avx512(left, stride, panel, out, out_stride);
                    },
                }
            }
        }
    };
}

weight!(u8, i8, 4, bytes_avx2, bytes_avx512);
weight!(i16, i16, 2, words_avx2, words_avx512);
