//! The state of an in-memory network: who is up, who is connected, what is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Weak;
use std::time::Duration;

use covey_crypto::Digest;
use covey_protocol::ids::NodeId;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::transcript::{Entry, Kind, Recording, Transcript};
use super::{NetworkConfig, Shared};
use crate::book::Book;
use crate::limits::{EVENT_RESERVE, MAX_OUTBOUND};
use crate::slots::Slots;
use crate::{Addr, Inbound, LinkError, LinkEvent, Peer, Protocol, Reply, lock};

type Answer = Result<Vec<u8>, LinkError>;

pub(super) struct State {
    config: NetworkConfig,
    shared: Weak<Shared>,
    begin: Instant,
    ends: BTreeMap<NodeId, End>,
    /// How often the first has sent to the second.
    sent: BTreeMap<(NodeId, NodeId), u64>,
    connected: BTreeMap<(NodeId, NodeId), Connection>,
    /// The other ends of each node's connections.
    neighbours: BTreeMap<NodeId, BTreeSet<NodeId>>,
    sides: BTreeMap<NodeId, usize>,
    under_way: BTreeMap<(Instant, u64), Parcel>,
    open: BTreeMap<u64, Waiting>,
    next: u64,
    transcript: Transcript,
}

/// One node's place in the network.
pub(super) struct End {
    address: Addr,
    up: bool,
    life: u64,
    events: Sender<LinkEvent>,
    book: Book,
    slots: Slots,
    outbound: usize,
}

#[derive(Clone, Copy)]
struct Connection {
    since: Instant,
    rtt: Option<Duration>,
}

/// A request whose caller waits.
struct Waiting {
    from: NodeId,
    to: NodeId,
    protocol: Protocol,
    sent: Instant,
    reply: oneshot::Sender<Answer>,
}

struct Parcel {
    id: u64,
    from: NodeId,
    to: NodeId,
    protocol: Protocol,
    cargo: Cargo,
}

enum Cargo {
    Request(Vec<u8>),
    Answer(Answer),
}

impl State {
    pub(super) fn new(config: NetworkConfig, shared: Weak<Shared>) -> Self {
        Self {
            config,
            shared,
            begin: Instant::now(),
            ends: BTreeMap::new(),
            sent: BTreeMap::new(),
            connected: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            sides: BTreeMap::new(),
            under_way: BTreeMap::new(),
            open: BTreeMap::new(),
            next: 0,
            transcript: Transcript::new(),
        }
    }

    /// Adds or restarts `node`. The end it had is returned to be dropped without the lock, because
    /// requests left in its queue answer when they are dropped.
    pub(super) fn join(&mut self, node: NodeId, events: Sender<LinkEvent>) -> (u64, Option<End>) {
        self.set_down(node);
        let index = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let life = self.ends.get(&node).map_or(0, |end| end.life + 1);
        let address =
            self.ends.get(&node).map_or_else(|| address(index), |end| end.address.clone());
        let end = End {
            address,
            up: true,
            life,
            events,
            book: Book::default(),
            slots: Slots::default(),
            outbound: 0,
        };
        (life, self.ends.insert(node, end))
    }

    pub(super) fn set_down(&mut self, node: NodeId) {
        let Some(end) = self.ends.get_mut(&node) else { return };
        end.up = false;
        let peers: Vec<NodeId> = self.connections(&node).map(|(peer, _)| peer).collect();
        for peer in peers {
            self.disconnect(node, peer);
        }
    }

    pub(super) fn set_up(&mut self, node: NodeId) {
        if let Some(end) = self.ends.get_mut(&node) {
            end.up = true;
        }
    }

    pub(super) fn partition(&mut self, sides: &[BTreeSet<NodeId>]) {
        let numbered = sides.iter().zip(1..);
        self.sides =
            numbered.flat_map(|(side, n)| side.iter().map(move |node| (*node, n))).collect();
    }

    pub(super) fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    /// Puts a request on its way and returns where its answer will arrive.
    pub(super) fn send(
        &mut self,
        from: NodeId,
        life: u64,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
    ) -> Result<(u64, oneshot::Receiver<Answer>), LinkError> {
        if body.len() > protocol.max_request() {
            return Err(LinkError::TooLarge { limit: protocol.max_request() });
        }
        let end = self.ends.get(&from).filter(|end| end.up && end.life == life);
        let Some(end) = end else { return Err(LinkError::Closed) };
        if end.outbound >= MAX_OUTBOUND {
            return Err(LinkError::Busy);
        }
        let known = end.book.addresses(&to);
        let connected = self.connected.contains_key(&pair(from, to));
        let target = self.ends.get(&to);
        let unreachable = match target {
            _ if from == to => Some("it is this node itself"),
            _ if !connected && known.is_empty() => Some("no address of it is known"),
            Some(end) if connected || known.contains(&end.address) => None,
            _ => Some("nobody answers at its addresses"),
        };
        if let Some(reason) = unreachable {
            return Err(LinkError::Unreachable { reason: reason.to_owned() });
        }
        let up = target.is_some_and(|end| end.up);
        if let Some(end) = self.ends.get_mut(&from) {
            end.outbound += 1;
        }
        let (reply, answer) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        let waiting = Waiting { from, to, protocol, sent: Instant::now(), reply };
        self.open.insert(id, waiting);
        if up {
            self.post(Parcel { id, from, to, protocol, cargo: Cargo::Request(body) });
        } else {
            let reason = "the connection was refused".to_owned();
            let cargo = Cargo::Answer(Err(LinkError::Unreachable { reason }));
            self.post(Parcel { id, from: to, to: from, protocol, cargo });
        }
        Ok((id, answer))
    }

