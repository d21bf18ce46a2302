//! A segment's codes: one row per chunk, and for many chunks a graph of blocks to find the rows by.
//!
//! Up to a number of chunks ([`Settings::flat`](crate::Settings::flat)) the rows stand in the order of the chunks and are scanned. Above, they are
//! grouped into blocks of neighbours; a graph links the blocks, and a search walks it and scans the
//! rows of the blocks it finds. A scanned row costs nanoseconds, so a graph of single chunks (as in
//! LEANN or DiskANN) would cost more bytes and save nothing: see docs/ARCHITECTURE.md.
//!
//! `docs/spec/index-format.md` section 5 lays the file out.

mod build;
mod cluster;
mod links;
mod open;

use std::ops::Range;
use std::sync::Arc;

pub(crate) use build::{CodedBuilder, transcode};

use crate::bits::ascending;
use crate::bytes::u32_at;
use crate::codec::{Codec, Grid, Query};
use crate::container::Checksum;
use crate::store::Blob;

const MAGIC: [u8; 8] = *b"COVEYCOD";
const META: u32 = 1;
const ROWS: u32 = 2;
const BLOCK_TABLE: u32 = 3;
const ORDER: u32 = 4;
const CENTROIDS: u32 = 5;
const LINK_TABLE: u32 = 6;
const LINKS: u32 = 7;
const KINDS: usize = 7;

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
    rows: Range<usize>,
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

    /// Rows by position: in the order of blocks, or of chunks where there are none.
    pub(crate) fn rows(&self, positions: Range<usize>) -> &[u8] {
        let width = self.codec.width();
        let start = self.rows.start + positions.start * width;
        let end = (self.rows.start + positions.end * width).min(self.rows.end);
        self.blob.get(start..end).unwrap_or_default()
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

    /// Calls `visit` with each block linked from this one.
    pub(crate) fn links(&self, block: u32, visit: &mut dyn FnMut(u32)) {
        let Some(blocks) = &self.blocks else { return };
        let table = self.blob.get(blocks.link_table.clone()).unwrap_or_default();
        let lists = self.blob.get(blocks.links.clone()).unwrap_or_default();
        // Checked when the file was opened; should it have changed since, the walk ends here.
        let _ = links::visit(table, lists, block, visit);
    }

    /// How many blocks no walk from the entry can reach.
    pub(crate) fn unreachable(&self) -> usize {
        let mut reached = vec![false; self.blocks()];
        let mut stack = vec![self.entry()];
        let mut count = 0;
        while let Some(block) = stack.pop() {
            if let Some(seen) = reached.get_mut(block as usize)
                && !std::mem::replace(seen, true)
            {
                count += 1;
                self.links(block, &mut |next| stack.push(next));
            }
        }
        reached.len() - count
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

    /// Appends the estimates of rows.
    pub(crate) fn score(&self, query: &Query, positions: Range<usize>, scores: &mut Vec<f32>) {
        query.scores(self.rows(positions), scores);
    }
}

#[cfg(test)]
mod tests;
