//! Keeping segments few and mostly alive.
//!
//! Merging means embedding again, as the vectors are gone, so it is done sparingly: segments of about
//! one size are merged when there are several, which touches a chunk once per size class, and a full
//! segment is never merged just for being one of many.

use super::ingest::read;
use super::scan::Place;
use super::update::{Replaces, Updater};
use super::{Part, Stage, UpdateOptions};
use crate::chunk::chunk;
use crate::error::IndexError;
use crate::files::FileStat;
use crate::segment::{FileEntry, NewFile};

/// How much larger the segments of one size class are than those of the class below.
const CLASS_RATIO: usize = 4;

/// Fewer dead chunks than this are not worth embedding their living neighbours again.
const MIN_DEAD: usize = 32;

/// Alive and dead chunks of a segment.
#[derive(Clone, Copy)]
struct Size {
    alive: usize,
    dead: usize,
}

/// Which segments to write anew, by position.
fn plan(sizes: &[Size], options: &UpdateOptions) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut classes: Vec<Vec<usize>> = Vec::new();
    for (at, size) in sizes.iter().enumerate() {
        let share = size.dead * 100 > (size.alive + size.dead) * options.dead_percent;
        if share && size.dead >= MIN_DEAD {
            chosen.push(at);
        } else if size.alive < options.segment_chunks / 2 {
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
    /// Writes anew what the plan names. A file that can no longer be read as it was stays where it
    /// is: it may only be away for a while, and if it changed the next update of its root tells.
    pub(super) fn merge(&mut self) -> Result<(), IndexError> {
        let moving = self.moving();
        if moving.is_empty() {
            return Ok(());
        }
        self.meter.stage = Stage::Merging;
        self.meter.files_done = 0;
        self.meter.files_total = moving.len();
        self.meter.bytes_done = 0;
        self.meter.bytes_total = moving.iter().map(|(_, file, _)| file.stat.size).sum();
        for (place, file, stat) in moving {
            self.announce(file.path.clone());
            if self.report.cancelled {
                break;
            }
            let size = stat.size;
            self.move_file(place, file, stat)?;
            self.meter.files_done += 1;
            self.meter.bytes_done += size;
        }
        self.save()
    }

    /// The live files of the planned segments, in order of name.
    fn moving(&self) -> Vec<(Place, FileEntry, FileStat)> {
        let parts = self.collection.snapshot.parts();
        let sizes: Vec<Size> = parts.iter().map(size).collect();
        let mut moving = Vec::new();
        for at in plan(&sizes, self.options) {
            let part = &parts[at];
            for (number, file) in part.live_files() {
                let stat = part.stat(number).unwrap_or(file.stat);
                moving.push(((part.id, number), file.clone(), stat));
            }
        }
        moving.sort_unstable_by(|a, b| a.1.path.cmp(&b.1.path));
        moving
    }

    fn move_file(
        &mut self,
        place: Place,
        file: FileEntry,
        stat: FileStat,
    ) -> Result<(), IndexError> {
        let Ok(contents) = read(self.files, &file.path, stat, u64::MAX) else {
            return Ok(());
        };
        if contents.hash != file.hash {
            return Ok(());
        }
        let Ok(document) = contents.extract(&file.path) else {
            return Ok(());
        };
        let chunks = chunk(&document.text, document.format, self.encoder)?;
        if chunks.is_empty() {
            return Ok(());
        }
        let path = file.path;
        let moved = NewFile {
            root: file.root,
            relative: file.relative,
            format: document.format,
            stat,
            hash: file.hash,
            text_len: document.text.len(),
            chunks,
        };
        self.push(moved, &document.text, Replaces::Same(place), &path)
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
        let cases: [(&[Size], &[usize]); 6] = [
            (&[], &[]),
            (&[alive(1), alive(2), alive(3), alive(1)], &[]),
            (&[alive(1), alive(2), alive(3), alive(1), alive(2)], &[0, 1, 2, 3, 4]),
            (&[alive(8192); 20], &[]),
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
    fn adding_one_chunk_at_a_time_embeds_each_a_logarithmic_number_of_times() {
        let options = UpdateOptions::default();
        let mut sizes: Vec<Size> = Vec::new();
        let mut embedded = 0;
        for _ in 0..4000 {
            sizes.push(Size { alive: 1, dead: 0 });
            let chosen = plan(&sizes, &options);
            let merged: usize = chosen.iter().map(|&at| sizes[at].alive).sum();
            embedded += 1 + merged;
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
        assert!(embedded < 4000 * 8, "{embedded}");
    }
}
