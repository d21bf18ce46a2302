//! Metrics over HTTP, for a Prometheus on this machine: `GET /metrics`, and nothing else.
//!
//! A connection carries one request, of which only the head is read, and is closed behind the answer.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use covey_net::Link;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::accept;
use crate::api::{ApiError, ErrorCode};
use crate::cancel::CancelFlag;
use crate::node::Node;

/// Most connections at a time; further ones are closed at once.
const MAX_CONNECTIONS: usize = 64;
/// Longest head of a request, in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// Most fields of a head.
const MAX_FIELDS: usize = 64;
/// A caller whose request has not arrived by then is cut off.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// And one that has not taken its answer by then.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// What Prometheus knows the answer by.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

/// Where metrics are asked for.
pub struct Endpoint {
    listener: TcpListener,
    at: SocketAddr,
}

impl Endpoint {
    /// Listens at `at`, which others than this machine reach only if the person said `public`.
    ///
    /// # Errors
    /// If they could and the person did not, or the address cannot be had.
    pub async fn bind(at: SocketAddr, public: bool) -> Result<Self, ApiError> {
        if !at.ip().is_loopback() && !public {
            let message = format!("metrics at {at} could be read by other machines");
            return Err(ApiError::new(ErrorCode::Usage, message).hint(
                "take an address of this machine alone, such as 127.0.0.1:9464, or say that it is wanted: --metrics-public",
            ));
        }
        let failed = |error: std::io::Error| {
            let code = match error.kind() {
                std::io::ErrorKind::AddrInUse => ErrorCode::Busy,
                _ => ErrorCode::Usage,
            };
            ApiError::new(code, format!("cannot listen for metrics at {at}: {error}"))
                .hint("name another address with --metrics, or in config.toml")
        };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, at })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.at
    }

    /// Answers until `stop` is raised.
    pub async fn run<L: Link>(self, node: Node<L>, stop: CancelFlag) {
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        let accept = || self.listener.accept();
        while let Some(stream) = accept::next("metrics", accept, &mut connections, &stop).await {
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else { continue };
            let (node, local) = (node.clone(), self.at.ip().is_loopback());
            connections.spawn(async move {
                let _held = permit;
                serve(stream, node, local).await;
            });
        }
        connections.shutdown().await;
    }
}

/// Answers the one request of a connection. Whoever takes too long is cut off.
async fn serve<L: Link>(mut stream: TcpStream, node: Node<L>, local: bool) {
    let Ok(read) = timeout(REQUEST_DEADLINE, read_head(&mut stream)).await else { return };
    let answer = match read.and_then(|head| check(&head, local)) {
        Ok(()) => match node.metrics().await {
            Ok(text) => Answer { status: "200 OK", kind: OPEN_METRICS, text },
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be told");
                Answer::plain("500 Internal Server Error", "the log says why (`covey logs`)\n")
            }
        },
        Err(Some(refusal)) => refusal,
        Err(None) => return,
    };
    let sent = timeout(ANSWER_DEADLINE, async {
        stream.write_all(&answer.bytes()).await?;
        stream.shutdown().await?;
        // Closing while something of the caller's is unread would take the answer back.
        let mut rest = [0; 1024];
        let mut left = MAX_HEAD;
        while left > 0 {
            match stream.read(&mut rest).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        Ok::<_, std::io::Error>(())
    });
    if !matches!(sent.await, Ok(Ok(()))) {
        tracing::debug!("an answer with metrics was not taken");
    }
}

/// What a caller is told.
struct Answer {
    status: &'static str,
    kind: &'static str,
    text: String,
}

impl Answer {
    fn plain(status: &'static str, text: &str) -> Self {
        Self { status, kind: PLAIN, text: text.to_owned() }
    }

    fn bytes(&self) -> Vec<u8> {
        let allow = if self.status.starts_with("405") { "Allow: GET\r\n" } else { "" };
        let Self { status, kind, text } = self;
        let length = text.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{allow}Connection: close\r\n\r\n{text}"
        )
        .into_bytes()
    }
}

/// Reads a request up to the empty line behind its head. Nothing is answered to who goes away before that.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Option<Answer>> {
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let read = stream.read(&mut piece).await.map_err(|_| None)?;
        if read == 0 {
            return Err(None);
        }
        // The empty line may have begun in the piece before.
        let from = head.len().saturating_sub(3);
        head.extend_from_slice(&piece[..read]);
        if head[from..].windows(4).any(|it| it == b"\r\n\r\n") {
            return Ok(head);
        }
        if head.len() >= MAX_HEAD {
            let status = "431 Request Header Fields Too Large";
            return Err(Some(Answer::plain(status, "a request has at most 8 KiB\n")));
        }
    }
}

