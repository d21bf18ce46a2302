//! Searching lines by a regular expression: in the user's own files, not in the index.

use std::path::PathBuf;

use super::mask::Mask;
use crate::collection::Snapshot;
use crate::files::Files;
use crate::filter::Filter;
use crate::grep::{Grep, LineMatch};

/// A line that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepHit {
    /// The file.
    pub path: PathBuf,
    /// The line. Where it lies counts in the file's extracted text.
    pub line: LineMatch,
}

/// What a search by a regular expression found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrepResult {
    /// Lines by file, in order.
    pub hits: Vec<GrepHit>,
    /// Files looked into.
    pub files: usize,
    /// Files passed over since they changed, vanished or cannot be read.
    pub stale: usize,
    /// Whether there may be more: it had found enough, or ran out of time.
    pub more: bool,
}

impl Snapshot {
    /// The first `limit` lines that match, in files that pass the filter. `stop` is asked now and
    /// then: `true` ends the search with what it has.
    pub fn grep(
        &self,
        grep: &Grep,
        limit: usize,
        files: &dyn Files,
        filter: Option<&Filter>,
        stop: &dyn Fn() -> bool,
    ) -> GrepResult {
        let mut result = GrepResult::default();
        let mut all = Vec::new();
        for part in self.parts() {
            let mask = Mask::new(part, filter);
            let passing = part
                .live_files()
                .filter(|(_, file)| file.chunks.clone().any(|chunk| mask.passes(chunk)));
            all.extend(passing.map(|(number, file)| (&file.path, part, number)));
        }
        all.sort_unstable_by(|a, b| a.0.cmp(b.0));
        for (path, part, number) in all {
            if result.hits.len() >= limit || stop() {
                result.more = true;
                break;
            }
            let Some(text) = self.texts().current(part, number, files) else {
                result.stale += 1;
                continue;
            };
            result.files += 1;
            let found = grep.find(text.as_bytes(), stop);
            result.more |= found.more;
            let lines = found.lines.into_iter().take(limit - result.hits.len());
            result.hits.extend(lines.map(|line| GrepHit { path: path.clone(), line }));
        }
        result
    }
}
