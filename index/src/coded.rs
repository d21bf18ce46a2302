//! A segment's codes: one row per chunk, and for many chunks a graph of blocks to find the rows by.
//!
//! The first planes of all codes lie apart, so that a search can sweep them and read only few codes in full.
//!
//! Up to a number of chunks ([`Settings::flat`](crate::Settings::flat)) the codes stand in the order of the chunks and all are swept. Above,
//! they are grouped into blocks of neighbours; a graph links the blocks, and a search walks it and
//! sweeps the blocks it finds. A swept code costs a few nanoseconds, so a graph of single chunks (as in
//! LEANN or DiskANN) would cost more bytes and save nothing: see docs/ARCHITECTURE.md.
//!
//! `docs/spec/index-format.md` section 5 lays the file out.

mod build;
mod cluster;
mod links;
mod open;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use build::CodedBuilder;

use crate::bits::ascending;
use crate::bytes::u32_at;
use crate::codec::{Codec, GROUP, Grid, Query, Sweep, get_plane, group_bytes, prefetch};
use crate::container::Checksum;
use crate::store::Blob;

const MAGIC: [u8; 8] = *b"COVEYCOD";
const META: u32 = 1;
const PLANES: u32 = 2;
const SCALES: u32 = 3;
const RESTS: u32 = 4;
const BLOCK_TABLE: u32 = 5;
const ORDER: u32 = 6;
const CENTROIDS: u32 = 7;
const LINK_TABLE: u32 = 8;
const LINKS: u32 = 9;
const KINDS: usize = 9;

/// Bits of each direction of a block's centroid.
const CENTROID_BITS: u8 = 4;
/// Bytes of one entry of the block table: the first row, and where its list of chunks starts.
const BLOCK_ENTRY: usize = 8;

/// An opened codes file.
pub(crate) struct Coded {
    blob: Blob,
    head: Checksum,
    codec: Arc<Codec>,
    count: usize,
    planes: Range<usize>,
    scales: Range<usize>,
    rests: Range<usize>,
    blocks: Option<Blocks>,
}

/// Where blocks are in the file.
struct Blocks {
    count: usize,
    entry: u32,
    /// The grid of centroids.
    grid: Grid,
    table: Range<usize>,
    order: Range<usize>,
    centroids: Range<usize>,
    link_table: Range<usize>,
    links: Range<usize>,
}

impl Coded {
    /// Identifies the whole file's contents.
    pub(crate) fn head(&self) -> Checksum {
        self.head
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> usize {
        self.blob.len()
    }

    pub(crate) fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// How many blocks there are; 0 where rows stand in the order of chunks.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.as_ref().map_or(0, |blocks| blocks.count)
    }

    /// The block a walk begins at.
    pub(crate) fn entry(&self) -> u32 {
        self.blocks.as_ref().map_or(0, |blocks| blocks.entry)
    }

    /// The grid of block centroids.
    pub(crate) fn centroid_grid(&self) -> Option<&Grid> {
        self.blocks.as_ref().map(|blocks| &blocks.grid)
    }

    /// Sweeps the codes at these positions (in the order of blocks, or of chunks where there are none):
    /// calls `visit` with the position and the estimate of each that is above a bar, and takes the
    /// next bar from it.
    pub(crate) fn sweep(
        &self,
        sweep: &Sweep,
        positions: Range<usize>,
        bar: f32,
        visit: &mut impl FnMut(usize, f32) -> f32,
    ) {
        let group = group_bytes(self.codec.kept());
        let (first, end) = (positions.start / GROUP, positions.end.div_ceil(GROUP));
        let planes = self.part(&self.planes, first * group..end * group);
        let scales = self.part(&self.scales, first * GROUP..(end * GROUP).min(self.count));
        let mut last = bar;
        sweep.run(planes, scales, bar, &mut |i, estimate| {
            let position = first * GROUP + i;
            if positions.contains(&position) {
                last = visit(position, estimate);
            }
            last
        });
    }

    /// The estimate of the whole code at a position, whose first planes have this estimate.
    pub(crate) fn estimate(
        &self,
        sweep: &Sweep,
        query: &Query,
        position: usize,
        first: f32,
    ) -> f32 {
        let scale = self.part(&self.scales, position..position + 1);
        let scale = scale.first().copied().unwrap_or(0);
        query.rest(sweep.share(first), scale, self.rest(position))
    }

    /// Says that the whole code at a position will be wanted soon.
    pub(crate) fn prefetch(&self, position: usize) {
        prefetch(self.rest(position));
    }

    /// What of the code at a position is neither first plane nor scale.
    fn rest(&self, position: usize) -> &[u8] {
        let width = self.codec.grid().rest_width();
        self.part(&self.rests, position * width..(position + 1) * width)
    }

