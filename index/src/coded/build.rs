//! Writing a codes file.

use std::sync::Arc;

use rayon::prelude::*;

use super::cluster::{Points, cluster, mean};
use super::*;
use crate::bits::put_ascending;
use crate::bytes::Put;
use crate::codec::{Apart, Codec};
use crate::container::Writer;
use crate::graph::{GraphParams, build};
use crate::vectors::{Rows, dot};

/// Codes of chunks in their order.
pub(crate) struct CodedBuilder {
    codec: Arc<Codec>,
    rows: Vec<u8>,
}

impl CodedBuilder {
    pub(crate) fn new(codec: Arc<Codec>) -> Self {
        Self { codec, rows: Vec::new() }
    }

    /// Adds the codes of these vectors.
    pub(crate) fn push_vectors(&mut self, rows: Rows<'_>) {
        self.rows.extend(self.codec.encode_all(rows));
    }

    /// Adds rows made by the same codec.
    pub(crate) fn push_rows(&mut self, rows: &[u8]) {
        debug_assert!(rows.len().is_multiple_of(self.codec.width()));
        self.rows.extend_from_slice(rows);
    }

    pub(crate) fn codec(&self) -> &Arc<Codec> {
        &self.codec
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() / self.codec.width()
    }

    /// The file's bytes, for the content file with this checksum; with blocks above `flat` chunks.
    pub(crate) fn finish(self, content: Checksum, flat: usize, seed: u64) -> Vec<u8> {
        let count = self.len();
        let blocks = if count > flat { cluster(&self, count, seed) } else { Vec::new() };
        let grid = self.codec.grid().with_bits(CENTROID_BITS);
        let middles: Vec<f32> =
            blocks.par_iter().flat_map_iter(|block| mean(&self, block)).collect();
        let graph = if blocks.is_empty() {
            Default::default()
        } else {
            build(Rows::new(&middles, grid.dims()), &GraphParams::default(), seed)
        };
        let mut centroids = vec![0u8; blocks.len() * grid.width()];
        for (middle, code) in
            middles.chunks_exact(grid.dims()).zip(centroids.chunks_exact_mut(grid.width()))
        {
            grid.encode(middle, dot(middle, middle), code);
        }
        let (table, lists) = lists(&blocks);
        let (link_table, link_lists) = links::encode(&graph.links);

        let mut meta = Vec::new();
        meta.extend_from_slice(&content);
        meta.extend_from_slice(&self.codec.head());
        meta.put_u32(count as u32);
        meta.put_u32(blocks.len() as u32);
        meta.put_u32(graph.entry);
        meta.put_u64(seed);
        let order: Vec<u32> = if blocks.is_empty() {
            (0..count as u32).collect()
        } else {
            blocks.into_iter().flatten().collect()
        };
        let width = self.codec.width();
        let code = |chunk: u32| &self.rows[chunk as usize * width..][..width];
        let Apart { planes, scales, rests } =
            Apart::new(self.codec.grid(), order.into_iter().map(code));
        let mut writer = Writer::new(MAGIC);
        writer.section(META, meta);
        writer.section(PLANES, planes);
        writer.section(SCALES, scales);
        writer.section(RESTS, rests);
        writer.section(BLOCK_TABLE, table);
        writer.section(ORDER, lists);
        writer.section(CENTROIDS, centroids);
        writer.section(LINK_TABLE, link_table);
        writer.section(LINKS, link_lists);
        writer.finish()
    }
}

impl Points for CodedBuilder {
    fn dim(&self) -> usize {
        self.codec.kept()
    }

    fn read(&self, point: u32, out: &mut [f32]) {
        let width = self.codec.width();
        self.codec.grid().decode(&self.rows[point as usize * width..][..width], out);
    }
}

/// The block table, and each block's chunks: the first, what the last adds to it, and what each
/// other does.
fn lists(blocks: &[Vec<u32>]) -> (Vec<u8>, Vec<u8>) {
    let (mut table, mut order, mut first_row) = (Vec::new(), Vec::new(), 0u32);
    for block in blocks {
        table.put_u32(first_row);
        table.put_u32(order.len() as u32);
        first_row += block.len() as u32;
        let (first, last) = (block[0], block[block.len() - 1]);
        order.put_u32(first);
        order.put_u32(last - first);
        let rest: Vec<u32> = block[1..].iter().map(|chunk| chunk - first).collect();
        put_ascending(&mut order, &rest);
    }
    (table, order)
}
