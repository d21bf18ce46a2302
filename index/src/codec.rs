//! Codes: a few bits for each of a vector's most telling directions, and one scale.
//!
//! A [`Codec`] is learnt once from a collection's own vectors and then shared by its segments. It
//! subtracts the mean, projects on the leading principal directions, rotates them within bands so
//! that one grid fits all directions of a band, and writes each coordinate with its band's number of
//! bits. A small collection has too few vectors to learn directions from and is rotated as a whole.
//! The scale makes the estimate right along the vector's own direction, as in RaBitQ (Gao and Long,
//! SIGMOD 2024; Gao et al., "Practical and asymptotically optimal quantization", SIGMOD 2025).
//!
//! The query stays exact up to 8 bits a direction: [`Query`] turns a code into an estimated inner
//! product. How far estimates are off is measured when the codec is learnt ([`Codec::posterior`]),
//! and is what a search's stopping rule goes by.
//!
//! `docs/spec/index-format.md` section 4 has the bytes.

mod basis;
mod file;
mod plan;
mod query;
mod rotate;
mod simd;
mod sweep;
mod train;

use basis::Basis;
pub(crate) use query::Query;
pub(crate) use simd::prefetch;
pub(crate) use sweep::{Apart, GROUP, Sweep, get_plane, group_bytes};
pub(crate) use train::{Budget, ROWS_PER_DIM, provisional, train};

use rayon::prelude::*;

use crate::container::Checksum;
use crate::vectors::{Rows, dot};

/// Bits a direction of a provisional codec: enough to learn from its codes, and to code them anew.
const PROVISIONAL_BITS: u8 = 5;

/// Directions coded alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Band {
    /// How many; a multiple of 8.
    pub(crate) dims: u32,
    /// Bits of each, 1 to 8.
    pub(crate) bits: u8,
}

impl Band {
    fn bytes(self) -> usize {
        self.dims as usize / 8 * usize::from(self.bits)
    }
}

/// How vectors become codes.
pub(crate) struct Codec {
    /// The checksum that names its file; zero before it is saved.
    head: Checksum,
    /// Bytes of its file.
    bytes: usize,
    mean: Vec<f32>,
    basis: Basis,
    grid: Grid,
    accuracy: Accuracy,
    /// The same of estimates from the first planes alone.
    first: Accuracy,
}

/// The bands, the step of each band's grid in units of the scale, and what a byte of scale means.
#[derive(Clone, Debug)]
pub(crate) struct Grid {
    bands: Vec<Band>,
    steps: Vec<f32>,
    /// What one step of a code's byte of scale stands for.
    scale_unit: f32,
}

/// How estimates relate to exact scores, among the chunks that estimates rank highest: exact is
/// `base + offset + shrink * (estimate - base)` on average, with a standard deviation of `sigma`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Accuracy {
    pub(crate) offset: f32,
    pub(crate) shrink: f32,
    pub(crate) sigma: f32,
}

impl Codec {
    /// Length of the vectors it codes.
    pub(crate) fn dim(&self) -> usize {
        self.mean.len()
    }

    /// Bytes of a code: the bits, and a byte of scale.
    pub(crate) fn width(&self) -> usize {
        self.grid.width()
    }

    pub(crate) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The checksum that stands for its file.
    pub(crate) fn head(&self) -> Checksum {
        self.head
    }

    /// Bytes of its file.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it is one that a collection uses until it knows enough to learn a better one.
    pub(crate) fn is_provisional(&self) -> bool {
        self.basis.is_rotation() && self.grid.bands.iter().all(|band| band.bits == PROVISIONAL_BITS)
    }

    /// Directions kept.
    pub(crate) fn kept(&self) -> usize {
        self.grid.dims()
    }

    /// The code of a vector.
    pub(crate) fn encode(&self, vector: &[f32], code: &mut [u8]) {
        let mut centred: Vec<f32> = vector.iter().zip(&self.mean).map(|(x, m)| x - m).collect();
        let energy = dot(&centred, &centred);
        let projected = self.basis.project(&mut centred);
        self.grid.encode(&projected, energy, code);
    }

    /// The codes of many vectors, one after another.
    pub(crate) fn encode_all(&self, rows: Rows<'_>) -> Vec<u8> {
        let mut codes = vec![0u8; rows.len() * self.width()];
        let each = codes.par_chunks_exact_mut(self.width()).enumerate();
        each.for_each(|(i, code)| self.encode(rows.row(i), code));
        codes
    }

