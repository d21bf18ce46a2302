//! The daemon's log: one file of bounded size, and the one before it.

mod json;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use covey_node::config::LogFormat;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use json::Json;

/// At this size the log starts anew; the full one is kept beside it, named `*.old`.
const MAX_LOG: u64 = 4 * 1024 * 1024;
/// The variable that overrides the configured log level, with `RUST_LOG`'s syntax.
pub const FILTER_VARIABLE: &str = "COVEY_LOG";

/// Sends `tracing` events to the log at `path`.
///
/// # Errors
/// If the file cannot be opened.
pub fn start(path: &Path, level: &str, format: LogFormat) -> io::Result<()> {
    let log = Log::open(path)?;
    let filter = std::env::var(FILTER_VARIABLE).or_else(|_| std::env::var("RUST_LOG"));
    let filter = filter
        .unwrap_or_else(|_| format!("warn,covey={level},covey_node={level},covey_net={level}"));
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log)
        .with_env_filter(EnvFilter::new(filter));
    // Fails only where a logger runs already, which then is as good.
    let _ = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.finish()),
        LogFormat::Json => {
            tracing::subscriber::set_global_default(subscriber.event_format(Json).finish())
        }
    };
    Ok(())
}

/// Where the log before the present one is.
pub fn old(path: &Path) -> PathBuf {
    path.with_extension("log.old")
}

#[derive(Clone)]
struct Log(Arc<Mutex<Rotating>>);

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Arc::new(Mutex::new(Rotating::open(path, MAX_LOG)?))))
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    limit: u64,
}

impl Rotating {
    fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, size, limit })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.size > 0 && self.size + line.len() as u64 > self.limit {
            std::fs::rename(&self.path, old(&self.path))?;
            *self = Self::open(&self.path, self.limit)?;
        }
        let written = self.file.write(line)?;
        self.size += written as u64;
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_never_outgrows_its_bound_and_keeps_the_newest() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("covey.log");
        let mut log = Rotating::open(&path, 100).expect("opens");
        for n in 0..50 {
            log.write(format!("line {n:02} of the log\n").as_bytes()).expect("writes");
        }
        drop(log);
        Rotating::open(&path, 100).expect("opens").write(b"after a restart\n").expect("writes");
        let size = |path: &Path| std::fs::metadata(path).expect("is there").len();
        assert!(size(&path) <= 100 && size(&old(&path)) <= 100);
        let read = |path: &Path| std::fs::read_to_string(path).expect("reads");
        let text = read(&old(&path)) + &read(&path);
        assert!(text.ends_with("line 49 of the log\nafter a restart\n"), "{text}");
    }
}
