//! The task that owns the swarm: it takes what the handles ask and what libp2p reports.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use covey_protocol::ids::NodeId;
use covey_protocol::limits::MAX_ADDRESSES;
use futures::{FutureExt, StreamExt};
use libp2p::core::multiaddr::Multiaddr;
use libp2p::core::transport::{ListenerId, TransportError};
use libp2p::swarm::SwarmEvent;
use libp2p::{PeerId, Swarm, mdns, ping, relay};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{self, Instant};

use super::behaviour::{Behaviour, BehaviourEvent};
use super::exchange::{Ask, Exchanges};
use super::relays::Relays;
use super::server::Visitors;
use super::{NetError, Shared, SwarmConfig, identity, listen};
use crate::limits::{CLOSE_DEADLINE, LISTEN_DEADLINE};
use crate::{Addr, LinkEvent, Protocol, lock};

/// Owns the swarm.
pub(super) struct Task {
    swarm: Swarm<Behaviour>,
    shared: Arc<Shared>,
    asks: mpsc::Receiver<Ask>,
    events: mpsc::Sender<LinkEvent>,
    exchanges: Exchanges,
    relays: Relays,
    relay_server: bool,
    visitors: Visitors,
}

impl Task {
    pub(super) fn new(
        mut swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        asks: mpsc::Receiver<Ask>,
        events: mpsc::Sender<LinkEvent>,
        config: &SwarmConfig,
    ) -> Self {
        for addr in &config.external {
            swarm.add_external_address(addr.to_multiaddr());
        }
        let exchanges = Exchanges::new(Arc::clone(&shared.book), events.clone());
        let relays = Relays::new(&config.relays, Instant::now());
        let relay_server = config.relay_server;
        let visitors = Visitors::default();
        Self { swarm, shared, asks, events, exchanges, relays, relay_server, visitors }
    }

