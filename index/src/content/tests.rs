use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn sample() -> Vec<u8> {
    let mut builder = ContentBuilder::default();
    for (name, lengths, kept) in [
        ("a/bees.md", &[14usize, 19][..], false),
        ("a/bread.txt", &[22], false),
        ("zoo.pdf", &[11, 12, 11], true),
    ] {
        let (mut at, mut passages, mut sections) = (0, Vec::new(), vec![SectionEntry::default()]);
        for (i, length) in lengths.iter().enumerate() {
            passages.push(Passage { span: at..at + length, section: i as u32 + 1 });
            at += length + 1;
            let mut section = SectionEntry { title: format!("Part {i}"), ..Default::default() };
            section.attributes.insert("author", "Ada");
            sections.push(section);
        }
        let text = "x".repeat(at);
        builder.push(NewFile {
            root: PathBuf::from("/notes"),
            relative: PathBuf::from(name),
            kind: Kind::current(Format::Text, !kept),
            stat: FileStat { size: 100, mtime_ns: 1_700_000_000_000_000_000 },
            hash: [name.len() as u8; 16],
            text_len: at,
            passages,
            sections,
            kept: if kept { NewFile::pack_text(&text) } else { Vec::new() },
        });
    }
    builder.finish()
}

fn open(bytes: &[u8]) -> Result<Content, Refusal> {
    Content::open(Blob::Owned(bytes.into()))
}

/// Reads everything there is to read.
fn use_all(content: &Content) -> usize {
    let mut sum = usize::from(content.verify().is_ok());
    for chunk in 0..content.len() {
        let file = &content.files()[content.file_of(chunk)];
        let passage = content.passage(chunk).expect("a chunk below len");
        sum += passage.span.len() + file.name().len();
        sum += content.section(file.sections.start + passage.section).map_or(0, |s| s.title.len());
        sum += content.kept_text(file).map_or(0, |text| text.len());
        sum += content.passages(file).map_or(0, |all| all.len());
        sum += content.sections(file).map_or(0, |all| all.len());
    }
    sum
}

/// The sample with a section edited and all checksums made right again.
fn forged(edit: impl Fn(u32, &mut Vec<u8>)) -> Vec<u8> {
    crate::container::forged(&sample(), MAGIC, META..=TEXTS, edit)
}

#[test]
fn what_is_written_is_read() {
    let content = open(&sample()).expect("sound");
    content.verify().expect("sound");
    assert_eq!((content.len(), content.files().len()), (6, 3));
    assert_eq!(content.files()[1].path, PathBuf::from("/notes/a/bread.txt"));
    assert_eq!(content.file_of(3), 2);
    assert_eq!(content.passage(4), Some(Passage { span: 12..24, section: 2 }));
    let zoo = &content.files()[2];
    assert_eq!(content.passages(zoo).map(|all| all.len()), Some(3));
    assert_eq!(content.section(zoo.sections.start + 2).map(|s| s.title), Some("Part 1".to_owned()));
    assert_eq!(content.kept_text(zoo).map(|text| text.len()), Some(37));
    assert!(content.files()[0].is_plain() && !zoo.is_plain());
    assert!(use_all(&content) > 0);
}

#[test]
fn sections_of_another_kind_or_size_are_refused() {
    for kind in META..=TEXTS {
        let longer = forged(|k, bytes| {
            if k == kind {
                bytes.push(1);
            }
        });
        assert!(open(&longer).is_err(), "section {kind} with a byte more");
    }
}

#[test]
fn bytes_that_nobody_reads_are_refused() {
    let gap = forged(|kind, bytes| match kind {
        SPAN_TABLE => bytes[0] = 1,
        SPANS => bytes.insert(0, 0),
        _ => {}
    });
    assert_eq!(open(&gap).err(), Some("IDX-14: a chunk's place is not valid".into()));
    // Six chunks' bits do not fill the last byte.
    let filled = forged(|kind, bytes| {
        if kind == SPANS {
            *bytes.last_mut().expect("not empty") |= 0x80;
        }
    });
    assert_eq!(open(&filled).err(), Some("IDX-14: a chunk's place is not valid".into()));
    let longer = forged(|kind, bytes| bytes.extend((kind == SECTIONS).then_some(0)));
    assert_eq!(
        open(&longer).err(),
        Some("IDX-18: the frames do not share out their section".into())
    );
}

/// A file of `count` files with a chunk each: `records` is the stream of FILES, not yet compressed.
fn of_records(count: usize, records: &[u8]) -> Vec<u8> {
    let passages = vec![[Passage { span: 0..10, section: 0 }]; count];
    let (span_table, spans) = spans::encode(passages.iter().map(|one| one.as_slice()));
    forged(|kind, bytes| match kind {
        META => *bytes = [count as u32; 3].iter().flat_map(|x| x.to_le_bytes()).collect(),
        FILES => *bytes = zstd::bulk::compress(records, LEVEL).expect("in memory"),
        SPAN_TABLE => bytes.clone_from(&span_table),
        SPANS => bytes.clone_from(&spans),
        SECTION_TABLE => *bytes = vec![0; 4 * count.div_ceil(sections::FRAME)],
        SECTIONS | TEXTS => bytes.clear(),
        _ => {}
    })
}

/// A record of a file named by what it adds to the first `shared` bytes of the path before.
fn record(shared: usize, rest: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    for number in [0, shared as u64, rest.len() as u64] {
        crate::bits::put_varint(&mut record, number);
    }
    record.extend_from_slice(rest);
    let kind = Kind::current(Format::Text, true);
    record.extend_from_slice(&[kind.format, kind.extractor, 10, 0]);
    record.extend_from_slice(&[7; 16]);
    record.extend_from_slice(&[10, 1, 1, 0]);
    record
}

#[test]
fn a_small_file_cannot_unpack_to_a_large_one() {
    let count = 1 << 17;
    // All alike, so that next to nothing says very much.
    let same = record(0, b"a").repeat(count);
    assert!(same.len() > 2 << 20);
    assert_eq!(
        open(&of_records(count, &same)).err(),
        Some("IDX-12: a file's record is not valid".into())
    );
    // Paths that share nearly all of a long one: half a gigabyte, of four megabytes of records.
    let mut long = record(0, "x/".repeat(2000).as_bytes());
    for i in 1..count as u32 {
        long.extend(record(3990, format!("{i:x}").as_bytes()));
    }
    assert!(open(&of_records(count, &long)).is_err());
    // What real folders have is far from either bound.
    let mut plain = record(0, b"a/folder/of/the/usual/kind000000");
    for i in 1..count as u32 {
        plain.extend(record(26, format!("{i:06}").as_bytes()));
    }
    assert_eq!(open(&of_records(count, &plain)).expect("sound").files().len(), count);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_change_is_refused_or_harmless(kind in META..=TEXTS, at: prop::sample::Index, to: u8, cut: bool) {
        let bad = forged(|k, bytes| {
            if k == kind && !bytes.is_empty() {
                let at = at.index(bytes.len());
                if cut { bytes.truncate(at) } else { bytes[at] = to }
            }
        });
        if let Ok(content) = open(&bad) {
            let _ = use_all(&content);
        }
    }
}
