//! Keeping segments few and mostly alive.
//!
//! Merging embeds nothing again and reads none of the user's files: codes of one codec are copied, those
//! of a provisional one are coded anew. Segments of about one size are merged when there are several,
//! which touches a chunk once per size class. The first merge that has enough chunks to learn a codec
//! from learns it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rayon::prelude::*;

use super::update::Updater;
use super::{Part, Stage, UpdateOptions};
use crate::codec::{Budget, Codec, ROWS_PER_DIM, train};
use crate::coded::CodedBuilder;
use crate::content::{ContentBuilder, FileEntry, MAX_CHUNKS, MAX_SECTIONS, NewFile};
use crate::error::IndexError;
use crate::manifest::SegmentRef;
use crate::settings::Settings;
use crate::vectors::Rows;

/// How much larger the segments of one size class are than those of the class below.
const CLASS_RATIO: usize = 4;

/// Fewer dead chunks than this are not worth writing their living neighbours again.
const MIN_DEAD: usize = 32;

/// Alive and dead chunks of a segment.
#[derive(Clone, Copy)]
struct Size {
    alive: usize,
    dead: usize,
}

/// Vectors a codec is learnt from at most.
pub(crate) const LEARN_FROM: usize = 16_384;

/// Bytes a chunk of a large segment for its place in a block and its share of the block.
pub(crate) const BLOCK_BYTES: f64 = 3.5;
/// Bytes of a collection's manifest, and of tables and numbers that do not grow with it.
pub(crate) const FIXED_BYTES: usize = 6144;
/// The share of the bytes wanted that codes get at least, where many small files leave less.
const LEAST_SHARE: f64 = 0.6;

/// Which segments to write anew, by position.
fn plan(sizes: &[Size], options: &UpdateOptions) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for (at, size) in sizes.iter().enumerate() {
        let share = size.dead * 100 > (size.alive + size.dead) * options.dead_percent;
        if share && size.dead >= MIN_DEAD {
            chosen.push(at);
        } else if size.alive <= MAX_CHUNKS / CLASS_RATIO {
            let class = size.alive.max(1).ilog(CLASS_RATIO) as usize;
            classes.resize_with(classes.len().max(class + 1), Vec::new);
            classes[class].push(at);
        }
    }
    // Once one class overflows, what is below it goes along: it would soon follow.
    let full = classes.iter().rposition(|class| class.len() > options.merge_at);
    if let Some(full) = full {
        chosen.extend(classes[..=full].iter().flatten());
    }
    chosen.sort_unstable();
    chosen
}

