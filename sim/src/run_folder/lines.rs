//! Files of JSON lines, read within bounds.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::{FolderError, io};

/// Longest line.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 10;
/// Most lines that are read.
pub(crate) const MAX_LINES: usize = 2_000_000;

/// Hands every whole line to `take`, as it is and as what it says. A last line that was cut short, by a kill or a full disk, is left out. A file that is not there has no lines.
pub(crate) fn each<T: DeserializeOwned>(
    path: &Path,
    mut take: impl FnMut(&str, T) -> io::Result<()>,
) -> Result<(), FolderError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(io("open", path))?,
    };
    let bad = |line: usize, why: String| FolderError::Line { path: path.to_owned(), line, why };
    let mut file = BufReader::new(file);
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let most = MAX_LINE_BYTES as u64 + 1;
        (&mut file).take(most).read_until(b'\n', &mut bytes).map_err(io("read", path))?;
        if bytes.pop_if(|last| *last == b'\n').is_none() {
            if bytes.len() > MAX_LINE_BYTES {
                return Err(bad(line, format!("it is longer than {MAX_LINE_BYTES} bytes")));
            }
            return Ok(());
        }
        if line > MAX_LINES {
            return Err(bad(line, format!("there are more than {MAX_LINES} lines")));
        }
        let text = str::from_utf8(&bytes).map_err(|error| bad(line, error.to_string()))?;
        let value = serde_json::from_str(text).map_err(|error| bad(line, error.to_string()))?;
        take(text, value).map_err(io("go through", path))?;
    }
    Ok(())
}

/// All lines of a file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, FolderError> {
    let mut values = Vec::new();
    each(path, |_, value| {
        values.push(value);
        Ok(())
    })?;
    Ok(values)
}

/// Writes a file anew with those of its lines that `keep` says yes to, unchanged.
pub(crate) fn retain<T: DeserializeOwned>(
    path: &Path,
    mut keep: impl FnMut(&T) -> bool,
) -> Result<(), FolderError> {
    let part = super::part_of(path);
    let mut kept = BufWriter::new(File::create(&part).map_err(io("create", &part))?);
    each(path, |text, value: T| if keep(&value) { writeln!(kept, "{text}") } else { Ok(()) })?;
    let kept = kept.into_inner().map_err(|error| io("write", &part)(error.into_error()))?;
    kept.sync_data().map_err(io("write", &part))?;
    fs::rename(&part, path).map_err(io("replace", path))
}
