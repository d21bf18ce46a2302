//! The socket from end to end: calls, refusals, and callers that go away or talk nonsense.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::client::Client;
use super::server::{Handler, MAX_CALL, MAX_CONNECTIONS, Server, ServerError};
use super::*;
use crate::cancel::CancelFlag;

/// Answers `Status` never, everything else at once; tells when a call was cancelled.
#[derive(Clone, Default)]
struct Dummy {
    cancelled: CancelFlag,
}

impl Handler for Dummy {
    async fn call(
        &self,
        call: Call,
        progress: &mut (dyn FnMut(Progress) + Send),
        cancel: CancelFlag,
    ) -> Result<Reply, ApiError> {
        match call {
            Call::Status => {
                cancel.cancelled().await;
                self.cancelled.cancel();
                Err(ApiError::new(ErrorCode::Cancelled, "never mind"))
            }
            Call::AuditVerify => Err(ApiError::new(ErrorCode::Corrupt, "bad").hint("restore")),
            Call::Reindex { .. } => {
                for done in 0..3 {
                    let stage = "indexing".to_owned();
                    progress(Progress { stage, done, total: Some(3), item: None });
                    tokio::task::yield_now().await;
                }
                Ok(Reply::Groups { groups: vec![] })
            }
            _ => Ok(Reply::Ok),
        }
    }
}

struct Fixture {
    _dir: tempfile::TempDir,
    path: PathBuf,
    handler: Dummy,
    server: JoinHandle<()>,
}

async fn serve() -> Fixture {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("covey.sock");
    let server = Server::bind(&path).await.expect("binds");
    let handler = Dummy::default();
    let server = tokio::spawn(server.run(handler.clone(), CancelFlag::new()));
    Fixture { _dir: dir, path, handler, server }
}

impl Fixture {
    async fn call(&self, call: Call) -> Result<Reply, ApiError> {
        let client = Client::connect(&self.path).await.expect("connects").expect("is there");
        client.call(&call, &mut |_| {}).await
    }

    /// Sends raw bytes and reads to the end.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).await.expect("connects");
        // A server that has refused already may not take the rest.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("UTF-8")
    }
}

#[tokio::test]
async fn a_call_gets_its_progress_and_its_reply() {
    let fixture = serve().await;
    let mut seen = Vec::new();
    let client = Client::connect(&fixture.path).await.expect("connects").expect("is there");
    let reply =
        client.call(&Call::Reindex { collection: None }, &mut |it| seen.push(it.done)).await;
    assert_eq!(reply, Ok(Reply::Groups { groups: vec![] }));
    assert!(!seen.is_empty() && seen.is_sorted(), "{seen:?}");
    let error = fixture.call(Call::AuditVerify).await.expect_err("fails");
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::Corrupt, Some("restore")));
}

#[tokio::test]
async fn nonsense_is_refused_in_words_and_the_server_goes_on() {
    let fixture = serve().await;
    let oversize = format!("{{\"call\":\"{}\"}}\n", "x".repeat(MAX_CALL as usize));
    let cases: [&[u8]; 6] = [
        b"garbage\n",
        b"{\"call\":\"dance\"}\n",
        b"{\"call\":\"invite\",\"group\":\"../etc\"}\n",
        b"{\"call\":\"status\",\"also\":1}\n",
        b"\xff\xfe\x00\n",
        oversize.as_bytes(),
    ];
    for case in cases {
        let answer = fixture.raw(case).await;
        let event: Event = serde_json::from_str(&answer).expect("one line of JSON");
        let Event::Failed { version: 1, error } = event else { panic!("{event:?}") };
        assert_eq!(error.code, ErrorCode::Usage);
    }
    assert_eq!(fixture.call(Call::Peers).await, Ok(Reply::Ok));
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_its_call() {
    let fixture = serve().await;
    let mut stream = UnixStream::connect(&fixture.path).await.expect("connects");
    stream.write_all(b"{\"call\":\"status\"}\n").await.expect("writes");
    drop(stream);
    fixture.handler.cancelled.cancelled().await;
}

#[tokio::test]
async fn callers_beyond_the_bound_are_told_so() {
    let fixture = serve().await;
    let mut held = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        held.push(UnixStream::connect(&fixture.path).await.expect("connects"));
    }
    let error = fixture.call(Call::Peers).await.expect_err("is refused");
    assert_eq!(error.code, ErrorCode::Busy);
    drop(held);
    // The places come back as soon as the server has seen the callers go.
    while fixture.call(Call::Peers).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_socket_one_server_and_a_dead_socket_is_replaced() {
    let fixture = serve().await;
    let mode = std::fs::metadata(&fixture.path).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = Server::bind(&fixture.path).await;
    assert!(matches!(second, Err(ServerError::Busy(_))));

    // Stop ends the server, cancels what is under way, and takes the socket along.
    let waiting = tokio::spawn({
        let path = fixture.path.clone();
        async move {
            let client = Client::connect(&path).await.expect("connects").expect("is there");
            client.call(&Call::Status, &mut |_| {}).await
        }
    });
    assert_eq!(fixture.call(Call::Stop).await, Ok(Reply::Ok));
    fixture.server.await.expect("ends in good order");
    assert!(waiting.await.expect("no panic").is_err());
    assert!(!fixture.path.exists());

    drop(std::os::unix::net::UnixListener::bind(&fixture.path).expect("binds"));
    assert!(fixture.path.exists(), "a socket that nobody listens on");
    assert!(Client::connect(&fixture.path).await.expect("no error").is_none());
    Server::bind(&fixture.path).await.expect("replaces it");
}

#[test]
fn a_file_name_that_is_no_text_is_shown_all_the_same() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"/notes/caf\xe9.txt");
    let skipped = Skipped { path: name.into(), reason: "unreadable".into() };
    let json = serde_json::to_string(&skipped).expect("serialises");
    assert_eq!(json, "{\"path\":\"/notes/caf\u{fffd}.txt\",\"reason\":\"unreadable\"}");
}
