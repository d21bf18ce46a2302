//! The manifest: which segments make up a collection, and what in them is dead.
//!
//! It is the one file that is ever replaced, so a collection changes from one state to the next in a
//! single rename. `docs/spec/index-format.md` section 4.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::bytes::{Put, Reader};
use crate::container::{Checksum, Refusal, Sections, Writer};
use crate::encoder::EncoderId;
use crate::paths::{from_bytes, to_bytes};

pub(crate) const NAME: &str = "manifest";
const MAGIC: [u8; 8] = *b"COVEYMAN";
const META: u32 = 1;
const ROOTS: u32 = 2;
const SEGMENTS: u32 = 3;
const SECTIONS: usize = 3;

/// The state of a collection, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) encoder: EncoderId,
    pub(crate) dim: u32,
    /// Number of the next segment; never used twice.
    pub(crate) next: u64,
    /// What was added, in order of path.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) segments: Vec<SegmentRef>,
}

/// One segment of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRef {
    pub(crate) id: u64,
    /// The checksum in its header, so that no other file takes its place.
    pub(crate) head: Checksum,
    /// Files of it that were changed or removed since, by number.
    pub(crate) dead: BTreeSet<u32>,
    /// Files whose time changed but not their contents: number and new time.
    pub(crate) touched: BTreeMap<u32, i64>,
}

/// Name of a segment's file.
pub(crate) fn segment_name(id: u64) -> String {
    format!("segment-{id:016x}")
}

impl Manifest {
    pub(crate) fn new(encoder: EncoderId, dim: u32) -> Self {
        Self { encoder, dim, next: 0, roots: Vec::new(), segments: Vec::new() }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.writer().finish()
    }

    fn writer(&self) -> Writer {
        let mut meta = Vec::new();
        meta.extend_from_slice(&self.encoder.base);
        meta.extend_from_slice(&self.encoder.release);
        meta.put_u32(self.dim);
        meta.put_u64(self.next);

        let mut roots = Vec::new();
        roots.put_u32(self.roots.len() as u32);
        for root in &self.roots {
            let bytes = to_bytes(root);
            roots.put_u32(bytes.len() as u32);
            roots.extend_from_slice(&bytes);
        }

        let mut segments = Vec::new();
        segments.put_u32(self.segments.len() as u32);
        for segment in &self.segments {
            segments.put_u64(segment.id);
            segments.extend_from_slice(&segment.head);
            segments.put_u32(segment.dead.len() as u32);
            segment.dead.iter().for_each(|&file| segments.put_u32(file));
            segments.put_u32(segment.touched.len() as u32);
            for (&file, &mtime) in &segment.touched {
                segments.put_u32(file);
                segments.put_i64(mtime);
            }
        }

        let mut writer = Writer::new(MAGIC);
        writer.section(META, meta);
        writer.section(ROOTS, roots);
        writer.section(SEGMENTS, segments);
        writer
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let sections = Sections::read(bytes, MAGIC)?;
        if sections.len() != SECTIONS {
            return Err("IDX-08: unknown sections".into());
        }
        let section = |kind| sections.range(kind).map(|range| &bytes[range]);
        let (encoder, dim, next) =
            read_meta(section(META)?).ok_or("IDX-20: the metadata is not valid")?;
        let roots = read_roots(section(ROOTS)?).ok_or("IDX-21: the roots are not valid")?;
        let segments =
            read_segments(section(SEGMENTS)?).ok_or("IDX-22: the segments are not valid")?;
        if segments.iter().any(|segment| segment.id >= next) {
            return Err("IDX-22: a segment's number was never given".into());
        }
        Ok(Self { encoder, dim, next, roots, segments })
    }
}

fn read_meta(bytes: &[u8]) -> Option<(EncoderId, u32, u64)> {
    let mut reader = Reader::new(bytes);
    let encoder = EncoderId { base: reader.array()?, release: reader.array()? };
    let dim = reader.u32().filter(|&dim| dim > 0)?;
    let next = reader.u64()?;
    reader.finished().then_some((encoder, dim, next))
}

fn read_roots(bytes: &[u8]) -> Option<Vec<PathBuf>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(4)?;
    let mut roots = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.count(1)?;
        roots.push(from_bytes(reader.take(length)?)?);
    }
    let sane = roots.is_sorted_by(|a, b| a < b) && roots.iter().all(|root| root.is_absolute());
    (sane && reader.finished()).then_some(roots)
}

fn read_segments(bytes: &[u8]) -> Option<Vec<SegmentRef>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(32)?;
    let mut segments: Vec<SegmentRef> = Vec::with_capacity(count);
    for _ in 0..count {
        let id = reader.u64()?;
        if segments.last().is_some_and(|last| last.id >= id) {
            return None;
        }
        let head = reader.array()?;
        let mut dead = BTreeSet::new();
        for _ in 0..reader.count(4)? {
            dead.insert(reader.u32()?);
        }
        let mut touched = BTreeMap::new();
        for _ in 0..reader.count(12)? {
            touched.insert(reader.u32()?, reader.i64()?);
        }
        segments.push(SegmentRef { id, head, dead, touched });
    }
    reader.finished().then_some(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut manifest = Manifest::new(EncoderId { base: [1; 32], release: [2; 32] }, 384);
        assert_eq!(Manifest::from_bytes(&manifest.to_bytes()), Ok(manifest.clone()));
        manifest.next = 9;
        manifest.roots = vec!["/a".into(), "/a/b".into()];
        for id in [3, 8] {
            manifest.segments.push(SegmentRef {
                id,
                head: [id as u8; 16],
                dead: [1, 5].into(),
                touched: [(2, -7)].into(),
            });
        }
        assert_eq!(Manifest::from_bytes(&manifest.to_bytes()), Ok(manifest.clone()));
        manifest.next = 8;
        assert!(Manifest::from_bytes(&manifest.to_bytes()).is_err(), "IDX-22");
    }

    #[test]
    fn a_section_that_no_manifest_has_is_refused() {
        let mut writer = Manifest::new(EncoderId { base: [1; 32], release: [2; 32] }, 8).writer();
        writer.section(SEGMENTS + 1, Vec::new());
        let refusal = Manifest::from_bytes(&writer.finish());
        assert_eq!(refusal, Err(Refusal::Corrupt("IDX-08: unknown sections")));
    }
}
