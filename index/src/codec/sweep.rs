//! The first look at codes: the highest bit of every direction, of 32 codes at a time.
//!
//! The first planes of 32 codes lie together, four directions of all 32 in 16 bytes, so that one
//! shuffle looks sixteen of them up in a table of what four signs add to the score (André, Kermarrec
//! and Le Scouarnec, "Cache locality is not enough", VLDB 2015). A sweep costs a nanosecond or two a
//! code, and says which few are worth reading in full.
//!
//! Sums are integers, so that every machine gets the same bits.

use std::iter;

use super::{Band, Grid, plan};

/// Codes whose first planes lie together.
pub(crate) const GROUP: usize = 32;
/// How many groups ahead planes are fetched: what processors fetch by themselves ends with a page.
const AHEAD: usize = 4;
/// Bytes of four directions of a group.
pub(super) const STRIP: usize = GROUP / 2;

/// Sums of a group's codes.
pub(super) type Sums = [u16; GROUP];
/// What each four signs add, in units.
pub(super) type Table = [u8; 16];

/// Bytes of a group's first planes, of codes with so many directions.
pub(crate) fn group_bytes(dims: usize) -> usize {
    dims / 4 * STRIP
}

/// A query's tables for the first planes of one grid.
pub(crate) struct Sweep {
    tables: Vec<Table>,
    /// A code's estimate is `base + scale * (unit * sum + zero)`.
    unit: f32,
    zero: f32,
    base: f32,
    /// What a step of the scale's byte stands for.
    scale_unit: f32,
    damping: f32,
}

impl Sweep {
    /// For projected coordinates; `base` is the inner product with the mean.
    pub(super) fn new(projected: &[f32], base: f32, grid: &Grid) -> Self {
        let mut signed = Vec::with_capacity(projected.len());
        let (mut rest, damping) = (projected, damping(grid));
        for (band, step) in grid.bands.iter().zip(&grid.steps) {
            let (now, after) = rest.split_at(band.dims as usize);
            signed.extend(now.iter().map(|x| x * half(*band, *step) * damping));
            rest = after;
        }
        let ranges = signed.chunks(4).map(|four| 2.0 * four.iter().map(|x| x.abs()).sum::<f32>());
        let (widest, all) = ranges.fold((0f32, 0f32), |(max, sum), x| (max.max(x), sum + x));
        // Neither an entry nor the sum of all may overflow, rounding up included.
        let unit = (widest / 255.0).max(all / 60_000.0);
        let unit = if unit > 0.0 { unit } else { 1.0 };
        let tables = signed.chunks(4).map(|four| table(four, unit)).collect();
        let scale_unit = grid.scale_unit;
        Self { tables, unit, zero: -all / 2.0, base, scale_unit, damping }
    }

    /// Calls `visit` with the number and the estimate of each code whose estimate is above a bar, and
    /// takes the next bar from it. `planes` are whole groups, `scales` a byte for each code.
    pub(crate) fn run(
        &self,
        planes: &[u8],
        scales: &[u8],
        bar: f32,
        visit: &mut impl FnMut(usize, f32) -> f32,
    ) {
        super::simd::sweep(self, planes, scales, bar, visit);
    }

    /// What the first planes add to the estimate of a whole code, given their own estimate.
    pub(crate) fn share(&self, estimate: f32) -> f32 {
        (estimate - self.base) / self.damping
    }

    /// The loop around a way to sum.
    #[inline(always)]
    pub(super) fn each(
        &self,
        planes: &[u8],
        scales: &[u8],
        mut bar: f32,
        visit: &mut impl FnMut(usize, f32) -> f32,
        sum: impl Fn(&[Table], &[u8]) -> Sums,
    ) {
        let bytes = self.tables.len() * STRIP;
        let groups = planes.chunks_exact(bytes).zip(scales.chunks(GROUP));
        let later = planes.chunks(bytes).skip(AHEAD).map(Some).chain(iter::repeat(None));
        for (number, ((planes, scales), later)) in groups.zip(later).enumerate() {
            super::simd::prefetch(later.unwrap_or_default());
            let sums = sum(&self.tables, planes);
            let mut padded = [0u8; GROUP];
            let scales = scales.first_chunk().unwrap_or_else(|| {
                padded[..scales.len()].copy_from_slice(scales);
                &padded
            });
            let estimates: [f32; GROUP] = std::array::from_fn(|i| {
                let scale = f32::from(scales[i]) * self.scale_unit;
                self.base + scale * (self.unit * f32::from(sums[i]) + self.zero)
            });
            let any = estimates.iter().fold(false, |any, estimate| any | (*estimate > bar));
            if any {
                for (i, &estimate) in estimates.iter().enumerate() {
                    if estimate > bar {
                        bar = visit(number * GROUP + i, estimate);
                    }
                }
            }
        }
    }
}

