use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::layout::*;
use super::*;
use crate::chunk::Chunk;
use crate::container::{Refusal, Sections, Writer};
use crate::fixture::WordEncoder;
use crate::graph::GraphParams;
use covey_index::Encoder;

/// The bytes of this segment, kept in the repository. A change to them is a change of format.
const VECTOR: &str = include_str!("../../vectors/segment-v1.hex");

fn sample() -> Vec<u8> {
    let encoder = WordEncoder::new(12);
    let mut builder = SegmentBuilder::new(encoder.id(), 12);
    for (name, texts) in [
        ("a/bees.md", &["hive and honey", "a garden of flowers"][..]),
        ("bread.txt", &["dough rises overnight"]),
        ("zoo.rs", &["struct Lion", "struct Tiger", "struct Bear"]),
    ] {
        let mut at = 0;
        let chunks = texts.iter().enumerate().map(|(i, text)| {
            let span = at..at + text.len();
            at = span.end + 1;
            let title = if i == 1 { "Second".to_owned() } else { String::new() };
            Chunk { span, title }
        });
        builder.push_file(NewFile {
            root: PathBuf::from("/notes"),
            relative: PathBuf::from(name),
            format: Format::Text,
            stat: FileStat { size: 100, mtime_ns: 1_700_000_000_000_000_000 },
            hash: [name.len() as u8; 32],
            chunks: chunks.collect(),
            text_len: at,
        });
        for text in texts {
            builder.push_vectors(&encoder.one(text));
        }
    }
    builder.finish(&GraphParams::default(), 42)
}

fn open(bytes: &[u8]) -> Result<Segment, Refusal> {
    Segment::open(Blob::Owned(bytes.into()))
}

/// The sample with its sections edited and all checksums made right again.
fn forged(edit: impl Fn(u32, &mut Vec<u8>)) -> Vec<u8> {
    let file = sample();
    let sections = Sections::read(&file, MAGIC).expect("the sample is sound");
    let mut writer = Writer::new(MAGIC);
    for kind in META..=LINKS {
        let mut bytes = file[sections.range(kind).expect("there")].to_vec();
        edit(kind, &mut bytes);
        writer.section(kind, bytes);
    }
    writer.finish()
}

/// Reads everything there is to read.
fn use_all(segment: &Segment) -> usize {
    let mut sum = segment.unreachable();
    for chunk in 0..segment.len() {
        let entry = segment.chunk(chunk).expect("a chunk below len");
        sum += entry.span.len() + entry.title.map_or(0, str::len);
        sum += segment.code(chunk).0.len();
        sum += segment.files()[segment.file_of(chunk)].name().len();
        segment.links(chunk, &mut |to| sum += to as usize);
    }
    sum
}

#[test]
fn what_is_written_is_read() {
    let segment = open(&sample()).expect("sound");
    assert_eq!((segment.len(), segment.dim(), segment.unreachable()), (6, 12, 0));
    let names: Vec<&Path> = segment.files().iter().map(|file| file.path.as_path()).collect();
    assert_eq!(names, ["/notes/a/bees.md", "/notes/bread.txt", "/notes/zoo.rs"].map(Path::new));
    assert_eq!((0..6).map(|chunk| segment.file_of(chunk)).collect::<Vec<_>>(), [0, 0, 1, 2, 2, 2]);
    assert_eq!(segment.chunk(1).expect("there").title, Some("Second"));
    assert_eq!(segment.chunk(1).expect("there").span, 15..34);
    assert_eq!(segment.chunk(2).expect("there").title, None);
    assert!(segment.chunk(6).is_none());
}

/// To write the vector anew after a deliberate change of format, set COVEY_WRITE_VECTORS.
#[test]
fn the_bytes_are_the_committed_ones() {
    let hex: String = sample()
        .chunks(32)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect();
    if std::env::var_os("COVEY_WRITE_VECTORS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/segment-v1.hex");
        std::fs::write(path, &hex).expect("writable");
    }
    assert_eq!(hex, VECTOR);
}

#[test]
fn every_flipped_byte_and_every_cut_is_refused() {
    let file = sample();
    for at in 0..file.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut bad = file.clone();
            bad[at] ^= mask;
            assert!(open(&bad).is_err(), "byte {at} xor {mask:#x}");
        }
        assert!(open(&file[..at]).is_err(), "cut at {at}");
    }
}

