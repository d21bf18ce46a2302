//! A codec's file: `docs/spec/index-format.md` section 4.

use super::basis::{Basis, Rows};
use super::{Accuracy, Band, Codec, Grid, plan};
use crate::bytes::{Put, Reader};
use crate::container::{Refusal, Sections, Writer};
use crate::segment::MAX_DIM;

const MAGIC: [u8; 8] = *b"COVEYCDC";
const META: u32 = 1;
const MEAN: u32 = 2;
const BANDS: u32 = 3;
const ROW_STEPS: u32 = 4;
const ROWS: u32 = 5;
const SECTIONS: usize = 5;
/// A codec that rotates all directions has no stored rows.
const ENTRIES_NONE: u32 = 0;
/// No entry of a mean and no scale is larger. Vectors are about 1 long; this leaves room for those that
/// are not, and none for sums that overflow.
const LARGEST: f32 = 1e18;
/// The same of a step, which counts in units of the scale.
const LARGEST_STEP: f32 = 1e6;

impl Codec {
    /// Its file. A codec read back from it is the one to use: it knows its checksum.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let grid = &self.grid;
        let (seed, entry_bits) = match &self.basis {
            Basis::Rotation { seed, .. } => (*seed, ENTRIES_NONE),
            Basis::Rows(rows) => (0, u32::from(rows.bits)),
        };
        let mut meta = Vec::new();
        meta.put_u32(self.mean.len() as u32);
        meta.put_u32(entry_bits);
        meta.put_u64(seed);
        let [whole, first] = [self.accuracy, self.first].map(|accuracy| {
            let Accuracy { offset, shrink, sigma } = accuracy;
            [offset, shrink, sigma]
        });
        let numbers: Vec<f32> = [grid.scale_unit].into_iter().chain(whole).chain(first).collect();
        numbers.iter().for_each(|x| meta.extend_from_slice(&x.to_le_bytes()));
        let mut bands = Vec::new();
        for (band, step) in grid.bands.iter().zip(&grid.steps) {
            bands.put_u32(band.dims);
            bands.put_u32(band.bits.into());
            bands.extend_from_slice(&step.to_le_bytes());
        }
        let (mut steps, mut entries) = (Vec::new(), Vec::new());
        if let Basis::Rows(rows) = &self.basis {
            steps.extend(rows.steps.iter().flat_map(|step| step.to_le_bytes()));
            entries = pack(&rows.entries, rows.bits);
        }
        let mut writer = Writer::new(MAGIC);
        writer.section(META, meta);
        writer.section(MEAN, self.mean.iter().flat_map(|x| x.to_le_bytes()).collect());
        writer.section(BANDS, bands);
        writer.section(ROW_STEPS, steps);
        writer.section(ROWS, entries);
        writer.finish()
    }

    /// Checks and reads a codec's file.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let sections = Sections::read(bytes, MAGIC)?;
        if sections.len() != SECTIONS {
            return Err("IDX-08: unknown sections".into());
        }
        let section = |kind| sections.range(kind).map(|range| &bytes[range]);
        let meta = read_meta(section(META)?).ok_or("IDX-30: the codec's metadata is not valid")?;
        let mean = read_floats(section(MEAN)?, LARGEST).filter(|mean| mean.len() == meta.dim);
        let mean = mean.ok_or("IDX-31: the mean is not made of finite numbers")?;
        let (bands, steps) =
            read_bands(section(BANDS)?, meta.dim).ok_or("IDX-32: the bands are not valid")?;
        let kept = bands.iter().map(|band| band.dims as usize).sum();
        let basis = read_basis(&meta, kept, section(ROW_STEPS)?, section(ROWS)?);
        let basis = basis.ok_or("IDX-33: the directions do not fit the bands")?;
        let Meta { scale_unit, accuracy, first, .. } = meta;
        let grid = Grid { bands, steps, scale_unit };
        Ok(Self { head: sections.head, bytes: bytes.len(), mean, basis, grid, accuracy, first })
    }
}

struct Meta {
    dim: usize,
    entry_bits: u32,
    seed: u64,
    scale_unit: f32,
    accuracy: Accuracy,
    first: Accuracy,
}

