//! The parts of a search that are worth timing alone.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::codec::{Codec, Query, Sweep, provisional};
use crate::collection::{Collection, Part, UpdateOptions};
use crate::files::MemoryFiles;
use crate::fixture::{WordEncoder, topics};
use crate::settings::Settings;
use crate::vectors::Rows;

/// The inner product of two vectors of one length.
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    crate::vectors::dot(a, b)
}

/// A collection of one segment in blocks.
pub struct Coded {
    part: Part,
    sweep: Sweep,
    query: Query,
}

impl Coded {
    /// Of this many chunks of vectors of this length.
    pub fn new(chunks: usize, dim: usize) -> Self {
        let files = MemoryFiles::new();
        for (i, text) in topics(chunks, 12, 9).into_iter().enumerate() {
            files.insert(format!("/n/{i:06}"), text);
        }
        let encoder = WordEncoder::new(dim);
        let mut collection = Collection::in_memory(&encoder).expect("memory has room");
        let settings = Settings { flat: 64, lexical: false, ..Settings::default() };
        collection.set_settings(settings).expect("these are sane");
        let options = UpdateOptions { segment_chunks: chunks, ..UpdateOptions::default() };
        let go_on = &mut |_| ControlFlow::Continue(());
        collection
            .update(Path::new("/n"), &files, &encoder, &options, go_on)
            .expect("memory has room");
        let part = collection.snapshot().parts()[0].clone();
        let (sweep, query) = part.segment.coded.codec().sweep(&encoder.one("common1 t3w5"));
        Self { part, sweep, query }
    }

    /// Chunks.
    pub fn chunks(&self) -> usize {
        self.part.segment.len() as usize
    }

    /// Bytes of all codes.
    pub fn code_bytes(&self) -> usize {
        self.chunks() * self.part.segment.coded.codec().width()
    }

    /// Bytes of the first planes of all codes.
    pub fn plane_bytes(&self) -> usize {
        self.chunks() * self.part.segment.coded.codec().kept() / 8
    }

    /// Sweeps the first planes of every code, below a bar that none reaches; gives how many did.
    pub fn sweep(&self) -> usize {
        let mut above = 0;
        self.part.segment.coded.sweep(&self.sweep, 0..self.chunks(), f32::MAX, &mut |_, _| {
            above += 1;
            f32::MAX
        });
        above
    }

    /// Estimates every code in full; gives the sum.
    pub fn estimates(&self) -> f32 {
        let coded = &self.part.segment.coded;
        let each = |position| coded.estimate(&self.sweep, &self.query, position, 0.0);
        (0..self.chunks()).map(each).sum()
    }

    /// Reads the links of every block; gives their number.
    pub fn links(&self) -> usize {
        let coded = &self.part.segment.coded;
        let mut count = 0;
        (0..coded.blocks() as u32).for_each(|block| coded.links(block, &mut |_| count += 1));
        count
    }

    /// Reads where every chunk lies; gives their bytes.
    pub fn spans(&self) -> usize {
        let content = &self.part.segment.content;
        let passages = content.files().iter().filter_map(|file| content.passages(file));
        passages.flatten().map(|passage| passage.span.len()).sum()
    }

    /// Reads where one chunk lies.
    pub fn span(&self, chunk: u32) -> usize {
        self.part.segment.content.passage(chunk).map_or(0, |passage| passage.span.end)
    }
}

/// A codec that rotates, and vectors to code.
pub struct Coding {
    codec: Arc<Codec>,
    vectors: Vec<f32>,
    code: Vec<u8>,
}

impl Coding {
    /// For vectors of this length.
    pub fn new(dim: usize) -> Self {
        let encoder = WordEncoder::new(dim);
        let vectors: Vec<f32> =
            topics(64, 12, 3).iter().flat_map(|text| encoder.one(text)).collect();
        let codec = Arc::new(provisional(Rows::new(&vectors, dim), 0));
        let code = vec![0; codec.width()];
        Self { codec, vectors, code }
    }

    /// Rotates and codes one vector; gives its code's last byte.
    pub fn encode(&mut self) -> u8 {
        let vector = &self.vectors[..self.codec.dim()];
        self.codec.encode(vector, &mut self.code);
        self.code.last().copied().unwrap_or_default()
    }
}
