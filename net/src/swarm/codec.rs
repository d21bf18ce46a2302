//! Frames on a stream (docs/spec/transport.md). Limits are checked before anything is allocated.
//!
//! Request: length (4 bytes, big-endian), body, end of stream.
//! Reply: status (1 byte), length (4 bytes, big-endian), body, end of stream.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::request_response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Instant};

use crate::limits::{
    INBOUND_PIECE, MAX_INBOUND_BYTES, MAX_TIMEOUT, REPLY_WRITE_DEADLINE, REQUEST_READ_DEADLINE,
};
use crate::{LinkError, Protocol};

/// The first byte of a reply.
mod status {
    pub(super) const OK: u8 = 0;
    pub(super) const REFUSED: u8 = 1;
    pub(super) const BUSY: u8 = 2;
    pub(super) const TOO_LARGE: u8 = 3;
    pub(super) const BAD: u8 = 4;
}

/// What a reply carries: a body, or why there is none.
pub(super) type Answer = Result<Vec<u8>, LinkError>;

/// A request on its way out or in.
pub(super) enum Request {
    /// One of ours. The body is kept by the one who asks, who may have to send it again.
    Out {
        body: Arc<Vec<u8>>,
        /// When the one who asks stops waiting.
        deadline: Instant,
    },
    /// One of another node.
    In {
        /// The body, or what is wrong with what came in.
        body: Result<Vec<u8>, LinkError>,
        /// What it takes of [`MAX_INBOUND_BYTES`].
        hold: Option<OwnedSemaphorePermit>,
    },
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Out { body, .. } => write!(f, "Out({} bytes)", body.len()),
            Self::In { body, .. } => write!(f, "In({:?})", body.as_ref().map(Vec::len)),
        }
    }
}

/// The protocol's name, as libp2p negotiates it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name(pub(super) Protocol);

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        self.0.name()
    }
}

/// Reads and writes frames. libp2p clones it for each stream.
#[derive(Clone)]
pub(super) struct Codec {
    inbound_bytes: Arc<Semaphore>,
    deadline: Option<Instant>,
}

impl Codec {
    pub(super) fn new() -> Self {
        Self { inbound_bytes: Arc::new(Semaphore::new(MAX_INBOUND_BYTES)), deadline: None }
    }

    /// When the exchange on this stream, begun by us, is over.
    fn deadline(&self) -> Instant {
        self.deadline.unwrap_or_else(|| Instant::now() + MAX_TIMEOUT)
    }
}

impl request_response::Codec for Codec {
    type Protocol = Name;
    type Request = Request;
    type Response = Answer;

    async fn read_request<T>(&mut self, protocol: &Name, io: &mut T) -> io::Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        let (limit, bytes) = (protocol.0.max_request(), &self.inbound_bytes);
        let read = time::timeout(REQUEST_READ_DEADLINE, read_request(io, limit, bytes));
        let (body, hold) = match read.await.map_err(|_| io::ErrorKind::TimedOut)?? {
            Ok((body, hold)) => (Ok(body), hold),
            Err(error) => (Err(error), None),
        };
        Ok(Request::In { body, hold })
    }

    async fn read_response<T>(&mut self, protocol: &Name, io: &mut T) -> io::Result<Answer>
    where
        T: AsyncRead + Unpin + Send,
    {
        let limit = protocol.0.max_response();
        match time::timeout_at(self.deadline(), read_answer(io, limit)).await {
            Ok(answer) => answer,
            Err(_) => Ok(Err(LinkError::Timeout)),
        }
    }

    async fn write_request<T>(&mut self, _: &Name, io: &mut T, request: Request) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let Request::Out { body, deadline } = request else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.deadline = Some(deadline);
        time::timeout_at(deadline, write_frame(io, &body))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn write_response<T>(&mut self, _: &Name, io: &mut T, answer: Answer) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        let (status, body) = match answer {
            Ok(body) => (status::OK, body),
            Err(LinkError::Busy) => (status::BUSY, Vec::new()),
            Err(LinkError::TooLarge { limit }) => {
                (status::TOO_LARGE, u32::try_from(limit).unwrap_or(u32::MAX).to_be_bytes().into())
            }
            Err(LinkError::Bad { .. }) => (status::BAD, Vec::new()),
            Err(
                LinkError::Refused
                | LinkError::Unreachable { .. }
                | LinkError::Timeout
                | LinkError::Closed
                | LinkError::Io { .. },
            ) => (status::REFUSED, Vec::new()),
        };
        let write = async {
            io.write_all(&[status]).await?;
            write_frame(io, &body).await
        };
        time::timeout(REPLY_WRITE_DEADLINE, write).await.map_err(|_| io::ErrorKind::TimedOut)?
    }
}

