//! `covey backup` and `covey restore`.

use std::path::{Path, PathBuf};

use clap::Args;
use covey_node::api::{ApiError, BackupInfo, ErrorCode, Reply};
use covey_node::backup;
use covey_node::env::{Clock, WallClock};

use super::collections::absolute;
use super::daemon::already_running;
use crate::session::Session;

/// Write identity and state to one file
///
/// The daemon must not run meanwhile. The file holds this node's secret key, unencrypted, and is readable by
/// you alone: keep it where nobody else is. Indexes are not in it; they are built again.
#[derive(Debug, Args)]
#[command(after_help = "Example: covey backup /media/stick/covey.backup")]
pub struct Backup {
    /// The file to write; it must not exist yet
    file: PathBuf,
}

/// Bring identity and state back from a backup, into an empty home
#[derive(Debug, Args)]
#[command(after_help = "Example: covey restore /media/stick/covey.backup && covey reindex")]
pub struct Restore {
    /// The backup
    file: PathBuf,
}

impl Backup {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        session.require_node()?;
        let file = absolute(&self.file)?;
        if let Some(folder) = file.parent().filter(|folder| !folder.is_dir()) {
            return Err(missing("folder", folder));
        }
        let lock = session.home.lock().map_err(already_running)?;
        let made = backup::save(&session.home, &lock, &file, WallClock.now())?;
        session.output.done(Reply::BackedUp(info(file, made)))
    }
}

impl Restore {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let file = absolute(&self.file)?;
        if !file.exists() {
            return Err(missing("file", &file));
        }
        session.home.create()?;
        let lock = session.home.lock().map_err(already_running)?;
        let restored = backup::restore(&session.home, &lock, &file)?;
        session.output.done(Reply::Restored(info(file, restored)))
    }
}

fn missing(what: &str, path: &Path) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("there is no {what} {}", path.display()))
}

fn info(path: PathBuf, it: backup::Summary) -> BackupInfo {
    BackupInfo { path, bytes: it.bytes, node: it.node }
}
