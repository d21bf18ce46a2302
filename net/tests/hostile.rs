//! A node among peers that do not keep to the protocol.

use std::io;

use crate::common::{PATIENCE, QUIC, TCP, id, next, request, start};
use covey_net::{Link, LinkError, Protocol, SwarmLink};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::request_response::{self, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Puts on a stream whatever bytes it is given, and reads what comes.
#[derive(Clone, Default)]
struct Raw;

impl request_response::Codec for Raw {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_all(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read_all(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        bytes: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&bytes).await
    }
}

async fn read_all<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

type RawSwarm = Swarm<request_response::Behaviour<Raw>>;

/// A libp2p node that speaks `protocol` without any manners.
fn raw(n: u8, protocol: &'static str) -> RawSwarm {
    let key = libp2p::identity::Keypair::ed25519_from_bytes([n; 32]).expect("a seed");
    SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("a transport")
        .with_quic()
        .with_behaviour(|_| {
            let protocols = [(StreamProtocol::new(protocol), ProtocolSupport::Full)];
            request_response::Behaviour::new(protocols, request_response::Config::default())
        })
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
        .build()
}

/// Sends `bytes` and returns what came back, or nothing where the stream failed.
async fn shout(swarm: &mut RawSwarm, to: &SwarmLink, bytes: Vec<u8>) -> Option<Vec<u8>> {
    let addresses: Vec<Multiaddr> =
        to.addresses().iter().map(|addr| addr.as_str().parse().expect("valid")).collect();
    let peer = libp2p::identity::Keypair::ed25519_from_bytes([1; 32]).expect("a seed");
    let peer = peer.public().to_peer_id();
    swarm.behaviour_mut().send_request_with_addresses(&peer, bytes, addresses);
    let answer = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::Behaviour(request_response::Event::Message {
                    message: Message::Response { response, .. },
                    ..
                }) => return Some(response),
                SwarmEvent::Behaviour(request_response::Event::OutboundFailure { .. }) => {
                    return None;
                }
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, answer).await.expect("the stream ends")
}

#[tokio::test]
async fn malformed_requests_reach_nobody_and_are_answered_with_the_reason() {
    for listen in [TCP, QUIC] {
        for protocol in Protocol::ALL {
            let (server, mut events) = start(1, &[listen]).await;
            let mut raw = raw(2, protocol.name());
            let limit = u32::try_from(protocol.max_request()).expect("small").to_be_bytes();
            let too_large = [&[3, 0, 0, 0, 4][..], &limit].concat();
            let bad = vec![4, 0, 0, 0, 0];
            let cases = [
                ("an oversize announcement", vec![0xff; 64], Some(too_large)),
                ("a frame cut short", b"\0\0\0\x09abc".to_vec(), Some(bad.clone())),
                ("trailing bytes", b"\0\0\0\x01abc".to_vec(), Some(bad)),
                ("half a length", b"\0\0".to_vec(), None),
                ("nothing", vec![], None),
            ];
            for (what, bytes, expected) in cases {
                let reply = shout(&mut raw, &server, bytes).await;
                // A stream that failed shows as none or as empty, by transport.
                let reply = reply.filter(|reply| !reply.is_empty());
                assert_eq!(reply, expected, "{what} over {listen} on {protocol}");
            }
            // The node is alive, and this is the first request that it hears of.
            let (reply, ()) =
                tokio::join!(shout(&mut raw, &server, b"\0\0\0\x02ok".to_vec()), async {
                    let inbound = next(&mut events, request).await;
                    assert_eq!((inbound.from, inbound.body.as_slice()), (id(2), &b"ok"[..]));
                    inbound.reply.send(b"fine".to_vec());
                });
            assert_eq!(reply.as_deref(), Some(&b"\0\0\0\0\x04fine"[..]));
        }
    }
}

#[tokio::test]
async fn malformed_replies_are_errors_that_say_so() {
    let limit = Protocol::Search.max_response();
    let bad = |reason| LinkError::Bad { reason };
    let cases: [(&[u8], LinkError); 6] = [
        (b"\0\xff\xff\xff\xffabc", LinkError::TooLarge { limit }),
        (b"\0\0\0\0\x09abc", bad("its message ends too early")),
        (b"\0\0\0\0\x01abc", bad("bytes follow its message")),
        (b"\x63\0\0\0\0", bad("its reply has an unknown status")),
        (b"\0\0", LinkError::Closed),
        (b"", LinkError::Closed),
    ];
    let (asker, _news) = start(1, &[]).await;
    let mut raw = raw(2, Protocol::Search.name());
    raw.listen_on(TCP.parse().expect("valid")).expect("listens");
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = raw.select_next_some().await {
            break address;
        }
    };
    asker.learn(id(2), &[address.to_string().parse().expect("an address")]);
    let answers: Vec<Vec<u8>> = cases.iter().map(|(bytes, _)| bytes.to_vec()).collect();
    let misbehave = tokio::spawn(async move {
        let mut answers = answers.into_iter();
        loop {
            if let SwarmEvent::Behaviour(request_response::Event::Message {
                message: Message::Request { channel, .. },
                ..
            }) = raw.select_next_some().await
            {
                let answer = answers.next().unwrap_or_default();
                let _ = raw.behaviour_mut().send_response(channel, answer);
            }
        }
    });
    for (bytes, expected) in cases {
        let reply = asker.request(id(2), Protocol::Search, vec![1], PATIENCE).await;
        assert_eq!(reply, Err(expected), "{bytes:?}");
    }
    let other = asker.request(id(2), Protocol::Group, vec![1], PATIENCE).await;
    assert_eq!(other, Err(bad("it does not speak this version of the protocol")));
    misbehave.abort();
}

#[tokio::test]
async fn raw_bytes_on_the_port_leave_the_node_unharmed() {
    let (server, mut events) = start(1, &[TCP]).await;
    let text = server.addresses()[0].to_string();
    let port = text.rsplit('/').next().expect("a port");
    let garbage: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &[0xff; 4096], &[0; 4096], b"\x13/multi"];
    for bytes in garbage {
        let mut socket =
            tokio::net::TcpStream::connect(format!("127.0.0.1:{port}")).await.expect("connects");
        socket.write_all(bytes).await.expect("writes");
        socket.shutdown().await.expect("closes");
        // The node closes its side; what it says before that, and how it closes, is libp2p's.
        let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut Vec::new()))
            .await
            .expect("it ends");
    }
    let (asker, _news) = start(2, &[]).await;
    asker.learn(id(1), &server.addresses());
    let (reply, ()) =
        tokio::join!(asker.request(id(1), Protocol::Group, vec![1], PATIENCE), async {
            next(&mut events, request).await.reply.send(vec![2])
        });
    assert_eq!(reply, Ok(vec![2]));
}