/// Reads a request and what it takes of `bytes`, or says what is wrong with it. It takes of them as
/// it goes: streams that announce much and send nothing would otherwise leave nothing for others.
async fn read_request<T: AsyncRead + Unpin>(
    io: &mut T,
    limit: usize,
    bytes: &Arc<Semaphore>,
) -> io::Result<Result<(Vec<u8>, Option<OwnedSemaphorePermit>), LinkError>> {
    let length = read_length(io).await?;
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= limit) else {
        return Ok(Err(LinkError::TooLarge { limit }));
    };
    let mut body = Vec::new();
    let mut hold: Option<OwnedSemaphorePermit> = None;
    while body.len() < length {
        let piece = (length - body.len()).min(INBOUND_PIECE);
        let permits = u32::try_from(piece).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(bytes).try_acquire_many_owned(permits) else {
            drop((body, hold));
            // Take it off the stream, so that the asker gets to read the answer.
            futures::io::copy(io.take(limit as u64), &mut futures::io::sink()).await?;
            return Ok(Err(LinkError::Busy));
        };
        match &mut hold {
            Some(hold) => hold.merge(more),
            None => hold = Some(more),
        }
        if io.take(piece as u64).read_to_end(&mut body).await? < piece {
            return Ok(Err(LinkError::Bad { reason: "its message ends too early" }));
        }
    }
    Ok(read_end(io).await?.map(|()| (body, hold)))
}

/// Reads a reply; the outer error is the stream's, the inner one the node's.
async fn read_answer<T: AsyncRead + Unpin>(io: &mut T, limit: usize) -> io::Result<Answer> {
    let mut status = [0];
    io.read_exact(&mut status).await?;
    let length = read_length(io).await?;
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= limit) else {
        return Ok(Err(LinkError::TooLarge { limit }));
    };
    let body = match read_body(io, length).await? {
        Ok(body) => body,
        Err(error) => return Ok(Err(error)),
    };
    Ok(match status[0] {
        status::OK => Ok(body),
        status::REFUSED => Err(LinkError::Refused),
        status::BUSY => Err(LinkError::Busy),
        status::TOO_LARGE => Err(too_large(&body)),
        status::BAD => Err(LinkError::Bad { reason: "it says that our request is malformed" }),
        _ => Err(LinkError::Bad { reason: "its reply has an unknown status" }),
    })
}

/// The limit that a node says was passed.
fn too_large(body: &[u8]) -> LinkError {
    match <[u8; 4]>::try_from(body).map(u32::from_be_bytes).map(usize::try_from) {
        Ok(Ok(limit)) => LinkError::TooLarge { limit },
        _ => LinkError::Bad { reason: "its reply names no limit" },
    }
}

async fn read_length<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<u32> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    Ok(u32::from_be_bytes(length))
}

/// Reads `length` bytes, allocating as they come, and then the end of the stream.
async fn read_body<T: AsyncRead + Unpin>(
    io: &mut T,
    length: usize,
) -> io::Result<Result<Vec<u8>, LinkError>> {
    let mut body = Vec::new();
    io.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Ok(Err(LinkError::Bad { reason: "its message ends too early" }));
    }
    Ok(read_end(io).await?.map(|()| body))
}

async fn read_end<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Result<(), LinkError>> {
    match io.read(&mut [0]).await? {
        0 => Ok(Ok(())),
        _ => Ok(Err(LinkError::Bad { reason: "bytes follow its message" })),
    }
}