fn read_meta(bytes: &[u8]) -> Option<Meta> {
    let mut reader = Reader::new(bytes);
    let dim = reader.u32()? as usize;
    let entry_bits = reader.u32()?;
    let seed = reader.u64()?;
    let mut number = || Some(f32::from_le_bytes(reader.array()?));
    let scale_unit = number()?;
    let mut accuracy = || Some(Accuracy { offset: number()?, shrink: number()?, sigma: number()? });
    let (whole, first) = (accuracy()?, accuracy()?);
    let sane = (1..=MAX_DIM).contains(&dim)
        && [ENTRIES_NONE, 4, 8].contains(&entry_bits)
        && scale_unit > 0.0
        && scale_unit <= LARGEST / 255.0
        && [whole, first].iter().all(is_sane)
        && reader.finished();
    sane.then_some(Meta { dim, entry_bits, seed, scale_unit, accuracy: whole, first })
}

fn is_sane(accuracy: &Accuracy) -> bool {
    (0.0..=2.0).contains(&accuracy.shrink)
        && accuracy.offset.abs() <= LARGEST
        && (0.0..=f32::MAX).contains(&accuracy.sigma)
}

fn read_floats(bytes: &[u8], largest: f32) -> Option<Vec<f32>> {
    let (words, rest) = bytes.as_chunks::<4>();
    let floats: Vec<f32> = words.iter().map(|&word| f32::from_le_bytes(word)).collect();
    (rest.is_empty() && floats.iter().all(|x| x.abs() <= largest)).then_some(floats)
}

fn read_bands(bytes: &[u8], dim: usize) -> Option<(Vec<Band>, Vec<f32>)> {
    let mut reader = Reader::new(bytes);
    let (mut bands, mut steps, mut total) = (Vec::new(), Vec::new(), 0usize);
    while !reader.finished() {
        let dims = reader.u32()?;
        let bits = u8::try_from(reader.u32()?).ok()?;
        let step = f32::from_le_bytes(reader.array()?);
        total = total.checked_add(dims as usize)?;
        let sane = dims > 0
            && dims.is_multiple_of(8)
            && (1..=plan::MAX_BITS).contains(&bits)
            && step > 0.0
            && step <= LARGEST_STEP
            && total <= dim.next_multiple_of(8);
        sane.then_some(())?;
        bands.push(Band { dims, bits });
        steps.push(step);
    }
    (!bands.is_empty()).then_some((bands, steps))
}

fn read_basis(meta: &Meta, kept: usize, steps: &[u8], entries: &[u8]) -> Option<Basis> {
    if meta.entry_bits == ENTRIES_NONE {
        let whole = kept == meta.dim.next_multiple_of(8);
        let bare = steps.is_empty() && entries.is_empty();
        return (whole && bare).then(|| Basis::rotation(meta.dim, meta.seed));
    }
    let steps = read_floats(steps, LARGEST_STEP).filter(|steps| steps.len() == kept)?;
    let bits = meta.entry_bits as u8;
    let entries = unpack(entries, bits, kept.checked_mul(meta.dim)?)?;
    Some(Basis::Rows(Rows::new(meta.dim, bits, steps, entries)))
}

/// Entries of 4 bits go two to a byte, the first in the low half.
fn pack(entries: &[i8], bits: u8) -> Vec<u8> {
    if bits == 8 {
        return entries.iter().map(|x| x.cast_unsigned()).collect();
    }
    let pairs = entries.chunks(2);
    pairs
        .map(|pair| {
            pair[0].cast_unsigned() & 15 | pair.get(1).map_or(0, |x| x.cast_unsigned() << 4)
        })
        .collect()
}

fn unpack(bytes: &[u8], bits: u8, count: usize) -> Option<Vec<i8>> {
    if bits == 8 {
        return (bytes.len() == count).then(|| bytes.iter().map(|x| x.cast_signed()).collect());
    }
    let halves = bytes.iter().flat_map(|&x| [(x << 4).cast_signed() >> 4, x.cast_signed() >> 4]);
    (bytes.len() == count.div_ceil(2)).then(|| halves.take(count).collect())
}