impl Updater<'_> {
    /// Writes anew what the plan names, as one segment. During a move to another release, what has codes of
    /// that one already is left alone: a merged segment would have to be embedded for it again.
    pub(super) fn merge(&mut self) -> Result<(), IndexError> {
        let moving = self.collection.manifest.moving.clone();
        let moved = |part: &Part| moving.as_ref().is_some_and(|it| it.codes.contains_key(&part.id));
        let mut parts = self.collection.snapshot.parts().to_vec();
        parts.retain(|part| !moved(part));
        let mut chosen = plan(&parts.iter().map(size).collect::<Vec<_>>(), self.options);
        let learn = moving.is_none() && self.may_learn(&parts);
        if learn {
            // All that a provisional codec coded is coded anew.
            let raw = |at: &usize| parts[*at].segment.coded.codec().is_provisional();
            chosen.extend((0..parts.len()).filter(raw));
            chosen.sort_unstable();
            chosen.dedup();
        }
        self.merge_these(&parts, chosen, learn)
    }

    /// Writes everything anew as one segment, as far as one may hold it, leaving out what is dead.
    pub(super) fn merge_all(&mut self) -> Result<(), IndexError> {
        let parts = self.collection.snapshot.parts().to_vec();
        let learn = self.may_learn(&parts);
        let whole = |part: &Part| size(part).dead == 0;
        let done = parts.len() <= 1 && parts.iter().all(whole) && !learn;
        let chosen = if done { Vec::new() } else { (0..parts.len()).collect() };
        self.merge_these(&parts, chosen, learn)
    }

    fn merge_these(
        &mut self,
        parts: &[Part],
        chosen: Vec<usize>,
        learn: bool,
    ) -> Result<(), IndexError> {
        if chosen.is_empty() {
            return Ok(());
        }
        self.meter.stage = Stage::Merging;
        self.meter.files_done = 0;
        self.announce(PathBuf::new());
        if self.report.cancelled {
            return Ok(());
        }
        let chosen: Vec<&Part> = chosen.into_iter().map(|at| &parts[at]).collect();
        let (codec, number) = if learn { self.learn(&chosen)? } else { self.known_codec(&chosen)? };
        let mut files: Vec<(&Part, u32, &FileEntry)> = Vec::new();
        for part in &chosen {
            files.extend(part.live_files().map(|(number, file)| (*part, number, file)));
        }
        files.sort_unstable_by(|a, b| a.2.path.cmp(&b.2.path));
        self.meter.files_total = files.len();
        let mut rest = files.as_slice();
        let mut segments = BTreeMap::new();
        while !rest.is_empty() {
            let now = fitting(rest);
            let (content, codes) = gather(&rest[..now], &codec);
            rest = &rest[now..];
            self.meter.files_done += now;
            let seed = self.options.seed ^ self.manifest.next;
            let (id, segment) =
                self.collection.write_segment(&mut self.manifest, content, codes, number, seed)?;
            segments.insert(id, segment);
        }
        let merged: Vec<u64> = chosen.iter().map(|part| part.id).collect();
        self.manifest
            .segments
            .retain(|reference: &SegmentRef| !merged.contains(&reference.content.id));
        self.collection.commit(self.manifest.clone(), segments)?;
        self.manifest = self.collection.manifest.clone();
        Ok(())
    }

    /// Whether there is no codec but a provisional one, and enough chunks to learn a better one.
    fn may_learn(&self, parts: &[Part]) -> bool {
        let alive: usize = parts.iter().map(|part| size(part).alive).sum();
        let known = self.manifest.codecs.iter().any(|reference| {
            self.collection.codecs.get(&reference.id).is_some_and(|codec| !codec.is_provisional())
        });
        let dim = self.encoder.dim();
        !known && dim >= 16 && alive >= ROWS_PER_DIM * dim
    }

    /// Learns a codec from what these parts' codes say of their vectors.
    fn learn(&mut self, parts: &[&Part]) -> Result<(Arc<Codec>, u64), IndexError> {
        let codec = learn(parts, self.collection.manifest.settings, self.options.seed);
        let (reference, codec) = self.collection.write_codec(&codec)?;
        self.manifest.codecs.push(reference);
        Ok((codec, reference.id))
    }

    /// The codec that codes of these parts can be brought to: the learnt one if there is one.
    fn known_codec(&self, parts: &[&Part]) -> Result<(Arc<Codec>, u64), IndexError> {
        let codecs = parts.iter().map(|part| part.segment.coded.codec());
        let best = codecs.min_by_key(|codec| codec.is_provisional());
        let listed = self.manifest.codecs.iter().filter_map(|reference| {
            Some((self.collection.codecs.get(&reference.id)?.clone(), reference.id))
        });
        let known = listed.filter(|(codec, _)| {
            !codec.is_provisional() || best.is_some_and(|best| best.head() == codec.head())
        });
        Ok(known.min_by_key(|(codec, _)| codec.is_provisional()).expect("parts have a codec"))
    }
}

/// How many of these files one segment may hold.
fn fitting(files: &[(&Part, u32, &FileEntry)]) -> usize {
    let (mut chunks, mut sections) = (0, 0);
    let fits = files.iter().take_while(|(_, _, file)| {
        chunks += file.chunks.len();
        sections += file.sections.len();
        chunks <= MAX_CHUNKS && sections <= MAX_SECTIONS
    });
    fits.count().max(1)
}

/// Learns a codec from what codes say of their vectors.
pub(super) fn learn(parts: &[&Part], settings: Settings, seed: u64) -> Codec {
    let chunks: Vec<(&Part, u32)> = parts
        .iter()
        .flat_map(|part| {
            let alive = (0..part.segment.len()).filter(|&chunk| part.alive[chunk as usize]);
            alive.map(move |chunk| (*part, chunk))
        })
        .collect();
    let count = chunks.len().min(LEARN_FROM);
    let positions: BTreeMap<u64, Vec<u32>> =
        parts.iter().map(|part| (part.id, part.segment.coded.positions())).collect();
    let vectors: Vec<f32> = (0..count)
        .into_par_iter()
        .flat_map_iter(|i| {
            let (part, chunk) = chunks[i * chunks.len() / count];
            let coded = &part.segment.coded;
            let position = positions[&part.id][chunk as usize] as usize;
            let codec = coded.codec();
            let mut code = vec![0u8; codec.width()];
            coded.copy_code(position, &mut code);
            codec.decode(&code)
        })
        .collect();
    let budget = budget(parts.iter().copied(), chunks.len(), settings);
    let dim = parts[0].segment.coded.codec().dim();
    let codec = train(Rows::new(&vectors, dim), budget, seed);
    codec.made_from(parts.iter().map(|part| &**part.segment.coded.codec()))
}