/// Codes as a file keeps them: apart, each part of all codes together.
#[derive(Default)]
pub(crate) struct Apart {
    /// First planes in groups, the last filled with zeros.
    pub(crate) planes: Vec<u8>,
    /// The bytes of scale.
    pub(crate) scales: Vec<u8>,
    /// What is left of each code.
    pub(crate) rests: Vec<u8>,
}

impl Apart {
    /// Takes codes of one grid apart.
    pub(crate) fn new<'a>(grid: &Grid, codes: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut apart = Self::default();
        let (mut first, bytes) = (vec![0u8; grid.first_width()], group_bytes(grid.dims()));
        for (number, code) in codes.enumerate() {
            if number % GROUP == 0 {
                apart.planes.resize(apart.planes.len() + bytes, 0);
            }
            grid.split(code, &mut first, &mut apart.rests);
            apart.scales.extend(code.last());
            let start = apart.planes.len() - bytes;
            put_plane(&mut apart.planes[start..], number % GROUP, &first);
        }
        apart
    }
}

/// What a set highest bit adds to a level and a clear one takes away, in units of the scale.
fn half(band: Band, step: f32) -> f32 {
    step * (1u32 << (band.bits - 1)) as f32 / 2.0
}

/// What makes of that the mean of the values on one side of zero, in the first band: there most is said.
/// One factor for all bands lets the estimate of a whole code go on from that of its first planes.
fn damping(grid: &Grid) -> f32 {
    let bits = grid.bands.first().map_or(1, |band| band.bits);
    plan::step(1) / 2.0 / (plan::step(bits) * (1u32 << (bits - 1)) as f32 / 2.0)
}

fn table(four: &[f32], unit: f32) -> Table {
    let least: f32 = four.iter().map(|x| -x.abs()).sum();
    std::array::from_fn(|bits| {
        let signs = four.iter().enumerate().map(|(i, x)| if bits >> i & 1 == 1 { *x } else { -x });
        ((signs.sum::<f32>() - least) / unit).round().clamp(0.0, 255.0) as u8
    })
}

/// What the vector paths are tested against.
pub(super) fn portable(tables: &[Table], planes: &[u8]) -> Sums {
    let mut sums = [0u16; GROUP];
    for (table, strip) in tables.iter().zip(planes.as_chunks::<STRIP>().0) {
        let (low, high) = sums.split_at_mut(STRIP);
        for ((low, high), byte) in low.iter_mut().zip(high).zip(strip) {
            *low += u16::from(table[usize::from(byte & 15)]);
            *high += u16::from(table[usize::from(byte >> 4)]);
        }
    }
    sums
}

/// Puts the first plane of one code into a group that has zeros there.
fn put_plane(group: &mut [u8], code: usize, plane: &[u8]) {
    let (column, shift) = (code % STRIP, code / STRIP * 4);
    for (byte, strips) in plane.iter().zip(group.as_chunks_mut::<{ 2 * STRIP }>().0) {
        strips[column] |= (byte & 15) << shift;
        strips[STRIP + column] |= (byte >> 4) << shift;
    }
}

/// The first plane of one code of a group.
pub(crate) fn get_plane(group: &[u8], code: usize, plane: &mut [u8]) {
    let (column, shift) = (code % STRIP, code / STRIP * 4);
    for (byte, strips) in plane.iter_mut().zip(group.as_chunks::<{ 2 * STRIP }>().0) {
        *byte = strips[column] >> shift & 15 | (strips[STRIP + column] >> shift & 15) << 4;
    }
}
