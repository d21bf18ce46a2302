//! The local API's server: a unix socket that takes one [`Call`] a connection and answers with [`Event`] lines.
//!
//! Only processes of the same user get an answer (docs/spec/local-api.md, checks L1 to L7).

use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{API_VERSION, ApiError, Call, ErrorCode, Event, Progress, Reply};
use crate::accept;
use crate::cancel::CancelFlag;

/// Longest call, in bytes with its newline (check L3).
pub const MAX_CALL: u64 = 64 * 1024;
/// Most connections at a time (check L4).
pub const MAX_CONNECTIONS: usize = 64;
/// A caller that has not sent its call by then is dropped (check L5).
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// A caller that takes no more than this for one line of answer is dropped (check L5).
pub const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Progress beyond this many unsent lines is left out; only the end of a call always arrives.
const PROGRESS_QUEUE: usize = 16;

/// Who carries calls out.
pub trait Handler: Clone + Send + Sync + 'static {
    /// Does what `call` asks, reporting progress, and stops early once `cancel` is raised.
    fn call(
        &self,
        call: Call,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> impl Future<Output = Result<Reply, ApiError>> + Send;
}

/// A socket that could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody answers on it.
    #[error("another daemon listens at {0}")]
    Busy(PathBuf),
    /// The operating system said no.
    #[error("cannot listen at {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
}

/// A bound local API socket; dropping it removes the file.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Listens at `path`, whose folder must belong to this user alone. A socket that nobody
    /// answers on, as a killed daemon leaves it, is replaced (check L2).
    ///
    /// # Errors
    /// If another daemon answers there, or the socket cannot be made.
    pub async fn bind(path: &Path) -> Result<Self, ServerError> {
        let io = |source| ServerError::Io { path: path.to_owned(), source };
        if path.symlink_metadata().is_ok() {
            if UnixStream::connect(path).await.is_ok() {
                return Err(ServerError::Busy(path.to_owned()));
            }
            std::fs::remove_file(path).map_err(io)?;
        }
        let listener = UnixListener::bind(path).map_err(io)?;
        let server = Self { listener, path: path.to_owned() };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
        Ok(server)
    }

    /// Serves calls until one of them is [`Call::Stop`] or `stop` is raised, then lets those under
    /// way know and waits for them.
    pub async fn run(self, handler: impl Handler, stop: CancelFlag) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let accept = || self.listener.accept();
        while let Some(stream) =
            accept::next("the local socket", accept, &mut connections, &stop).await
        {
            if !same_user(&stream) {
                tracing::warn!("another user's process called the local socket; closed");
                continue;
            }
            let permit = Arc::clone(&permits).try_acquire_owned().ok();
            let (handler, stop) = (handler.clone(), stop.clone());
            connections.spawn(async move {
                let connection = Connection::new(stream);
                match permit {
                    Some(_held) => connection.serve(handler, stop).await,
                    None => connection.refuse(busy()).await,
                }
            });
        }
        while connections.join_next().await.is_some() {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to do about a failure: the next daemon replaces a socket nobody answers on.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Check L1: the caller's user is ours, as the kernel tells it.
fn same_user(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

fn busy() -> ApiError {
    ApiError::new(ErrorCode::Busy, "the daemon serves as many commands as it can")
        .hint("wait for one of them to end")
}

struct Connection {
    input: BufReader<OwnedReadHalf>,
    output: OwnedWriteHalf,
}

impl Connection {
    fn new(stream: UnixStream) -> Self {
        let (input, output) = stream.into_split();
        Self { input: BufReader::new(input), output }
    }

    async fn refuse(mut self, error: ApiError) {
        let _ = self.send(&Event::Failed { version: API_VERSION, error }).await;
    }

    async fn serve(mut self, handler: impl Handler, stop: CancelFlag) {
        let call = match read_call(&mut self.input).await {
            Ok(Some(call)) => call,
            Ok(None) => return,
            Err(error) => return self.refuse(error).await,
        };
        let stops = call == Call::Stop;
        let result = self.carry_out(handler, call, &stop).await;
        let Some(result) = result else { return };
        let succeeded = result.is_ok();
        let _ = self.send(&end(result)).await;
        if stops && succeeded {
            stop.cancel();
        }
    }

    /// Runs `call`, sending progress meanwhile. `None` if the caller went away (check L6).
    async fn carry_out(
        &mut self,
        handler: impl Handler,
        call: Call,
        stop: &CancelFlag,
    ) -> Option<Result<Reply, ApiError>> {
        let cancel = CancelFlag::new();
        let (sender, mut progress) = mpsc::channel(PROGRESS_QUEUE);
        let mut report = move |step| {
            let _ = sender.try_send(step);
        };
        let work = handler.call(call, &mut report, cancel.clone());
        tokio::pin!(work);
        let mut listening = true;
        loop {
            tokio::select! {
                result = &mut work => return listening.then_some(result),
                Some(step) = progress.recv() => {
                    if listening && self.send(&Event::Progress(step)).await.is_err() {
                        cancel.cancel();
                        listening = false;
                    }
                }
                () = gone(&mut self.input), if listening => {
                    cancel.cancel();
                    listening = false;
                }
                () = stop.cancelled(), if !cancel.is_cancelled() => cancel.cancel(),
            }
        }
    }

    async fn send(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        timeout(WRITE_DEADLINE, self.output.write_all(&line)).await?
    }
}

fn end(result: Result<Reply, ApiError>) -> Event {
    match result {
        Ok(reply) => Event::Done { version: API_VERSION, reply },
        Err(error) => Event::Failed { version: API_VERSION, error },
    }
}

/// Reads one line within its bounds (checks L3, L5). `None` if the caller says nothing at all.
async fn read_call(
    input: &mut BufReader<impl AsyncRead + Unpin>,
) -> Result<Option<Call>, ApiError> {
    let usage = |message: String| ApiError::new(ErrorCode::Usage, message);
    let mut line = Vec::new();
    match timeout(CALL_DEADLINE, input.take(MAX_CALL).read_until(b'\n', &mut line)).await {
        Err(_) => return Err(ApiError::new(ErrorCode::Timeout, "no call arrived in time")),
        Ok(Err(_) | Ok(0)) => return Ok(None),
        Ok(Ok(_)) => {}
    }
    if line.last() != Some(&b'\n') {
        return Err(usage(format!("a call is one line of at most {MAX_CALL} bytes")));
    }
    parse(&line).map(Some).map_err(|what| {
        usage(format!("not a call this version knows: {what}")).hint(
            "update the older of `covey` and its daemon; the calls are in docs/spec/local-api.md",
        )
    })
}

/// Check L3. serde refuses unknown fields only of calls that have fields of their own.
fn parse(line: &[u8]) -> Result<Call, String> {
    let json: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let call = Call::deserialize(&json).map_err(|error| error.to_string())?;
    let known = serde_json::to_value(&call).map_err(|error| error.to_string())?;
    let fields = json.as_object().into_iter().flatten();
    match fields.map(|(name, _)| name).find(|name| known.get(name).is_none()) {
        Some(unknown) => Err(format!("unknown field `{unknown}`")),
        None => Ok(call),
    }
}

/// Returns when the caller closes its end, or sends more than its one call.
async fn gone(input: &mut BufReader<impl AsyncRead + Unpin>) {
    let _ = input.fill_buf().await;
}
