use std::sync::Arc;

use super::*;
use crate::codec::{Budget, Query, train};
use crate::container::{Refusal, Sections};
use crate::fixture::{WordEncoder, topics};
use crate::graph::{Beam, Walk};
use crate::vectors::{Rows, dot};

fn codec(data: &[f32], dim: usize) -> Arc<Codec> {
    let codec = train(Rows::new(data, dim), Budget { bytes: 40.0, chunks: 100_000 }, 1);
    Arc::new(Codec::from_bytes(&codec.to_bytes()).expect("valid"))
}

fn vectors(n: usize, dim: usize) -> Vec<f32> {
    let encoder = WordEncoder::new(dim);
    topics(n, 20, 4).iter().flat_map(|text| encoder.one(text)).collect()
}

fn build(data: &[f32], dim: usize, flat: usize) -> (Arc<Codec>, Vec<u8>) {
    let codec = codec(data, dim);
    let mut codes = CodedBuilder::new(codec.clone());
    codes.push_vectors(Rows::new(data, dim));
    (codec, codes.finish([9; 16], flat, 3))
}

fn open(bytes: &[u8], codec: &Arc<Codec>, chunks: u32) -> Result<Coded, Refusal> {
    Coded::open(Blob::Owned(bytes.into()), codec, [9; 16], chunks)
}

struct ByCentroid<'a>(&'a Coded, Query);

impl Walk for ByCentroid<'_> {
    fn score(&self, node: u32) -> f32 {
        self.1.one(self.0.centroid(node))
    }

    fn links(&self, node: u32, visit: &mut dyn FnMut(u32)) {
        self.0.links(node, visit);
    }
}

#[test]
fn rows_are_the_same_with_and_without_blocks() {
    let data = vectors(1500, 32);
    let (codec, flat) = build(&data, 32, 1500);
    let (_, blocked) = build(&data, 32, 100);
    let (flat, blocked) = (open(&flat, &codec, 1500), open(&blocked, &codec, 1500));
    let (flat, blocked) = (flat.expect("sound"), blocked.expect("sound"));
    assert_eq!((flat.blocks(), blocked.unreachable()), (0, 0));
    assert!(blocked.blocks() > 1500 / cluster::MAX_BLOCK);
    for (chunk, position) in blocked.positions().into_iter().enumerate() {
        let position = position as usize;
        let (mut a, mut b) = (vec![0; codec.width()], vec![0; codec.width()]);
        flat.copy_code(chunk, &mut a);
        blocked.copy_code(position, &mut b);
        assert_eq!(a, b);
        codec.encode(&data[chunk * 32..][..32], &mut b);
        assert_eq!(a, b);
        assert_eq!(blocked.chunk_at(position), Some(chunk as u32));
    }
}

#[test]
fn a_walk_over_blocks_finds_the_nearest_chunks() {
    let data = vectors(6000, 64);
    let (codec, bytes) = build(&data, 64, 100);
    let coded = open(&bytes, &codec, 6000).expect("sound");
    let rows = Rows::new(&data, 64);
    let (mut found, mut wanted) = (0, 0);
    for text in topics(30, 12, 77) {
        let query = WordEncoder::new(64).one(&text);
        let mut exact: Vec<u32> = (0..6000).collect();
        let score = |chunk: u32| dot(&query, rows.row(chunk as usize));
        exact.sort_by(|&a, &b| score(b).total_cmp(&score(a)));
        let grid = coded.centroid_grid().expect("has blocks");
        let walk = ByCentroid(&coded, codec.query(&query, grid));
        let (blocks, _) = Beam::new(coded.blocks()).search(&walk, coded.entry(), 30);
        let chunks: Vec<u32> = blocks
            .iter()
            .flat_map(|block| {
                let rows = coded.block(block.node).len();
                (0..rows).filter_map(|i| coded.chunk_in(block.node, i))
            })
            .collect();
        found += exact[..10].iter().filter(|chunk| chunks.contains(chunk)).count();
        wanted += 10;
    }
    assert!(found * 100 >= wanted * 90, "{found} of {wanted} with 30 of {} blocks", coded.blocks());
}

