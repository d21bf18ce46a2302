//! The manifest: which files make up a collection, and what in them is dead.
//!
//! It is the one file that is ever replaced, so a collection changes from one state to the next in a
//! single rename. `docs/spec/index-format.md` section 6.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::bytes::{Put, Reader};
use crate::container::{Checksum, Refusal, Sections, Writer};
use crate::content::read_roots;
use crate::encoder::EncoderId;
use crate::paths::to_bytes;
use crate::segment::MAX_DIM;
use crate::settings::Settings;

pub(crate) const NAME: &str = "manifest";
const MAGIC: [u8; 8] = *b"COVEYMAN";
const META: u32 = 1;
const ROOTS: u32 = 2;
const SETTINGS: u32 = 3;
const CODECS: u32 = 4;
const SEGMENTS: u32 = 5;
const MOVE: u32 = 6;
const SECTIONS: usize = 6;
/// No collection gives so many numbers; one more each can be added without overflow.
const MAX_NUMBER: u64 = 1 << 62;

/// The state of a collection, as stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Manifest {
    pub(crate) encoder: EncoderId,
    pub(crate) dim: u32,
    /// Number of the next file; never used twice.
    pub(crate) next: u64,
    /// What was added, in order of path.
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) settings: Settings,
    /// Codecs in use, in order of number.
    pub(crate) codecs: Vec<FileRef>,
    pub(crate) segments: Vec<SegmentRef>,
    /// The move to another release of the model, if one is under way.
    pub(crate) moving: Option<Move>,
}

/// A file of the collection: its number, and the checksum in its header, so that no other file takes
/// its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRef {
    pub(crate) id: u64,
    pub(crate) head: Checksum,
}

/// A codes file and the number of the codec it was made by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CodesRef {
    pub(crate) file: FileRef,
    pub(crate) codec: u64,
}

/// One segment of a collection, known by the number of its content file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentRef {
    pub(crate) content: FileRef,
    pub(crate) codes: CodesRef,
    /// Files of it that were changed or removed since, by number.
    pub(crate) dead: BTreeSet<u32>,
    /// Files whose time changed but not their contents: number and new time.
    pub(crate) touched: BTreeMap<u32, i64>,
}

/// Codes of the next release of the model, made so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) release: [u8; 32],
    /// The codec they are made by.
    pub(crate) codec: FileRef,
    /// By the number of the segment.
    pub(crate) codes: BTreeMap<u64, FileRef>,
}

/// Kinds of files, by the beginnings of their names.
pub(crate) const CONTENT: &str = "content";
pub(crate) const CODES: &str = "codes";
pub(crate) const CODEC: &str = "codec";

/// Name of a file.
pub(crate) fn file_name(kind: &str, id: u64) -> String {
    format!("{kind}-{id:016x}")
}

impl Manifest {
    pub(crate) fn new(encoder: EncoderId, dim: u32) -> Self {
        Self {
            encoder,
            dim,
            next: 0,
            roots: Vec::new(),
            settings: Settings::default(),
            codecs: Vec::new(),
            segments: Vec::new(),
            moving: None,
        }
    }

