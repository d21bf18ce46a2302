//! The link over libp2p: TCP (Noise or TLS, yamux) and QUIC, relays and hole punching.
//!
//! [`SwarmLink::start`] builds the swarm and hands it to one task, which owns it; every
//! [`SwarmLink`] is a handle that talks to that task through a bounded queue and reads a shared
//! view. The task ends, and closes every connection, on [`SwarmLink::shutdown`] or when the last
//! handle is dropped.

mod behaviour;
mod codec;
mod dial_error;
mod exchange;
mod gate;
mod identity;
mod listen;
mod relays;
mod server;
mod task;
mod view;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use covey_protocol::ids::NodeId;
use libp2p::identity::Keypair;
use libp2p::{Swarm, SwarmBuilder, dns, noise, tcp, tls, yamux};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{self, Instant};
use zeroize::Zeroizing;

use crate::book::Book;
use crate::limits::{EVENT_QUEUE, IDLE_TIMEOUT, MAX_LISTEN, MAX_OUTBOUND, MAX_RELAYS, MAX_TIMEOUT};
use crate::{Addr, Events, Link, LinkError, Peer, Protocol, lock};
use behaviour::{Behaviour, Parts};
use exchange::Ask;
use task::Task;
use view::View;

/// How a node takes part in the network.
pub struct SwarmConfig {
    /// The seed of the node's Ed25519 key.
    pub seed: Zeroizing<[u8; 32]>,
    /// Where to listen; port 0 takes any free one. Empty: only connections that we make.
    pub listen: Vec<Addr>,
    /// Addresses under which others reach this node though it cannot see so itself (a forwarded
    /// port, a public name).
    pub external: Vec<Addr>,
    /// Announce this node on the local network and listen for others.
    pub mdns: bool,
    /// Relay connections for members.
    pub relay_server: bool,
    /// Relays at which to be reachable.
    pub relays: Vec<(NodeId, Addr)>,
}

impl SwarmConfig {
    /// A node that listens nowhere, without discovery or relays: a start to add to.
    pub fn new(seed: Zeroizing<[u8; 32]>) -> Self {
        Self {
            seed,
            listen: Vec::new(),
            external: Vec::new(),
            mdns: false,
            relay_server: false,
            relays: Vec::new(),
        }
    }
}

impl fmt::Debug for SwarmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwarmConfig")
            .field("listen", &self.listen)
            .field("external", &self.external)
            .field("mdns", &self.mdns)
            .field("relay_server", &self.relay_server)
            .field("relays", &self.relays)
            .finish_non_exhaustive()
    }
}

/// Why the network could not be started.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Another program, or another daemon, listens there.
    #[error(
        "{address} is already in use; stop the other program (perhaps another daemon) or listen on another port"
    )]
    AddressInUse {
        /// The address.
        address: Addr,
    },
    /// The system does not let us listen there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: Addr,
        /// The system's reason.
        source: io::Error,
    },
    /// More addresses than one node may have.
    #[error("{count} {what} are more than the {limit} that one node may have")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many were given.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// The encryption or the resolver could not be set up.
    #[error("cannot set up the transport: {reason}")]
    Transport {
        /// The transport's own words.
        reason: String,
    },
}

/// What the handles and the task share.
struct Shared {
    book: Arc<Mutex<Book>>,
    view: Mutex<View>,
    /// Nodes to be disconnected; only connected ones, which bounds it.
    unwanted: Mutex<BTreeSet<NodeId>>,
    wake: Notify,
    relay_server: bool,
}

/// A handle on a node's libp2p swarm.
#[derive(Clone)]
pub struct SwarmLink {
    local: NodeId,
    asks: mpsc::Sender<Ask>,
    shared: Arc<Shared>,
}

