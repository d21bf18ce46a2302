//! What happened, a line each, and no more lines than somebody may want to look through.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{FolderError, io};
use super::lines::{self, MAX_LINE_BYTES};
use crate::metrics::Event;

/// Most events of a run that are written; the rest is counted.
pub const MAX_EVENTS: u64 = 100_000;

/// A line of the file.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Event(Event),
    LeftOut { left_out: u64 },
}

/// The file of events while it is written.
#[derive(Debug)]
pub(crate) struct EventLog {
    path: PathBuf,
    file: BufWriter<File>,
    most: u64,
    written: u64,
    left_out: u64,
    /// Where the last event ends.
    end: u64,
}

impl EventLog {
    /// Goes on with the file, or begins it.
    pub(crate) fn open(path: &Path, most: u64) -> Result<Self, FolderError> {
        let (mut written, mut left_out, mut end) = (0, 0, 0);
        lines::each(path, |text, line: Line| {
            match line {
                Line::Event(_) => {
                    written += 1;
                    end += text.len() as u64 + 1;
                }
                Line::LeftOut { left_out: more } => left_out = more,
            }
            Ok(())
        })?;
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(io("open", path))?;
        file.set_len(end).and_then(|()| file.seek(SeekFrom::End(0))).map_err(io("open", path))?;
        let file = BufWriter::new(file);
        Ok(Self { path: path.to_owned(), file, most, written, left_out, end })
    }

    /// Writes an event down, or counts it where there is no more room.
    pub(crate) fn add(&mut self, event: &Event) -> Result<(), FolderError> {
        let mut line = serde_json::to_vec(event)
            .map_err(|error| io("write", &self.path)(std::io::Error::other(error)))?;
        if self.written >= self.most || line.len() > MAX_LINE_BYTES {
            self.left_out += 1;
            return Ok(());
        }
        line.push(b'\n');
        self.file.write_all(&line).map_err(io("write", &self.path))?;
        self.written += 1;
        self.end += line.len() as u64;
        Ok(())
    }

    /// Has everything up to now in the file, with how many were left out as its last line.
    pub(crate) fn settle(&mut self) -> Result<(), FolderError> {
        self.rewrite_tail().map_err(io("write", &self.path))
    }

    fn rewrite_tail(&mut self) -> std::io::Result<()> {
        self.file.flush()?;
        if self.left_out > 0 {
            let file = self.file.get_mut();
            file.set_len(self.end)?;
            file.seek(SeekFrom::Start(self.end))?;
            let line = serde_json::to_string(&Line::LeftOut { left_out: self.left_out })?;
            writeln!(file, "{line}")?;
            file.seek(SeekFrom::Start(self.end))?;
        }
        Ok(())
    }
}

/// Drops events of which `keep` does not want to know. How many were left out stays as it was last said.
pub(crate) fn retain(path: &Path, keep: impl Fn(&Event) -> bool) -> Result<(), FolderError> {
    lines::retain(path, |line| match line {
        Line::Event(event) => keep(event),
        Line::LeftOut { .. } => true,
    })
}