    /// Writes the code at a position to `code`, which has the codec's width.
    pub(crate) fn copy_code(&self, position: usize, code: &mut [u8]) {
        let grid = self.codec.grid();
        let (group, rest) = (group_bytes(self.codec.kept()), self.rest(position));
        let number = position / GROUP;
        let planes = self.part(&self.planes, number * group..(number + 1) * group);
        let scale = self.part(&self.scales, position..position + 1);
        // Sizes were checked when the file was opened; should it have changed since, the code is nonsense.
        if let ([scale], true) = (scale, planes.len() == group && rest.len() == grid.rest_width()) {
            grid.join(|plane| get_plane(planes, position % GROUP, plane), rest, *scale, code);
        }
    }

    /// A range within a section.
    fn part(&self, section: &Range<usize>, range: Range<usize>) -> &[u8] {
        let end = section.start.saturating_add(range.end).min(section.end);
        self.blob.get(section.start.saturating_add(range.start)..end).unwrap_or_default()
    }

    /// The code of a block's centroid.
    pub(crate) fn centroid(&self, block: u32) -> &[u8] {
        let Some(blocks) = &self.blocks else { return &[] };
        let width = blocks.grid.width();
        let start = blocks.centroids.start + block as usize * width;
        self.blob.get(start..(start + width).min(blocks.centroids.end)).unwrap_or_default()
    }

    /// The positions of a block's rows.
    pub(crate) fn block(&self, block: u32) -> Range<usize> {
        let bound = |number: usize| {
            let blocks = self.blocks.as_ref()?;
            if number >= blocks.count {
                return Some(self.count);
            }
            Some(u32_at(self.blob.get(blocks.table.clone())?, 2 * number)? as usize)
        };
        let (start, end) = (bound(block as usize), bound(block as usize + 1));
        match (start, end) {
            (Some(start), Some(end)) if start <= end && end <= self.count => start..end,
            _ => 0..0,
        }
    }

    /// The chunk behind the `i`th row of a block.
    pub(crate) fn chunk_in(&self, block: u32, i: usize) -> Option<u32> {
        let blocks = self.blocks.as_ref()?;
        let table = self.blob.get(blocks.table.clone())?;
        let order = self.blob.get(blocks.order.clone())?;
        let list = order.get(u32_at(table, 2 * block as usize + 1)? as usize..)?;
        let (first, spread) = (u32_at(list, 0)?, u32_at(list, 1)?);
        if i == 0 {
            return Some(first);
        }
        let rest = self.block(block).len().checked_sub(1)?;
        first.checked_add(ascending(list.get(8..)?, i - 1, rest, spread)?)
    }

    /// The chunk behind a position.
    pub(crate) fn chunk_at(&self, position: usize) -> Option<u32> {
        let Some(blocks) = &self.blocks else { return u32::try_from(position).ok() };
        let table = self.blob.get(blocks.table.clone())?;
        let starts = |block: usize| u32_at(table, 2 * block).unwrap_or(u32::MAX) as usize;
        let (mut low, mut high) = (0, blocks.count);
        while low + 1 < high {
            let middle = low.midpoint(high);
            if starts(middle) <= position { low = middle } else { high = middle }
        }
        self.chunk_in(low as u32, position.checked_sub(starts(low))?)
    }

    /// Calls `visit` with each block linked from this one.
    pub(crate) fn links(&self, block: u32, visit: &mut dyn FnMut(u32)) {
        let Some(blocks) = &self.blocks else { return };
        let table = self.blob.get(blocks.link_table.clone()).unwrap_or_default();
        let lists = self.blob.get(blocks.links.clone()).unwrap_or_default();
        // Checked when the file was opened; should it have changed since, the walk ends here.
        let _ = links::visit(table, lists, block, visit);
    }

    /// How many chunks are in blocks that no walk from the entry can reach.
    pub(crate) fn unreachable(&self) -> usize {
        let mut reached = vec![false; self.blocks()];
        let mut stack = vec![self.entry()];
        while let Some(block) = stack.pop() {
            if let Some(seen) = reached.get_mut(block as usize)
                && !std::mem::replace(seen, true)
            {
                self.links(block, &mut |next| stack.push(next));
            }
        }
        let lost = (0u32..).zip(reached).filter(|(_, reached)| !reached);
        lost.map(|(block, _)| self.block(block).len()).sum()
    }

    /// For each chunk the position of its row.
    pub(crate) fn positions(&self) -> Vec<u32> {
        let mut positions: Vec<u32> = (0..self.count as u32).collect();
        for block in 0..self.blocks() as u32 {
            for (i, position) in self.block(block).enumerate() {
                if let Some(slot) =
                    self.chunk_in(block, i).and_then(|c| positions.get_mut(c as usize))
                {
                    *slot = position as u32;
                }
            }
        }
        positions
    }
}

#[cfg(test)]
mod tests;
