//! What the link shows of itself: who is connected, and where it can be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use covey_protocol::ids::NodeId;
use covey_protocol::limits::MAX_ADDRESSES;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use tokio::time::Instant;

use crate::{Addr, Peer};

/// Written by the swarm's task, read by every handle.
#[derive(Debug, Default)]
pub(super) struct View {
    connections: BTreeMap<NodeId, BTreeMap<ConnectionId, Connection>>,
    listening: BTreeSet<Addr>,
    external: BTreeSet<Addr>,
}

#[derive(Debug)]
struct Connection {
    address: Option<Addr>,
    relayed: bool,
    rtt: Option<Duration>,
    since: Instant,
}

impl View {
    /// A view of a node that is told how others reach it.
    pub(super) fn new(external: impl IntoIterator<Item = Addr>) -> Self {
        Self { external: external.into_iter().collect(), ..Self::default() }
    }

    /// Adds a connection; true if it is the first to this node.
    pub(super) fn opened(
        &mut self,
        node: NodeId,
        id: ConnectionId,
        endpoint: &ConnectedPoint,
    ) -> bool {
        let relayed = endpoint.is_relayed();
        let address = match endpoint {
            // What a circuit shows of the other end is no address; how it came here is.
            ConnectedPoint::Listener { local_addr, .. } if relayed => local_addr,
            ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr,
            ConnectedPoint::Dialer { address, .. } => address,
        };
        let address = Addr::from_multiaddr(address).ok();
        let connection = Connection { address, relayed, rtt: None, since: Instant::now() };
        let of_node = self.connections.entry(node).or_default();
        of_node.insert(id, connection);
        of_node.len() == 1
    }

    /// Removes a connection; true if it was the last to this node.
    pub(super) fn closed(&mut self, node: NodeId, id: ConnectionId) -> bool {
        let Some(of_node) = self.connections.get_mut(&node) else { return false };
        let known = of_node.remove(&id).is_some();
        let last = of_node.is_empty();
        if last {
            self.connections.remove(&node);
        }
        known && last
    }

    /// A connection's round trip was measured.
    pub(super) fn measured(&mut self, node: NodeId, id: ConnectionId, rtt: Duration) {
        if let Some(c) = self.connections.get_mut(&node).and_then(|of_node| of_node.get_mut(&id)) {
            c.rtt = Some(rtt);
        }
    }

    /// Whether there is any connection to `node`.
    pub(super) fn is_connected(&self, node: &NodeId) -> bool {
        self.connections.contains_key(node)
    }

    /// The nodes connected now, told by their direct connections where they have any.
    pub(super) fn peers(&self) -> Vec<Peer> {
        let peer = |(node, of_node): (&NodeId, &BTreeMap<ConnectionId, Connection>)| {
            let best = of_node.values().min_by_key(|c| (c.relayed, c.since))?;
            let since = of_node.values().map(|c| c.since).min()?;
            let Connection { address, relayed, rtt, .. } = best;
            Some(Peer {
                node: *node,
                address: address.clone(),
                relayed: *relayed,
                rtt: *rtt,
                since,
            })
        };
        self.connections.iter().filter_map(peer).collect()
    }

    /// A listener reports an address; true if that changes [`View::addresses`].
    pub(super) fn listens(&mut self, addr: Addr) -> bool {
        let before = self.addresses();
        self.listening.insert(addr);
        before != self.addresses()
    }

    /// A listener no longer has an address; true if that changes [`View::addresses`].
    pub(super) fn stops_listening(&mut self, addr: &Addr) -> bool {
        let before = self.addresses();
        self.listening.remove(addr);
        before != self.addresses()
    }

    /// The node's own addresses, the best first.
    pub(super) fn addresses(&self) -> Vec<Addr> {
        let all: BTreeSet<(Reach, &Addr)> = self
            .external
            .iter()
            .map(|addr| (Reach::Named, addr))
            .chain(self.listening.iter().filter_map(|addr| Some((Reach::of(addr)?, addr))))
            .collect();
        let mut all: Vec<_> = all.into_iter().collect();
        let mut seen = BTreeSet::new();
        all.retain(|(_, addr)| seen.insert(*addr));
        // Machines with containers have many private addresses; they make room for the others.
        while all.len() > MAX_ADDRESSES {
            let at = all.iter().rposition(|(reach, _)| *reach == Reach::Private);
            all.remove(at.unwrap_or(MAX_ADDRESSES));
        }
        all.into_iter().map(|(_, addr)| addr.clone()).collect()
    }
}

/// From how far an address can be reached, the farthest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// The configuration says so.
    Named,
    Public,
    Relayed,
    Private,
    Loopback,
}

impl Reach {
    /// None for an address that means nothing elsewhere on its own.
    fn of(addr: &Addr) -> Option<Self> {
        if addr.is_relayed() {
            return Some(Self::Relayed);
        }
        match addr.ip() {
            None => Some(Self::Public),
            Some(ip) if ip.is_unspecified() => None,
            Some(ip) if ip.is_loopback() => Some(Self::Loopback),
            Some(IpAddr::V4(ip)) if ip.is_link_local() => None,
            Some(IpAddr::V6(ip)) if ip.is_unicast_link_local() => None,
            Some(IpAddr::V4(ip)) if ip.is_private() => Some(Self::Private),
            Some(IpAddr::V6(ip)) if ip.is_unique_local() => Some(Self::Private),
            Some(_) => Some(Self::Public),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse().expect("valid")
    }

    #[test]
    fn addresses_are_ordered_by_reach_and_cut_at_the_private_ones() {
        let circuit = "/ip4/198.51.100.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA/p2p-circuit";
        let mut view = View::new([addr("/dns4/home.example/tcp/4600")]);
        assert!(view.listens(addr("/ip4/127.0.0.1/tcp/4600")));
        assert!(view.listens(addr("/ip6/::1/tcp/4600")));
        assert!(view.listens(addr(circuit)));
        assert!(!view.listens(addr("/ip6/fe80::1/tcp/4600")));
        assert!(!view.listens(addr("/ip4/169.254.0.7/tcp/4600")));
        assert!(!view.listens(addr("/ip4/0.0.0.0/tcp/4600")));
        assert!(view.listens(addr("/ip4/203.0.113.5/tcp/4600")));
        assert!(!view.listens(addr("/dns4/home.example/tcp/4600")), "it is there already");
        for n in 0..20 {
            view.listens(addr(&format!("/ip4/172.17.0.{n}/tcp/4600")));
        }
        let shown = view.addresses();
        let shown: Vec<_> = shown.iter().map(Addr::as_str).collect();
        let expected = [
            "/dns4/home.example/tcp/4600",
            "/ip4/203.0.113.5/tcp/4600",
            circuit,
            "/ip4/172.17.0.0/tcp/4600",
            "/ip4/172.17.0.1/tcp/4600",
            "/ip4/172.17.0.10/tcp/4600",
            "/ip4/127.0.0.1/tcp/4600",
            "/ip6/::1/tcp/4600",
        ];
        assert_eq!(shown, expected);
        assert!(view.stops_listening(&addr(circuit)));
        assert!(!view.addresses().contains(&addr(circuit)));
    }
}
