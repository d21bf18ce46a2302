//! Products of unsigned activations with signed weights, both of eight bits, in i32.

use super::level::{Kind, Level};
use super::{TILE, WIDTH, portable};

/// Inputs that one instruction multiplies and adds up; rows are padded to multiples of it.
pub(crate) const GROUP: usize = 4;

/// Four consecutive inputs' weights for each of the columns.
pub(super) type Step = [[i8; GROUP]; WIDTH];

/// A product's rows and columns.
pub(crate) type Tile = [[i32; WIDTH]; TILE];

/// Weights of eight bits in panels of [`WIDTH`] columns, padded with zeros both ways.
pub(crate) struct Panels {
    data: Vec<Step>,
    /// Steps of a panel.
    steps: usize,
    inputs: usize,
}

impl Panels {
    /// Packs `weight`, `[inputs, outputs]` row-major.
    pub(crate) fn pack(weight: &[i8], inputs: usize, outputs: usize) -> Self {
        let steps = inputs.div_ceil(GROUP);
        let panels = outputs.div_ceil(WIDTH);
        let mut data = vec![[[0; GROUP]; WIDTH]; steps * panels];
        for (input, row) in weight.chunks_exact(outputs).enumerate() {
            for (output, &entry) in row.iter().enumerate() {
                let step = output / WIDTH * steps + input / GROUP;
                data[step][output % WIDTH][input % GROUP] = entry;
            }
        }
        Self { data, steps, inputs }
    }

    /// Rows of the matrix.
    pub(crate) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The panels, left to right.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Panel<'_>> {
        self.data.chunks_exact(self.steps).map(Panel)
    }
}

/// [`WIDTH`] columns of [`Panels`].
#[derive(Clone, Copy)]
pub(crate) struct Panel<'a>(&'a [Step]);

impl Panel<'_> {
    /// Multiplies up to [`TILE`](super::TILE) rows of `left`, whose length is a multiple of `stride`,
    /// with the panel. Rows of `out` beyond those of `left` keep what they held.
    ///
    /// # Panics
    ///
    /// When `left` has too many rows, or rows shorter than the panel.
    pub(crate) fn multiply(self, level: Level, left: &[u8], stride: usize, out: &mut Tile) {
        assert!(left.len().is_multiple_of(stride) && left.len() <= TILE * stride, "rows of a tile");
        assert!(self.0.len() * GROUP <= stride, "rows as long as the panel");
        match level.0 {
            Kind::Portable => portable::tile_u8(left, stride, self.0, out),
            // Wider registers are all that these give, so the compiler may use them.
            // SAFETY: the level vouches for the processor.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Kind::Avx2 => unsafe { super::x86::tile_u8_avx2(left, stride, self.0, out) },
            // SAFETY: the level vouches for the processor, the checks above for the bounds.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Kind::Avx512 => unsafe { super::x86::tile_u8_avx512(left, stride, self.0, out) },
        }
    }
}
