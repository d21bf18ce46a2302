//! Writing a segment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::layout::*;
use crate::bytes::Put;
use crate::chunk::Chunk;
use crate::codes::Codes;
use crate::container::Writer;
use crate::document::{EXTRACTOR, Format};
use crate::encoder::EncoderId;
use crate::files::FileStat;
use crate::graph::{Graph, GraphParams, build};
use crate::paths::to_bytes;
use crate::vectors::{Rows, sanitize};

/// A file ready to be indexed. It has at least one chunk.
pub(crate) struct NewFile {
    pub(crate) root: PathBuf,
    pub(crate) relative: PathBuf,
    pub(crate) format: Format,
    pub(crate) stat: FileStat,
    pub(crate) hash: [u8; 32],
    pub(crate) text_len: usize,
    pub(crate) chunks: Vec<Chunk>,
}

/// Gathers files and the vectors of their chunks, in the same order.
pub(crate) struct SegmentBuilder {
    encoder: EncoderId,
    dim: usize,
    files: Vec<NewFile>,
    chunks: usize,
    vectors: Vec<f32>,
}

impl SegmentBuilder {
    pub(crate) fn new(encoder: EncoderId, dim: usize) -> Self {
        Self { encoder, dim, files: Vec::new(), chunks: 0, vectors: Vec::new() }
    }

    pub(crate) fn push_file(&mut self, file: NewFile) {
        self.chunks += file.chunks.len();
        self.files.push(file);
    }

    /// Rows for the next chunks that have none yet.
    pub(crate) fn push_vectors(&mut self, rows: &[f32]) {
        self.vectors.extend_from_slice(rows);
    }

    /// Chunks of all its files.
    pub(crate) fn chunks(&self) -> usize {
        self.chunks
    }

    /// Drops the last files, those whose vectors are not all there. Gives the number that stay.
    pub(crate) fn drop_incomplete(&mut self) -> usize {
        let mut left = self.vectors.len() / self.dim;
        let complete = self.files.iter().take_while(|file| {
            let fits = file.chunks.len() <= left;
            left -= if fits { file.chunks.len() } else { 0 };
            fits
        });
        let complete = complete.count();
        self.files.truncate(complete);
        self.chunks = self.files.iter().map(|file| file.chunks.len()).sum();
        self.vectors.truncate(self.chunks * self.dim);
        complete
    }

    /// The segment's bytes. The embeddings end here: what stays of them is a mean, a sign per
    /// dimension, a scale, and who is whose neighbour.
    pub(crate) fn finish(mut self, params: &GraphParams, seed: u64) -> Vec<u8> {
        sanitize(&mut self.vectors, self.dim);
        let rows = Rows::new(&self.vectors, self.dim);
        assert_eq!(rows.len(), self.chunks, "one vector per chunk");
        let graph = build(rows, params, seed);
        let codes = Codes::of(rows);

        let mut writer = Writer::new(MAGIC);
        writer.section(META, self.meta(&graph, seed));
        self.file_sections(&mut writer);
        self.chunk_sections(&mut writer);
        code_sections(&mut writer, codes);
        graph_sections(&mut writer, &graph);
        writer.finish()
    }

    fn meta(&self, graph: &Graph, seed: u64) -> Vec<u8> {
        let mut meta = Vec::new();
        meta.extend_from_slice(&self.encoder.base);
        meta.extend_from_slice(&self.encoder.release);
        meta.put_u32(self.dim as u32);
        meta.put_u32(self.chunks as u32);
        meta.put_u32(self.files.len() as u32);
        meta.put_u32(graph.entry);
        meta.put_u32(CODE_SIGN);
        meta.put_u32(LINKS_PLAIN);
        meta.put_u64(seed);
        meta
    }

    fn file_sections(&self, writer: &mut Writer) {
        let mut roots: Vec<&PathBuf> = self.files.iter().map(|file| &file.root).collect();
        roots.sort_unstable();
        roots.dedup();
        let mut root_bytes = Vec::new();
        root_bytes.put_u32(roots.len() as u32);
        for root in &roots {
            put_bytes(&mut root_bytes, &to_bytes(root));
        }

        let (mut records, mut paths, mut first) = (Vec::new(), Vec::new(), 0);
        for file in &self.files {
            let root = roots.partition_point(|root| *root < &file.root);
            let path = to_bytes(&file.relative);
            records.put_u32(root as u32);
            records.put_u32(paths.len() as u32);
            records.put_u32(path.len() as u32);
            records.extend_from_slice(&[file.format.number(), EXTRACTOR, 0, 0]);
            records.put_u64(file.stat.size);
            records.put_i64(file.stat.mtime_ns);
            records.extend_from_slice(&file.hash);
            records.put_u64(file.text_len as u64);
            records.put_u32(first);
            records.put_u32(file.chunks.len() as u32);
            records.put_u32(0);
            paths.extend_from_slice(&path);
            first += file.chunks.len() as u32;
        }
        writer.section(ROOTS, root_bytes);
        writer.section(FILES, records);
        writer.section(PATHS, paths);
    }

    fn chunk_sections(&self, writer: &mut Writer) {
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        let (mut titles, mut records) = (Vec::new(), Vec::new());
        for chunk in self.files.iter().flat_map(|file| &file.chunks) {
            let next = numbers.len() as u32;
            let title = if chunk.title.is_empty() {
                NO_TITLE
            } else {
                *numbers.entry(&chunk.title).or_insert_with(|| {
                    put_bytes(&mut titles, chunk.title.as_bytes());
                    next
                })
            };
            records.put_u32(chunk.span.start as u32);
            records.put_u32(chunk.span.len() as u32);
            records.put_u32(title);
        }
        let mut title_bytes = Vec::with_capacity(titles.len() + 4);
        title_bytes.put_u32(numbers.len() as u32);
        title_bytes.extend_from_slice(&titles);
        writer.section(CHUNKS, records);
        writer.section(TITLES, title_bytes);
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.extend_from_slice(bytes);
}

fn code_sections(writer: &mut Writer, codes: Codes) {
    let mean = codes.mean.iter().flat_map(|x| x.to_le_bytes()).collect();
    let scales = codes.scales.iter().flat_map(|x| x.to_le_bytes()).collect();
    writer.section(MEAN, mean);
    writer.section(CODES, codes.bits);
    writer.section(SCALES, scales);
}

fn graph_sections(writer: &mut Writer, graph: &Graph) {
    let (mut offsets, mut links, mut at) = (Vec::new(), Vec::new(), 0u32);
    offsets.put_u32(0);
    for neighbours in &graph.links {
        at += neighbours.len() as u32;
        offsets.put_u32(at);
        neighbours.iter().for_each(|&node| links.put_u32(node));
    }
    writer.section(OFFSETS, offsets);
    writer.section(LINKS, links);
}
