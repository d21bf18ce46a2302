//! What changed below a root, told from names, sizes and times alone.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Progress, Snapshot, Stage, UpdateReport};
use crate::content::FileHash;
use crate::document::SkipReason;
use crate::error::IndexError;
use crate::files::{FileStat, Files, Walked};
use crate::paths::{join, owner};

/// Where a file is indexed: segment and number.
pub(super) type Place = (u64, u32);

/// A file as the index knows it.
pub(super) struct Known {
    pub(super) place: Place,
    pub(super) hash: FileHash,
    /// Whether its text would still be extracted the same way.
    pub(super) current: bool,
    stat: FileStat,
}

/// A file that is new or may have changed.
pub(super) struct Suspect {
    pub(super) relative: PathBuf,
    pub(super) path: PathBuf,
    pub(super) stat: FileStat,
    pub(super) known: Option<Known>,
}

/// The outcome of a scan.
pub(super) struct Scan {
    pub(super) suspects: Vec<Suspect>,
    /// Files the index knows that are no longer there.
    pub(super) gone: Vec<Place>,
    pub(super) seen: usize,
    pub(super) cancelled: bool,
}

/// Walks `root`, one of `roots`, and compares what it finds with what the snapshot knows of it.
pub(super) fn scan(
    snapshot: &Snapshot,
    roots: &[PathBuf],
    root: &Path,
    files: &dyn Files,
    report: &mut UpdateReport,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Scan, IndexError> {
    let mut known = known_files(snapshot, roots, root);
    let mut hidden: Vec<PathBuf> = Vec::new();
    let mut scan = Scan { suspects: Vec::new(), gone: Vec::new(), seen: 0, cancelled: false };
    let walk = files.walk(root, &mut |walked| {
        match walked {
            Walked::File { relative, stat } => {
                let path = join(root, &relative);
                if owner(roots, &path).is_none_or(|owner| owner != root) {
                    return ControlFlow::Continue(());
                }
                scan.seen += 1;
                let event = scanning(path.clone(), scan.seen);
                let before = known.remove(&path);
                if before.as_ref().is_some_and(|known| known.current && known.stat == stat) {
                    report.unchanged += 1;
                } else {
                    scan.suspects.push(Suspect { relative, path, stat, known: before });
                }
                if progress(event).is_break() {
                    scan.cancelled = true;
                    return ControlFlow::Break(());
                }
            }
            Walked::Link { relative } => report.skip(join(root, &relative), SkipReason::Link),
            Walked::Special { relative } => report.skip(join(root, &relative), SkipReason::Special),
            Walked::Unreadable { relative, error } => {
                let path = join(root, &relative);
                report.skip(path.clone(), SkipReason::Unreadable(error.to_string()));
                hidden.push(path);
            }
        }
        ControlFlow::Continue(())
    });
    walk.map_err(|source| IndexError::RootUnreadable { root: root.into(), source })?;
    let lost = known.iter().filter(|(path, _)| !hidden.iter().any(|top| path.starts_with(top)));
    scan.gone = lost.map(|(_, known)| known.place).collect();
    scan.gone.sort_unstable();
    Ok(scan)
}

fn known_files(snapshot: &Snapshot, roots: &[PathBuf], root: &Path) -> HashMap<PathBuf, Known> {
    let mut known = HashMap::new();
    for part in snapshot.parts() {
        for (number, file) in part.live_files() {
            if owner(roots, &file.path).is_some_and(|owner| owner == root) {
                let entry = Known {
                    place: (part.id, number),
                    hash: file.hash,
                    current: file.format.is_some(),
                    stat: part.stat(number).unwrap_or(file.stat),
                };
                known.insert(file.path.clone(), entry);
            }
        }
    }
    known
}

fn scanning(path: PathBuf, seen: usize) -> Progress {
    Progress {
        stage: Stage::Scanning,
        path,
        files_seen: seen,
        files_done: 0,
        files_total: 0,
        chunks_embedded: 0,
        chunks_expected: 0,
    }
}