    /// Names of all files that it needs.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for segment in &self.segments {
            names.insert(file_name(CONTENT, segment.content.id));
            names.insert(file_name(CODES, segment.codes.file.id));
        }
        names.extend(self.codecs.iter().map(|codec| file_name(CODEC, codec.id)));
        if let Some(moving) = &self.moving {
            names.insert(file_name(CODEC, moving.codec.id));
            names.extend(moving.codes.values().map(|codes| file_name(CODES, codes.id)));
        }
        names
    }

    /// Forgets codecs that no segment is coded by, and codes of segments that are gone.
    pub(crate) fn tidy(&mut self) {
        let used: BTreeSet<u64> = self.segments.iter().map(|segment| segment.codes.codec).collect();
        self.codecs.retain(|codec| used.contains(&codec.id));
        let live: BTreeSet<u64> = self.segments.iter().map(|segment| segment.content.id).collect();
        if let Some(moving) = &mut self.moving {
            moving.codes.retain(|segment, _| live.contains(segment));
        }
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

        let mut codecs = Vec::new();
        codecs.put_u32(self.codecs.len() as u32);
        self.codecs.iter().for_each(|codec| put_file(&mut codecs, codec));

        let mut segments = Vec::new();
        segments.put_u32(self.segments.len() as u32);
        for segment in &self.segments {
            put_file(&mut segments, &segment.content);
            put_file(&mut segments, &segment.codes.file);
            segments.put_u64(segment.codes.codec);
            segments.put_u32(segment.dead.len() as u32);
            segment.dead.iter().for_each(|&file| segments.put_u32(file));
            segments.put_u32(segment.touched.len() as u32);
            for (&file, &mtime) in &segment.touched {
                segments.put_u32(file);
                segments.put_i64(mtime);
            }
        }

        let mut moving = Vec::new();
        if let Some(to) = &self.moving {
            moving.extend_from_slice(&to.release);
            put_file(&mut moving, &to.codec);
            moving.put_u32(to.codes.len() as u32);
            for (&segment, codes) in &to.codes {
                moving.put_u64(segment);
                put_file(&mut moving, codes);
            }
        }

        let mut writer = Writer::new(MAGIC);
        writer.section(META, meta);
        writer.section(ROOTS, roots);
        writer.section(SETTINGS, self.settings.to_bytes());
        writer.section(CODECS, codecs);
        writer.section(SEGMENTS, segments);
        writer.section(MOVE, moving);
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
        let settings =
            Settings::from_bytes(section(SETTINGS)?).ok_or("IDX-24: the settings are not valid")?;
        let codecs = read_codecs(section(CODECS)?).ok_or("IDX-25: the codecs are not valid")?;
        let segments =
            read_segments(section(SEGMENTS)?).ok_or("IDX-22: the segments are not valid")?;
        let moving = read_move(section(MOVE)?).ok_or("IDX-26: the move is not valid")?;
        let manifest = Self { encoder, dim, next, roots, settings, codecs, segments, moving };
        let known = |segment: &SegmentRef| {
            manifest.codecs.iter().any(|codec| codec.id == segment.codes.codec)
        };
        if !manifest.segments.iter().all(known) {
            return Err("IDX-22: a segment's codec is not listed".into());
        }
        if manifest.numbers().any(|id| id >= next) {
            return Err("IDX-22: a file's number was never given".into());
        }
        Ok(manifest)
    }

    fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let segments = self.segments.iter().flat_map(|s| [s.content.id, s.codes.file.id]);
        let moving = self.moving.iter();
        let moving = moving.flat_map(|to| to.codes.values().map(|c| c.id).chain([to.codec.id]));
        segments.chain(moving).chain(self.codecs.iter().map(|codec| codec.id))
    }
}

fn put_file(out: &mut Vec<u8>, file: &FileRef) {
    out.put_u64(file.id);
    out.extend_from_slice(&file.head);
}

fn read_file(reader: &mut Reader<'_>) -> Option<FileRef> {
    Some(FileRef { id: reader.u64()?, head: reader.array()? })
}

fn read_meta(bytes: &[u8]) -> Option<(EncoderId, u32, u64)> {
    let mut reader = Reader::new(bytes);
    let encoder = EncoderId { base: reader.array()?, release: reader.array()? };
    let dim = reader.u32().filter(|&dim| (1..=MAX_DIM as u32).contains(&dim))?;
    let next = reader.u64().filter(|&next| next <= MAX_NUMBER)?;
    reader.finished().then_some((encoder, dim, next))
}

fn read_codecs(bytes: &[u8]) -> Option<Vec<FileRef>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(24)?;
    let mut codecs = Vec::with_capacity(count);
    for _ in 0..count {
        codecs.push(read_file(&mut reader)?);
    }
    let sorted = codecs.is_sorted_by(|a, b| a.id < b.id);
    (sorted && reader.finished()).then_some(codecs)
}

