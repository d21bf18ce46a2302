//! Who wrote a folder's documents: `meta.jsonl` beside `corpus.jsonl`, an object a line with `_id` and an `author`, `maintainer` or `section`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use covey_embedder::eval::Document;
use serde::Deserialize;

/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// A `meta.jsonl` that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The system said no.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{}, line {line}: {reason}; each line is {{\"_id\": …, \"author\": …}}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "_id")]
    id: String,
    author: Option<String>,
    maintainer: Option<String>,
    section: Option<String>,
}

/// The author of each document by number; one without a name is an author alone. Nothing without the file, or without a name in it.
pub(super) fn authors(
    folder: &Path,
    documents: &[Document],
) -> Result<Option<Vec<u32>>, MetaError> {
    let path = folder.join("meta.jsonl");
    let io = |source| MetaError::Io { path: path.clone(), source };
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(io)?,
    };
    let names = names(&mut BufReader::new(file), &path)?;
    if names.is_empty() {
        return Ok(None);
    }
    let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
    let mut next = 0;
    let mut fresh = || {
        next += 1;
        next - 1
    };
    let number = |document: &Document| match names.get(&document.id) {
        Some(name) => *numbers.entry(name).or_insert_with(&mut fresh),
        None => fresh(),
    };
    Ok(Some(documents.iter().map(number).collect()))
}

/// The author, else the maintainer, else the section of each document that has one.
fn names(input: &mut impl BufRead, path: &Path) -> Result<BTreeMap<String, String>, MetaError> {
    let mut names = BTreeMap::new();
    let mut text = Vec::new();
    for line in 1.. {
        let wrong = |reason: String| MetaError::Line { path: path.to_owned(), line, reason };
        text.clear();
        let read = input.take(MAX_LINE + 1).read_until(b'\n', &mut text);
        match read.map_err(|source| MetaError::Io { path: path.to_owned(), source })? as u64 {
            0 => break,
            read if read > MAX_LINE => {
                return Err(wrong(format!("it is longer than {MAX_LINE} bytes")));
            }
            _ if text.trim_ascii().is_empty() => continue,
            _ => {}
        }
        let read: Line = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let name = read.author.or(read.maintainer).or(read.section);
        if let Some(name) = name.filter(|name| !name.trim().is_empty()) {
            names.insert(read.id, name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BTreeMap<String, String>, MetaError> {
        names(&mut text.as_bytes(), Path::new("meta.jsonl"))
    }

    #[test]
    fn the_first_of_author_maintainer_and_section_counts() {
        let text = "{\"_id\":\"a\",\"author\":\"x\",\"section\":\"s\"}\n\n{\"_id\":\"b\",\"maintainer\":\"y\",\"section\":\"s\",\"tags\":[1]}\n{\"_id\":\"c\",\"section\":\"s\"}\n{\"_id\":\"d\"}\n";
        let names = read(text).expect("reads");
        let found: Vec<(&str, &str)> = names.iter().map(|(id, name)| (&**id, &**name)).collect();
        assert_eq!(found, [("a", "x"), ("b", "y"), ("c", "s")]);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = read("{\"_id\":\"a\"}\n{\"_id\":3}\n").expect_err("no id");
        assert!(error.to_string().starts_with("meta.jsonl, line 2: invalid type"), "{error}");
    }
}