    /// The vector that a code stands for.
    pub(crate) fn decode(&self, code: &[u8]) -> Vec<f32> {
        let mut projected = vec![0f32; self.kept()];
        self.grid.decode(code, &mut projected);
        self.lift(&projected)
    }

    /// The vector that projected coordinates stand for.
    pub(crate) fn lift(&self, projected: &[f32]) -> Vec<f32> {
        let mut vector = self.basis.lift(projected, self.dim());
        vector.iter_mut().zip(&self.mean).for_each(|(x, m)| *x += m);
        vector
    }

    /// A query for the codes of a grid over this codec's directions, its own or another.
    pub(crate) fn query(&self, query: &[f32], grid: &Grid) -> Query {
        let (base, projected) = self.project(query);
        Query::new(&projected, base, grid)
    }

    /// A query for a first look at the codes of this codec, and for what is left of them.
    pub(crate) fn sweep(&self, query: &[f32]) -> (Sweep, Query) {
        let (base, projected) = self.project(query);
        (Sweep::new(&projected, base, &self.grid), Query::for_rests(&projected, base, &self.grid))
    }

    /// A query's inner product with the mean, and its coordinates.
    fn project(&self, query: &[f32]) -> (f32, Vec<f32>) {
        let mut copy = query.to_vec();
        (dot(query, &self.mean), self.basis.project(&mut copy))
    }

    /// The same for vectors that were read back from codes of these: what was measured on them does not
    /// know how far they were off already.
    pub(crate) fn made_from<'a>(mut self, sources: impl Iterator<Item = &'a Self>) -> Self {
        let before = sources.map(|source| source.accuracy.sigma).fold(0f32, f32::max);
        self.accuracy.sigma = self.accuracy.sigma.hypot(before);
        self.first.sigma = self.first.sigma.hypot(before);
        self
    }

    /// What an estimate says about the exact score: its mean and standard deviation, which is never 0.
    pub(crate) fn posterior(&self, base: f32, estimate: f32) -> (f32, f32) {
        self.accuracy.posterior(base, estimate)
    }

    /// What an estimate from first planes says about the exact score.
    pub(crate) fn first_posterior(&self, base: f32, estimate: f32) -> (f32, f32) {
        self.first.posterior(base, estimate)
    }

    /// The estimate from first planes whose mean is `mean`.
    pub(crate) fn first_estimate(&self, base: f32, mean: f32) -> f32 {
        let Accuracy { offset, shrink, .. } = self.first;
        if shrink > 0.0 { base + (mean - base - offset) / shrink } else { f32::NEG_INFINITY }
    }
}

impl Accuracy {
    fn posterior(self, base: f32, estimate: f32) -> (f32, f32) {
        let mean = base + self.offset + self.shrink * (estimate - base);
        (mean, self.sigma.max(f32::MIN_POSITIVE))
    }
}

impl Grid {
    /// Directions it codes.
    pub(crate) fn dims(&self) -> usize {
        self.bands.iter().map(|band| band.dims as usize).sum()
    }

    /// Bytes of a code.
    pub(crate) fn width(&self) -> usize {
        self.bands.iter().map(|band| band.bytes()).sum::<usize>() + 1
    }

    /// Bytes of the first planes of all bands.
    fn first_width(&self) -> usize {
        self.dims() / 8
    }

    /// Splits a code into its first planes, which fill `first`, and what is left of it but the scale,
    /// which is appended to `rest`.
    fn split(&self, code: &[u8], first: &mut [u8], rest: &mut Vec<u8>) {
        let (mut at, mut to) = (0, 0);
        for band in &self.bands {
            let plane = band.dims as usize / 8;
            first[to..to + plane].copy_from_slice(&code[at..at + plane]);
            rest.extend_from_slice(&code[at + plane..at + band.bytes()]);
            (at, to) = (at + band.bytes(), to + plane);
        }
    }

