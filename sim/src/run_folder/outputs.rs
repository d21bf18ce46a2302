//! All that is made of what was measured.

use std::fs;
use std::path::Path;

use super::error::{FolderError, io};
use super::run::Run;
use super::{REPORT, ROUNDS_TABLE, SEARCHES_TABLE, SUMMARY, TENSORBOARD, tables};
use super::{remove, remove_tree, write, write_json};
use crate::report::{Measured, Summary, page, tensorboard};

/// Writes tables, TensorBoard's files, the page and, last, the summary. `complete` says whether the run came to its end.
///
/// # Errors
/// If the disk says no.
pub fn write_outputs(run: &Run, complete: bool) -> Result<Summary, FolderError> {
    let measured = Measured::of(&run.metrics);
    let summary = Summary::of(&run.scenario, &measured, complete);
    table(&run.path.join(ROUNDS_TABLE), tables::rounds(&measured))?;
    table(&run.path.join(SEARCHES_TABLE), tables::searches(&measured))?;
    let folder = run.path.join(TENSORBOARD);
    remove_tree(&folder)?;
    for (seed, bytes) in tensorboard::files(&measured) {
        let folder = folder.join(format!("seed-{seed}"));
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        write(&folder.join(tensorboard::FILE), &bytes)?;
    }
    write(&run.path.join(REPORT), page::page(run, &measured, &summary).as_bytes())?;
    write_json(&run.path.join(SUMMARY), &summary)?;
    Ok(summary)
}

/// A table, or no file where it would be empty.
fn table(path: &Path, table: Option<Vec<u8>>) -> Result<(), FolderError> {
    match table {
        Some(bytes) => write(path, &bytes),
        None => remove(path),
    }
}