    /// The caller of `id` has its answer or no longer waits.
    pub(super) fn give_up(&mut self, id: u64) {
        self.close(id);
    }

    /// Delivers everything due by `now`; returns when the next is due.
    pub(super) fn deliver_due(&mut self, now: Instant) -> Option<Instant> {
        loop {
            let entry = self.under_way.first_entry()?;
            let (due, _) = *entry.key();
            if due > now {
                return Some(due);
            }
            let parcel = entry.remove();
            self.deliver(parcel, due);
        }
    }

    pub(super) fn learn(&mut self, at: NodeId, node: NodeId, addrs: &[Addr]) {
        if let Some(end) = self.ends.get_mut(&at) {
            end.book.learn(node, addrs);
        }
    }

    pub(super) fn set_members(&mut self, at: NodeId, members: BTreeSet<NodeId>) {
        if let Some(end) = self.ends.get_mut(&at) {
            end.book.set_members(members);
        }
    }

    pub(super) fn addresses(&self, node: &NodeId) -> Vec<Addr> {
        self.ends.get(node).map(|end| end.address.clone()).into_iter().collect()
    }

    pub(super) fn peers(&self, node: &NodeId) -> Vec<Peer> {
        self.connections(node)
            .map(|(peer, connection)| Peer {
                node: peer,
                address: self.ends.get(&peer).map(|end| end.address.clone()),
                relayed: false,
                rtt: connection.rtt,
                since: connection.since,
            })
            .collect()
    }

    /// Closes the connection of two nodes and fails what was open on it.
    pub(super) fn disconnect(&mut self, one: NodeId, other: NodeId) {
        if self.connected.remove(&pair(one, other)).is_none() {
            return;
        }
        for (node, other) in [(one, other), (other, one)] {
            if let Some(neighbours) = self.neighbours.get_mut(&node) {
                neighbours.remove(&other);
            }
        }
        self.notify(one, LinkEvent::Disconnected(other));
        self.notify(other, LinkEvent::Disconnected(one));
        let of_pair = |waiting: &Waiting| pair(waiting.from, waiting.to) == pair(one, other);
        let ids = self.open.iter().filter(|(_, waiting)| of_pair(waiting)).map(|(id, _)| *id);
        for id in ids.collect::<Vec<_>>() {
            if let Some(waiting) = self.close(id) {
                // The caller may have stopped waiting in this very instant.
                let _ = waiting.reply.send(Err(LinkError::Closed));
            }
        }
    }

    fn connections(&self, node: &NodeId) -> impl Iterator<Item = (NodeId, Connection)> {
        let node = *node;
        let others = self.neighbours.get(&node).into_iter().flatten();
        others.filter_map(move |peer| Some((*peer, *self.connected.get(&pair(node, *peer))?)))
    }

    /// Puts a parcel on its way, unless it is lost.
    fn post(&mut self, parcel: Parcel) {
        let count = self.sent.entry((parcel.from, parcel.to)).or_default();
        *count += 1;
        let fate = self.config.draw(&parcel.from, &parcel.to, *count);
        if fate.lost || self.is_cut(&parcel) {
            return;
        }
        let number = self.next;
        self.next += 1;
        self.under_way.insert((Instant::now() + fate.latency, number), parcel);
    }

    fn is_cut(&self, parcel: &Parcel) -> bool {
        self.sides.get(&parcel.from) != self.sides.get(&parcel.to)
    }

    fn deliver(&mut self, parcel: Parcel, now: Instant) {
        if self.is_cut(&parcel) || !self.ends.get(&parcel.to).is_some_and(|end| end.up) {
            self.crashed(parcel);
            return;
        }
        self.record(&parcel, now);
        let Parcel { id, from, to, protocol, cargo } = parcel;
        match cargo {
            Cargo::Request(body) => self.deliver_request(id, from, to, protocol, body, now),
            Cargo::Answer(answer) => {
                let Some(waiting) = self.close(id) else { return };
                if let Some(connection) = self.connected.get_mut(&pair(from, to)) {
                    connection.rtt = Some(now.saturating_duration_since(waiting.sent));
                }
                // The caller may have stopped waiting in this very instant.
                let _ = waiting.reply.send(answer);
            }
        }
    }

