//! Where a run's rounds can go on, beside what it measured. Without it they are done again from the repeat's beginning, so whatever is wrong with it counts as none.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use covey_crypto::Digest;
use covey_protocol::wire;

use super::error::FolderError;
use super::{CHECKPOINT, Next, write};
use crate::training::Checkpoint;

/// Largest file.
const MAX_BYTES: usize = 1 << 30;
/// What is in front of it: a digest of the rest.
const DIGEST: usize = 32;

/// Writes it in the place of an earlier one.
pub(super) fn save(folder: &Path, checkpoint: &Checkpoint) -> Result<(), FolderError> {
    let body = wire::encode(checkpoint);
    if body.len() + DIGEST > MAX_BYTES {
        return Ok(());
    }
    let mut bytes = digest(&body).as_bytes().to_vec();
    bytes.extend(body);
    write(&folder.join(CHECKPOINT), &bytes)
}

/// The one of a run's folder, if it is of the repeat that comes next and of rounds that are written down.
pub(super) fn load(folder: &Path, next: Next) -> Option<Checkpoint> {
    let mut bytes = Vec::new();
    let file = File::open(folder.join(CHECKPOINT)).ok()?;
    file.take(MAX_BYTES as u64).read_to_end(&mut bytes).ok()?;
    let (told, body) = bytes.split_at_checked(DIGEST)?;
    if told != digest(body).as_bytes() {
        return None;
    }
    let checkpoint: Checkpoint = wire::decode(body, MAX_BYTES).ok()?;
    (checkpoint.seed == next.seed && checkpoint.round < next.round).then_some(checkpoint)
}

fn digest(body: &[u8]) -> Digest {
    Digest::of("covey simulation checkpoint", &[body])
}