/// Whether a request is for the metrics, from somebody who means this endpoint.
fn check(head: &[u8], local: bool) -> Result<(), Option<Answer>> {
    let refuse = |status, text| Err(Some(Answer::plain(status, text)));
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
        return refuse("400 Bad Request", "this is no request of HTTP/1\n");
    }
    let fields = request.headers.iter();
    let mut hosts = fields
        .filter(|field| field.name.eq_ignore_ascii_case("host"))
        .map(|field| std::str::from_utf8(field.value).unwrap_or_default());
    let host = hosts.next().filter(|_| hosts.next().is_none());
    if !host.is_some_and(|host| is_meant(host, local)) {
        return refuse(
            "403 Forbidden",
            "metrics are asked for by an IP address or as localhost, and by nothing else\n",
        );
    }
    let path = request.path.and_then(|path| path.split('?').next());
    match (path, request.method) {
        (Some("/metrics"), Some("GET")) => Ok(()),
        (Some("/metrics"), _) => refuse("405 Method Not Allowed", "metrics are read with GET\n"),
        _ => refuse("404 Not Found", "there is /metrics, and nothing else\n"),
    }
}

/// Whether the caller means this endpoint. A page in a browser that has its own name resolve to this machine sends that name.
fn is_meant(host: &str, local: bool) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let ip = match bare {
        Some(bare) => bare.parse().map(IpAddr::V6),
        None => name.parse().map(IpAddr::V4),
    };
    ip.is_ok_and(|ip: IpAddr| ip.is_loopback() || !local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whoever_means_this_machine_is_answered() {
        // The host, and whether it is fine for an endpoint of this machine alone, and for a public one.
        let cases = [
            ("localhost", true, true),
            ("LOCALHOST:9464", true, true),
            ("127.0.0.1:9464", true, true),
            ("127.0.0.2", true, true),
            ("[::1]:9464", true, true),
            ("[::1]", true, true),
            ("192.0.2.7:9464", false, true),
            ("[2001:db8::1]", false, true),
            ("evil.example", false, false),
            ("127.0.0.1.evil.example:9464", false, false),
            ("localhost.evil.example", false, false),
            ("", false, false),
            (":9464", false, false),
            ("::1", false, false),
            ("[127.0.0.1]", false, false),
        ];
        for (host, local, public) in cases {
            assert_eq!((is_meant(host, true), is_meant(host, false)), (local, public), "{host}");
        }
    }

    #[test]
    fn one_request_is_answered_and_no_other() {
        let fields = "X: y\r\n".repeat(MAX_FIELDS);
        let cases = [
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", None),
            ("GET /metrics?all HTTP/1.0\r\nhost: [::1]:1\r\nAccept: */*\r\n\r\n", None),
            ("GET /metrics HTTP/1.1\r\n\r\n", Some("403")),
            ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", Some("403")),
            ("GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", Some("403")),
            ("GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Some("404")),
            ("GET /metrics/ HTTP/1.1\r\nHost: localhost\r\n\r\n", Some("404")),
            ("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Some("405")),
            ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", Some("405")),
            ("nonsense\r\n\r\n", Some("400")),
            ("GET /metrics HTTP/2.0\r\nHost: localhost\r\n\r\n", Some("400")),
            (&format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"), Some("400")),
        ];
        for (request, expected) in cases {
            let refused = check(request.as_bytes(), true).err().flatten();
            let status = refused.as_ref().map(|answer| &answer.status[..3]);
            assert_eq!(status, expected, "{request}");
        }
    }

    #[tokio::test]
    async fn heads_are_read_to_their_end_and_no_further_than_allowed() {
        let whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(read_head(&mut &whole[..]).await.ok().as_deref(), Some(&whole[..]));
        // In pieces that cut the empty line.
        for cut in 0..whole.len() {
            let mut pieces = whole[..cut].chain(&whole[cut..]);
            assert!(read_head(&mut pieces).await.is_ok(), "{cut}");
        }
        assert!(matches!(read_head(&mut &whole[..20]).await, Err(None)), "it went away");
        let long = [b'x'; 2 * MAX_HEAD];
        let Err(Some(answer)) = read_head(&mut &long[..]).await else { panic!("it was read") };
        assert!(answer.status.starts_with("431"));
    }

    #[tokio::test]
    async fn other_machines_read_nothing_unless_that_is_said() {
        let anywhere: SocketAddr = "0.0.0.0:0".parse().expect("an address");
        let Err(error) = Endpoint::bind(anywhere, false).await else { panic!("it listens") };
        assert_eq!(error.code, ErrorCode::Usage);
        let open = Endpoint::bind(anywhere, true).await;
        assert!(open.is_ok_and(|it| it.address().port() > 0));
        let here = Endpoint::bind("127.0.0.1:0".parse().expect("an address"), false).await;
        let here = here.unwrap_or_else(|error| panic!("{error}"));
        let taken = Endpoint::bind(here.address(), false).await;
        assert_eq!(taken.err().map(|error| error.code), Some(ErrorCode::Busy));
    }
}
