//! All that is made of what was measured.

use std::fs;

use super::error::{FolderError, io};
use super::run::Run;
use super::tables::{self, Table};
use super::{REPORT, SUMMARY, TENSORBOARD};
use super::{ROUNDS_PARQUET, ROUNDS_TABLE, SEARCHES_PARQUET, SEARCHES_TABLE};
use super::{remove, remove_tree, write, write_json};
use crate::report::{Measured, Summary, page, tensorboard};

/// Writes tables, TensorBoard's files, the page and, last, the summary. `complete` says whether the run came to its end.
///
/// # Errors
/// If the disk says no.
pub fn write_outputs(run: &Run, complete: bool) -> Result<Summary, FolderError> {
    let measured = Measured::of(&run.metrics);
    let summary = Summary::of(&run.scenario, &measured, complete);
    table(run, tables::rounds(&measured), [ROUNDS_TABLE, ROUNDS_PARQUET])?;
    table(run, tables::searches(&measured), [SEARCHES_TABLE, SEARCHES_PARQUET])?;
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

/// A table as a file for each kind there is, or no file where it would be empty.
fn table(run: &Run, table: Option<Table>, files: [&str; 2]) -> Result<(), FolderError> {
    let [csv, parquet] = files.map(|file| run.path.join(file));
    let Some(table) = table else {
        return remove(&csv).and_then(|()| remove(&parquet));
    };
    write(&csv, &table.csv())?;
    #[cfg(feature = "parquet")]
    {
        let bytes = super::parquet::bytes(&table);
        let failed = |error| io("write", &parquet)(std::io::Error::other(error));
        write(&parquet, &bytes.map_err(failed)?)
    }
    // One of a run that was begun by a Covey that writes them would be of less.
    #[cfg(not(feature = "parquet"))]
    remove(&parquet)
}
