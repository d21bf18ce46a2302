//! Relaying for others: reservations for members only, circuits from strangers a few at a time.
//!
//! A stranger may open a circuit to a member because that is how an invite is redeemed where the
//! inviter has no public address. It gets few of them, and is disconnected soon after ([`Visitors`]).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use libp2p::core::Multiaddr;
use libp2p::{PeerId, relay};
use tokio::time::Instant as Deadline;

use super::identity;
use crate::book::Book;
use crate::limits::{
    RELAY_CIRCUIT_BYTES, RELAY_CIRCUIT_LIFE, RELAY_MAX_CIRCUITS, RELAY_MAX_CIRCUITS_PER_PEER,
    RELAY_MAX_RESERVATIONS, RELAY_STRANGER_CIRCUITS, RELAY_STRANGER_LIFE, RELAY_STRANGER_WINDOW,
};
use crate::lock;

/// A relay that asks `book` who the members are.
pub(super) fn start(local: PeerId, book: &Arc<Mutex<Book>>) -> relay::Behaviour {
    let members = Arc::clone(book);
    let reserve = move |peer: PeerId, _: &Multiaddr, _: Instant| is_member(&members, &peer);
    let members = Arc::clone(book);
    let mut window = Window::default();
    let circuit = move |peer: PeerId, _: &Multiaddr, now: Instant| {
        is_member(&members, &peer) || window.take(now)
    };
    let config = relay::Config {
        max_reservations: RELAY_MAX_RESERVATIONS,
        max_circuits: RELAY_MAX_CIRCUITS,
        max_circuits_per_peer: RELAY_MAX_CIRCUITS_PER_PEER,
        max_circuit_duration: RELAY_CIRCUIT_LIFE,
        max_circuit_bytes: RELAY_CIRCUIT_BYTES,
        reservation_rate_limiters: vec![Box::new(reserve)],
        circuit_src_rate_limiters: vec![Box::new(circuit)],
        ..relay::Config::default()
    };
    let mut relay = relay::Behaviour::new(local, config);
    relay.set_status(Some(relay::Status::Enable));
    relay
}

fn is_member(book: &Mutex<Book>, peer: &PeerId) -> bool {
    identity::to_node(peer).is_some_and(|node| lock(book).is_member(&node))
}

/// The circuits opened for strangers within the last [`RELAY_STRANGER_WINDOW`].
#[derive(Debug, Default)]
struct Window(VecDeque<Instant>);

impl Window {
    fn take(&mut self, now: Instant) -> bool {
        while let Some(first) = self.0.front() {
            if now.saturating_duration_since(*first) < RELAY_STRANGER_WINDOW {
                break;
            }
            self.0.pop_front();
        }
        let free = self.0.len() < RELAY_STRANGER_CIRCUITS;
        if free {
            self.0.push_back(now);
        }
        free
    }
}

/// Nodes that are no members and opened a circuit, and when they are to be disconnected. Bounded by
/// how many circuits they get in a [`RELAY_STRANGER_LIFE`].
#[derive(Debug, Default)]
pub(super) struct Visitors(VecDeque<(Deadline, PeerId)>);

impl Visitors {
    /// `peer` opened a circuit.
    pub(super) fn came(&mut self, peer: PeerId, now: Deadline) {
        self.0.push_back((now + RELAY_STRANGER_LIFE, peer));
    }

    /// When the next one is to be disconnected.
    pub(super) fn next_due(&self) -> Option<Deadline> {
        self.0.front().map(|(due, _)| *due)
    }

    /// One that is to be disconnected now.
    pub(super) fn take_due(&mut self, now: Deadline) -> Option<PeerId> {
        self.next_due().filter(|due| *due <= now)?;
        self.0.pop_front().map(|(_, peer)| peer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn visitors_leave_in_the_order_they_came() {
        let (begin, later) = (Deadline::now(), Deadline::now() + Duration::from_secs(5));
        let (first, second) = (PeerId::random(), PeerId::random());
        let mut visitors = Visitors::default();
        assert_eq!(visitors.next_due(), None);
        visitors.came(first, begin);
        visitors.came(second, later);
        assert_eq!(visitors.next_due(), Some(begin + RELAY_STRANGER_LIFE));
        assert_eq!(visitors.take_due(later), None);
        assert_eq!(visitors.take_due(begin + RELAY_STRANGER_LIFE), Some(first));
        assert_eq!(visitors.take_due(begin + RELAY_STRANGER_LIFE), None);
        assert_eq!(visitors.take_due(later + RELAY_STRANGER_LIFE), Some(second));
        assert_eq!(visitors.next_due(), None);
    }

    #[test]
    fn strangers_get_so_many_circuits_in_a_window() {
        let begin = Instant::now();
        let mut window = Window::default();
        let count = |window: &mut Window, at| (0..99).filter(|_| window.take(at)).count();
        assert_eq!(count(&mut window, begin), RELAY_STRANGER_CIRCUITS);
        let almost = begin + RELAY_STRANGER_WINDOW - Duration::from_millis(1);
        assert_eq!(count(&mut window, almost), 0);
        assert_eq!(count(&mut window, begin + RELAY_STRANGER_WINDOW), RELAY_STRANGER_CIRCUITS);
    }
}