#[test]
fn codes_of_another_content_or_codec_are_refused() {
    let data = vectors(300, 32);
    let (codec, bytes) = build(&data, 32, 50);
    assert!(open(&bytes, &codec, 300).is_ok());
    assert!(open(&bytes, &codec, 299).is_err());
    assert!(Coded::open(Blob::Owned(bytes.as_slice().into()), &codec, [8; 16], 300).is_err());
    let other = self::codec(&vectors(200, 32), 32);
    assert!(open(&bytes, &other, 300).is_err());
}

/// The file with a section edited and all checksums made right again.
fn forged(bytes: &[u8], edit: impl Fn(u32, &mut Vec<u8>)) -> Vec<u8> {
    crate::container::forged(bytes, MAGIC, META..=LINKS, edit)
}

#[test]
fn what_cannot_be_reached_is_counted_in_chunks() {
    let (codec, bytes) = build(&vectors(1500, 32), 32, 100);
    let bytes = forged(&bytes, |kind, section| match kind {
        LINK_TABLE => section.fill(0),
        LINKS => section.clear(),
        _ => {}
    });
    let coded = open(&bytes, &codec, 1500).expect("sound");
    assert_eq!(coded.unreachable(), 1500 - coded.block(coded.entry()).len());
}

#[test]
fn what_nobody_reads_is_refused() {
    let data = vectors(390, 32);
    for flat in [50, 390] {
        let (codec, bytes) = build(&data, 32, flat);
        for kind in META..=LINKS {
            let longer = forged(&bytes, |k, section| section.extend((k == kind).then_some(0)));
            assert!(open(&longer, &codec, 390).is_err(), "section {kind} with a byte more");
        }
        // 390 codes leave room for 26 in the last group of planes.
        for code in 6..GROUP {
            let filled = forged(&bytes, |k, section| {
                if k == PLANES {
                    let strip = section.len() - 16;
                    section[strip + code % 16] |= if code < 16 { 0x04 } else { 0x40 };
                }
            });
            let refused = open(&filled, &codec, 390).err();
            assert_eq!(refused, Some("IDX-43: the last planes are not filled with zeros".into()));
        }
    }
    let (codec, bytes) = build(&data, 32, 50);
    let sound = open(&bytes, &codec, 390).expect("sound");
    let table = sound.blocks.as_ref().expect("has blocks").table.clone();
    let starts: Vec<usize> = (0..sound.blocks())
        .map(|block| u32_at(&bytes[table.clone()], 2 * block + 1).expect("there") as usize)
        .collect();
    // The last bit of a list is that of its largest number, or one that fills up.
    let mut filled = 0;
    for end in &starts[1..] {
        let full = forged(&bytes, |k, section| {
            if k == ORDER {
                section[end - 1] |= 0x80;
            }
        });
        if full != bytes {
            filled += 1;
            let refused = open(&full, &codec, 390).err();
            assert_eq!(refused, Some("IDX-42: the blocks do not share out the chunks".into()));
        }
    }
    assert!(filled > 0);
    // A gap between two lists.
    let gap = forged(&bytes, |k, section| match k {
        ORDER => section.insert(starts[1], 0),
        BLOCK_TABLE => {
            for (block, start) in starts.iter().enumerate().skip(1) {
                let at = BLOCK_ENTRY * block + 4;
                section[at..at + 4].copy_from_slice(&(*start as u32 + 1).to_le_bytes());
            }
        }
        _ => {}
    });
    assert!(open(&gap, &codec, 390).is_err());
}

#[test]
fn forged_sections_are_refused_or_harmless() {
    let data = vectors(400, 32);
    let (codec, bytes) = build(&data, 32, 50);
    let sections = Sections::read(&bytes, MAGIC).expect("sound");
    for kind in [BLOCK_TABLE, ORDER, LINK_TABLE, LINKS] {
        let length = sections.range(kind).expect("there").len();
        for at in (0..length).step_by(length.div_ceil(40).max(1)) {
            let changed = forged(&bytes, |other, section| {
                if other == kind {
                    section[at] ^= 0x55;
                }
            });
            // A changed list may still be a valid one; what is opened can be used.
            if let Ok(coded) = open(&changed, &codec, 400) {
                assert_eq!(coded.positions().len(), 400);
                let _ = coded.unreachable();
            }
        }
    }
}