async fn write_frame<T: AsyncWrite + Unpin>(io: &mut T, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(body).await?;
    io.flush().await
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;
    use libp2p::request_response::Codec as _;

    use super::*;

    const NAME: Name = Name(Protocol::Search);
    const BAD_EARLY: LinkError = LinkError::Bad { reason: "its message ends too early" };
    const BAD_TRAILING: LinkError = LinkError::Bad { reason: "bytes follow its message" };

    /// A frame that announces `length` and holds `body`.
    fn frame(length: u32, body: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes()[..], body].concat()
    }

    fn body(request: &Request) -> &Result<Vec<u8>, LinkError> {
        match request {
            Request::In { body, .. } => body,
            Request::Out { .. } => panic!("what is read comes in"),
        }
    }

    #[tokio::test]
    async fn requests() {
        let limit = Protocol::Search.max_request();
        let announced = u32::try_from(limit).expect("small");
        let cases = [
            (frame(0, b""), Ok(vec![])),
            (frame(3, b"abc"), Ok(b"abc".to_vec())),
            (frame(announced, &vec![7; limit]), Ok(vec![7; limit])),
            (frame(announced + 1, b""), Err(LinkError::TooLarge { limit })),
            (frame(u32::MAX, b"abc"), Err(LinkError::TooLarge { limit })),
            (frame(4, b"abc"), Err(BAD_EARLY)),
            (frame(2, b"abc"), Err(BAD_TRAILING)),
        ];
        for (bytes, expected) in cases {
            let mut codec = Codec::new();
            let request = codec.read_request(&NAME, &mut Cursor::new(bytes)).await.expect("reads");
            assert_eq!(body(&request), &expected);
        }
        let cut = Codec::new().read_request(&NAME, &mut Cursor::new(b"\0\0")).await;
        assert_eq!(cut.err().map(|error| error.kind()), Some(io::ErrorKind::UnexpectedEof));
    }

    #[tokio::test]
    async fn answers_round_trip() {
        let limit = 77;
        let cases = [
            Ok(b"abc".to_vec()),
            Ok(vec![]),
            Err(LinkError::Refused),
            Err(LinkError::Busy),
            Err(LinkError::TooLarge { limit }),
        ];
        for answer in cases {
            let mut bytes = Vec::new();
            let mut codec = Codec::new();
            codec.write_response(&NAME, &mut bytes, answer.clone()).await.expect("writes");
            let read = codec.read_response(&NAME, &mut Cursor::new(bytes)).await.expect("reads");
            assert_eq!(read, answer);
        }
    }

    #[tokio::test]
    async fn answers_that_break_the_rules() {
        let limit = Protocol::Search.max_response();
        let announced = u32::try_from(limit).expect("small");
        let status = |status: u8, frame: Vec<u8>| [&[status][..], &frame].concat();
        let unknown = LinkError::Bad { reason: "its reply has an unknown status" };
        let cases = [
            (status(0, frame(announced + 1, b"")), LinkError::TooLarge { limit }),
            (status(0, frame(4, b"abc")), BAD_EARLY),
            (status(0, frame(2, b"abc")), BAD_TRAILING),
            (status(9, frame(0, b"")), unknown),
            (status(3, frame(1, b"a")), LinkError::Bad { reason: "its reply names no limit" }),
        ];
        for (bytes, expected) in cases {
            let mut codec = Codec::new();
            let read = codec.read_response(&NAME, &mut Cursor::new(bytes)).await.expect("reads");
            assert_eq!(read, Err(expected));
        }
    }

    #[tokio::test]
    async fn requests_beyond_the_byte_budget_are_turned_away_and_places_come_back() {
        let mut codec = Codec::new();
        let size = Protocol::Group.max_request();
        let bytes = frame(u32::try_from(size).expect("small"), &vec![1; size]);
        let mut held = Vec::new();
        for _ in 0..MAX_INBOUND_BYTES / size {
            let mut io = Cursor::new(bytes.clone());
            held.push(codec.read_request(&Name(Protocol::Group), &mut io).await.expect("reads"));
        }
        assert!(held.iter().all(|request| body(request).is_ok()));
        let mut again = async || {
            let mut io = Cursor::new(bytes.clone());
            let request = codec.read_request(&Name(Protocol::Group), &mut io).await;
            body(&request.expect("reads")).clone()
        };
        assert_eq!(again().await, Err(LinkError::Busy));
        held.pop();
        assert!(again().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_announce_much_and_send_nothing_leave_room_for_others() {
        let mut codec = Codec::new();
        let size = u32::try_from(Protocol::Group.max_request()).expect("small");
        let silent = (0..1_024).map(|_| {
            let mut codec = codec.clone();
            tokio::spawn(async move {
                let mut io = Cursor::new(size.to_be_bytes()).chain(Silent);
                // Given up in the end.
                let _ = codec.read_request(&Name(Protocol::Group), &mut io).await;
            })
        });
        let silent: Vec<_> = silent.collect();
        // The paused clock moves once all of them wait.
        time::sleep(REQUEST_READ_DEADLINE / 2).await;
        let mut io = Cursor::new(frame(3, b"abc"));
        let request = codec.read_request(&NAME, &mut io).await.expect("reads");
        assert_eq!(body(&request), &Ok(b"abc".to_vec()));
        assert!(silent.iter().all(|task| !task.is_finished()), "they were all waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up() {
        let mut io = Silent;
        let read = Codec::new().read_request(&NAME, &mut io).await;
        assert_eq!(read.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
        let mut codec = Codec::new();
        codec.deadline = Some(Instant::now() + REQUEST_READ_DEADLINE);
        let read = codec.read_response(&NAME, &mut io).await.expect("an answer");
        assert_eq!(read, Err(LinkError::Timeout));
    }

    /// A stream on which nothing ever arrives.
    struct Silent;

    impl AsyncRead for Silent {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            std::task::Poll::Pending
        }
    }
}
