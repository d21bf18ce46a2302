//! Products of f32 matrices, a panel of [`WIDTH`] columns at a time.

use super::level::{Kind, Level};
use super::{TILE, WIDTH, portable};

/// Rows of a matrix in a slice: row `r` starts at `r * stride`.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) stride: usize,
}

/// Sets `out[row, 0..WIDTH]` to `left[row, ..] · panel` for rows `0..count`. The panel has
/// `panel.len() / WIDTH` rows, which is how many columns of `left` count.
///
/// # Panics
///
/// When a row reaches beyond its slice, or `out`'s stride is below [`WIDTH`].
pub(crate) fn panel(
    level: Level,
    left: Rows<'_>,
    count: usize,
    panel: &[f32],
    out: &mut [f32],
    out_stride: usize,
) {
    multiply(level, left, count, panel, false, out, out_stride);
}

/// As [`panel`], but adds to what `out` has.
///
/// # Panics
///
/// As [`panel`].
pub(crate) fn panel_onto(
    level: Level,
    left: Rows<'_>,
    count: usize,
    panel: &[f32],
    out: &mut [f32],
    out_stride: usize,
) {
    multiply(level, left, count, panel, true, out, out_stride);
}

fn multiply(
    level: Level,
    left: Rows<'_>,
    count: usize,
    panel: &[f32],
    onto: bool,
    out: &mut [f32],
    out_stride: usize,
) {
    let (panel, rest) = panel.as_chunks::<WIDTH>();
    assert!(rest.is_empty(), "a panel is whole");
    if count == 0 {
        return;
    }
    let depth = panel.len();
    assert!((count - 1) * left.stride + depth <= left.data.len(), "left is too short");
    assert!(
        out_stride >= WIDTH && (count - 1) * out_stride + WIDTH <= out.len(),
        "out is too short"
    );
    for first in (0..count).step_by(TILE) {
        let rows = TILE.min(count - first);
        let left = Rows { data: &left.data[first * left.stride..], stride: left.stride };
        let out = &mut out[first * out_stride..];
        tile(level, left, rows, panel, onto, out, out_stride);
    }
}

fn tile(
    level: Level,
    left: Rows<'_>,
    rows: usize,
    panel: &[[f32; WIDTH]],
    onto: bool,
    out: &mut [f32],
    stride: usize,
) {
    match level.0 {
        Kind::Portable => portable::tile(left, rows, panel, onto, out, stride),
        // SAFETY: the level vouches for the processor, `panel` for the bounds.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        Kind::Avx2 => unsafe { super::x86::tile_avx2(left, rows, panel, onto, out, stride) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        #[allow(unsafe_code)]
        Kind::Avx512 => unsafe { super::x86::tile_avx512(left, rows, panel, onto, out, stride) },
    }
}

/// A weight matrix, `[inputs, outputs]`, cut into panels; the last is filled with zeros.
#[derive(Clone)]
pub(crate) struct Panels {
    data: Vec<f32>,
    inputs: usize,
}

impl Panels {
    /// Packs `weight`, `[inputs, outputs]` row-major.
    pub(crate) fn pack(weight: &[f32], inputs: usize, outputs: usize) -> Self {
        let mut data = Vec::with_capacity(inputs * outputs.next_multiple_of(WIDTH));
        for first in (0..outputs).step_by(WIDTH) {
            let width = WIDTH.min(outputs - first);
            for row in weight.chunks_exact(outputs) {
                data.extend_from_slice(&row[first..first + width]);
                data.resize(data.len() + WIDTH - width, 0.0);
            }
        }
        Self { data, inputs }
    }

    /// Packs the transpose of `weight`, which is `[outputs, inputs]` row-major.
    pub(crate) fn pack_transposed(weight: &[f32], inputs: usize, outputs: usize) -> Self {
        let mut data = vec![0.0; inputs * outputs.next_multiple_of(WIDTH)];
        let panels = data.chunks_exact_mut((inputs * WIDTH).max(1));
        for (panel, rows) in panels.zip(weight.chunks(inputs * WIDTH)) {
            for (column, row) in rows.chunks_exact(inputs).enumerate() {
                for (out, &x) in panel.iter_mut().skip(column).step_by(WIDTH).zip(row) {
                    *out = x;
                }
            }
        }
        Self { data, inputs }
    }

    /// The panels, left to right.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.inputs * WIDTH)
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        self.data.chunks_exact_mut(self.inputs * WIDTH)
    }
}