impl SwarmLink {
    /// Starts a node; returns once it listens everywhere it was told to.
    ///
    /// # Errors
    /// [`NetError`] names the address that cannot be had, or what else is wrong.
    pub async fn start(config: SwarmConfig) -> Result<(Self, Events), NetError> {
        check_count("listen addresses", config.listen.len(), MAX_LISTEN)?;
        check_count("external addresses", config.external.len(), MAX_LISTEN)?;
        check_count("relays", config.relays.len(), MAX_RELAYS)?;
        for addr in &config.listen {
            listen::check_free(addr)?;
        }
        let transport =
            |reason: &dyn fmt::Display| NetError::Transport { reason: reason.to_string() };
        let key = Keypair::ed25519_from_bytes(*config.seed).map_err(|error| transport(&error))?;
        let local = identity::to_node(&key.public().to_peer_id())
            .ok_or_else(|| transport(&"the node's key is unusable"))?;

        let book = Arc::new(Mutex::new(Book::default()));
        let parts = Parts { mdns: config.mdns, relay_server: config.relay_server };
        let swarm = build(key, &book, parts).map_err(|error| transport(&error))?;
        let shared = Arc::new(Shared {
            book,
            view: Mutex::new(View::new(config.external.iter().cloned())),
            unwanted: Mutex::default(),
            wake: Notify::new(),
            relay_server: config.relay_server,
        });
        let (asks, asked) = mpsc::channel(MAX_OUTBOUND);
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let mut task = Task::new(swarm, Arc::clone(&shared), asked, sender, &config);
        task.listen(&config.listen).await?;
        tokio::spawn(task.run());
        Ok((Self { local, asks, shared }, events))
    }

    /// Closes every connection and stops listening. Later requests are [`LinkError::Closed`].
    pub async fn shutdown(&self) {
        let (done, finished) = oneshot::channel();
        if self.asks.send(Ask::Shutdown(done)).await.is_ok() {
            // An error means that the task has ended, which is what was asked for.
            let _ = finished.await;
        }
    }
}

fn check_count(what: &'static str, count: usize, limit: usize) -> Result<(), NetError> {
    if count > limit {
        return Err(NetError::TooMany { what, count, limit });
    }
    Ok(())
}

/// Puts the transports under the behaviour.
fn build(
    key: Keypair,
    book: &Arc<Mutex<Book>>,
    parts: Parts,
) -> Result<Swarm<Behaviour>, Box<dyn std::error::Error + Send + Sync>> {
    let transports = |key: &Keypair| {
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(
            SwarmBuilder::with_existing_identity(key.clone())
                .with_tokio()
                .with_tcp(
                    tcp::Config::default().nodelay(true),
                    (noise::Config::new, tls::Config::new),
                    yamux::Config::default,
                )?
                .with_quic(),
        )
    };
    // The two branches differ in type only.
    macro_rules! finish {
        ($builder:expr) => {
            $builder
                .with_relay_client((noise::Config::new, tls::Config::new), yamux::Config::default)?
                .with_behaviour(|key, relay| Behaviour::new(key, relay, book, parts))?
                .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
                .build()
        };
    }
    match transports(&key)?.with_dns() {
        Ok(builder) => Ok(finish!(builder)),
        Err(error) => {
            // Without a resolver's configuration, addresses by number still work.
            tracing::warn!(%error, "names in addresses cannot be looked up");
            let (config, options) = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
            Ok(finish!(transports(&key)?.with_dns_config(config, options)))
        }
    }
}

impl Link for SwarmLink {
    fn local(&self) -> NodeId {
        self.local
    }

    async fn request(
        &self,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Vec<u8>, LinkError> {
        if body.len() > protocol.max_request() {
            return Err(LinkError::TooLarge { limit: protocol.max_request() });
        }
        if to == self.local {
            return Err(LinkError::Unreachable { reason: "it is this node itself".to_owned() });
        }
        let deadline = Instant::now() + timeout.min(MAX_TIMEOUT);
        let exchange = async {
            let (reply, answer) = oneshot::channel();
            let ask = Ask::Request { to, protocol, body, deadline, reply };
            self.asks.send(ask).await.map_err(|_| LinkError::Closed)?;
            answer.await.map_err(|_| LinkError::Closed)?
        };
        time::timeout_at(deadline, exchange).await.unwrap_or(Err(LinkError::Timeout))
    }

    fn learn(&self, node: NodeId, addrs: &[Addr]) {
        lock(&self.shared.book).learn(node, addrs);
    }

    fn addresses(&self) -> Vec<Addr> {
        lock(&self.shared.view).addresses()
    }

    fn peers(&self) -> Vec<Peer> {
        lock(&self.shared.view).peers()
    }

    fn set_members(&self, members: BTreeSet<NodeId>) {
        let left = lock(&self.shared.book).set_members(members);
        if self.shared.relay_server {
            // Ends their reservations and circuits.
            left.into_iter().for_each(|node| self.disconnect(node));
        }
    }

    fn disconnect(&self, node: NodeId) {
        if lock(&self.shared.view).is_connected(&node) {
            lock(&self.shared.unwanted).insert(node);
            self.shared.wake.notify_one();
        }
    }
}