    /// Listens on `addrs`, and waits until each has reported where.
    pub(super) async fn listen(&mut self, addrs: &[Addr]) -> Result<(), NetError> {
        let mut silent: Vec<(ListenerId, &Addr)> = Vec::new();
        for addr in addrs {
            let id = self.swarm.listen_on(addr.to_multiaddr()).map_err(|error| match error {
                TransportError::Other(error) => listen::failed(addr, error),
                TransportError::MultiaddrNotSupported(_) => {
                    listen::failed(addr, io::Error::other("no transport for it"))
                }
            })?;
            silent.push((id, addr));
        }
        let deadline = Instant::now() + LISTEN_DEADLINE;
        while let Some((_, first)) = silent.first() {
            let event = time::timeout_at(deadline, self.swarm.select_next_some()).await;
            let Ok(event) = event else {
                return Err(listen::failed(first, io::ErrorKind::TimedOut.into()));
            };
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => {
                    silent.retain(|(id, _)| id != listener_id);
                }
                SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                    if let Some((_, addr)) = silent.iter().find(|(id, _)| id == listener_id) {
                        return Err(listen::failed(addr, io::Error::other(error.to_string())));
                    }
                }
                _ => {}
            }
            self.on_swarm_event(event);
        }
        // One that listens on every interface reports them all at once, one event for each.
        while let Some(Some(event)) = self.swarm.next().now_or_never() {
            self.on_swarm_event(event);
        }
        Ok(())
    }

    /// Runs until it is told to end or nobody holds a handle any more.
    pub(super) async fn run(mut self) {
        let done = loop {
            let due = self.next_due();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                finished = self.exchanges.next_finished() => {
                    self.exchanges.finish(self.swarm.behaviour_mut(), finished);
                }
                ask = self.asks.recv() => match ask {
                    Some(Ask::Request { to, protocol, body, deadline, reply }) => {
                        let behaviour = self.swarm.behaviour_mut();
                        self.exchanges.ask(behaviour, to, protocol, body, deadline, reply);
                    }
                    Some(Ask::Shutdown(done)) => break Some(done),
                    None => break None,
                },
                () = self.shared.wake.notified() => self.drop_unwanted(),
                () = until(due) => self.on_time(Instant::now()),
            }
        };
        self.close(done).await;
    }

    /// Says goodbye to every peer, so that none waits for its timeout, and ends.
    async fn close(mut self, done: Option<oneshot::Sender<()>>) {
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // An error means that it has just gone.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let deadline = Instant::now() + CLOSE_DEADLINE;
        while self.swarm.connected_peers().next().is_some() {
            let event = time::timeout_at(deadline, self.swarm.select_next_some()).await;
            let Ok(event) = event else { break };
            self.on_swarm_event(event);
        }
        drop(self);
        if let Some(done) = done {
            // Whoever asked may no longer wait.
            let _ = done.send(());
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                let Some(node) = identity::to_node(&peer_id) else { return };
                if endpoint.is_dialer() {
                    let addr = Addr::from_multiaddr(endpoint.get_remote_address()).ok();
                    lock(&self.shared.book).learn(node, addr.as_slice());
                }
                if lock(&self.shared.view).opened(node, connection_id, &endpoint) {
                    self.tell(LinkEvent::Connected(node));
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                let Some(node) = identity::to_node(&peer_id) else { return };
                if lock(&self.shared.view).closed(node, connection_id) {
                    self.tell(LinkEvent::Disconnected(node));
                }
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.exchanges.not_reached(peer, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                self.on_listening(listener_id, &address);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => self.on_deaf(&[address]),
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                self.on_deaf(&addresses);
                if let Some(relay) = self.relays.lost(listener_id, Instant::now()) {
                    tracing::warn!(relay = %relay.short(), ?reason, "no reservation at the relay");
                }
            }
            // The rest is about attempts of others, or repeats what the above says.
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        let behaviour = self.swarm.behaviour_mut();
        match event {
            BehaviourEvent::Group(event) => {
                self.exchanges.on_event(behaviour, Protocol::Group, event);
            }
            BehaviourEvent::Search(event) => {
                self.exchanges.on_event(behaviour, Protocol::Search, event);
            }
            BehaviourEvent::Round(event) => {
                self.exchanges.on_event(behaviour, Protocol::Round, event);
            }
            BehaviourEvent::Ping(event) => self.on_ping(event),
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => self.on_discovered(found),
            BehaviourEvent::RelayServer(relay::Event::CircuitReqAccepted {
                src_peer_id, ..
            }) => self.on_circuit(src_peer_id),
            BehaviourEvent::Mdns(mdns::Event::Expired(_))
            | BehaviourEvent::RelayServer(_)
            | BehaviourEvent::RelayClient(_)
            | BehaviourEvent::Identify(_)
            | BehaviourEvent::Dcutr(_) => {}
            BehaviourEvent::Memory(never)
            | BehaviourEvent::Connections(never)
            | BehaviourEvent::Gate(never) => match never {},
        }
    }

    /// A connection that no longer answers pings is closed: that is how sleep and a change of
    /// network are noticed.
    fn on_ping(&mut self, event: ping::Event) {
        let Some(node) = identity::to_node(&event.peer) else { return };
        match event.result {
            Ok(rtt) => lock(&self.shared.view).measured(node, event.connection, rtt),
            Err(ping::Failure::Unsupported) => {}
            Err(ping::Failure::Timeout | ping::Failure::Other { .. }) => {
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn on_discovered(&mut self, found: Vec<(PeerId, Multiaddr)>) {
        let mut nodes: BTreeMap<NodeId, Vec<Addr>> = BTreeMap::new();
        for (peer, addr) in found {
            let (Some(node), Ok(addr)) = (identity::to_node(&peer), Addr::from_multiaddr(&addr))
            else {
                continue;
            };
            let addrs = nodes.entry(node).or_default();
            if addrs.len() < MAX_ADDRESSES {
                addrs.push(addr);
            }
        }
        for (node, addrs) in nodes {
            self.tell(LinkEvent::Discovered(node, addrs));
        }
    }

    fn on_circuit(&mut self, source: PeerId) {
        if !self.is_member(&source) {
            self.visitors.came(source, Instant::now());
        }
    }

    fn on_listening(&mut self, id: ListenerId, address: &Multiaddr) {
        self.relays.granted(id);
        let Ok(addr) = Addr::from_multiaddr(address) else { return };
        if self.relay_server && !addr.is_relayed() {
            // A relay hands out its external addresses with each reservation and is of no use
            // without one.
            self.swarm.add_external_address(address.clone());
        }
        if lock(&self.shared.view).listens(addr) {
            self.tell(LinkEvent::AddressesChanged);
        }
    }

    fn on_deaf(&mut self, addresses: &[Multiaddr]) {
        for address in addresses {
            let Ok(addr) = Addr::from_multiaddr(address) else { continue };
            if lock(&self.shared.view).stops_listening(&addr) {
                self.tell(LinkEvent::AddressesChanged);
            }
        }
    }

    fn drop_unwanted(&mut self) {
        let unwanted = std::mem::take(&mut *lock(&self.shared.unwanted));
        for node in unwanted {
            // An error means that it has just gone.
            let _ = self.swarm.disconnect_peer_id(identity::to_peer(&node));
        }
    }

    fn next_due(&self) -> Option<Instant> {
        [self.relays.next_due(), self.visitors.next_due()].into_iter().flatten().min()
    }

    fn on_time(&mut self, now: Instant) {
        self.relays.ask_due(now, |circuit| {
            self.swarm
                .listen_on(circuit)
                .inspect_err(|error| tracing::warn!(%error, "cannot ask a relay"))
                .ok()
        });
        while let Some(peer) = self.visitors.take_due(now) {
            if !self.is_member(&peer) {
                // An error means that it has gone already.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn is_member(&self, peer: &PeerId) -> bool {
        identity::to_node(peer).is_some_and(|node| lock(&self.shared.book).is_member(&node))
    }

    fn tell(&self, event: LinkEvent) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("news of a connection was dropped: the queue is full or closed");
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
