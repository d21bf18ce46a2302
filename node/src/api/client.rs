//! The local API's client: how a command talks to the daemon of its home.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::{API_VERSION, ApiError, Call, ErrorCode, Event, Progress, Reply};

/// Most bytes a daemon's whole answer may have, progress included.
pub const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// A connection to a running daemon, good for one call. Dropping it cancels the call.
pub struct Client {
    input: BufReader<tokio::io::Take<OwnedReadHalf>>,
    output: OwnedWriteHalf,
}

impl Client {
    /// Connects to the daemon that listens at `socket`; `None` if none does.
    ///
    /// # Errors
    /// If the socket is there but may not be used.
    pub async fn connect(socket: &Path) -> Result<Option<Self>, ApiError> {
        match UnixStream::connect(socket).await {
            Ok(stream) => {
                let (input, output) = stream.into_split();
                Ok(Some(Self { input: BufReader::new(input.take(MAX_ANSWER)), output }))
            }
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(ApiError::new(
                ErrorCode::Storage,
                format!("cannot reach the daemon at {}: {error}", socket.display()),
            )),
        }
    }

    /// Makes the call and waits for its end.
    ///
    /// # Errors
    /// What the daemon answers, or that it went away.
    pub async fn call(
        mut self,
        call: &Call,
        progress: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Reply, ApiError> {
        let mut line = serde_json::to_vec(call).map_err(|error| unsendable(&error))?;
        line.push(b'\n');
        // A refusal may be waiting although the daemon no longer reads: look for it in any case.
        let sent = self.output.write_all(&line).await;
        loop {
            match self.next_event().await {
                Ok(Some(Event::Progress(step))) => progress(step),
                Ok(Some(Event::Done { version, reply })) if version == API_VERSION => {
                    return Ok(reply);
                }
                Ok(Some(Event::Failed { version, error })) if version == API_VERSION => {
                    return Err(error);
                }
                Ok(Some(Event::Done { version, .. } | Event::Failed { version, .. })) => {
                    return Err(other_version(version));
                }
                Ok(None) => return Err(vanished(sent.err())),
                Err(error) => return Err(vanished(Some(error))),
            }
        }
    }

    async fn next_event(&mut self) -> io::Result<Option<Event>> {
        let mut line = Vec::new();
        if self.input.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&line).map(Some).map_err(Into::into)
    }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// The one thing JSON cannot hold is a path that is no UTF-8.
fn unsendable(error: &serde_json::Error) -> ApiError {
    ApiError::new(ErrorCode::Usage, format!("the daemon cannot be asked this: {error}"))
        .hint("name a folder whose path is valid UTF-8; the names of files in it may be any")
}

fn other_version(version: u32) -> ApiError {
    ApiError::new(
        ErrorCode::Internal,
        format!("the daemon speaks version {version} of the local API, this command {API_VERSION}"),
    )
    .hint("restart the daemon: `covey stop`, then `covey daemon`")
}

fn vanished(error: Option<io::Error>) -> ApiError {
    let why = error.map_or_else(String::new, |error| format!(": {error}"));
    ApiError::new(ErrorCode::Unreachable, format!("the daemon went away before it answered{why}"))
        .hint("`covey logs` may tell why; `covey daemon` starts it again")
}
