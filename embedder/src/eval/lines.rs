//! Text files read line by line within bounds, with errors that say where.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line, in bytes.
const MAX_LINE: u64 = 16 * 1024 * 1024;
/// Most lines of a file.
const MAX_LINES: usize = 50_000_000;

/// Why a retrieval set or a run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A line is not what it should be.
    #[error("{}, line {line}: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is well-formed and has nothing in it.
    #[error("{}: there are no {what} in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
    },
    /// The set has no judgements for a split.
    #[error("{} has no split {split:?}; it has: {known}", folder.display())]
    Split {
        /// The set's folder.
        folder: PathBuf,
        /// What was asked for.
        split: String,
        /// The splits that are there, or `none`.
        known: String,
    },
}

impl ReadError {
    /// Wraps what the system said of `path`.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// Calls `each` with the number and the text of every line of `path` that is not blank. What it says
/// is wrong becomes an error with the file and the line.
///
/// # Errors
/// That one, and if the file cannot be read, is not UTF-8, or exceeds the bounds on lines.
pub(super) fn each_line(
    path: &Path,
    each: &mut dyn FnMut(usize, &str) -> Result<(), String>,
) -> Result<(), ReadError> {
    let mut reader = BufReader::new(File::open(path).map_err(ReadError::io(path))?);
    let mut bytes = Vec::new();
    for line in 1.. {
        let wrong = |reason: String| ReadError::Line { path: path.to_owned(), line, reason };
        bytes.clear();
        let read = reader.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut bytes);
        let read = read.map_err(ReadError::io(path))?;
        if read == 0 {
            break;
        }
        if read as u64 > MAX_LINE {
            return Err(wrong(format!("it is longer than {MAX_LINE} bytes")));
        }
        if line > MAX_LINES {
            return Err(wrong(format!("there are more than {MAX_LINES} lines")));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
        let text = if line == 1 { text.trim_start_matches('\u{feff}') } else { text };
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.trim().is_empty() {
            each(line, text).map_err(wrong)?;
        }
    }
    Ok(())
}

/// `text` in quotes, cut to what fits into a message.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 80;
    let cut: String = text.chars().take(MOST).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Vec<(usize, String)>, ReadError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, content).unwrap();
        let mut found = Vec::new();
        each_line(&path, &mut |line, text| {
            found.push((line, text.to_owned()));
            if text == "bad" { Err("it is bad".to_owned()) } else { Ok(()) }
        })?;
        Ok(found)
    }

    #[test]
    fn lines_keep_their_numbers_and_lose_their_ends() {
        let found = read("\u{feff}one\r\n\n  \ntwo \tthree\nlast".as_bytes()).unwrap();
        let expected = [(1, "one"), (4, "two \tthree"), (5, "last")];
        assert_eq!(found, expected.map(|(line, text)| (line, text.to_owned())));
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let long = vec![b'x'; MAX_LINE as usize + 1];
        let cases: [(&[u8], &str); 3] = [
            (b"one\n\nbad\n", "line 3: it is bad"),
            (b"one\n\xff\n", "line 2: it is not UTF-8"),
            (&long, "line 1: it is longer than 16777216 bytes"),
        ];
        for (content, expected) in cases {
            let error = read(content).unwrap_err().to_string();
            assert!(error.ends_with(expected), "{error}");
        }
    }

    #[test]
    fn long_words_are_cut_in_messages() {
        assert_eq!(quoted("a\tb"), r#""a\tb""#);
        assert_eq!(quoted(&"ü".repeat(81)), format!("\"{}\"…", "ü".repeat(80)));
    }
}
