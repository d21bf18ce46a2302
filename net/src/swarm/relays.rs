//! Keeps reservations at relays: asks again when one is lost, with growing pauses.
//!
//! libp2p renews a reservation while its connection lives. After sleep, a change of network or a
//! restart of the relay the listener closes, and asking again is up to us.

use std::time::Duration;

use covey_protocol::ids::NodeId;
use libp2p::core::multiaddr::{Multiaddr, Protocol};
use libp2p::core::transport::ListenerId;
use tokio::time::Instant;

use super::identity;
use crate::Addr;
use crate::limits::{RELAY_RETRY_FIRST, RELAY_RETRY_LONGEST};

/// The relays this node wants reservations at.
#[derive(Debug)]
pub(super) struct Relays(Vec<Relay>);

#[derive(Debug)]
struct Relay {
    node: NodeId,
    circuit: Multiaddr,
    pause: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Ask at this time.
    Waiting(Instant),
    /// Asked, or granted.
    Listening(ListenerId),
}

impl Relays {
    pub(super) fn new(relays: &[(NodeId, Addr)], now: Instant) -> Self {
        let relay = |(node, addr): &(NodeId, Addr)| Relay {
            node: *node,
            circuit: addr
                .to_multiaddr()
                .with(Protocol::P2p(identity::to_peer(node)))
                .with(Protocol::P2pCircuit),
            pause: RELAY_RETRY_FIRST,
            state: State::Waiting(now),
        };
        Self(relays.iter().map(relay).collect())
    }

    /// When the next reservation is to be asked for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = |relay: &Relay| match relay.state {
            State::Waiting(due) => Some(due),
            State::Listening(_) => None,
        };
        self.0.iter().filter_map(due).min()
    }

    /// Asks for every reservation that is due; `listen` takes the circuit to listen on.
    pub(super) fn ask_due(
        &mut self,
        now: Instant,
        mut listen: impl FnMut(Multiaddr) -> Option<ListenerId>,
    ) {
        for relay in &mut self.0 {
            match relay.state {
                State::Waiting(due) if due <= now => match listen(relay.circuit.clone()) {
                    Some(id) => relay.state = State::Listening(id),
                    None => relay.retry(now),
                },
                State::Waiting(_) | State::Listening(_) => {}
            }
        }
    }

    /// The reservation behind `id` was granted.
    pub(super) fn granted(&mut self, id: ListenerId) {
        for relay in &mut self.0 {
            if matches!(relay.state, State::Listening(own) if own == id) {
                relay.pause = RELAY_RETRY_FIRST;
            }
        }
    }

    /// The reservation behind `id` was lost or refused; returns its relay.
    pub(super) fn lost(&mut self, id: ListenerId, now: Instant) -> Option<NodeId> {
        let own = |relay: &&mut Relay| matches!(relay.state, State::Listening(own) if own == id);
        let relay = self.0.iter_mut().find(own)?;
        relay.retry(now);
        Some(relay.node)
    }
}

impl Relay {
    fn retry(&mut self, now: Instant) {
        self.state = State::Waiting(now + self.pause);
        self.pause = (self.pause * 2).min(RELAY_RETRY_LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use covey_crypto::SecretKey;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_their_bound_and_start_over_once_granted() {
        let node = NodeId::new(SecretKey::from_seed(&[1; 32]).public());
        let addr = "/ip4/192.0.2.1/tcp/1".parse().expect("valid");
        let mut now = Instant::now();
        let mut relays = Relays::new(&[(node, addr)], now);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let id = ListenerId::next();
            relays.ask_due(now, |circuit| {
                assert!(circuit.to_string().ends_with("/p2p-circuit"));
                Some(id)
            });
            assert_eq!(relays.next_due(), None);
            assert_eq!(relays.lost(ListenerId::next(), now), None);
            assert_eq!(relays.lost(id, now), Some(node));
            let due = relays.next_due().expect("it asks again");
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let id = ListenerId::next();
        relays.ask_due(now, |_| Some(id));
        relays.granted(id);
        relays.lost(id, now);
        assert_eq!(relays.next_due(), Some(now + RELAY_RETRY_FIRST));
    }
}
