//! Writing out what an index knows, for other programs: one JSON line a chunk, and its vector where wanted.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use covey_crypto::Digest;
use covey_index::{Encoder, Listed, ListedChunk, ListedFile};
use covey_protocol::ids::Name;
use serde::Serialize;

use super::Collections;
use super::change::Meter;
use super::slot::View;
use crate::api::{ApiError, ErrorCode, ExportCall, ExportFormat, IndexExported, Progress};
use crate::cancel::CancelFlag;
use crate::durable::{PartFile, real_place};

/// Most files that one report names as stale.
pub(super) const MAX_STALE: usize = 1_000;
/// Texts handed to the model at once.
const BATCH: usize = 64;
/// Bytes that the head of a `.npy` file takes here, whatever its shape.
const NPY_HEAD: usize = 128;

impl Collections {
    /// Writes the chunks of `name` whose files are as they were. Files appear under their names when they
    /// are complete, the vectors' first.
    pub(crate) fn index_export(
        &self,
        name: &Name,
        wish: &ExportCall,
        meter: Meter<'_>,
        cancel: &CancelFlag,
    ) -> Result<IndexExported, ApiError> {
        let slot = self.slot(name)?;
        let View::Ready(snapshot) = slot.view() else { return Err(super::upkeep::unusable(&slot)) };
        let encoder = match wish.vectors || wish.format == ExportFormat::Npy {
            true => Some(self.model_of_slot(&slot)?.encoder),
            false => None,
        };
        let total = snapshot.stats().files as u64;
        let mut export = Export::create(wish, &slot.record().roots(), encoder.as_deref())?;
        let mut failed = None;
        snapshot.list(&*self.files, &mut |listed| {
            let item = match &listed {
                Listed::File(file) => file.path.display().to_string(),
                Listed::Stale(path) => path.display().to_string(),
            };
            let done = export.files + export.stale;
            let stage = "exporting".to_owned();
            meter(Progress { stage, done, total: Some(total.max(done)), item: Some(item) });
            let taken = cancel.check().and_then(|()| export.take(listed));
            failed = taken.err();
            if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match failed {
            Some(error) => Err(error),
            None => export.publish(name),
        }
    }
}

/// An export on its way. Dropped before it is published, it leaves nothing.
struct Export<'a> {
    wish: &'a ExportCall,
    encoder: Option<&'a dyn Encoder>,
    lines: PartFile,
    vectors: Option<(PathBuf, PartFile)>,
    files: u64,
    chunks: u64,
    bytes: u64,
    stale: u64,
    stale_files: Vec<PathBuf>,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    name: &'a str,
    title: &'a str,
    span: [usize; 2],
    hash: String,
    #[serde(rename = "type")]
    kind: &'a str,
    size: u64,
    /// Milliseconds since 1970.
    modified: i64,
    facts: BTreeMap<&'a str, Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
}

impl<'a> Export<'a> {
    fn create(
        wish: &'a ExportCall,
        roots: &[PathBuf],
        encoder: Option<&'a dyn Encoder>,
    ) -> Result<Self, ApiError> {
        check_target(&wish.path, roots)?;
        let vectors = match wish.format {
            ExportFormat::Jsonl => None,
            ExportFormat::Npy => {
                let path = wish.path.with_extension("npy");
                check_target(&path, roots)?;
                if path == wish.path {
                    let message = "the lines and the vectors would have one name";
                    return Err(ApiError::new(ErrorCode::Usage, message)
                        .hint("name the file of the lines, such as notes.jsonl"));
                }
                let mut file = PartFile::create(&path)?;
                file.write(&[b' '; NPY_HEAD])?;
                Some((path, file))
            }
        };
        let lines = PartFile::create(&wish.path)?;
        let (files, chunks, bytes, stale) = (0, 0, 0, 0);
        let stale_files = Vec::new();
        Ok(Self { wish, encoder, lines, vectors, files, chunks, bytes, stale, stale_files })
    }

    fn take(&mut self, listed: Listed) -> Result<(), ApiError> {
        match listed {
            Listed::Stale(path) => {
                self.stale += 1;
                if self.stale_files.len() < MAX_STALE {
                    self.stale_files.push(path);
                }
                Ok(())
            }
            Listed::File(file) => {
                self.files += 1;
                file.chunks.chunks(BATCH).try_for_each(|chunks| self.write(&file, chunks))
            }
        }
    }