    /// The code that [`split`](Self::split) took apart; `first` writes its first planes.
    pub(crate) fn join(
        &self,
        first: impl FnOnce(&mut [u8]),
        rest: &[u8],
        scale: u8,
        code: &mut [u8],
    ) {
        // All first planes are written at the end, and from there each is moved to its place.
        let from = code.len() - 1 - self.first_width();
        first(&mut code[from..from + self.first_width()]);
        let (mut at, mut from, mut left) = (0, from, rest);
        for band in &self.bands {
            let plane = band.dims as usize / 8;
            let (now, after) = left.split_at(band.bytes() - plane);
            code.copy_within(from..from + plane, at);
            code[at + plane..at + band.bytes()].copy_from_slice(now);
            (at, from, left) = (at + band.bytes(), from + plane, after);
        }
        code[at] = scale;
    }

    /// Bytes of a code besides first planes and scale.
    pub(crate) fn rest_width(&self) -> usize {
        self.width() - 1 - self.first_width()
    }

    /// Writes the code of projected coordinates, of a vector of this energy (its square, less the mean): for
    /// each band its bit planes, highest first, each with one bit per direction; then the scale.
    pub(crate) fn encode(&self, projected: &[f32], energy: f32, code: &mut [u8]) {
        let scale = self.write_levels(projected, energy, code);
        if let Some(last) = code.last_mut() {
            *last = self.scale_byte(scale);
        }
    }

    /// Writes all of a code but its byte of scale, and gives back what the scale should be.
    fn write_levels(&self, projected: &[f32], energy: f32, code: &mut [u8]) -> f32 {
        code.fill(0);
        let norm = rms(projected);
        let (mut at, mut start, mut along) = (0, 0, 0f64);
        for (band, &step) in self.bands.iter().zip(&self.steps) {
            let (dims, top) = (band.dims as usize, (1i32 << band.bits) - 1);
            let unit = if norm > 0.0 { 1.0 / (norm * step) } else { 0.0 };
            for (i, &x) in projected[at..at + dims].iter().enumerate() {
                // Level l stands for (l - top / 2) steps.
                let level = ((x * unit).floor() as i32).saturating_add((top + 1) / 2).clamp(0, top);
                let value = (level as f32 - top as f32 / 2.0) * step;
                along += f64::from(x) * f64::from(value);
                for plane in 0..usize::from(band.bits) {
                    let bit = (level >> (usize::from(band.bits) - 1 - plane)) as u8 & 1;
                    code[start + plane * (dims / 8) + i / 8] |= bit << (i % 8);
                }
            }
            at += dims;
            start += band.bytes();
        }
        // Between the scale that is right along the kept coordinates, and the one that is along the whole vector.
        let square = (f64::from(dot(projected, projected)) * f64::from(energy)).sqrt();
        if along > 0.0 { (square / along) as f32 } else { 0.0 }
    }

    /// The projected coordinates that a code stands for.
    pub(crate) fn decode(&self, code: &[u8], projected: &mut [f32]) {
        let (mut at, mut start) = (0, 0);
        let scale = self.scale(code.last().copied().unwrap_or(0));
        for (band, &step) in self.bands.iter().zip(&self.steps) {
            let (dims, top) = (band.dims as usize, (1i32 << band.bits) - 1);
            for i in 0..dims {
                let level = (0..usize::from(band.bits)).fold(0i32, |level, plane| {
                    let byte = code.get(start + plane * (dims / 8) + i / 8).copied().unwrap_or(0);
                    level << 1 | i32::from(byte >> (i % 8) & 1)
                });
                projected[at + i] = (level as f32 - top as f32 / 2.0) * step * scale;
            }
            at += dims;
            start += band.bytes();
        }
    }

    /// The grid over the same directions with `bits` bits for each.
    pub(crate) fn with_bits(&self, bits: u8) -> Self {
        let mut grid = self.clone();
        for (band, old) in grid.bands.iter_mut().zip(&mut grid.steps) {
            *old *= plan::step(bits) / plan::step(band.bits);
            band.bits = bits;
        }
        grid
    }

    /// Byte 0 stands for a vector without direction.
    fn scale_byte(&self, scale: f32) -> u8 {
        (scale / self.scale_unit).round().clamp(0.0, 255.0) as u8
    }

    fn scale(&self, byte: u8) -> f32 {
        f32::from(byte) * self.scale_unit
    }
}

fn rms(x: &[f32]) -> f32 {
    (dot(x, x) / x.len().max(1) as f32).sqrt()
}

#[cfg(test)]
mod tests;