    /// A request that meets a crashed node is refused by the machine; the rest is silence.
    fn crashed(&mut self, parcel: Parcel) {
        let Parcel { id, from, to, protocol, cargo } = parcel;
        let down = self.ends.get(&to).is_some_and(|end| !end.up);
        if let (true, Cargo::Request(_)) = (down, cargo) {
            let reason = "the connection was refused".to_owned();
            let cargo = Cargo::Answer(Err(LinkError::Unreachable { reason }));
            self.post(Parcel { id, from: to, to: from, protocol, cargo });
        }
    }

    fn deliver_request(
        &mut self,
        id: u64,
        from: NodeId,
        to: NodeId,
        protocol: Protocol,
        body: Vec<u8>,
        now: Instant,
    ) {
        self.connect(from, to, now);
        let Some(end) = self.ends.get(&to) else { return };
        let slot = end.slots.take(from, end.book.is_member(&from));
        let (Some(slot), true) = (slot, end.events.capacity() > EVENT_RESERVE) else {
            self.answer(id, to, Err(LinkError::Busy));
            return;
        };
        let shared = self.shared.clone();
        let life = end.life;
        let reply = Reply::new(move |body| {
            drop(slot);
            let Some(shared) = shared.upgrade() else { return };
            lock(&shared.state).reply(id, to, life, protocol, body);
            shared.wake.notify_one();
        });
        let request = LinkEvent::Request(Inbound { from, protocol, body, reply });
        let (failed, error) = match end.events.try_send(request) {
            Ok(()) => return,
            Err(TrySendError::Full(event)) => (event, LinkError::Busy),
            Err(TrySendError::Closed(event)) => (event, LinkError::Closed),
        };
        if let LinkEvent::Request(inbound) = failed {
            // Its sink locks the state that we hold.
            inbound.reply.forget();
        }
        self.answer(id, to, Err(error));
    }

    /// The node `by` answers, or declines to.
    fn reply(&mut self, id: u64, by: NodeId, life: u64, protocol: Protocol, body: Option<Vec<u8>>) {
        if !self.ends.get(&by).is_some_and(|end| end.up && end.life == life) {
            return;
        }
        let limit = protocol.max_response();
        let answer = match body {
            None => Err(LinkError::Refused),
            Some(body) if body.len() > limit => Err(LinkError::TooLarge { limit }),
            Some(body) => Ok(body),
        };
        self.answer(id, by, answer);
    }

    /// Sends `answer` to whoever waits for it.
    fn answer(&mut self, id: u64, by: NodeId, answer: Answer) {
        let Some(waiting) = self.open.get(&id) else { return };
        let (to, protocol) = (waiting.from, waiting.protocol);
        self.post(Parcel { id, from: by, to, protocol, cargo: Cargo::Answer(answer) });
    }

    fn close(&mut self, id: u64) -> Option<Waiting> {
        let waiting = self.open.remove(&id)?;
        if let Some(end) = self.ends.get_mut(&waiting.from) {
            end.outbound = end.outbound.saturating_sub(1);
        }
        Some(waiting)
    }

    fn connect(&mut self, one: NodeId, other: NodeId, now: Instant) {
        let key = pair(one, other);
        if self.connected.contains_key(&key) {
            return;
        }
        self.connected.insert(key, Connection { since: now, rtt: None });
        self.neighbours.entry(one).or_default().insert(other);
        self.neighbours.entry(other).or_default().insert(one);
        self.notify(one, LinkEvent::Connected(other));
        self.notify(other, LinkEvent::Connected(one));
    }

    /// Tells a node some news; a node that left its queue full has chosen not to know.
    fn notify(&self, node: NodeId, event: LinkEvent) {
        if let Some(end) = self.ends.get(&node).filter(|end| end.up)
            && end.events.try_send(event).is_err()
        {
            tracing::debug!(node = %node.short(), "an event was dropped: the queue is full");
        }
    }

    fn record(&mut self, parcel: &Parcel, now: Instant) {
        let recording = self.config.recorded();
        if recording == Recording::Off {
            return;
        }
        let (kind, body): (Kind, &[u8]) = match &parcel.cargo {
            Cargo::Request(body) => (Kind::Request, body),
            Cargo::Answer(Ok(body)) => (Kind::Reply, body),
            Cargo::Answer(Err(_)) => (Kind::Failure, &[]),
        };
        let entry = Entry {
            at: now.saturating_duration_since(self.begin),
            from: parcel.from,
            to: parcel.to,
            protocol: parcel.protocol,
            kind,
            length: body.len(),
            sha256: Digest::sha256(body),
        };
        self.transcript.add(entry, recording);
    }
}

/// Two nodes in an order that does not depend on who came first.
fn pair(one: NodeId, other: NodeId) -> (NodeId, NodeId) {
    (one.min(other), one.max(other))
}

/// A made-up private address for the node that joined as number `index`.
fn address(index: u32) -> Addr {
    let [_, b, c, d] = index.wrapping_add(1).to_be_bytes();
    let text = format!("/ip4/{}/tcp/4600", Ipv4Addr::new(10, b, c, d));
    text.parse().expect("an IPv4 address and a port")
}