    fn write(&mut self, file: &ListedFile, chunks: &[ListedChunk]) -> Result<(), ApiError> {
        let (dim, rows) = match self.encoder {
            None => (0, Vec::new()),
            Some(encoder) => (encoder.dim(), embed(encoder, chunks)?),
        };
        let path = file.path.to_string_lossy();
        let mut out = Vec::new();
        for (at, chunk) in chunks.iter().enumerate() {
            let row = &rows[at * dim..(at + 1) * dim];
            let mut facts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for (key, value) in &chunk.facts {
                facts.entry(key).or_default().push(value);
            }
            let line = Line {
                path: &path,
                name: &file.name,
                title: &chunk.title,
                span: [chunk.span.start, chunk.span.end],
                hash: Digest::from_bytes(chunk.text_hash).to_string(),
                kind: file.kind,
                size: file.size,
                modified: file.modified_ns.div_euclid(1_000_000),
                facts,
                text: self.wish.text.then_some(&*chunk.text),
                vector: self.wish.vectors.then_some(row),
            };
            serde_json::to_writer(&mut out, &line).map_err(|error| {
                ApiError::new(ErrorCode::Internal, format!("cannot write a line: {error}"))
            })?;
            out.push(b'\n');
        }
        self.chunks += chunks.len() as u64;
        self.bytes += out.len() as u64;
        self.lines.write(&out)?;
        if let Some((_, vectors)) = &mut self.vectors {
            let bytes: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
            self.bytes += bytes.len() as u64;
            vectors.write(&bytes)?;
        }
        Ok(())
    }

    fn publish(self, name: &Name) -> Result<IndexExported, ApiError> {
        let dim = self.encoder.map(Encoder::dim);
        let mut bytes = self.bytes;
        let vectors = match self.vectors {
            None => None,
            Some((path, mut file)) => {
                file.write_first(&npy_head(self.chunks, dim.unwrap_or_default()))?;
                file.publish()?;
                bytes += NPY_HEAD as u64;
                Some(path)
            }
        };
        self.lines.publish()?;
        Ok(IndexExported {
            collection: name.clone(),
            path: self.wish.path.clone(),
            vectors,
            files: self.files,
            chunks: self.chunks,
            bytes,
            stale: self.stale,
            stale_files: self.stale_files,
        })
    }
}

fn embed(encoder: &dyn Encoder, chunks: &[ListedChunk]) -> Result<Vec<f32>, ApiError> {
    let texts: Vec<&str> = chunks.iter().map(|chunk| chunk.text.as_str()).collect();
    let internal = |what: String| ApiError::new(ErrorCode::Internal, what);
    let rows = encoder.encode(&texts).map_err(|error| internal(error.to_string()))?;
    if rows.len() != texts.len() * encoder.dim() {
        return Err(internal("the model gave another number of vectors than of texts".to_owned()));
    }
    Ok(rows)
}

/// Whether a file can be put there: never among what is indexed, over one of its files or where it would be indexed
/// itself.
pub(super) fn check_target(path: &Path, roots: &[PathBuf]) -> Result<(), ApiError> {
    let place = real_place(path);
    // What is hidden is not indexed.
    let hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
    let inside = |root: &&PathBuf| {
        let below = place.as_ref().and_then(|place| place.strip_prefix(root).ok());
        below.is_some_and(|below| !below.components().any(hidden))
    };
    if let Some(root) = roots.iter().find(inside) {
        let message = format!("{} lies in {}, which is indexed", path.display(), root.display());
        return Err(
            ApiError::new(ErrorCode::Usage, message).hint("name a file outside of the collection")
        );
    }
    let usage = |what: &str| {
        let message = format!("{} {what}", path.display());
        Err(ApiError::new(ErrorCode::Usage, message).hint("name a file in a folder that is there"))
    };
    let there = path.symlink_metadata().ok();
    match path.parent() {
        _ if path.is_dir() => usage("is a folder"),
        _ if there.is_some_and(|it| !it.is_file()) => {
            usage("is a link, a device or a pipe, which would be replaced")
        }
        Some(parent) if path.is_absolute() && parent.is_dir() => Ok(()),
        _ => usage("is in no folder"),
    }
}

/// The head of a `.npy` file, version 1.0, of `rows` vectors: NEP 1 of NumPy.
fn npy_head(rows: u64, dim: usize) -> [u8; NPY_HEAD] {
    let mut head = [b' '; NPY_HEAD];
    let length = u16::try_from(NPY_HEAD - 10).expect("it is short").to_le_bytes();
    head[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
    head[8..10].copy_from_slice(&length);
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    head[10..10 + text.len()].copy_from_slice(text.as_bytes());
    head[NPY_HEAD - 1] = b'\n';
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_vectors_is_as_numpy_wants_it_however_many_there_are() {
        for rows in [0, 7, u64::MAX] {
            let head = npy_head(rows, 16_384);
            assert_eq!(&head[..10], b"\x93NUMPY\x01\x00\x76\x00");
            let text = std::str::from_utf8(&head[10..]).expect("text");
            assert!(text.contains(&format!("'shape': ({rows}, 16384), }}")), "{text}");
            assert!(text.ends_with('\n') && text.len() % 64 == 118 % 64);
        }
    }
}
