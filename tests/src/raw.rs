//! A libp2p peer that puts on a stream whatever bytes it is given.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use libp2p::identity::{Keypair, ed25519};
use libp2p::request_response::{self, Message, ProtocolSupport};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm, SwarmBuilder, noise, tcp, yamux};

use covey_net::Protocol;
use covey_protocol::ids::NodeId;

use crate::{PATIENCE, Person};

/// Speaks a protocol of Covey's without any manners.
pub struct RawPeer {
    runtime: tokio::runtime::Runtime,
    swarm: Swarm<request_response::Behaviour<Codec>>,
}

impl RawPeer {
    /// A peer with the key made from `seed`.
    pub fn new(seed: [u8; 32], protocol: Protocol) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let _inside = runtime.enter();
        let key = Keypair::ed25519_from_bytes(seed).expect("a seed");
        let swarm = SwarmBuilder::with_existing_identity(key)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_behaviour(|_| {
                let protocols = [(StreamProtocol::new(protocol.name()), ProtocolSupport::Full)];
                request_response::Behaviour::new(protocols, request_response::Config::default())
            })
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE))
            .build();
        drop(_inside);
        Self { runtime, swarm }
    }

    /// Sends `bytes` to the person's daemon. Returns what came back, or nothing where the stream failed.
    pub fn shout(&mut self, to: &Person, bytes: &[u8]) -> Option<Vec<u8>> {
        let status = to.json(&["status"]);
        let node: NodeId = status["node"].as_str().expect("an id").parse().expect("an id");
        let key = ed25519::PublicKey::try_from_bytes(node.as_bytes()).expect("a key");
        let peer = libp2p::identity::PublicKey::from(key).to_peer_id();
        let addresses = status["addresses"].as_array().expect("a list").iter();
        let addresses: Vec<Multiaddr> = addresses
            .map(|it| it.as_str().expect("an address").parse().expect("an address"))
            .collect();
        self.swarm.behaviour_mut().send_request_with_addresses(&peer, bytes.to_vec(), addresses);
        let swarm = &mut self.swarm;
        let answer = async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::Behaviour(request_response::Event::Message {
                        message: Message::Response { response, .. },
                        ..
                    }) => return Some(response).filter(|it| !it.is_empty()),
                    SwarmEvent::Behaviour(request_response::Event::OutboundFailure { .. }) => {
                        return None;
                    }
                    _ => {}
                }
            }
        };
        let limit =
            async { tokio::time::timeout(PATIENCE + Duration::from_secs(30), answer).await };
        self.runtime.block_on(limit).expect("the stream ends")
    }
}

/// Bytes as they are, in both directions.
#[derive(Clone, Default)]
struct Codec;

impl request_response::Codec for Codec {
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
        it: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&it).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        it: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        io.write_all(&it).await
    }
}

async fn read_all<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await?;
    Ok(bytes)
}
