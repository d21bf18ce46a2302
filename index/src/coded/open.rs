//! Opening a codes file: every number that a search relies on is checked here, once.

use super::*;
use crate::bits::ascending_len;
use crate::bytes::Reader;
use crate::container::{Refusal, Sections};

struct Meta {
    content: Checksum,
    codec: Checksum,
    count: usize,
    blocks: usize,
    entry: u32,
}

impl Coded {
    /// Checks and opens the codes that `codec` made of the chunks of a content file.
    pub(crate) fn open(
        blob: Blob,
        codec: &Arc<Codec>,
        content: Checksum,
        chunks: u32,
    ) -> Result<Self, Refusal> {
        let table = Sections::read(&blob, MAGIC)?;
        if table.len() != KINDS {
            return Err("IDX-08: unknown sections".into());
        }
        let meta =
            read_meta(&blob[table.range(META)?]).ok_or("IDX-40: the counts are not valid")?;
        if meta.content != content || meta.codec != codec.head() || meta.count != chunks as usize {
            return Err("IDX-41: the codes are those of another file".into());
        }
        let grid = codec.grid().with_bits(CENTROID_BITS);
        let sized = |kind, bytes: usize| -> Result<Range<usize>, Refusal> {
            let range = table.range(kind)?;
            if range.len() == bytes {
                Ok(range)
            } else {
                Err("IDX-10: a section's size does not fit the counts".into())
            }
        };
        let groups = meta.count.div_ceil(GROUP);
        let planes = sized(PLANES, groups * group_bytes(codec.kept()))?;
        let scales = sized(SCALES, meta.count)?;
        let rests = sized(RESTS, meta.count * codec.grid().rest_width())?;
        let blocks = Blocks {
            count: meta.blocks,
            entry: meta.entry,
            table: sized(BLOCK_TABLE, BLOCK_ENTRY * meta.blocks)?,
            order: table.range(ORDER)?,
            centroids: sized(CENTROIDS, meta.blocks * grid.width())?,
            link_table: sized(LINK_TABLE, 4 * meta.blocks)?,
            links: table.range(LINKS)?,
            grid,
        };
        if meta.blocks == 0 && !(blocks.order.is_empty() && blocks.links.is_empty()) {
            return Err("IDX-10: a section's size does not fit the counts".into());
        }
        let head = table.head;
        let blocks = (meta.blocks > 0).then_some(blocks);
        let (codec, count) = (codec.clone(), meta.count);
        let coded = Self { blob, head, codec, count, planes, scales, rests, blocks };
        coded.check_filling().ok_or("IDX-43: the last planes are not filled with zeros")?;
        coded.check_blocks().ok_or("IDX-42: the blocks do not share out the chunks")?;
        coded.check_links().ok_or("IDX-16: a link leads nowhere")?;
        Ok(coded)
    }

    /// Where the last group of planes has room for more codes, there is nothing.
    fn check_filling(&self) -> Option<()> {
        let (group, used) = (group_bytes(self.codec.kept()), self.count % GROUP);
        if used == 0 {
            return Some(());
        }
        let start = self.count / GROUP * group;
        let strips = self.part(&self.planes, start..start + group).chunks_exact(GROUP / 2);
        let clear = |(i, byte): (usize, &u8)| {
            let (low, high) = (i < used, i + GROUP / 2 < used);
            (low || byte & 0x0f == 0) && (high || byte & 0xf0 == 0)
        };
        strips.flat_map(|strip| strip.iter().enumerate()).all(clear).then_some(())
    }

    /// Every chunk is in exactly one block, and the blocks' lists share out ORDER.
    fn check_blocks(&self) -> Option<()> {
        let Some(blocks) = &self.blocks else { return Some(()) };
        let (table, order) =
            (self.blob.get(blocks.table.clone())?, self.blob.get(blocks.order.clone())?);
        let mut end = 0;
        let mut seen = vec![false; self.count];
        let mut next = 0;
        for block in 0..self.blocks() as u32 {
            let rows = self.block(block);
            let fits = rows.start == next && (1..=cluster::MAX_BLOCK).contains(&rows.len());
            fits.then_some(())?;
            next = rows.end;
            let start = u32_at(table, 2 * block as usize + 1)? as usize;
            (start == end).then_some(())?;
            let spread = u32_at(order.get(start..)?, 1)?;
            let list = start + 8;
            end = list + ascending_len(order.get(list..)?, rows.len() - 1, spread)?;
            for i in 0..rows.len() {
                let chunk = self.chunk_in(block, i)? as usize;
                let fresh = !std::mem::replace(seen.get_mut(chunk)?, true);
                fresh.then_some(())?;
            }
        }
        (next == self.count && end == order.len()).then_some(())
    }

    fn check_links(&self) -> Option<()> {
        let Some(blocks) = &self.blocks else { return Some(()) };
        let table = self.blob.get(blocks.link_table.clone())?;
        let lists = self.blob.get(blocks.links.clone())?;
        let mut sound = (blocks.entry as usize) < blocks.count;
        for block in 0..blocks.count as u32 {
            links::visit(table, lists, block, &mut |next| sound &= (next as usize) < blocks.count)?;
        }
        let ends = u32_at(table, blocks.count - 1)? as usize;
        (sound && ends == lists.len()).then_some(())
    }
}

fn read_meta(bytes: &[u8]) -> Option<Meta> {
    let mut reader = Reader::new(bytes);
    let (content, codec) = (reader.array()?, reader.array()?);
    let (count, blocks) = (reader.u32()? as usize, reader.u32()? as usize);
    let entry = reader.u32()?;
    let _seed = reader.u64()?;
    (blocks <= count && reader.finished()).then_some(Meta { content, codec, count, blocks, entry })
}
