//! What the latest search found: in a file of the home, so that the next command knows it whether or not a daemon runs.

use std::path::Path;

use covey_crypto::Digest;
use serde::{Deserialize, Serialize};

use crate::api::{SearchMode, SearchReport};
use crate::durable;
use crate::store::StoreError;

/// Most bytes of the file: what a thousand lines of long paths take.
const MAX_BYTES: u64 = 8 << 20;
const VERSION: u32 = 1;

/// What a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    version: u32,
    /// What was asked.
    pub question: String,
    /// As they were numbered, from 1.
    pub results: Vec<LatestResult>,
}

/// One of its results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestResult {
    /// The file, as text; none for a result of somebody else.
    pub path: Option<String>,
    /// Where in it.
    pub title: Option<String>,
    /// The line, where lines were searched.
    pub line: Option<u64>,
    /// SHA-256 of the passage's text; none for a line.
    pub chunk: Option<Digest>,
    /// Who holds it.
    pub member: Option<String>,
}

/// Why the latest search is not known.
#[derive(Debug, thiserror::Error)]
pub enum LatestError {
    /// Nothing was searched for yet, or it was forgotten.
    #[error("there is no latest search")]
    None,
    /// The file makes no sense.
    #[error("what the latest search found cannot be read")]
    Damaged,
    /// The disk says no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Latest {
    /// What `report` found on `question`.
    #[must_use]
    pub fn of(question: &str, report: &SearchReport) -> Self {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let chunks = report.results.iter().map(|hit| LatestResult {
            path: hit.path.as_deref().map(shown),
            title: hit.title.clone(),
            line: None,
            chunk: hit.text.as_ref().map(|text| Digest::sha256(text.as_bytes())),
            member: hit.from.first().map(|source| source.member.clone()),
        });
        let lines = report.lines.iter().map(|line| LatestResult {
            path: Some(shown(&line.path)),
            title: None,
            line: Some(line.line),
            chunk: None,
            member: None,
        });
        let results = match report.mode {
            SearchMode::Grep => lines.collect(),
            SearchMode::Vector | SearchMode::Lexical | SearchMode::Hybrid => chunks.collect(),
        };
        Self { version: VERSION, question: question.to_owned(), results }
    }

    /// Writes it to `path`, for this user alone, in place of the one before.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(self).expect("text and numbers can be written");
        durable::replace(path, &bytes)
    }

    /// Reads it from `path`.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn load(path: &Path) -> Result<Self, LatestError> {
        if path.symlink_metadata().is_err() {
            return Err(LatestError::None);
        }
        let bytes = durable::read_bounded(path, MAX_BYTES)?;
        let latest: Self = serde_json::from_slice(&bytes).map_err(|_| LatestError::Damaged)?;
        if latest.version == VERSION { Ok(latest) } else { Err(LatestError::Damaged) }
    }

    /// Forgets it.
    ///
    /// # Errors
    /// If the disk says no.
    pub fn forget(path: &Path) -> Result<(), StoreError> {
        durable::remove_if_there(path)
    }

    /// The result of this number, from 1.
    #[must_use]
    pub fn result(&self, number: usize) -> Option<&LatestResult> {
        self.results.get(number.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_kept_for_its_owner_alone_and_damage_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("latest-search");
        assert!(matches!(Latest::load(&path), Err(LatestError::None)));
        let result = LatestResult {
            path: Some("/n/a.md".into()),
            title: None,
            line: Some(3),
            chunk: Some(Digest::sha256(b"a")),
            member: None,
        };
        let latest = Latest { version: VERSION, question: "why".into(), results: vec![result] };
        latest.save(&path).expect("writes");
        assert_eq!(Latest::load(&path).expect("reads"), latest);
        assert_eq!(path.metadata().expect("is there").permissions().mode() & 0o777, 0o600);
        assert!(latest.result(0).is_none() && latest.result(2).is_none());
        let first = latest.result(1).and_then(|result| result.path.as_deref());
        assert_eq!(first, Some("/n/a.md"));
        for bytes in ["", "{}", "{\"version\":2,\"question\":\"\",\"results\":[]}"] {
            std::fs::write(&path, bytes).expect("writes");
            assert!(matches!(Latest::load(&path), Err(LatestError::Damaged)), "{bytes}");
        }
        Latest::forget(&path).expect("removes");
        assert!(matches!(Latest::load(&path), Err(LatestError::None)));
    }
}
