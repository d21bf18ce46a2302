//! One query against codes: integers only until the last step.
//!
//! The query's coordinates, times their band's step, are rounded to 8 bits. With level `l` of a
//! direction read from its bit planes, `sum((l - top / 2) * q)` is a weighted sum over set bits less
//! a constant, exact in integers, so that the portable and the vector path give the same bits.

use super::{Grid, simd};

/// Directions that the vector path takes at once; planes are padded to a multiple of it.
pub(super) const LANES: usize = 64;

/// A query prepared for the codes of one grid, or for what is left of them without first planes and scale.
pub(crate) struct Query {
    base: f32,
    /// What one unit of the integer sum stands for, before the scale.
    unit: f32,
    /// Half of what the sum would be were every bit set.
    half: f32,
    pub(super) bands: Vec<QueryBand>,
    /// Scale of every byte.
    scales: Box<[f32; 256]>,
    width: usize,
}

/// A band's part of the query.
pub(super) struct QueryBand {
    /// Bytes of one plane.
    pub(super) plane: usize,
    pub(super) planes: usize,
    /// The rounded coordinates, zeros after the last.
    pub(super) values: Vec<i8>,
    /// For each byte of a plane and each value of it, the sum of the coordinates it sets. Empty
    /// where the vector path runs.
    pub(super) sums: Vec<[i16; 256]>,
}

impl Query {
    /// For projected coordinates and whole codes; `base` is the inner product with the mean.
    pub(super) fn new(projected: &[f32], base: f32, grid: &Grid) -> Self {
        Self::without(0, projected, base, grid, grid.width())
    }

    /// The same for codes without first planes and scale.
    pub(super) fn for_rests(projected: &[f32], base: f32, grid: &Grid) -> Self {
        Self::without(1, projected, base, grid, grid.rest_width())
    }

    /// For codes of `width` bytes without their highest `skipped` planes.
    fn without(skipped: u8, projected: &[f32], base: f32, grid: &Grid, width: usize) -> Self {
        let mut largest = 0f32;
        let mut at = 0;
        for (band, step) in grid.bands.iter().zip(&grid.steps) {
            let dims = band.dims as usize;
            largest =
                projected[at..at + dims].iter().fold(largest, |max, x| max.max((x * step).abs()));
            at += dims;
        }
        let unit = if largest > 0.0 { largest / 127.0 } else { 1.0 };
        let portable = !simd::available();
        let (mut at, mut half, mut bands) = (0, 0f32, Vec::new());
        for (band, step) in grid.bands.iter().zip(&grid.steps) {
            let dims = band.dims as usize;
            let coordinates = &projected[at..at + dims];
            let mut values: Vec<i8> =
                coordinates.iter().map(|x| (x * step / unit).round() as i8).collect();
            let total: i32 = values.iter().map(|&x| i32::from(x)).sum();
            let planes = band.bits - skipped;
            half += total as f32 * ((1u32 << planes) - 1) as f32 / 2.0;
            let sums = if portable { values.chunks(8).map(sums).collect() } else { Vec::new() };
            values.resize(dims.next_multiple_of(LANES), 0);
            bands.push(QueryBand { plane: dims / 8, planes: planes.into(), values, sums });
            at += dims;
        }
        let scales = Box::new(std::array::from_fn(|byte| grid.scale(byte as u8)));
        Self { base, unit, half, bands, scales, width }
    }

    /// The inner product of the query with the mean.
    pub(crate) fn base(&self) -> f32 {
        self.base
    }

    /// Appends the estimated inner product with each code of a row of codes.
    pub(crate) fn scores(&self, codes: &[u8], scores: &mut Vec<f32>) {
        let mut rows = codes.chunks_exact(self.width);
        simd::sums(&self.bands, self.width, codes, &mut |sum| {
            scores.extend(rows.next().map(|code| self.score(code[self.width - 1], sum)));
        });
    }

    /// The estimate of one code.
    pub(crate) fn one(&self, code: &[u8]) -> f32 {
        let scale = code.get(self.width - 1);
        scale.map_or(f32::NEG_INFINITY, |&scale| self.score(scale, self.sum(code)))
    }

    /// The estimate of a code, given what its first planes add to it and the rest of it.
    pub(crate) fn rest(&self, first: f32, scale: u8, rest: &[u8]) -> f32 {
        if self.width == 0 {
            return self.base + first;
        }
        first + self.score(scale, self.sum(rest))
    }

    /// The sum over one code; 0 for one that is cut short.
    fn sum(&self, code: &[u8]) -> i32 {
        let mut total = 0;
        simd::sums(&self.bands, self.width, code, &mut |sum| total = sum);
        total
    }

    fn score(&self, scale: u8, sum: i32) -> f32 {
        self.base + self.scales[usize::from(scale)] * self.unit * (sum as f32 - self.half)
    }
}

/// For each value of a byte, the sum of the coordinates whose bits it sets.
pub(super) fn sums(values: &[i8]) -> [i16; 256] {
    let mut table = [0i16; 256];
    for byte in 1usize..256 {
        let low = byte.trailing_zeros() as usize;
        table[byte] = table[byte & (byte - 1)] + values.get(low).map_or(0, |&x| i16::from(x));
    }
    table
}
