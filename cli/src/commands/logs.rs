//! `covey logs`.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use covey_node::api::{ApiError, ErrorCode, LogInfo, Reply};

use crate::logfile;
use crate::session::Session;
use crate::text::clean;

/// How often a followed log is looked at.
const FOLLOW: Duration = Duration::from_millis(200);

/// Show the daemon's log
///
/// The log holds no questions, texts or file names unless the level is `trace`. COVEY_LOG sets a level, with
/// RUST_LOG's syntax, for a daemon started with it.
#[derive(Debug, Args)]
pub struct Logs {
    /// Keep printing what is added
    #[arg(long, short, conflicts_with = "json")]
    follow: bool,
    /// Lines to begin with
    #[arg(long, short = 'n', default_value_t = 50)]
    lines: usize,
}

impl Logs {
    pub fn run(self, session: &Session<'_>) -> Result<(), ApiError> {
        let path = session.home.log_path();
        if !path.exists() {
            return Err(ApiError::new(ErrorCode::NotFound, "there is no log yet")
                .hint("`covey daemon` writes it"));
        }
        let mut lines = tail(&logfile::old(&path), self.lines)?;
        lines.extend(tail(&path, self.lines)?);
        let lines = lines.split_off(lines.len().saturating_sub(self.lines));
        session.output.done(Reply::Log(LogInfo { path: path.clone(), lines }))?;
        if self.follow { follow(&path, session) } else { Ok(()) }
    }
}

/// The last `most` lines of a file that may not exist.
fn tail(path: &Path, most: usize) -> Result<Vec<String>, ApiError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut lines = std::collections::VecDeque::new();
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(|error| unreadable(&error))?;
        lines.push_back(String::from_utf8_lossy(&line).into_owned());
        if lines.len() > most {
            lines.pop_front();
        }
    }
    Ok(lines.into())
}

/// Prints lines as they come, through rotations, until interrupted or nobody reads.
fn follow(path: &Path, session: &Session<'_>) -> Result<(), ApiError> {
    let open = || File::open(path).map_err(|error| unreadable(&error));
    let mut file = BufReader::new(open()?);
    file.seek(SeekFrom::End(0)).map_err(|error| unreadable(&error))?;
    let mut line = Vec::new();
    loop {
        let read = file.read_until(b'\n', &mut line).map_err(|error| unreadable(&error))?;
        if read > 0 && line.ends_with(b"\n") {
            if !session.output.line(&clean(&String::from_utf8_lossy(&line)))? {
                return Ok(());
            }
            line.clear();
            continue;
        }
        let inode = |metadata: std::io::Result<std::fs::Metadata>| metadata.map(|it| it.ino()).ok();
        let current = inode(path.metadata());
        if current.is_some() && current != inode(file.get_ref().metadata()) {
            file = BufReader::new(open()?);
        }
        std::thread::sleep(FOLLOW);
    }
}

fn unreadable(error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("cannot read the log: {error}"))
}
