//! Embedding one segment for another release, apart from the collection.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::super::{Part, Progress, Snapshot, Stage};
use crate::codec::{Codec, provisional};
use crate::content::FileEntry;
use crate::encoder::{Encoder, EncoderId, encode_checked};
use crate::error::IndexError;
use crate::files::Files;
use crate::vectors::{Rows, sanitize};

/// Vectors that a provisional codec is made from at most, and that are held at once.
const FIRST: usize = 8192;

/// A segment to be embedded. It holds what it needs, and nothing of the collection but a snapshot.
pub struct RecodeStep {
    snapshot: Snapshot,
    part: Part,
    /// The codec of the move; made from this segment where it is the first.
    codec: Option<Arc<Codec>>,
    seed: u64,
}

/// A segment's new codes, not part of the collection yet.
pub struct RecodedPart {
    pub(super) part: Part,
    pub(super) to: EncoderId,
    pub(super) codec: Arc<Codec>,
    /// In the order of chunks.
    pub(super) rows: Vec<u8>,
    /// Files that are not as they were.
    pub(super) dead: Vec<u32>,
    pub(super) embedded: usize,
    pub(super) seed: u64,
}

impl RecodedPart {
    /// Chunks embedded for it.
    pub fn embedded(&self) -> usize {
        self.embedded
    }

    /// Its files that changed, vanished or cannot be read.
    pub fn stale(&self) -> usize {
        self.dead.len()
    }
}

impl RecodeStep {
    pub(super) fn new(
        snapshot: Snapshot,
        part: Part,
        codec: Option<Arc<Codec>>,
        seed: u64,
    ) -> Self {
        Self { snapshot, part, codec, seed }
    }

    /// Chunks of it, those of dead files included.
    pub fn chunks(&self) -> usize {
        self.part.segment.len() as usize
    }

    /// Embeds it, `batch` chunks at once, before each of which `progress` is asked; `None` where that said
    /// `Break`.
    pub fn run(
        &self,
        files: &dyn Files,
        encoder: &dyn Encoder,
        batch: usize,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Option<RecodedPart>, IndexError> {
        let content = &self.part.segment.content;
        let mut rows = Coding::new(self.codec.clone(), encoder.dim(), self.seed);
        let mut alive = self.part.live_files().peekable();
        let mut event = Progress {
            stage: Stage::Embedding,
            path: Default::default(),
            files_seen: content.files().len(),
            files_done: 0,
            files_total: self.part.live_files().count(),
            chunks_embedded: 0,
            chunks_expected: self.chunks(),
        };
        let mut dead = Vec::new();
        for (number, file) in (0u32..).zip(content.files()) {
            let is_alive = alive.next_if(|(live, _)| *live == number).is_some();
            if !is_alive {
                rows.skip(file.chunks.len());
                continue;
            }
            event.path.clone_from(&file.path);
            let texts = if progress(event.clone()).is_break() {
                return Ok(None);
            } else {
                self.texts(number, file, files)
            };
            match texts {
                None => {
                    dead.push(number);
                    rows.skip(file.chunks.len());
                }
                Some(texts) => {
                    for (at, batch) in texts.chunks(batch.max(1)).enumerate() {
                        if at > 0 && progress(event.clone()).is_break() {
                            return Ok(None);
                        }
                        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
                        rows.push(encode_checked(encoder, &batch)?);
                        event.chunks_embedded += batch.len();
                    }
                }
            }
            event.files_done += 1;
        }
        let (codec, rows) = rows.finish();
        let (part, to, seed) = (self.part.clone(), encoder.id(), self.seed);
        let embedded = event.chunks_embedded;
        Ok(Some(RecodedPart { part, to, codec, rows, dead, embedded, seed }))
    }

    /// The texts of a file's chunks, if it is as it was.
    fn texts(&self, number: u32, file: &FileEntry, files: &dyn Files) -> Option<Vec<String>> {
        let text = self.snapshot.texts().current(&self.part, number, files)?;
        let passages = self.part.segment.content.passages(file)?;
        passages.iter().map(|passage| text.get(passage.span.clone()).map(str::to_owned)).collect()
    }
}

/// Vectors on their way into codes: kept until there is a codec, then coded as they come.
struct Coding {
    codec: Option<Arc<Codec>>,
    dim: usize,
    seed: u64,
    vectors: Vec<f32>,
    rows: Vec<u8>,
}

impl Coding {
    fn new(codec: Option<Arc<Codec>>, dim: usize, seed: u64) -> Self {
        Self { codec, dim, seed, vectors: Vec::new(), rows: Vec::new() }
    }

    fn push(&mut self, mut vectors: Vec<f32>) {
        sanitize(&mut vectors, self.dim);
        self.vectors.extend_from_slice(&vectors);
        if self.vectors.len() >= FIRST * self.dim {
            self.code();
        }
    }

    /// Chunks without a vector.
    fn skip(&mut self, mut chunks: usize) {
        while chunks > 0 {
            let now = chunks.min(FIRST);
            self.push(vec![0.0; now * self.dim]);
            chunks -= now;
        }
    }

    fn code(&mut self) {
        let vectors = std::mem::take(&mut self.vectors);
        let vectors = Rows::new(&vectors, self.dim);
        let made = || Arc::new(provisional(vectors, self.seed));
        let codec = self.codec.get_or_insert_with(made).clone();
        self.rows.extend(codec.encode_all(vectors));
    }

    fn finish(mut self) -> (Arc<Codec>, Vec<u8>) {
        self.code();
        (self.codec.expect("coding makes one"), self.rows)
    }
}