/// What the codes of parts with this many live chunks may take at these settings.
pub(crate) fn budget<'a>(
    parts: impl Iterator<Item = &'a Part>,
    chunks: usize,
    settings: Settings,
) -> Budget {
    let wanted = f64::from(settings.bytes_per_chunk);
    let sizes = parts.map(|part| (part.segment.content.bytes(), part.segment.len() as usize));
    let (content, all) = sizes.fold((FIXED_BYTES, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let blocks = if chunks > settings.flat as usize { BLOCK_BYTES } else { 0.0 };
    let bytes = (wanted - blocks - content as f64 / all.max(1) as f64).max(LEAST_SHARE * wanted);
    Budget { bytes, chunks }
}

/// The content and the codes of some files of parts.
fn gather(
    files: &[(&Part, u32, &FileEntry)],
    codec: &Arc<Codec>,
) -> (ContentBuilder, CodedBuilder) {
    let mut positions: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    for (part, ..) in files {
        positions.entry(part.id).or_insert_with(|| part.segment.coded.positions());
    }
    let rows: Vec<Vec<u8>> = files
        .par_iter()
        .map(|(part, _, file)| {
            let mut rows = vec![0u8; file.chunks.len() * codec.width()];
            let from = part.segment.coded.codec();
            let mut code = vec![0u8; from.width()];
            for (chunk, row) in file.chunks.clone().zip(rows.chunks_exact_mut(codec.width())) {
                let position = positions[&part.id][chunk as usize] as usize;
                if from.head() == codec.head() {
                    part.segment.coded.copy_code(position, row);
                } else {
                    part.segment.coded.copy_code(position, &mut code);
                    codec.encode(&from.decode(&code), row);
                }
            }
            rows
        })
        .collect();
    let (mut content, mut codes) = (ContentBuilder::default(), CodedBuilder::new(codec.clone()));
    for ((part, number, file), rows) in files.iter().zip(rows) {
        content.push(copy(part, *number, file));
        codes.push_rows(&rows);
    }
    (content, codes)
}

/// A file as it stands in a part.
fn copy(part: &Part, number: u32, file: &FileEntry) -> NewFile {
    let content = &part.segment.content;
    NewFile {
        root: file.root.clone(),
        relative: file.relative.clone(),
        kind: file.kind,
        stat: part.stat(number).unwrap_or(file.stat),
        hash: file.hash,
        text_len: file.text_len,
        passages: content.passages(file).expect("checked when the segment was opened"),
        sections: content
            .sections(file)
            .unwrap_or_else(|| vec![Default::default(); file.sections.len()]),
        kept: content.kept_bytes(file).unwrap_or_default().to_vec(),
    }
}

fn size(part: &Part) -> Size {
    let alive = part.alive.iter().filter(|alive| **alive).count();
    Size { alive, dead: part.alive.len() - alive }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans() {
        let options = UpdateOptions::default();
        let alive = |n| Size { alive: n, dead: 0 };
        let cases: [(&[Size], &[usize]); 7] = [
            (&[], &[]),
            (&[alive(1), alive(2), alive(3), alive(1)], &[]),
            (&[alive(1), alive(2), alive(3), alive(1), alive(2)], &[0, 1, 2, 3, 4]),
            (&[alive(8192); 4], &[]),
            (&[alive(8192); 5], &[0, 1, 2, 3, 4]),
            (&[alive(100), Size { alive: 60, dead: 40 }], &[1]),
            (
                &[alive(20), alive(20), alive(20), alive(20), alive(20), alive(1), alive(900)],
                &[0, 1, 2, 3, 4, 5],
            ),
        ];
        for (i, (sizes, expected)) in cases.into_iter().enumerate() {
            assert_eq!(plan(sizes, &options), expected, "case {i}");
        }
    }

    #[test]
    fn adding_one_chunk_at_a_time_writes_each_a_logarithmic_number_of_times() {
        let options = UpdateOptions::default();
        let mut sizes: Vec<Size> = Vec::new();
        let mut written = 0;
        for _ in 0..4000 {
            sizes.push(Size { alive: 1, dead: 0 });
            let chosen = plan(&sizes, &options);
            let merged: usize = chosen.iter().map(|&at| sizes[at].alive).sum();
            written += 1 + merged;
            if merged > 0 {
                let mut at = 0;
                sizes.retain(|_| {
                    at += 1;
                    !chosen.contains(&(at - 1))
                });
                sizes.push(Size { alive: merged, dead: 0 });
            }
            assert!(sizes.len() <= 4 * 7, "{} segments", sizes.len());
        }
        assert!(written < 4000 * 8, "{written}");
    }
}