/// What the checksums cannot catch, the checks on the contents do.
#[test]
fn a_forged_section_is_refused_by_its_own_check() {
    fn put(at: usize, word: u32) -> impl Fn(&mut Vec<u8>) {
        move |bytes| bytes[at..at + 4].copy_from_slice(&word.to_le_bytes())
    }
    fn push(bytes: &mut Vec<u8>) {
        bytes.push(0);
    }
    type Edit = Box<dyn Fn(&mut Vec<u8>)>;
    let cases: Vec<(&str, u32, Edit)> = vec![
        ("IDX-09", META, Box::new(push)),
        ("IDX-09", META, Box::new(put(64, 0))),
        ("IDX-09", META, Box::new(put(68, u32::MAX))),
        ("IDX-09", META, Box::new(put(76, 6))),
        ("IDX-09", META, Box::new(put(80, 2))),
        ("IDX-10", META, Box::new(put(68, 7))),
        ("IDX-10", META, Box::new(put(64, 4096))),
        ("IDX-10", CODES, Box::new(push)),
        ("IDX-11", ROOTS, Box::new(put(0, u32::MAX))),
        ("IDX-11", ROOTS, Box::new(|bytes| bytes[8] = b'x')),
        ("IDX-12", FILES, Box::new(put(0, 1))),
        ("IDX-12", FILES, Box::new(put(4, u32::MAX))),
        ("IDX-12", FILES, Box::new(put(72, 1))),
        ("IDX-12", FILES, Box::new(put(76, u32::MAX))),
        ("IDX-12", FILES, Box::new(put(84 * 2 + 76, 2))),
        ("IDX-12", FILES, Box::new(|bytes| bytes[12] = 9)),
        ("IDX-12", PATHS, Box::new(|bytes| bytes[..9].copy_from_slice(b"../../../"))),
        ("IDX-13", TITLES, Box::new(put(0, 9))),
        ("IDX-13", TITLES, Box::new(|bytes| bytes[9] = 0xff)),
        ("IDX-14", CHUNKS, Box::new(put(0, u32::MAX))),
        ("IDX-14", CHUNKS, Box::new(put(4, 0))),
        ("IDX-14", CHUNKS, Box::new(put(8, 1))),
        ("IDX-15", MEAN, Box::new(put(0, f32::NAN.to_bits()))),
        ("IDX-15", SCALES, Box::new(|bytes| bytes[1] = 0x7c)),
        ("IDX-16", OFFSETS, Box::new(put(4, u32::MAX))),
        ("IDX-16", OFFSETS, Box::new(put(0, 1))),
        ("IDX-16", LINKS, Box::new(put(0, 6))),
        ("IDX-16", LINKS, Box::new(push)),
    ];
    for (i, (check, section, edit)) in cases.iter().enumerate() {
        let bad = forged(|kind, bytes| {
            if kind == *section {
                edit(bytes);
            }
        });
        match open(&bad) {
            Err(Refusal::Corrupt(what)) => assert!(what.starts_with(check), "case {i}: {what}"),
            other => panic!("case {i}, {check}: {:?}", other.map(|_| "accepted").err()),
        }
    }
}

#[test]
fn text_of_another_extractor_is_stale_and_not_corrupt() {
    let file = forged(|kind, bytes| {
        if kind == FILES {
            bytes[13] = 200;
        }
    });
    let segment = open(&file).expect("sound");
    assert_eq!(segment.files()[0].format, None);
    assert_eq!(segment.files()[1].format, Some(Format::Text));
}

#[test]
fn a_missing_section_is_named() {
    let mut writer = Writer::new(MAGIC);
    writer.section(META, vec![0; 96]);
    assert!(
        matches!(open(&writer.finish()), Err(Refusal::Corrupt(what)) if what.starts_with("IDX-08"))
    );
}

proptest! {
    /// Whatever a section holds, it is refused or everything in it can be used.
    #[test]
    fn forged_bytes_never_panic(section in META..=LINKS, at: prop::sample::Index, byte: u8, more in 0usize..5) {
        let file = forged(|kind, bytes| {
            if kind == section && !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes.truncate(bytes.len() - more.min(bytes.len()) * usize::from(byte > 200));
            }
        });
        if let Ok(segment) = open(&file) {
            use_all(&segment);
        }
    }
}
