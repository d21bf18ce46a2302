//! Products of whole numbers, of eight or sixteen bits, with sums in i32: exact as long as
//! these do not overflow (then they wrap), and so the same on every processor.

use super::level::{Kind, Level};
use super::{TILE, WIDTH, portable};

/// Inputs that stand together in a panel; rows are padded to multiples of it.
pub(crate) const GROUP: usize = 4;

/// Four consecutive inputs' weights for each of the columns.
pub(super) type Step<W> = [[W; GROUP]; WIDTH];

/// A product's rows and columns.
pub(crate) type Tile = [[i32; WIDTH]; TILE];

/// Weights in panels of [`WIDTH`] columns, padded with zeros both ways.
#[derive(Default)]
pub(crate) struct Panels<W> {
    data: Vec<Step<W>>,
    /// Steps of a panel.
    steps: usize,
    inputs: usize,
}

impl<W: Copy + Default> Panels<W> {
    /// Packs `weight`, `[inputs, outputs]` row-major.
    pub(crate) fn pack(weight: &[W], inputs: usize, outputs: usize) -> Self {
        let mut panels = Self { data: Vec::new(), steps: 0, inputs: 0 };
        panels.clear(inputs, outputs);
        for (input, row) in weight.chunks_exact(outputs).enumerate() {
            panels.set_input(input, row);
        }
        panels
    }

    /// Makes it `[inputs, outputs]` of zeros.
    pub(crate) fn clear(&mut self, inputs: usize, outputs: usize) {
        self.steps = inputs.div_ceil(GROUP);
        self.inputs = inputs;
        self.data.clear();
        self.data.resize(self.steps * outputs.div_ceil(WIDTH), [[W::default(); GROUP]; WIDTH]);
    }

    /// Sets the weights of one input.
    pub(crate) fn set_input(&mut self, input: usize, row: &[W]) {
        let (first, place) = (input / GROUP, input % GROUP);
        for (number, columns) in row.chunks(WIDTH).enumerate() {
            let step = &mut self.data[number * self.steps + first];
            for (group, &entry) in step.iter_mut().zip(columns) {
                group[place] = entry;
            }
        }
    }

    /// Sets the weights of one output; those of inputs that `column` lacks stay.
    pub(crate) fn set_output(&mut self, output: usize, column: &[W]) {
        let panel = &mut self.data[output / WIDTH * self.steps..][..self.steps];
        let (groups, rest) = column.as_chunks::<GROUP>();
        for (step, group) in panel.iter_mut().zip(groups) {
            step[output % WIDTH] = *group;
        }
        if let Some(step) = panel.get_mut(groups.len()) {
            step[output % WIDTH][..rest.len()].copy_from_slice(rest);
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
pub(crate) struct Panel<'a, W>(&'a [Step<W>]);

impl<W: Copy> Panel<'_, W> {
    /// Multiplies up to [`TILE`](super::TILE) rows of `left`, whose length is a multiple of
    /// `stride`, with the panel. Rows of `out`, `out_stride` apart, that are not among those of
    /// `left` keep what they held. Of `i16`, no four entries may all be the least there is.
    ///
    /// # Panics
    ///
    /// When `left` has too many rows, or rows shorter than the panel, or more than `out`.
    pub(crate) fn multiply<L: Factor<W>>(
        self,
        level: Level,
        left: &[L],
        stride: usize,
        out: &mut [i32],
        out_stride: usize,
    ) {
        let rows = left.len() / stride;
        assert!(left.len().is_multiple_of(stride) && rows <= TILE, "rows of a tile");
        assert!(self.0.len() * GROUP <= stride, "rows as long as the panel");
        assert!(out_stride >= WIDTH && out.len() + out_stride >= rows * out_stride + WIDTH);
        L::product(level, left, stride, self.0, out, out_stride);
    }
}

/// Numbers that can be multiplied with weights of type `W`.
pub(crate) trait Factor<W>: Copy {
    fn product(
        level: Level,
        left: &[Self],
        stride: usize,
        panel: &[Step<W>],
        out: &mut [i32],
        out_stride: usize,
    );
}

/// Implements [`Factor`] by a function for each level.
macro_rules! factor {
    ($left:ty, $weight:ty, $avx2:ident, $avx512:ident) => {
        impl Factor<$weight> for $left {
            fn product(
                level: Level,
                left: &[Self],
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

factor!(u8, i8, u8_i8_avx2, u8_i8_avx512);
// Sixteen bits gain nothing from registers of 512 bits where these are two of 256 inside.
factor!(i16, i8, i16_i8_avx2, i16_i8_avx2);
factor!(i16, i16, i16_i16_avx2, i16_i16_avx2);