fn read_segments(bytes: &[u8]) -> Option<Vec<SegmentRef>> {
    let mut reader = Reader::new(bytes);
    let count = reader.count(64)?;
    let mut segments: Vec<SegmentRef> = Vec::with_capacity(count);
    for _ in 0..count {
        let content = read_file(&mut reader)?;
        if segments.last().is_some_and(|last| last.content.id >= content.id) {
            return None;
        }
        let codes = CodesRef { file: read_file(&mut reader)?, codec: reader.u64()? };
        let mut dead = BTreeSet::new();
        for _ in 0..reader.count(4)? {
            dead.insert(reader.u32()?);
        }
        let mut touched = BTreeMap::new();
        for _ in 0..reader.count(12)? {
            touched.insert(reader.u32()?, reader.i64()?);
        }
        segments.push(SegmentRef { content, codes, dead, touched });
    }
    reader.finished().then_some(segments)
}

fn read_move(bytes: &[u8]) -> Option<Option<Move>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let mut reader = Reader::new(bytes);
    let release = reader.array()?;
    let codec = read_file(&mut reader)?;
    let mut codes = BTreeMap::new();
    for _ in 0..reader.count(32)? {
        codes.insert(reader.u64()?, read_file(&mut reader)?);
    }
    reader.finished().then_some(Some(Move { release, codec, codes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: u64) -> FileRef {
        FileRef { id, head: [id as u8; 16] }
    }

    fn sample() -> Manifest {
        let mut manifest = Manifest::new(EncoderId { base: [1; 32], release: [2; 32] }, 384);
        manifest.next = 12;
        manifest.roots = vec!["/a".into(), "/a/b".into()];
        manifest.codecs = vec![file(1)];
        for id in [3, 8] {
            manifest.segments.push(SegmentRef {
                content: file(id),
                codes: CodesRef { file: file(id + 1), codec: 1 },
                dead: [1, 5].into(),
                touched: [(2, -7)].into(),
            });
        }
        manifest.moving =
            Some(Move { release: [3; 32], codec: file(10), codes: [(3, file(11))].into() });
        manifest
    }

    #[test]
    fn what_is_written_is_read() {
        let empty = Manifest::new(EncoderId { base: [1; 32], release: [2; 32] }, 384);
        for manifest in [empty, sample()] {
            assert_eq!(Manifest::from_bytes(&manifest.to_bytes()), Ok(manifest.clone()));
        }
        let mut bad = sample();
        bad.next = 11;
        assert!(Manifest::from_bytes(&bad.to_bytes()).is_err(), "a number never given");
        for (dim, next) in [(0, 12), (MAX_DIM as u32 + 1, 12), (384, u64::MAX)] {
            let bad = Manifest { dim, next, ..sample() };
            assert!(Manifest::from_bytes(&bad.to_bytes()).is_err(), "{dim} {next}");
        }
        let mut bad = sample();
        bad.codecs.clear();
        assert!(Manifest::from_bytes(&bad.to_bytes()).is_err(), "a codec not listed");
    }

    #[test]
    fn a_section_that_no_manifest_has_is_refused() {
        let mut writer = sample().writer();
        writer.section(MOVE + 1, Vec::new());
        let refusal = Manifest::from_bytes(&writer.finish());
        assert_eq!(refusal, Err(Refusal::Corrupt("IDX-08: unknown sections")));
    }

    #[test]
    fn tidying_forgets_what_is_not_needed() {
        let mut manifest = sample();
        manifest.codecs.push(file(2));
        manifest.segments.remove(0);
        manifest.tidy();
        assert_eq!(manifest.codecs, [file(1)]);
        assert!(manifest.moving.as_ref().is_some_and(|to| to.codes.is_empty()));
        let names = manifest.names();
        assert!(
            names.contains("content-0000000000000008") && names.contains("codec-000000000000000a")
        );
    }
}
